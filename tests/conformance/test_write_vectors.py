"""The script that writes the kit adds files of a further model, and leaves the others alone."""

import json
import shutil
import sys
from pathlib import Path

import check_decoder
import pytest
import write_vectors

from aecodec.models.registry import ReleasedModel, Tune


@pytest.fixture
def kit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy, which the script writes to."""
    folder = tmp_path / "kit"
    for name in ("valid", "invalid"):
        shutil.copytree(write_vectors.KIT / name, folder / name)
    shutil.copy(write_vectors.KIT / "manifest.json", folder)
    monkeypatch.setattr(write_vectors, "KIT", folder)
    return folder


def write(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    monkeypatch.setattr(sys, "argv", ["write_vectors.py", *options])
    write_vectors.main()


def contents(kit: Path) -> dict[str, bytes]:
    return {
        path.relative_to(kit).as_posix(): path.read_bytes()
        for path in kit.rglob("*.*")
        if path.name != "manifest.json"
    }


@pytest.mark.slow
def test_a_further_model_adds_a_few_files(
    kit: Path, tunings: dict[Tune, ReleasedModel], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_vectors.clear("visual", manifest_of(kit))
    before = {name: data for name, data in contents(kit).items() if "/visual-" not in name}
    write(monkeypatch, "--tune", "visual", "-f")
    after, manifest = contents(kit), check_decoder.load_manifest(kit)
    assert {name: data for name, data in after.items() if "/visual-" not in name} == before
    added = [entry for entry in manifest["valid"] if entry["file"].startswith("valid/visual-")]
    assert len(added) == len(write_vectors.FURTHER)
    assert {entry["model"] for entry in added} == {tunings["visual"].model_id.hex()}
    assert tunings["visual"].name in manifest["made_with"]
    with pytest.raises(SystemExit, match=f"has files of {tunings['visual'].name}"):
        write(monkeypatch, "--tune", "visual")
    write(monkeypatch, "--tune", "visual", "-f")
    assert (contents(kit), manifest_of(kit)) == (after, manifest)


def manifest_of(kit: Path) -> check_decoder.Entry:
    found: check_decoder.Entry = json.loads((kit / "manifest.json").read_text(encoding="utf-8"))
    return found

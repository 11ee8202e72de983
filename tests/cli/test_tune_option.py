"""`--tune` chooses a released model, in whatever compresses."""

import json
from pathlib import Path

import pytest
from shell import Shell, assert_one_line

import aecodec
from aecodec.models import registry
from aecodec.models.registry import TUNES, ReleasedModel, Tune

Tunings = dict[Tune, ReleasedModel]


def model_of(path: Path) -> bytes:
    return aecodec.read_info(path.read_bytes()).model_id


@pytest.mark.parametrize("tune", TUNES)
def test_the_model_is_that_of_the_tuning(shell: Shell, tunings: Tunings, tune: Tune) -> None:
    shell.picture("img.png")
    done = shell.run("compress", "img.png", "--tune", tune)
    assert (done.code, done.err) == (0, "")
    assert model_of(shell.folder / "img.aec") == tunings[tune].model_id
    info = json.loads(shell.run("info", "--json", "img.aec").out)
    assert info["model"] == tunings[tune].name
    assert shell.run("decompress", "img.aec", "-o", "back.png").code == 0
    assert shell.run("verify", "img.aec").code == 0
    assert shell.run("compare", "img.png", "img.aec").code == 0


def test_a_folder_holds_files_of_several_models(shell: Shell, tunings: Tunings) -> None:
    (shell.folder / "in").mkdir()
    for tune in TUNES:
        name = shell.picture(f"{tune}.png")
        assert shell.run("compress", name, "-o", f"in/{tune}.aec", "--tune", tune).code == 0
    assert shell.run("decompress", "-r", "in", "-o", "out").code == 0
    assert len(list((shell.folder / "out").glob("*.png"))) == len(tunings)


def test_a_model_and_a_tuning_exclude_each_other(shell: Shell, tunings: Tunings) -> None:
    shell.picture("img.png")
    for model in (shell.weights, tunings["psnr"].name):
        result = shell.run("compress", "img.png", "--tune", "psnr", "--model", model)
        assert_one_line(result, 2, "--model and --tune exclude each other")
    assert list(shell.listing()) == ["img.png"]


def test_unknown_tunings_are_refused(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.picture("img.png")
    result = shell.run("compress", "img.png", "--tune", "eye")
    assert_one_line(result, 2, "--tune", "'eye' is not one of 'psnr', 'visual'")
    monkeypatch.setattr(registry, "MODELS", (ReleasedModel("none", b"none"),))
    result = shell.run("compress", "img.png", "img.png", "--tune", "visual")  # once
    assert_one_line(result, 2, "--tune: no model has been released for the tuning visual")


@pytest.mark.usefixtures("tunings")
def test_another_tuning_is_not_the_same_work(shell: Shell) -> None:
    shell.picture("img.png")
    command = ("compress", "img.png", "--resume", "-f")
    other = next(tune for tune in TUNES if tune != registry.DEFAULT_TUNE)
    assert "skipped" not in shell.run(*command).out
    assert "skipped" in shell.run(*command, "--tune", registry.DEFAULT_TUNE).out
    assert "skipped" not in shell.run(*command, "--tune", other).out
    assert "skipped" in shell.run(*command, "--tune", other).out
    assert "skipped" not in shell.run(*command).out


def test_noise_is_taken_out_by_the_model_for_psnr(shell: Shell, tunings: Tunings) -> None:
    shell.picture("img.png", 64, 64)
    assert shell.run("denoise", "img.png", "-s", "5", "-o", "clean.aec").code == 0
    assert model_of(shell.folder / "clean.aec") == tunings["psnr"].model_id


def test_decoders_for_browsers_hold_all_models_or_one(shell: Shell, tunings: Tunings) -> None:
    assert shell.run("view", "--scripts", "all").code == 0
    assert shell.run("view", "--scripts", "one", "--tune", "visual").code == 0
    found = {
        name: json.loads((shell.folder / name / "resources.json").read_text("utf-8"))["models"]
        for name in ("all", "one")
    }
    assert found["all"].keys() == {each.model_id.hex() for each in tunings.values()}
    assert found["one"].keys() == {tunings["visual"].model_id.hex()}

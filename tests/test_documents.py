"""Documents and docstrings speak of things that exist."""

import json
import re
import shlex
import tomllib
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest
from documents import DOCUMENTS, ROOT, SOURCES, anchors, commands, links, name_of, prose

from aecodec import cli
from aecodec.models.registry import MODELS

README = ROOT / "README.md"
CARDS = ROOT / "aecodec" / "models" / "README.md"
MANUAL = ROOT / "aecodec" / "cli" / "MANUAL.md"
SPECIFICATION = ROOT / "aecodec" / "format" / "SPECIFICATION.md"
KIT = ROOT / "tests" / "conformance"
README_LINES_MAX = 200
ELSEWHERE = {"skimage/data/_fetchers.py"}
"""Files of other projects."""
_FILE_NAME = re.compile(r"`([\w./-]+\.(?:py|md))`|\b([\w/]+\.md)\b")
_SECTIONS = re.compile(
    r"SPECIFICATION\.md,\s+sections?\s+((?:\d+(?:\.\d+)?(?:,\s+|\s+and\s+|\s+to\s+)?)+)"
)


@cache
def file_names() -> frozenset[str]:
    """Every file of the repository, by each path that ends with its name."""
    paths = [p.relative_to(ROOT) for p in (*DOCUMENTS, *SOURCES)]
    return frozenset("/".join(p.parts[start:]) for p in paths for start in range(len(p.parts)))


@cache
def headings() -> frozenset[str]:
    """Numbers of the specification's sections."""
    text = SPECIFICATION.read_text(encoding="utf-8")
    return frozenset(re.findall(r"^#+ (\d+(?:\.\d+)?) ", text, re.MULTILINE))


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(path: Path) -> None:
    for link in links(path):
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{link}: no such file"
        assert target.is_relative_to(ROOT), f"{link} leaves the repository"
        if anchor:
            assert anchor in anchors(target), f"{link}: no such heading"


def test_files_that_are_named_exist() -> None:
    missing = []
    for path in (*DOCUMENTS, *SOURCES):
        text = prose(path) if path.suffix == ".md" else path.read_text(encoding="utf-8")
        found = {first or second for first, second in _FILE_NAME.findall(text)}
        named = {name.removeprefix("./") for name in found} - ELSEWHERE
        missing += [f"{name_of(path)} names {name}" for name in sorted(named - file_names())]
    assert not missing


def test_sections_that_are_cited_exist() -> None:
    missing = []
    for path in (*DOCUMENTS, *SOURCES):
        cited = " ".join(_SECTIONS.findall(path.read_text(encoding="utf-8")))
        numbers = set(re.findall(r"\d+(?:\.\d+)?", cited))
        missing += [f"{name_of(path)} cites {each}" for each in sorted(numbers - headings())]
    assert not missing


def test_the_readme_is_short() -> None:
    assert len(README.read_text(encoding="utf-8").splitlines()) <= README_LINES_MAX


def test_the_readme_maps_every_package() -> None:
    table = re.findall(r"^\| ((?:`\w+/?`(?:, )?)+) \|", README.read_text(encoding="utf-8"), re.M)
    mapped = {name for row in table for name in re.findall(r"`(\w+/?)`", row)}
    package = ROOT / "aecodec"
    folders = {f"{path.parent.name}/" for path in package.glob("*/__init__.py")}
    modules = {path.stem for path in package.glob("*.py") if not path.stem.startswith("__")}
    assert folders | modules <= mapped


def test_the_readme_lists_every_extra() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = re.findall(r"^\| `(\w+)` \| [^|]+ \|$", README.read_text(encoding="utf-8"), re.M)
    assert set(project["optional-dependencies"]) <= set(listed)


def test_released_models_have_cards_with_their_names_and_ids() -> None:
    card = CARDS.read_text(encoding="utf-8")
    for model in MODELS:
        size = (CARDS.parent / f"{model.name}.safetensors").stat().st_size / 1e6
        names = f"| `{model.name}` | `{model.model_id.hex()}` | `{model.name}.safetensors`"
        assert f"{names}, {size:.1f} MB" in card
        assert f"## Model card: {model.name}\n" in card


@pytest.mark.parametrize("path", [README, MANUAL], ids=name_of)
def test_models_are_named_with_their_ids(path: Path) -> None:
    ids = {model.name: model.model_id.hex() for model in MODELS}
    named = re.findall(r"\b(aec-[\w-]+)\b(?: \(| has the id `)(\w{8})\b", path.read_text("utf-8"))
    assert named
    assert set(named) <= ids.items()


def test_the_kit_has_as_many_files_as_is_said() -> None:
    manifest = json.loads((KIT / "manifest.json").read_text(encoding="utf-8"))
    valid, invalid = len(manifest["valid"]), len(manifest["invalid"])
    readme = " ".join(README.read_text(encoding="utf-8").split())
    assert f"{valid} files with their pixels, and {invalid} that a decoder must refuse" in readme
    kit = (KIT / "README.md").read_text(encoding="utf-8")
    assert f"| {valid} small files" in kit
    assert f"| {invalid} files" in kit


def test_the_manual_tells_of_every_command_and_no_other() -> None:
    names = set(cli.cli.list_commands(click.Context(cli.cli)))
    rows = re.findall(r"^\| (\[`.*\)) \|", MANUAL.read_text(encoding="utf-8"), re.MULTILINE)
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == names


def command_of(words: list[str]) -> click.Command | None:
    """The command that a line of a document runs, if it is one of this project's."""
    if words[0] == "aecodec":
        named = cli.cli.get_command(click.Context(cli.cli), words[1])
        return named.commands[words[2]] if isinstance(named, click.Group) else named
    if words[:3] == ["python", "-m", "benchmarks"]:
        benchmarks: Any = import_module("benchmarks.__main__")
        found: click.Command = benchmarks.cli.commands[words[3]]
        return found
    return None


@pytest.mark.parametrize("path", DOCUMENTS, ids=name_of)
def test_commands_that_are_not_run_have_these_options(path: Path) -> None:
    for line in commands(path, "text"):
        words = shlex.split(line, comments=True)
        command = command_of(words) if words else None
        if command is None or command.name == "bench":
            continue
        known = {option for each in command.params for option in each.opts}
        given = words[3:] if words[0] == "python" else words  # its own -m is none of the command's
        used = {word for word in given if re.fullmatch(r"--?[a-z][\w-]*", word)}
        assert used <= known, f"{line}: no {sorted(used - known)}"

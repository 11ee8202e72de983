"""Imports point one way: a module may import only from the rows above its own."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import make_tiny_model

from aecodec.export.weights import export_weights

ROWS = (
    {"errors"},
    {"alpha"},
    {
        "joint_rounding",
        "targets",
        "fidelity",
        "container",
        "entropy",
        "quantization",
        "files",
        "jobs",
        "registry",
    },
    {"checksums", "metadata", "modes", "sources", "strips"},
    {"sixteen_bit"},
    {"images"},
    {
        "dead_zone",
        "reading",
        "scanlines",
        "writers",
        "layers",
        "color",
        "windows",
        "lossless",
        "residual_tables",
    },
    {"residual_canvas"},
    {"residual"},
    {"residual_fit"},
    {"costs", "transforms", "priors", "selection", "facts", "rescue", "outputs"},
    {"model"},
    {"integer"},
    {"exact_block"},
    {"integer_export", "integer_synthesis"},
    {"weight_rounding", "scaling"},
    {"synthesis_export"},
    {"latents", "weights"},
    {"gradients"},
    {"search"},
    {"bands"},
    {"rendering"},
    {"packing", "layering"},
    {"codec"},
    {"training", "unpacking"},
    {"cli"},
)
NO_TORCH = {
    "alpha",
    "checksums",
    "sixteen_bit",
    "outputs",
    "errors",
    "container",
    "facts",
    "dead_zone",
    "entropy",
    "fidelity",
    "files",
    "images",
    "jobs",
    "joint_rounding",
    "metadata",
    "modes",
    "reading",
    "registry",
    "rescue",
    "residual",
    "residual_canvas",
    "residual_fit",
    "residual_tables",
    "scanlines",
    "cli",
    "lossless",
    "selection",
    "sources",
    "strips",
    "targets",
    "windows",
    "writers",
}
LEVEL = {room: level for level, row in enumerate(ROWS) for room in row}
PACKAGE_LEVEL = LEVEL["codec"]
"""Names of the package itself, as in `from aecodec import compress`, stand for the codec."""

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "aecodec"
FRONT = {"__init__.py", "__main__.py"}
FILES = [
    path for path in sorted(PACKAGE.rglob("*.py")) if str(path.relative_to(PACKAGE)) not in FRONT
]


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


ROOMS = {room_of(path) for path in FILES}


def imports(path: Path) -> set[str]:
    """Dotted names that a file imports, anywhere in it and also for type checking only."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def targets(path: Path) -> set[str]:
    """The rooms that a file imports from, and names of the package itself."""
    parts = [name.split(".") for name in imports(path)]
    return {(*names, "")[1] for names in parts if names[0] == "aecodec"} - {room_of(path)}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_one_way(path: Path) -> None:
    room = room_of(path)
    assert room in LEVEL, f"give {room} a row"
    too_high = {name for name in targets(path) if LEVEL.get(name, PACKAGE_LEVEL) >= LEVEL[room]}
    assert not too_high, f"{room} must not import {sorted(too_high)}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_only_commands_print_and_prepare_their_process(path: Path) -> None:
    """The library neither talks to a terminal nor takes the process's signals."""
    if room_of(path) != "cli":
        roots = {name.partition(".")[0] for name in imports(path)}
        assert not roots & {"click", "ctypes", "signal"}


def test_rows_name_each_room_once() -> None:
    assert len(LEVEL) == sum(len(row) for row in ROWS)
    assert set(LEVEL) >= NO_TORCH


@pytest.mark.parametrize("module", ["", *(f".{room}" for room in sorted(NO_TORCH & ROOMS))])
def test_light_modules_do_not_load_torch(module: str) -> None:
    code = f"import sys, aecodec{module}; sys.exit('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr or f"aecodec{module} loads torch"


def test_loading_a_model_imports_no_sympy(tmp_path: Path) -> None:
    """Some operators on the meta device do, for half a second of each command."""
    path = tmp_path / "tiny.safetensors"
    export_weights(make_tiny_model(), path)
    code = (
        "import sys; from pathlib import Path; from aecodec.weights import load_weights; "
        f"load_weights(Path({str(path)!r})); print('sympy' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"

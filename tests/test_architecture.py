"""The laws of the layout: imports run down the rows, light rooms load no torch, files are small."""

import ast
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROWS = (
    {"cli"},
    {"datasets"},
    {"export", "jobs", "plugins", "viewer", "applications"},
    {"codec"},
    {"encoder"},
    {"decoder", "training"},
    {"coding", "autoencoder", "info"},
    {"options"},
    {"models", "picture", "storage"},
    {"format"},
    {"errors"},
)
"""The rooms, from top to bottom: each imports only from rows below its own, and within itself."""
HEAVY = {
    "autoencoder": {"*"},
    "training": {"*"},
    "export": {"*"},
    "encoder": {"rd_objective", "symbol_costs", "trainable"},
    "plugins": {"torch"},
}
"""Modules that may load torch when they are imported, as patterns; no other may."""
OF_COMMANDS = {"click", "ctypes", "signal"}
"""Only commands talk to a terminal and change their process; the kernel's driver loads it."""
FILE_LINES, FUNCTION_LINES, ENTRIES = 400, 60, 24

LEVEL = {room: level for level, row in enumerate(ROWS) for room in row}
ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "aecodec"


@dataclass(frozen=True)
class Module:
    """One file of the package."""

    path: Path

    @property
    def name(self) -> str:
        """As it is imported."""
        return ".".join(self.path.relative_to(ROOT).with_suffix("").parts)

    @property
    def room(self) -> str:
        """The package or module at the top of `aecodec` that it is in."""
        return self.path.relative_to(PACKAGE).parts[0].removesuffix(".py")

    @cached_property
    def tree(self) -> ast.Module:
        """What it says."""
        return ast.parse(self.path.read_text(encoding="utf-8"))

    @cached_property
    def imports(self) -> set[str]:
        """Dotted names that it imports, anywhere in it and also for type checking only."""
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.name}: relative import"
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
        return found

    @property
    def rooms(self) -> set[str]:
        """The other rooms that it imports from."""
        parts = [name.split(".") for name in self.imports]
        found = {names[1] for names in parts if names[0] == "aecodec"}
        return found - {self.room, "__version__"}

    @property
    def is_light(self) -> bool:
        """Whether importing it must load no torch."""
        return not any(self.path.match(f"{kind}.py") for kind in HEAVY.get(self.room, ()))


MODULES = [Module(path) for path in sorted(PACKAGE.rglob("*.py"))]
INSIDE = [module for module in MODULES if module.path.name not in ("__init__.py", "__main__.py")]
LIGHT_ROOMS = sorted({module.room for module in INSIDE if module.is_light})


def modules_of(room: str) -> list[Module]:
    return [module for module in INSIDE if module.room == room]


def test_every_room_has_a_row() -> None:
    assert {module.room for module in INSIDE} == set(LEVEL)
    assert len(LEVEL) == sum(len(row) for row in ROWS)


@pytest.mark.parametrize("room", LEVEL)
def test_a_room_imports_only_from_rows_below(room: str) -> None:
    for module in MODULES:
        if module.room == room:
            wrong = {other for other in module.rooms if LEVEL[other] <= LEVEL[room]}
            assert not wrong, f"{module.name} must not import {wrong}"


@pytest.mark.parametrize(
    ("room", "other"),
    [("training", "encoder"), ("encoder", "training"), ("decoder", "autoencoder")],
)
def test_rooms_that_never_meet(room: str, other: str) -> None:
    assert [module.name for module in modules_of(room) if other in module.rooms] == []


def test_packages_say_what_they_are_for_and_nothing_else() -> None:
    """The package itself offers the public names, and `cli` is the command line's entry."""
    for module in MODULES:
        if module.path.name == "__init__.py" and module.path.parent not in (
            PACKAGE, PACKAGE / "cli",
        ):  # fmt: skip
            assert ast.get_docstring(module.tree), module.name
            assert len(module.tree.body) == 1, module.name


@pytest.mark.parametrize("room", LIGHT_ROOMS)
def test_light_rooms_load_no_torch(room: str) -> None:
    names = [module.name for module in modules_of(room) if module.is_light]
    code = (
        "import sys\nfrom importlib import import_module\n"
        f"for name in {names}:\n"
        "    import_module(name)\n"
        "    assert 'torch' not in sys.modules, name\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_only_commands_talk_and_prepare_their_process() -> None:
    for module in INSIDE:
        if module.room != "cli":
            roots = {name.partition(".")[0] for name in module.imports}
            allowed = {"ctypes"} if module.path.match("decoder/native*.py") else set()
            assert not roots & OF_COMMANDS - allowed, module.name


def test_private_names_stay_where_they_are() -> None:
    for module in MODULES:
        parts = {part for name in module.imports for part in name.split(".")}
        private = {part for part in parts if part.startswith("_") and not part.endswith("__")}
        assert not private, module.name


def test_files_and_functions_are_small() -> None:
    for module in MODULES:
        assert len(module.path.read_text(encoding="utf-8").splitlines()) <= FILE_LINES, module.name
        for node in ast.walk(module.tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                assert lines <= FUNCTION_LINES, f"{module.name}.{node.name}"


def test_the_package_shows_few_entries() -> None:
    entries = [path for path in PACKAGE.iterdir() if path.name != "__pycache__"]
    assert len(entries) <= ENTRIES

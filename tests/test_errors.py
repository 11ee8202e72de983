"""The tree drawn in the docstring of `errors.py` equals its classes, and messages carry values."""

import inspect
import re

import pytest

from aecodec import errors
from aecodec.errors import AecError, ChecksumError, TruncatedError

CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and not issubclass(kind, Warning)
}
BRANCH = re.compile(r"^    ((?:│   |    )*(?:├── |└── ))(\w+) +(.*)$", re.MULTILINE)


def drawn_tree() -> dict[str, tuple[str, ...]]:
    """Each drawn name, in order, with the bases that the drawing gives it."""
    assert errors.__doc__ is not None
    tree: dict[str, tuple[str, ...]] = {"AecError": ("Exception",)}
    path = ["AecError"]
    for branch, name, gloss in BRANCH.findall(errors.__doc__):
        del path[len(branch) // 4 :]
        tree[name] = (path[-1], *re.findall(r"\(also (\w+)\)", gloss))
        path.append(name)
    return tree


def test_the_drawn_tree_equals_the_classes() -> None:
    bases = {name: tuple(b.__name__ for b in kind.__bases__) for name, kind in CLASSES.items()}
    drawn = drawn_tree()
    assert drawn == bases
    assert list(drawn) == list(CLASSES)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_every_error_is_an_aec_error_with_a_docstring(name: str) -> None:
    assert issubclass(CLASSES[name], AecError)
    assert CLASSES[name].__doc__


def test_truncated_error_carries_its_values() -> None:
    error = TruncatedError("TILE 3", needed=91, available=40)
    assert (error.what, error.needed, error.available) == ("TILE 3", 91, 40)
    assert str(error) == "truncated: TILE 3 needs 91 bytes, 40 left"


def test_checksum_error_carries_its_values() -> None:
    error = ChecksumError("TILE 3", stored="00001234", computed="deadbeef")
    assert (error.what, error.stored, error.computed) == ("TILE 3", "00001234", "deadbeef")
    assert str(error) == "checksum of TILE 3 is deadbeef, the file says 00001234"

"""Files of tensors in the safetensors format, mapped into memory and checked before use.

Source: https://github.com/huggingface/safetensors, README, section "Format".
"""

import json
import math
import mmap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.errors import WeightsError

Array = npt.NDArray[np.generic]
Tensors = Mapping[str, Array]
"""Arrays by their names in the file, e.g. `synthesis.first.mix_in.weight`."""

FOLDER = Path(__file__).parent
"""Where released files are."""

_LENGTH_BYTES = 8
_HEADER_MAX = 10**8
"""Longest header, as in the library of the format's authors."""
_SIDE_MAX, _AXES_MAX = 2**40, 8
_METADATA = "__metadata__"
_TYPES = {
    "I8": "<i1", "U8": "<u1", "I16": "<i2", "U16": "<u2", "I32": "<i4", "U32": "<u4",
    "I64": "<i8", "U64": "<u8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip


def released_data(name: str) -> "mmap.mmap | bytes":
    """A released file, mapped where it is a file of its own.

    Raises:
        OSError: it is missing or cannot be read.
    """
    path = FOLDER / f"{name}.safetensors"
    if path.is_file():
        return _mapped(path)
    from importlib.resources import files  # late, since only a package in an archive needs it

    return (files("aecodec") / "models" / path.name).read_bytes()


def _mapped(path: Path) -> "mmap.mmap | bytes":
    """A file that nobody changes, of which only those pages are read that are used.

    Files of users are not mapped: whoever shortens one in use would end the process.
    """
    with path.open("rb") as file:
        try:
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError):  # an empty file, or a file system without mappings
            return file.read()


def parse_tensors(data: "mmap.mmap | bytes") -> tuple[dict[str, Array], dict[str, str]]:
    """The tensors of a file and its metadata.

    Args:
        data: the whole file.

    Returns:
        Views of `data`, which cannot be written to, and texts by their names.

    Raises:
        WeightsError: it is damaged or no such file.
    """
    if len(data) < _LENGTH_BYTES:
        raise WeightsError("the file is too short")
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    start = _LENGTH_BYTES + length
    if length > _HEADER_MAX or start > len(data):
        raise WeightsError(f"a header of {length} bytes does not fit in")
    header = _header(data[_LENGTH_BYTES:start])
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise WeightsError("the metadata are no texts")
    places = sorted((_place(name, entry), name) for name, entry in header.items())
    end = 0
    for (first, last), name in places:
        if first != end:
            raise WeightsError(f"{name} does not begin where the tensor before it ends")
        end = last
    if start + end != len(data):
        raise WeightsError("the tensors do not end where the file does")
    tensors = {name: _view(data, start + first, header[name]) for (first, _), name in places}
    return tensors, metadata


def _view(data: "mmap.mmap | bytes", first: int, entry: dict[str, Any]) -> Array:
    """The tensor that begins there; a copy where its numbers lie across those of the memory."""
    kind, shape = _TYPES[entry["dtype"]], entry["shape"]
    if 0 in shape:
        return np.empty(shape, kind)
    array: Array = np.frombuffer(data, kind, math.prod(shape), first).reshape(shape)
    return np.require(array, requirements="A")


def _place(name: str, entry: Any) -> tuple[int, int]:  # noqa: ANN401  # whatever JSON holds
    """Where a tensor's bytes begin and end, counted from the header's end."""
    try:
        kind, shape, (first, last) = entry["dtype"], entry["shape"], entry["data_offsets"]
        numbers = [*shape, first, last]
        if any(type(each) is not int or not 0 <= each <= _SIDE_MAX for each in numbers):
            raise ValueError("no whole numbers")
        if len(shape) > _AXES_MAX:
            raise ValueError("many axes")
        size = np.dtype(_TYPES[kind]).itemsize * math.prod(shape)
    except (TypeError, KeyError, ValueError) as exc:
        raise WeightsError(f"{name}: no type, shape and place of a tensor") from exc
    if last - first != size:
        raise WeightsError(f"{name} has {last - first} bytes in place of {size}")
    return first, last


def _header(text: bytes) -> dict[str, Any]:
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as exc:
        raise WeightsError(f"the header is no JSON: {exc}") from exc
    if not isinstance(header, dict):
        raise WeightsError("the header is no JSON object")
    return header


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name comes twice")
    return found

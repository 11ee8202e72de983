"""Files of tensors, against the library of the format's authors; damage of every kind."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load, save

from aecodec.errors import WeightsError
from aecodec.models.tensor_file import Array, parse_tensors, released_data

TYPES = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f2", "f4", "f8")
Entry = dict[str, Any]


def file_of(header: object, body: bytes = b"", *, length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + body


def entry(first: int = 0, last: int = 4, **more: object) -> Entry:
    return {"dtype": "U8", "shape": [4], "data_offsets": [first, last]} | more


def test_every_type_is_read_as_it_was_written() -> None:
    rng = np.random.default_rng(0)
    tensors: dict[str, Array] = {kind: rng.integers(0, 100, (3, 5)).astype(kind) for kind in TYPES}
    tensors |= {"scalar": np.array(7, np.int8), "none": np.zeros((0, 3), np.float32)}
    found, metadata = parse_tensors(save(tensors, {"key": "value"}))
    assert metadata == {"key": "value"}
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        assert found[name].dtype == array.dtype
        assert found[name].flags.aligned
        np.testing.assert_array_equal(found[name], array)


def test_tensors_are_views_that_cannot_be_written_to() -> None:
    found, _ = parse_tensors(save({"a": np.arange(64)}))
    assert found["a"].base is not None
    assert not found["a"].flags.writeable


def test_tensors_that_lie_across_the_memory_are_copied() -> None:
    header = {"a": entry(0, 1, shape=[1]), "b": entry(1, 9, dtype="I64", shape=[1])}
    found, _ = parse_tensors(file_of(header, b"\7" + (5).to_bytes(8, "little")))
    assert (found["a"].tolist(), found["b"].tolist()) == ([7], [5])
    assert found["b"].flags.aligned


@pytest.mark.parametrize(
    "data",
    [
        b"", bytes(7), file_of({}, length=10), file_of({}, length=2**63), file_of(b"[" * 100_000),
        file_of(b"\xff"), file_of(b"[]"), file_of(b'{"a": 1, "a": 1}'), file_of({"a": 1}),
        file_of({"__metadata__": {"a": 1}}), file_of({"__metadata__": "a"}), file_of({}, b"1"),
        file_of({"a": entry(dtype="F8")}, b"1234"), file_of({"a": entry(dtype=[])}, b"1234"),
        file_of({"a": entry(shape=[5])}, b"1234"), file_of({"a": entry(shape=["4"])}, b"1234"),
        file_of({"a": entry(shape=[True, 4])}, b"1234"),
        file_of({"a": entry(shape=[-4, -1])}, b"1234"),
        file_of({"a": entry(shape=[1] * 40)}, b"1"),
        file_of({"a": entry(shape=[2**62, 4])}, b"1234"),
        file_of({"a": entry(1, 5)}, b"12345"), file_of({"a": entry()}, b"123"),
        file_of({"a": entry()}, b"12345"), file_of({"a": entry(), "b": entry()}, b"1234"),
        file_of({"a": entry(), "b": entry(5, 9)}, b"123456789"),
        file_of({"a": entry(-4, 0)}, b"1234"),
        file_of({"a": entry(4, 0)}, b"1234"), file_of({"a": entry(data_offsets=[0])}, b"1234"),
        file_of({"a": entry(data_offsets=[0.0, 4.0])}, b"1234"),
    ],
)  # fmt: skip
def test_damaged_files_give_one_error(data: bytes) -> None:
    with pytest.raises(WeightsError):
        parse_tensors(data)
    with pytest.raises(SafetensorError):
        load(data)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_is_accepted_is_what_the_library_reads(data: st.DataObject) -> None:
    whole = bytearray(save({"a": np.arange(3, dtype=np.int16), "b": np.ones((2, 2), np.float32)}))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found, _ = parse_tensors(bytes(whole))
    except WeightsError:
        return
    expected = load(bytes(whole))
    assert found.keys() == expected.keys()
    for name, array in found.items():
        np.testing.assert_array_equal(array, expected[name])


def test_released_files_are_mapped() -> None:
    data = released_data("aec-1")
    assert not isinstance(data, bytes)
    tensors, _ = parse_tensors(data)
    library = load(data[:])
    assert tensors.keys() == library.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(array, library[name])

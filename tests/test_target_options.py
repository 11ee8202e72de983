"""Targets of size and fidelity, as callers may ask for them."""

import math

import pytest

from aecodec.errors import InputError
from aecodec.options import Target, parse_size


@pytest.mark.parametrize(
    ("text", "size"),
    [("120KB", 120_000), ("1.5 MiB", 1.5 * 2**20), ("900", 900), ("2mb", 2e6), ("7 b", 7)],
)
def test_sizes_as_people_write_them(text: str, size: float) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "KB", "12 apples", "-3KB", "1e3", "1,5MB"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(InputError, match="is no size"):
        parse_size(text)


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_impossible_wishes(value: float) -> None:
    with pytest.raises(InputError, match="cannot be met"):
        Target("psnr", value)


@pytest.mark.parametrize("value", [1.0, 1.5, -0.1])
def test_impossible_similarities(value: float) -> None:
    with pytest.raises(InputError, match="cannot be met"):
        Target("ssim", value)

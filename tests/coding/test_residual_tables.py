"""Tables of the residual layer: what a file of them must hold, and when they are needed."""

from collections.abc import Callable
from importlib.resources import as_file, files
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from aecodec.coding.lossless import encode_pixels
from aecodec.coding.residual_context import ResidualContext
from aecodec.coding.residual_planes import PlaneSite, plane_sites
from aecodec.coding.residual_tables import (
    NAMES,
    PLANES,
    RELEASED,
    Stored,
    load_tables,
    make_tables,
    newest_tables,
    released_tables,
    store_tables,
)
from aecodec.decoder.networks import DecoderModel
from aecodec.decoder.rows import TileRows
from aecodec.errors import UnsupportedError, WeightsError
from aecodec.format.chunks import Header, Layer, LayerHead, PixelFormat, ResidualTile, Tile
from aecodec.format.container import Stream
from aecodec.format.reader import StreamTiles
from aecodec.format.tiling import Region
from aecodec.options import DecodeOptions
from aecodec.picture.pixels import Pixels

COUNTS = {
    (1, 0): [(9, 6)],
    (1, 1): [(30, 19)],
    (3, 0): [(19, 6), (33, 10), (47, 14)],
    (3, 1): [(48, 21), (58, 24), (68, 27)],
}
"""SPECIFICATION.md, section 13.6: features and activities of gray and RGB, pass 0 and later."""

Changed = dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int32]]]


@pytest.fixture(scope="module")
def stored() -> Stored:
    with as_file(files("aecodec") / "models" / "residual-1.safetensors") as path:
        return load_file(path)


@pytest.mark.parametrize("channels", [1, 3])
def test_planes_have_the_specified_numbers_of_features(channels: int) -> None:
    shape = (9, 11) if channels == 1 else (9, 11, channels)
    context = ResidualContext(np.zeros(shape, np.uint8), 0)
    for site in plane_sites(channels):
        counts = site.feature_count, site.activity_count
        assert counts == COUNTS[channels, min(site.number, 1)][site.order]
        rows = slice(0, 2)
        found = context.features(site, rows), context.activities(site, rows)
        assert counts == tuple(len(each) for each in found)
        assert site.has_neighbours == bool(context.guesses(site, rows)) == (site.number > 0)


def test_planes_are_numbered_gray_first() -> None:
    sites: list[PlaneSite] = [*plane_sites(1), *plane_sites(3)]
    assert [site.index for site in sites] == list(range(PLANES)) == list(range(28))
    assert [site.channel for site in plane_sites(3)] == [1, 0, 2] * 7


def test_released_tables_are_what_their_ids_say(stored: Stored) -> None:
    for tables_id in RELEASED:
        assert released_tables(tables_id).tables_id == tables_id
    assert newest_tables() is released_tables(bytes.fromhex("9116a9a4"))
    assert make_tables(stored).tables_id == bytes.fromhex("9116a9a4")


@pytest.mark.parametrize("tables_id", [b"none", bytes(4)])
def test_unknown_tables_are_not_supported(tables_id: bytes) -> None:
    with pytest.raises(UnsupportedError, match=f"residual tables {tables_id.hex()} are unknown"):
        released_tables(tables_id)


def test_unknown_tables_of_a_file_matter_only_to_learned_tiles() -> None:
    pixels = np.arange(64 * 128).reshape(64, 128).astype(np.uint8)
    left, right = (encode_pixels(np.ascontiguousarray(half)) for half in np.split(pixels, 2, 1))
    header = Header(128, 64, PixelFormat.GRAY8, 6, 0, b"demo")
    head = LayerHead(b"none", 0)

    def no_model() -> DecoderModel:
        raise AssertionError("no learned tile is asked for")

    def decode(stream: Stream, options: DecodeOptions) -> Pixels:
        return TileRows(no_model, StreamTiles(stream), options.view(header)).whole()

    stored = Stream(header, (left, right), layer=Layer(head, ()))
    np.testing.assert_array_equal(decode(stored, DecodeOptions()), pixels)
    mixed = Stream(header, (left, Tile(0, b"")), layer=Layer(head, (ResidualTile(0, b""),)))
    part = decode(mixed, DecodeOptions(region=Region(0, 0, 64, 64)))
    np.testing.assert_array_equal(part, pixels[:, :64])


def move_weight(changed: Changed) -> None:
    """Takes a weight from one list and gives it to the next, so that the sum is right."""
    changed["lengths"][2] += 1
    changed["lengths"][3] -= 1


def swap_planes(changed: Changed) -> None:
    """Gray planes where those of colour should be."""
    changed["lengths"] = np.roll(changed["lengths"], 5)


def wrap(changed: Changed) -> None:
    """Falls, but by more than 32 bits can hold."""
    changed["thresholds"][0] = 2**31 - 1
    changed["thresholds"][1] = -(2**31)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (move_weight, "do not fit its planes"),
        (swap_planes, "do not fit its planes"),
        (lambda c: c.update(lengths=c["lengths"][:-1]), "do not fit its planes"),
        (lambda c: c.update(weights=c["weights"][:-1]), "do not fit its planes"),
        (lambda c: c.update(thresholds=c["thresholds"][1:]), "other sizes"),
        (lambda c: c.update(sizes=c["sizes"][1:]), "other sizes"),
        (lambda c: c.update(counts=c["counts"][1:]), "do not fit together"),
        (lambda c: c.update(thresholds=c["thresholds"][::-1].copy()), "do not fit together"),
        (wrap, "do not fit together"),
        (lambda c: c.update(weights=c["weights"][None]), "not a list"),
        (lambda c: np.copyto(c["counts"][:2], c["counts"][:2] - 1), "sum to"),
    ],
)
def test_tables_that_do_not_fit_are_refused(
    stored: Stored, change: Callable[[Changed], None], message: str, tmp_path: Path
) -> None:
    changed = {name: stored[name].copy() for name in NAMES}
    change(changed)
    with pytest.raises(WeightsError, match=message):
        make_tables(changed)
    save_file(changed, tmp_path / "tables.safetensors")
    with pytest.raises(WeightsError, match=message):
        load_tables(tmp_path / "tables.safetensors")


def test_files_of_tables(stored: Stored, tmp_path: Path) -> None:
    path = tmp_path / "tables.safetensors"
    path.write_bytes(store_tables(stored))
    assert load_tables(path).tables_id == make_tables(stored).tables_id
    save_file({name: stored[name] for name in NAMES[:-1]}, path)
    with pytest.raises(WeightsError, match="no tables"):
        load_tables(path)
    path.write_bytes(b"damaged")
    for each in (path, tmp_path / "missing"):
        with pytest.raises(WeightsError):
            load_tables(each)

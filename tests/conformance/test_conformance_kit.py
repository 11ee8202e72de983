"""The conformance kit: this build passes it, and the script that runs it notices faults."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "decoder"))

from check_decoder import (
    KIT,
    Entry,
    Runner,
    check_invalid,
    check_valid,
    compare,
    digest,
    expected_pixels,
    load_manifest,
)
from exact_reference import PriorReference
from native_kernel import LEVELS

import aecodec
from aecodec.codec import Codec
from aecodec.decoder.latents import Grid, decode_latents
from aecodec.decoder.runtime_choice import VARIABLE
from aecodec.format.chunks import LosslessTile, PixelCoder, Tile
from aecodec.format.container import Stream, parse
from aecodec.format.digest import has_digest
from aecodec.format.tiling import Region, tile_box
from aecodec.models import registry

MANIFEST = load_manifest()
VALID: list[Entry] = MANIFEST["valid"]
INVALID: list[Entry] = MANIFEST["invalid"]
REFERENCE = ("rgb-1x1", "gray-1x1", "rgb-17x33", "extremes-100")
"""Files that the decoder in plain NumPy integers can decode in reasonable time."""


@pytest.fixture(scope="module", params=["numpy", *LEVELS])
def codec(request: pytest.FixtureRequest) -> Iterator[Codec]:
    """A decoder on each runtime, and on each level of the kernel."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, request.param)
        yield Codec()


def name_of(entry: Entry) -> str:
    return str(entry["file"])


def stream_of(entry: Entry) -> Stream:
    return parse((KIT / entry["file"]).read_bytes())


def test_the_kit_is_small_and_covers_the_format() -> None:
    size = sum(path.stat().st_size for path in KIT.rglob("*") if path.is_file())
    assert size < 2**20
    optional = {kind for entry in VALID for kind, *_ in entry.get("optional", ())}
    assert optional >= {"iccp", "exif", "xmpd", "phys", "text", "note", "csum"}
    forms = {(entry["channels"], *sorted(set(entry["tiles"]))) for entry in VALID}
    assert forms >= {
        (1, "TILE"), (2, "TILE"), (3, "TILE"), (4, "TILE"), (1, "PIXL"), (3, "PIXL"),
        (3, "PIXL", "TILE"),
    }  # fmt: skip
    assert {stream_of(entry).header.quality_index for entry in VALID} >= {0, 101, 400}
    coders = {t.coder for e in VALID for t in stream_of(e).tiles if not isinstance(t, Tile)}
    assert coders == set(PixelCoder)
    assert {entry["bits"] for entry in VALID} == {8, 16}
    layers = [stream_of(entry) for entry in VALID if stream_of(entry).layer is not None]
    assert {stream.layer.head.bound for stream in layers if stream.layer} == {0, 2}
    assert any(
        {Tile, LosslessTile} == set(map(type, stream.tiles)) and stream.header.tile_count > 2
        for stream in layers
    )
    assert any(
        stream.header.tile_rows > 1 and stream.alphas and has_digest(stream) for stream in layers
    )
    errors = {error for entry in INVALID for error in entry["errors"]}
    kinds = {each.__name__ for each in aecodec.FormatError.__subclasses__()}
    assert errors == kinds | {"UnsupportedError", "LimitError"}
    assert any(entry.get("regions") for entry in VALID)


def test_the_kit_has_files_of_every_released_model() -> None:
    assert {entry["model"] for entry in VALID} == {m.model_id.hex() for m in registry.MODELS}


def test_a_missing_or_unlisted_vector_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text((KIT / "manifest.json").read_text(encoding="utf-8"))
    with pytest.raises(FileNotFoundError, match=r"missing: .*'invalid/bit-flipped.aec'"):
        load_manifest(tmp_path)
    (tmp_path / "manifest.json").write_text('{"valid": [], "invalid": []}')
    assert load_manifest(tmp_path)["valid"] == []
    (tmp_path / "more.aec").touch()
    with pytest.raises(FileNotFoundError, match=r"not listed: \['more.aec'\]"):
        load_manifest(tmp_path)


@pytest.mark.parametrize("entry", VALID, ids=name_of)
def test_pixels_and_regions(codec: Codec, entry: Entry) -> None:
    data, expected = (KIT / entry["file"]).read_bytes(), expected_pixels(entry)
    pixels = codec.decompress_array(data)
    assert compare(pixels, expected) == ""
    assert digest(pixels) == entry["pixels_sha256"]
    assert (pixels.shape[1], pixels.shape[0]) == (entry["width"], entry["height"])
    for x, y, width, height in entry.get("regions", ()):
        part = codec.decompress_array(data, region=Region(x, y, width, height))
        assert compare(part, expected[y : y + height, x : x + width]) == ""


@pytest.mark.parametrize("entry", [e for e in VALID if "TILE" in e["tiles"]], ids=name_of)
def test_latents_and_symbols(codec: Codec, entry: Entry) -> None:
    stream = stream_of(entry)
    released = registry.find_model(stream.header.model_id)
    assert released is not None
    prior = codec.decoder(released.model_id).prior
    latents, symbols = hashlib.sha256(), hashlib.sha256()

    def observe(found: npt.NDArray[np.int32], _numbers: npt.NDArray[np.uint8]) -> None:
        symbols.update(found.astype("<i4").tobytes())

    for number, tile in enumerate(stream.tiles):
        if isinstance(tile, Tile):
            box = tile_box(stream.header, number)
            grid = Grid(box.height, box.width)
            index = stream.header.quality_index
            y_hat = decode_latents(prior, tile, grid, index, observe=observe)
            latents.update(y_hat.astype("<i2").tobytes())
    assert latents.hexdigest() == entry["latents_sha256"]
    assert symbols.hexdigest() == entry["symbols_sha256"]


@pytest.mark.parametrize("name", REFERENCE)
def test_the_decoder_in_plain_integers_agrees(name: str) -> None:
    (entry,) = [each for each in VALID if each["file"] == f"valid/{name}.aec"]
    stream = stream_of(entry)
    released = registry.find_model(stream.header.model_id)
    assert released is not None
    (tile,) = stream.tiles
    assert isinstance(tile, Tile)
    box = tile_box(stream.header, 0)
    tensors = registry.released_weights(released).tensors["prior"]
    y_hat = PriorReference(tensors, tile.words).decode(
        Grid(box.height, box.width), stream.header.quality_index
    )
    assert digest(y_hat.astype("<i2")) == entry["latents_sha256"]


@pytest.mark.parametrize("entry", INVALID, ids=name_of)
def test_errors(codec: Codec, entry: Entry) -> None:
    with pytest.raises(aecodec.AecError) as caught:
        codec.decompress_array((KIT / entry["file"]).read_bytes())
    assert type(caught.value).__name__ in entry["errors"]


def decoder(code: str) -> Runner:
    """A decoder that is a line of Python, with `source` and `target`."""
    line = f"import sys, shutil; source, target = sys.argv[1:3]; {code}"
    return Runner(f'"{sys.executable}" -c "{line}" {{input}} {{output}}')


def faults_of(entry: Entry, folder: Path, code: str) -> list[str]:
    found = check_valid(entry, {"decode": decoder(code)}, folder)
    return [fault for fault in found if fault]


def test_the_script_tells_right_from_wrong(tmp_path: Path) -> None:
    cheat = "shutil.copy(source[:-3] + 'png', target)"
    by_name: dict[str, Any] = {entry["file"]: entry for entry in VALID}
    entry = by_name["valid/lossless-png.aec"]
    assert faults_of(entry, tmp_path, cheat) == []
    changed = entry | {"pixels_sha256": "0"}
    assert faults_of(changed, tmp_path, cheat) == ["pixels_sha256 differs"]
    other = by_name["valid/rgb-1x1.aec"] | {"file": entry["file"]}
    assert "expected uint8 (1, 1, 3)" in faults_of(other, tmp_path, cheat)[0]
    assert faults_of(entry, tmp_path / "none", "sys.exit('no')") == ["exit code 1: no"]


def test_the_script_notices_what_accepts_everything(tmp_path: Path) -> None:
    accepting = {"decode": decoder("open(target, 'w').close()")}
    assert [*check_invalid(INVALID[0], accepting, tmp_path)] == [
        "accepted, expected TruncatedError",
        "left an output behind",
    ]
    refusing = {"decode": decoder("sys.exit(1)")}
    assert [*check_invalid(INVALID[0], refusing, tmp_path / "none")] == []


def test_any_difference_is_named() -> None:
    expected = np.full((2, 3, 2), 100, np.uint8)
    expected[0, 0, 1] = 0
    hidden, alpha = expected.copy(), expected.copy()
    hidden[0, 0, 0], alpha[1, 1, 1] = 7, 101
    assert compare(expected.copy(), expected) == ""
    assert compare(hidden, expected) == "a sample differs by 93"
    assert compare(alpha, expected) == "a sample differs by 1"

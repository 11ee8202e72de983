"""What a file says about itself, near and far."""

import json
from dataclasses import asdict, replace
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture
from mapped_files import with_map

import aecodec
from aecodec.cli.description import described
from aecodec.codec import Codec
from aecodec.coding.lossless import encode_pixels
from aecodec.errors import LimitError, PayloadError, TruncatedError
from aecodec.format.chunks import HEADER_BYTES, Limits, Tile
from aecodec.format.container import Stream, chunk_table, parse, serialize
from aecodec.info import FileInfo, read_file_info, read_info
from aecodec.models.registry import tuned_model


@pytest.fixture
def packed(tiny_codec: Codec, tmp_path: Path) -> Path:
    path = tmp_path / "a.aec"
    rgba = np.dstack((make_picture(100, 90), make_picture(100, 90)[:, :, 0]))
    rgba[:64, :64] = 7
    path.write_bytes(tiny_codec.compress(rgba, 60, tile_exponent=6, max_error=3))
    return path


def test_all_that_a_file_says(packed: Path) -> None:
    data = packed.read_bytes()
    stream, found = parse(data), read_file_info(str(packed))
    assert (found.file, found.bytes, found.checked) == (str(packed), len(data), True)
    assert (found.width, found.height, found.pixel_format) == (90, 100, "RGBA8")
    assert (found.quality, found.tile_side, found.tiles) == (60, 64, 4)
    assert found.lossless_tiles == stream.lossless_count
    assert (found.model, found.model_id) == (None, stream.header.model_id.hex())
    assert found.max_error == 3
    assert found.bpp == pytest.approx(8 * len(data) / 9000)
    assert [(c.type, c.offset, c.length) for c in found.chunks] == chunk_table(data)
    alphas = [12 + c.length for c in found.chunks if c.type == "ALPH"]
    assert found.alpha_bytes == sum(alphas) > 0
    json.dumps(asdict(found))


def test_the_same_for_people(packed: Path) -> None:
    found = read_file_info(str(packed))
    head, second, *rest = found.text().splitlines()
    assert head == f"{packed}: 90x100 RGBA8, {found.bytes} bytes, {found.bpp:.3f} bpp"
    assert f"quality 60, model unknown to this version ({found.model_id}), 4 tiles" in second
    assert rest[0] == f"  alpha takes {found.alpha_bytes} bytes"
    assert rest[1] == "  a residual layer keeps every sample within 3"
    assert len(rest) == 2 + len(found.chunks)
    assert rest[-1] == f"  chunk DONE at {found.chunks[-1].offset}, 0 bytes"


def test_qualities_that_vary(tiny_codec: Codec, tmp_path: Path) -> None:
    flat = tiny_codec.compress(make_picture(100, 90), 50, tile_exponent=6, lossless_tiles=False)
    path = tmp_path / "map.aec"
    path.write_bytes(with_map(tiny_codec, flat, np.array([[1, -6], [0, 5]], np.int32)))
    found = read_file_info(str(path))
    assert (found.quality, found.has_quality_map, found.quality_range) == (50, True, (38, 60))
    assert "quality 50, varying from 38 to 60, model" in found.text()
    assert read_file_info(str(path)).quality_text in described(found)
    pytest.importorskip("fsspec")
    far = read_file_info(path.as_uri())
    assert isinstance(far, FileInfo)


def test_a_map_without_learned_tiles_and_a_bad_one(tiny_codec: Codec, tmp_path: Path) -> None:
    path = tmp_path / "map.aec"
    stored = tiny_codec.compress(make_picture(70, 70), lossless=True)
    stream = parse(stored)
    header = replace(stream.header, has_quality_map=True)
    pixels = encode_pixels(make_picture(70, 70))
    path.write_bytes(serialize(Stream(header, (pixels,))))
    assert read_file_info(str(path)).quality_range is None
    assert tiny_codec.decompress_array(path.read_bytes()).tolist() == make_picture(70, 70).tolist()
    path.write_bytes(serialize(Stream(replace(header, width=130), (Tile(0, b""),))))
    with pytest.raises(PayloadError, match="quality map"):
        read_file_info(str(path))


def test_released_models_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.aec"
    path.write_bytes(aecodec.compress(make_picture(9, 9), lossless=True))
    found = read_file_info(str(path))
    assert found.model == tuned_model("psnr").name
    assert f"model {found.model} (" in found.text()


def test_urls_are_surveyed_without_their_payloads(packed: Path) -> None:
    pytest.importorskip("fsspec")
    near, far = read_file_info(str(packed)), read_file_info(packed.as_uri())
    assert isinstance(far, FileInfo)
    assert far.checked is False
    assert "checksums of the chunks are not checked" in far.text()
    assert {**asdict(far), "file": "", "checked": 1} == {**asdict(near), "file": "", "checked": 1}


def test_a_dash_is_standard_input(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(packed.read_bytes())))
    assert read_file_info("-").chunks == read_file_info(str(packed)).chunks


def test_headers_are_read_alone(packed: Path) -> None:
    start = packed.read_bytes()[:HEADER_BYTES]
    header = read_info(packed)
    assert read_info(start) == read_info(BytesIO(start)) == header
    with pytest.raises(TruncatedError):
        read_info(start[:-1])
    for read in (read_info, lambda path, limits: read_file_info(str(path), limits)):
        with pytest.raises(LimitError, match="the limit is 8999"):
            read(packed, Limits(pixels=8999))

"""Pictures decoded and written a row of tiles at a time are those made at once."""

from collections.abc import Iterable, Iterator
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest
import torch
from conftest import make_picture
from PIL import Image

from aecodec.cli import main
from aecodec.codec import Codec
from aecodec.errors import ChecksumError, TruncatedError
from aecodec.picture.metadata import Metadata, metadata_of
from aecodec.picture.pixels import Pixels
from aecodec.picture.writers import write_rows


@pytest.mark.parametrize("scale", [1, 4])
def test_bands_are_the_picture(tiny_codec: Codec, scale: int) -> None:
    data = tiny_codec.compress(make_picture(300, 200), 80, tile_exponent=6)
    parts = []
    with tiny_codec.open_rows(BytesIO(data), scale=scale) as (bands, _):
        for band in bands:
            assert not torch.is_inference_mode_enabled()  # in the caller's code
            parts.append(band)
    assert [len(part) for part in parts] == [64 // scale] * 4 + [44 // scale]
    expected = tiny_codec.decompress_array(data, scale=scale)
    np.testing.assert_array_equal(np.concatenate(parts), expected)
    assert bands.size == expected.shape[:2]


def test_damage_is_found(tiny_codec: Codec) -> None:
    data = tiny_codec.compress(make_picture(150, 100), 80, tile_exponent=6)
    with pytest.raises(TruncatedError), tiny_codec.open_rows(BytesIO(data[:-1])):
        pass
    damaged = data[:-30] + bytes([data[-30] ^ 1]) + data[-29:]
    with (
        pytest.raises(ChecksumError),
        tiny_codec.open_rows(BytesIO(damaged)) as (bands, _),
    ):
        list(bands)


@pytest.mark.parametrize("name", ["a.png", "a.ppm"])
@pytest.mark.parametrize("options", [(), ("--region", "5,70,100,101"), ("--scale", "1/2")])
def test_huge_pictures_are_written_by_rows(
    name: str,
    options: tuple[str, ...],
    tmp_path: Path,
    tiny_codec: Codec,
    tiny_weights: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    packed = tmp_path / "in.aec"
    image = Image.fromarray(make_picture(200, 150))
    image.info["dpi"] = (72.0, 72.0)
    packed.write_bytes(tiny_codec.compress(image, 80, tile_exponent=6))
    arguments = ["decompress", str(packed), *options, "--model", str(tiny_weights), "-o"]
    heights = []

    def spy(
        file: BinaryIO, kind: str, size: tuple[int, int], bands: Iterable[Pixels],
        metadata: Metadata, *, png_level: int | None,
    ) -> None:  # fmt: skip
        def noted() -> Iterator[Pixels]:
            for band in bands:
                heights.append(len(band))
                assert not torch.is_inference_mode_enabled()
                yield band

        write_rows(file, kind, size, noted(), metadata, png_level=png_level)

    def run(*more: str) -> int:
        with pytest.raises(SystemExit) as exit_:
            main([*arguments, *more])
        return int(exit_.value.code or 0)

    assert run(str(tmp_path / f"at-once-{name}")) == 0
    monkeypatch.setattr("aecodec.picture.pixels.STREAM_PIXELS", 1)
    monkeypatch.setattr("aecodec.picture.writers.write_rows", spy)
    assert run(str(tmp_path / name)) == 0
    assert len(heights) > 1
    assert max(heights) <= 64
    with Image.open(tmp_path / f"at-once-{name}") as a, Image.open(tmp_path / name) as b:
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
        assert metadata_of(a) == metadata_of(b)
    data = bytearray(packed.read_bytes())
    data[-40] ^= 1
    packed.write_bytes(data)
    before = sorted(tmp_path.iterdir())
    if not options:
        assert run(str(tmp_path / f"b{name}")) == 1
    assert run(str(tmp_path / f"c{name}"), "--max-pixels", "29999") == 1
    assert sorted(tmp_path.iterdir()) == before

"""Pictures encoded by rows of tiles give the bytes that encoding at once gives."""

from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import make_picture
from PIL import Image

from aecodec.cli import main
from aecodec.codec import Codec
from aecodec.errors import InputError, LimitError
from aecodec.format.chunks import Limits, LosslessTile, Tile
from aecodec.format.container import parse
from aecodec.picture.row_readers import NetpbmSource, open_netpbm


def ppm(pixels: npt.NDArray[np.uint8]) -> BytesIO:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PPM")
    return file


def strips(file: BytesIO) -> NetpbmSource:
    found = open_netpbm(file)
    assert found is not None
    return found


@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("size", [(300, 200), (64, 64), (201, 143)])
def test_bytes_are_those_of_encoding_at_once(
    tiny_codec: Codec, size: tuple[int, int], gray: bool
) -> None:
    pixels = make_picture(*size)[:, :, 0].copy() if gray else make_picture(*size)
    if size[0] > 64:
        pixels[64:128, 64:128] = 40  # lossless, so that its neighbours are made again
    expected = tiny_codec.compress(pixels, 80, tile_exponent=6)
    done: list[float] = []
    pieces = tiny_codec.compress_strips(
        strips(ppm(pixels)), 80, tile_exponent=6, progress=done.append
    )
    found = []
    for piece in pieces:
        assert not torch.is_inference_mode_enabled()  # in the caller's code
        found.append(piece)
    assert b"".join(found) == expected
    if size[0] > 64:
        assert {type(tile) for tile in parse(expected).tiles} == {Tile, LosslessTile}
    assert done == sorted(done)
    assert done[-1] == 1.0


def test_faults_are_named(tiny_codec: Codec) -> None:
    data = ppm(make_picture(100, 90)).getvalue()
    with pytest.raises(InputError, match="ends before row"):
        list(tiny_codec.compress_strips(strips(BytesIO(data[:-1])), 50))
    with pytest.raises(LimitError):
        list(Codec(limits=Limits(pixels=99)).compress_strips(strips(BytesIO(data))))


def test_the_command_line_streams_huge_pictures(
    tmp_path: Path,
    tiny_weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, packed = tmp_path / "a.ppm", tmp_path / "a.aec"
    source.write_bytes(ppm(make_picture(90, 80)).getvalue())

    def run(*more: str) -> tuple[int, bytes]:
        with pytest.raises(SystemExit) as exit_:
            main(["compress", str(source), "-f", "--model", str(tiny_weights), *more])
        data = packed.read_bytes() if packed.exists() else b""
        packed.unlink(missing_ok=True)
        return int(exit_.value.code or 0), data

    expected = run()
    assert expected[0] == 0
    line = capsys.readouterr().out.rpartition(",")[0]
    monkeypatch.setattr("aecodec.picture.pixels.STREAM_PIXELS", 1)
    monkeypatch.setattr(Codec, "compress", None)  # which nothing calls any more
    assert run() == expected
    assert capsys.readouterr().out.rpartition(",")[0] == line
    source.write_bytes(source.read_bytes()[:-1])
    assert run() == (1, b"")
    assert run("--max-pixels", "7199") == (1, b"")
    assert [path.name for path in tmp_path.iterdir()] == ["a.ppm"]
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 2
    assert "ends before row 90" in errors[0]
    assert "the limit is 7199" in errors[1]

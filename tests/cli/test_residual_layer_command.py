"""`--lossless`, `--max-error` and `--lossy`."""

from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture
from PIL import Image

from aecodec.cli import main
from aecodec.format.chunks import LosslessTile, PixelCoder
from aecodec.info import read_file_info


def test_the_command_line(
    tmp_path: Path,
    tiny_weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    huge = LosslessTile(0, PixelCoder.PNG, bytes(10**6))  # so that no tile is stored
    monkeypatch.setattr("aecodec.encoder.residual_layer.encode_pixels", lambda *_, **__: huge)
    picture = make_picture(40, 60, seed=1)
    Image.fromarray(picture).save(tmp_path / "a.png")

    def run(*arguments: str) -> None:
        with pytest.raises(SystemExit) as done:
            main([*arguments, "--model", str(tiny_weights)])
        assert done.value.code == 0, capsys.readouterr().err

    packed, back = str(tmp_path / "a.aec"), tmp_path / "b.png"
    run("compress", str(tmp_path / "a.png"), "--lossless", "-o", packed)
    run("decompress", packed, "-o", str(back))
    np.testing.assert_array_equal(np.asarray(Image.open(back)), picture)
    run("decompress", packed, "--lossy", "-f", "-o", str(back))
    assert (np.asarray(Image.open(back)) != picture).any()
    run("compress", str(tmp_path / "a.png"), "--max-error", "2", "-q", "40", "-f", "-o", packed)
    run("decompress", packed, "-f", "-o", str(back))
    assert np.abs(np.asarray(Image.open(back)).astype(int) - picture).max() <= 2
    info = read_file_info(packed)
    assert (info.max_error, info.quality) == (2, 40)
    assert "keeps every sample within 2" in info.text()
    run("verify", packed)

"""`aecodec compress` to a size or a fidelity."""

import sys
from pathlib import Path

import pytest
from conftest import make_picture
from PIL import Image

from aecodec.cli import main

CHELSEA = Path(__file__).resolve().parents[2] / "samples" / "chelsea.png"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr(sys, "argv", ["aecodec", *arguments])
    with pytest.raises(SystemExit) as exit_:
        main(list(arguments))
    return int(exit_.value.code or 0)


def test_the_command_line_meets_a_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with Image.open(CHELSEA) as image:
        image.crop((100, 30, 356, 222)).save(tmp_path / "a.png")
    output = tmp_path / "a.aec"
    code = run(monkeypatch, "compress", str(tmp_path / "a.png"), "--bpp", "0.8", "-o", str(output))
    assert code == 0
    assert output.stat().st_size == pytest.approx(0.8 * 256 * 192 / 8, rel=0.01)
    assert "warning" not in capsys.readouterr().err


def test_the_command_line_warns_of_the_nearest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(make_picture(60, 50)).save(tmp_path / "a.png")
    assert run(monkeypatch, "compress", str(tmp_path / "a.png"), "--size", "9MB") == 0
    assert "9e+06 bytes was not reached" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ("--size", "9KB", "--bpp", "1"),
        ("-q", "50", "--psnr", "30"),
        ("--ssim", "0.9", "--max-error", "30"),
        ("--ssim", "38"),
        ("--max-error", "-1"),
        ("--lossless", "--psnr", "30"),
        ("--lossless", "--max-error", "2"),
        ("--size", "nine"),
        ("-q", "nan"),
    ],
)
def test_options_that_make_no_sense(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
) -> None:  # fmt: skip
    assert run(monkeypatch, "compress", str(tmp_path / "a.png"), *options) in (1, 2)
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_picture_too_small_for_ms_ssim_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(make_picture(160, 300)).save(tmp_path / "a.png")
    assert run(monkeypatch, "compress", str(tmp_path / "a.png"), "--ssim", "0.98") == 1
    assert "MS-SSIM needs 161 pixels a side, the picture has 300x160" in capsys.readouterr().err
    assert not (tmp_path / "a.aec").exists()

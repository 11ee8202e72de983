"""`aecodec repair`, and `aecodec decompress` of files that were cut off."""

from pathlib import Path

import pytest
from conftest import make_picture
from PIL import Image

from aecodec.cli import main


def test_a_file_that_was_cut_off(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, packed, out = (str(tmp_path / name) for name in ("a.png", "a.aec", "out.png"))
    Image.fromarray(make_picture(90, 120)).save(source)

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as exit_:
            main(arguments)
        return int(exit_.value.code or 0)

    assert run("compress", source) == 0
    whole = Path(packed).read_bytes()
    Path(packed).write_bytes(whole[: len(whole) * 2 // 3])
    capsys.readouterr()
    assert run("decompress", packed, "-o", out) == 1
    assert not Path(out).exists()
    capsys.readouterr()
    assert run("decompress", packed, "-o", out, "--allow-truncated") == 0
    assert "a.aec: warning: tile 0 (row 0, column 0) is cut off" in capsys.readouterr().err
    with Image.open(out) as image:
        assert image.size == (120, 90)
    fixed = str(tmp_path / "fixed.aec")
    assert run("repair", packed, "-o", fixed) == 0
    assert "1 tiles were not whole" in capsys.readouterr().out
    assert run("verify", fixed) == 0
    assert run("repair", packed, "-o", fixed) == 1  # exists
    assert len(capsys.readouterr().err.strip().splitlines()) == 1

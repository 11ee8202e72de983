"""Commands read and write huge pictures by rows."""

from pathlib import Path

import pytest
from conftest import make_picture
from PIL import Image

from aecodec.cli import main
from aecodec.codec import Codec


def test_the_command_line_streams_huge_pictures(
    tmp_path: Path,
    tiny_weights: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source, packed = tmp_path / "a.ppm", tmp_path / "a.aec"
    Image.fromarray(make_picture(90, 80)).save(source)

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

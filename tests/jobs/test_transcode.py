"""File to file: what is warned of, what streams, and that a target is whole or absent."""

import threading
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture
from PIL import Image

from aecodec.codec import Codec
from aecodec.errors import ChecksumError, FormatError, InputError
from aecodec.format.tiling import Region
from aecodec.jobs.runner import JobLog
from aecodec.jobs.saving import Saving
from aecodec.jobs.transcode import compress_file, decompress_file, picture_format
from aecodec.options import DecodeOptions, EncodeOptions, Target
from aecodec.picture import pixels
from aecodec.picture.metadata import Metadata
from aecodec.picture.picture import Picture

PLAIN = DecodeOptions()
SMALL_TILES = EncodeOptions(tile_exponent=6)


class Lines:
    """What a work says, without "aecodec: " and the name of its input."""

    def __init__(self, stop: threading.Event | None = None) -> None:
        self.said: list[str] = []
        self.log = JobLog(self._say, "input", stop)

    def _say(self, text: str, /, *, err: bool) -> None:
        assert err
        self.said.append(text.removeprefix("aecodec: ").removeprefix("input: "))


@pytest.fixture
def lines() -> Lines:
    return Lines()


@pytest.fixture
def streaming(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every picture is large enough to be worked on by rows."""
    monkeypatch.setattr(pixels, "STREAM_PIXELS", 1)


@pytest.fixture
def ppm(tmp_path: Path) -> Path:
    """A picture that can be read by rows without pyvips."""
    path = tmp_path / "a.ppm"
    Image.fromarray(make_picture(200, 150)).save(path)
    return path


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes().removeprefix(b"Exif\x00\x00")


def test_a_picture_goes_there_and_back(tiny_codec: Codec, tmp_path: Path, lines: Lines) -> None:
    source, packed, back = (str(tmp_path / name) for name in ("a.png", "a.aec", "b.png"))
    Image.fromarray(make_picture(40, 60)).save(source)
    done = compress_file(tiny_codec, source, packed, EncodeOptions(), log=lines.log)
    assert (done.width, done.height, done.found) == (60, 40, None)
    assert done.before == Path(source).stat().st_size
    assert done.after == Path(packed).stat().st_size
    assert done.bpp == pytest.approx(8 * done.after / 2400)
    size = decompress_file(tiny_codec, packed, back, PLAIN, log=lines.log)
    assert (size.width, size.height) == (60, 40)
    with Image.open(back) as image:
        np.testing.assert_array_equal(image, tiny_codec.decompress_array(packed))
    assert lines.said == []


def test_lost_frames_are_told(tiny_codec: Codec, tmp_path: Path, lines: Lines) -> None:
    frames = [Image.new("RGB", (20, 10), (level, 40, 40)) for level in (200, 90, 10)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    source, target = str(tmp_path / "a.gif"), str(tmp_path / "a.aec")
    compress_file(tiny_codec, source, target, EncodeOptions(), log=lines.log)
    assert lines.said == ["warning: only the first of 3 frames is kept"]


def test_a_target_out_of_reach_is_told(
    tiny_codec: Codec, ppm: Path, tmp_path: Path, lines: Lines
) -> None:
    options = EncodeOptions(target=Target("size", 3))
    done = compress_file(tiny_codec, str(ppm), str(tmp_path / "a.aec"), options, log=lines.log)
    assert done.found is not None
    assert not done.found.met
    (line,) = lines.said
    nearest = f"the nearest found is {done.after} at quality {done.found.quality:g}"
    assert line == f"warning: 3 bytes was not reached; {nearest}"


def test_a_target_in_reach_is_met_quietly(
    tiny_codec: Codec, ppm: Path, tmp_path: Path, lines: Lines
) -> None:
    size = len(tiny_codec.compress(ppm, 40))
    options = EncodeOptions(target=Target("size", size))
    done = compress_file(tiny_codec, str(ppm), str(tmp_path / "a.aec"), options, log=lines.log)
    assert done.after == pytest.approx(size, rel=0.01)
    assert lines.said == []


def test_lost_metadata_are_told_and_turns_are_made(
    tiny_codec: Codec, tmp_path: Path, lines: Lines
) -> None:
    """Orientation 6 is a quarter turn: where EXIF is lost, the pixels are turned instead."""
    metadata = Metadata(exif=exif(6), resolution=(72.0, 72.0), text=(("Title", b"x"),))
    (tmp_path / "a.aec").write_bytes(tiny_codec.compress(Picture(make_picture(40, 70), metadata)))
    source = str(tmp_path / "a.aec")
    upright = np.rot90(tiny_codec.decompress_array(source), -1)
    for name, lost, size in (
        ("b.png", [], (70, 40)),
        ("b.ppm", ["warning: PPM carries no exif, resolution, text"], (40, 70)),
        ("b.bmp", ["warning: BMP carries no exif, text"], (40, 70)),
    ):
        lines.said.clear()
        done = decompress_file(tiny_codec, source, str(tmp_path / name), PLAIN, log=lines.log)
        assert [line.removeprefix(f"{tmp_path / name}: ") for line in lines.said] == lost
        assert (done.width, done.height) == size
        with Image.open(tmp_path / name) as image:
            assert image.size == size
            if lost:
                np.testing.assert_array_equal(image, upright)


@pytest.mark.usefixtures("streaming")
@pytest.mark.parametrize("name", ["b.png", "b.ppm"])
def test_turned_pictures_are_turned_when_large_too(
    tiny_codec: Codec, tmp_path: Path, lines: Lines, name: str
) -> None:
    picture = Picture(make_picture(40, 70), Metadata(exif=exif(6)))
    (tmp_path / "a.aec").write_bytes(tiny_codec.compress(picture))
    decompress_file(tiny_codec, str(tmp_path / "a.aec"), str(tmp_path / name), PLAIN, log=lines.log)
    with Image.open(tmp_path / name) as image:
        assert image.size == ((70, 40) if name == "b.png" else (40, 70))
    assert len(lines.said) == (name == "b.ppm")


@pytest.mark.slow
@pytest.mark.usefixtures("streaming")
@pytest.mark.parametrize(
    "options",
    [
        SMALL_TILES,
        EncodeOptions(),
        EncodeOptions(tile_exponent=6, lossless=True),
        EncodeOptions(tile_exponent=6, max_error=3),
        EncodeOptions(tile_exponent=6, checksum=True),
        EncodeOptions(tile_exponent=6, lossless=True, checksum=True),
    ],
)
def test_files_made_by_rows_are_those_made_at_once(
    tiny_codec: Codec, ppm: Path, tmp_path: Path, lines: Lines, options: EncodeOptions,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    packed = tmp_path / "a.aec"
    at_once = tiny_codec.compress(ppm, options=options)
    with monkeypatch.context() as patch:
        patch.setattr("aecodec.jobs.transcode.load", None)  # whole pictures would come from there
        done = compress_file(tiny_codec, str(ppm), str(packed), options, log=lines.log)
    assert packed.read_bytes() == at_once
    assert (done.before, done.after) == (ppm.stat().st_size, packed.stat().st_size)
    tiny_codec.verify(packed.read_bytes())
    error = np.abs(tiny_codec.decompress_array(packed).astype(int) - make_picture(200, 150)).max()
    if options.bound is not None:
        assert error <= options.bound


@pytest.mark.usefixtures("streaming")
@pytest.mark.parametrize("name", ["b.png", "b.ppm"])
@pytest.mark.parametrize(
    "options", [PLAIN, DecodeOptions(region=Region(5, 70, 100, 101)), DecodeOptions(scale=2)]
)
def test_pictures_written_by_rows_are_those_decoded_at_once(
    tiny_codec: Codec, ppm: Path, tmp_path: Path, lines: Lines, name: str, options: DecodeOptions
) -> None:
    packed = tmp_path / "a.aec"
    packed.write_bytes(tiny_codec.compress(ppm, options=SMALL_TILES))
    decompress_file(tiny_codec, str(packed), str(tmp_path / name), options, log=lines.log)
    with Image.open(tmp_path / name) as image:
        np.testing.assert_array_equal(image, tiny_codec.decompress_array(packed, options=options))


@pytest.mark.usefixtures("streaming")
def test_alpha_is_shown_over_a_background_by_rows(
    tiny_codec: Codec, tmp_path: Path, lines: Lines
) -> None:
    rgba = np.dstack((make_picture(90, 80), np.zeros((90, 80), np.uint8)))
    packed, target = str(tmp_path / "a.aec"), str(tmp_path / "b.ppm")
    Path(packed).write_bytes(tiny_codec.compress(rgba))
    with pytest.raises(InputError, match="PPM carries no transparency: give a background"):
        decompress_file(tiny_codec, packed, target, PLAIN, log=lines.log)
    decompress_file(tiny_codec, packed, target, PLAIN, Saving(background=(1, 2, 3)), log=lines.log)
    with Image.open(target) as image:
        assert image.getcolors() == [(90 * 80, (1, 2, 3))]


@pytest.mark.usefixtures("streaming")
def test_damage_in_the_middle_leaves_no_picture(
    tiny_codec: Codec, ppm: Path, tmp_path: Path, lines: Lines
) -> None:
    packed, target = tmp_path / "a.aec", tmp_path / "b.png"
    data = bytearray(tiny_codec.compress(ppm, options=SMALL_TILES))
    data[-40] ^= 1
    packed.write_bytes(data)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ChecksumError):
        decompress_file(tiny_codec, str(packed), str(target), PLAIN, log=lines.log)
    assert sorted(tmp_path.iterdir()) == before
    target.write_bytes(b"old")
    with pytest.raises(FormatError):
        decompress_file(tiny_codec, str(packed), str(target), PLAIN, log=lines.log)
    assert target.read_bytes() == b"old"


@pytest.mark.usefixtures("streaming")
def test_a_cut_picture_leaves_no_file(
    tiny_codec: Codec, ppm: Path, tmp_path: Path, lines: Lines
) -> None:
    ppm.write_bytes(ppm.read_bytes()[:-9000])
    with pytest.raises(InputError, match="ends before row 200"):
        compress_file(tiny_codec, str(ppm), str(tmp_path / "a.aec"), SMALL_TILES, log=lines.log)
    assert list(tmp_path.iterdir()) == [ppm]


class Stopped(JobLog):
    """Lets a few checks pass, and ends the work at the next."""

    def __init__(self, checks: int) -> None:
        super().__init__(lambda _text, *, err: None, "input")
        self._left = checks

    def check(self) -> None:
        """Counts down."""
        self._left -= 1
        if self._left < 0:
            raise KeyboardInterrupt


@pytest.mark.parametrize("limit", [1, 2**25], ids=["by rows", "at once"])
def test_stopped_work_leaves_nothing(
    tiny_codec: Codec, ppm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(pixels, "STREAM_PIXELS", limit)
    packed = tmp_path / "a.aec"
    packed.write_bytes(tiny_codec.compress(ppm, options=SMALL_TILES))
    before = sorted(tmp_path.iterdir())
    checks = 1 if limit == 1 else 0
    with pytest.raises(KeyboardInterrupt):
        compress_file(
            tiny_codec, str(ppm), str(tmp_path / "b.aec"), SMALL_TILES, log=Stopped(checks)
        )
    with pytest.raises(KeyboardInterrupt):
        decompress_file(
            tiny_codec, str(packed), str(tmp_path / "b.png"), PLAIN, log=Stopped(checks)
        )
    assert sorted(tmp_path.iterdir()) == before


def test_what_was_lost_of_a_damaged_file_is_told(
    tiny_codec: Codec, ppm: Path, tmp_path: Path, lines: Lines
) -> None:
    packed, target = tmp_path / "a.aec", tmp_path / "b.png"
    data = tiny_codec.compress(ppm, options=SMALL_TILES)
    packed.write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(FormatError):
        decompress_file(tiny_codec, str(packed), str(target), PLAIN, log=lines.log)
    assert not target.exists()
    options = DecodeOptions(allow_truncated=True)
    decompress_file(tiny_codec, str(packed), str(target), options, log=lines.log)
    assert target.exists()
    assert lines.said
    assert all(line.startswith("warning: tile ") for line in lines.said)


@pytest.mark.usefixtures("streaming")
def test_a_dash_is_standard_input_even_beside_a_file_of_that_name(
    tiny_codec: Codec, ppm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: Lines
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-").write_bytes(b"something else")
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(ppm.read_bytes())))
    compress_file(tiny_codec, "-", "a.aec", EncodeOptions(), log=lines.log)
    data = Path("a.aec").read_bytes()
    assert data == tiny_codec.compress(ppm)
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(data)))
    out = TextIOWrapper(BytesIO())
    monkeypatch.setattr("sys.stdout", out)
    decompress_file(tiny_codec, "-", "-", PLAIN, log=lines.log)
    with Image.open(out.buffer) as image:
        assert (image.format, image.size) == ("PNG", (150, 200))


@pytest.mark.parametrize(
    ("target", "kind"), [("a.png", "PNG"), ("a.JPG", "JPEG"), ("-", "PNG"), ("a.b.tif", "TIFF")]
)
def test_the_extension_gives_the_format(target: str, kind: str) -> None:
    assert picture_format(target) == kind


@pytest.mark.parametrize(
    ("target", "reason"), [("a.xyz", "unknown picture format '.xyz'"), ("a", "no extension")]
)
def test_extensions_that_give_none(target: str, reason: str) -> None:
    with pytest.raises(InputError, match=f"cannot write {target}: .*{reason}"):
        picture_format(target)


def test_formats_are_checked_before_anything_is_decoded(
    tiny_codec: Codec, tmp_path: Path, lines: Lines
) -> None:
    """The model of the file is unknown to this codec, which never comes to ask for it."""
    (tmp_path / "a.aec").write_bytes(tiny_codec.compress(np.zeros((9, 9, 3), np.uint16)))
    source, target = str(tmp_path / "a.aec"), str(tmp_path / "b.jpg")
    with pytest.raises(InputError, match="JPEG carries no 16 bits a sample: give a depth of 8"):
        decompress_file(Codec(), source, target, PLAIN, log=lines.log)

"""The command line is a contract: names, exit codes, one line for each failure, no debris."""

import errno
import json
import os
import re
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from conftest import TINY, make_picture, make_tiny_model
from PIL import Image

import aecodec
from aecodec.autoencoder.model import HyperpriorModel
from aecodec.cli import main
from aecodec.codec import Codec
from aecodec.encoder.networks import load_weights
from aecodec.format.chunks import Chunk, Header, PixelFormat, Tile
from aecodec.format.container import Stream, parse, serialize
from aecodec.models import registry
from aecodec.training.checkpoint import Progress, save_checkpoint

HEAD = slice(8, 36)
"""Where the HEAD chunk stands in a file."""
ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "PYTHONPATH": str(Path(aecodec.__file__).parents[1]),
}


@dataclass(frozen=True)
class Result:
    """What a run of the command line left: exit code and both streams."""

    code: int
    out: str
    err: str


class Shell:
    """Runs the command line in this process, in a folder of its own, with the tiny model."""

    def __init__(self, folder: Path, weights: Path, capture: pytest.CaptureFixture[bytes]) -> None:
        self.folder, self.weights, self.capture = folder, weights, capture

    def run(self, *arguments: str | Path) -> Result:
        """Runs `aecodec` with these arguments."""
        self.capture.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(a) for a in arguments])
        assert isinstance(caught.value.code, int)
        streams = self.capture.readouterr()
        self.raw = streams.out
        return Result(
            caught.value.code, streams.out.decode("utf-8", "replace"), streams.err.decode()
        )

    def model(self, *arguments: str | Path) -> Result:
        """The same with `--model`."""
        return self.run(*arguments, "--model", self.weights)

    def picture(self, name: str, height: int = 20, width: int = 30) -> Path:
        """Makes a picture file."""
        path = self.folder / name
        Image.fromarray(make_picture(height, width)).save(path)
        return path

    def file(self, name: str, data: bytes) -> Path:
        """Makes a file."""
        path = self.folder / name
        path.write_bytes(data)
        return path

    def listing(self) -> dict[str, bytes]:
        """All files and their bytes."""
        return {p.name: p.read_bytes() for p in self.folder.iterdir() if p.is_file()}


@pytest.fixture
def shell(
    tmp_path: Path,
    tiny_weights: Path,
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, tiny_weights, capfdbinary)


@pytest.fixture(scope="session")
def compressed(tiny_codec: Codec) -> bytes:
    return tiny_codec.compress(make_picture(20, 30), 60)


def assert_one_line(result: Result, code: int, *parts: str) -> None:
    """The run failed with one line on standard error that holds all parts."""
    assert result.code == code, result
    assert result.out == ""
    assert result.err.count("\n") == 1, result.err
    assert result.err.startswith("aecodec: ")
    assert result.err.endswith("\n")
    for part in parts:
        assert part in result.err, result.err


def pixels_of(data: bytes) -> npt.NDArray[np.uint8]:
    with Image.open(BytesIO(data)) as image:
        return np.asarray(image)


def with_head(data: bytes, width: int, height: int) -> bytes:
    """The file with another size in its header, and the right CRC."""
    head = bytearray(data[HEAD])
    struct.pack_into("<II", head, 8, width, height)
    struct.pack_into("<I", head, 24, zlib.crc32(head[4:24]))
    return data[: HEAD.start] + bytes(head) + data[HEAD.stop :]


def truncated_png() -> bytes:
    file = BytesIO()
    Image.fromarray(make_picture(50, 60)).save(file, "PNG")
    return file.getvalue()[:-4000]


# ---- What works


def test_compress_and_decompress_write_beside_the_input(shell: Shell) -> None:
    path = shell.picture("img.png")
    result = shell.model("compress", path)
    assert (result.code, result.err) == (0, "")
    target = shell.folder / "img.aec"
    header = parse(target.read_bytes()).header
    assert (header.width, header.height, header.quality) == (30, 20, 75)
    path.unlink()
    result = shell.model("decompress", target)
    assert (result.code, result.err) == (0, "")
    assert pixels_of(path.read_bytes()).shape == (20, 30, 3)
    assert sorted(shell.listing()) == ["img.aec", "img.png"]


def test_compress_prints_one_line_with_the_numbers(shell: Shell) -> None:
    path = shell.picture("img.png")
    result = shell.model("compress", "img.png")
    before, after = path.stat().st_size, (shell.folder / "img.aec").stat().st_size
    pattern = (
        rf"img\.png -> img\.aec: {before} -> {after} bytes, (?P<bpp>[\d.]+) bpp, "
        r"ratio (?P<ratio>[\d.]+), \d+\.\d\d s\n"
    )
    match = re.fullmatch(pattern, result.out)
    assert match, result.out
    assert float(match["bpp"]) == pytest.approx(8 * after / (20 * 30), abs=1e-3)
    assert float(match["ratio"]) == pytest.approx(before / after, abs=0.06)


def test_decompress_prints_one_line(shell: Shell, compressed: bytes) -> None:
    shell.file("img.aec", compressed)
    result = shell.model("decompress", "img.aec", "-o", "out.png")
    assert re.fullmatch(r"img\.aec -> out\.png: 30x20, \d+\.\d\d s\n", result.out)


def test_quality_is_stored_and_costs_bytes(shell: Shell) -> None:
    path, sizes = shell.picture("img.png", 64, 64), []
    for quality in ("10", "50", "95.5"):
        assert shell.model("compress", "-q", quality, path, "-o", "out.aec", "-f").code == 0
        data = (shell.folder / "out.aec").read_bytes()
        assert parse(data).header.quality == float(quality)
        sizes.append(len(data))
    assert sizes == sorted(sizes)
    assert sizes[0] < sizes[-1]


def test_the_files_are_those_of_the_library(shell: Shell, tiny_codec: Codec) -> None:
    path = shell.picture("img.png")
    shell.model("compress", path, "-q", "60")
    data = (shell.folder / "img.aec").read_bytes()
    assert data == tiny_codec.compress(path, 60)
    shell.model("decompress", "img.aec", "-o", "back.png")
    expected = tiny_codec.decompress_array(data)
    np.testing.assert_array_equal(pixels_of((shell.folder / "back.png").read_bytes()), expected)


def test_several_inputs_go_beside_themselves_or_into_a_folder(shell: Shell) -> None:
    (shell.folder / "in").mkdir()
    (shell.folder / "out").mkdir()
    names = [str(shell.picture(name)) for name in ("in/a.png", "b.bmp", "c.d.png")]
    assert shell.model("compress", *names).out.count("\n") == 3
    assert shell.model("compress", *names, "-o", "out").code == 0
    assert (shell.folder / "in" / "a.aec").exists()
    written = {path.name: path.read_bytes() for path in (shell.folder / "out").iterdir()}
    assert sorted(written) == ["a.aec", "b.aec", "c.d.aec"]
    assert written["b.aec"] == (shell.folder / "b.aec").read_bytes()


def test_one_input_may_go_into_a_folder_too(shell: Shell) -> None:
    (shell.folder / "out").mkdir()
    assert shell.model("compress", shell.picture("img.png"), "-o", "out").code == 0
    assert (shell.folder / "out" / "img.aec").exists()


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG", "bmp", "webp", "tif", "ppm"])
def test_the_extension_gives_the_format(shell: Shell, compressed: bytes, suffix: str) -> None:
    shell.file("img.aec", compressed)
    assert shell.model("decompress", "img.aec", "-o", f"out.{suffix}").code == 0
    expected = {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
    with Image.open(shell.folder / f"out.{suffix}") as image:
        assert (image.format, image.size, image.mode) == (expected, (30, 20), "RGB")


def test_existing_outputs_need_force(shell: Shell, compressed: bytes) -> None:
    shell.picture("img.png")
    shell.file("img.aec", b"old")
    assert_one_line(shell.model("compress", "img.png"), 1, "img.png", "img.aec exists", "-f")
    assert (shell.folder / "img.aec").read_bytes() == b"old"
    assert shell.model("compress", "img.png", "-f").code == 0
    assert parse((shell.folder / "img.aec").read_bytes()).header.width == 30
    original = (shell.folder / "img.png").read_bytes()
    assert_one_line(shell.model("decompress", "img.aec"), 1, "img.aec", "img.png exists", "-f")
    assert (shell.folder / "img.png").read_bytes() == original
    assert shell.model("decompress", "--force", "img.aec").code == 0
    assert (shell.folder / "img.png").read_bytes() != original


def test_gray_pictures_come_back_gray(shell: Shell) -> None:
    Image.fromarray(make_picture(9, 9)[:, :, 0]).save(shell.folder / "gray.png")
    assert shell.model("compress", "gray.png").code == 0
    assert shell.model("decompress", "gray.aec", "-o", "back.png").code == 0
    assert pixels_of((shell.folder / "back.png").read_bytes()).shape == (9, 9)


def test_files_of_another_model_need_it(
    shell: Shell, compressed: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "MODELS", (registry.ReleasedModel("demo", b"demo"),))
    shell.file("img.aec", compressed)
    model_id = parse(compressed).header.model_id.hex()
    assert_one_line(shell.run("decompress", "img.aec"), 1, "img.aec", f"model {model_id}")
    assert sorted(shell.listing()) == ["img.aec"]


def test_real_pipes_carry_pictures(shell: Shell, tiny_codec: Codec) -> None:
    picture = shell.picture("img.png").read_bytes()
    arguments = [sys.executable, "-m", "aecodec", "compress", "-", "--model", str(shell.weights)]
    done = subprocess.run(
        arguments, input=picture, capture_output=True, check=True, env=ENVIRONMENT
    )
    assert done.stdout == tiny_codec.compress(shell.folder / "img.png")
    assert done.stderr.count(b"\n") == 1


def test_dashes_are_standard_streams(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, tiny_codec: Codec
) -> None:
    path = shell.picture("img.png")
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(path.read_bytes())))
    result = shell.model("compress", "-")
    assert result.code == 0
    assert result.err.startswith("- -> -: ")
    assert result.err.count("\n") == 1
    data = shell.raw
    assert data == tiny_codec.compress(path)
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(data)))
    assert shell.model("decompress", "-", "-o", "-").code == 0
    expected = tiny_codec.decompress_array(data)
    np.testing.assert_array_equal(pixels_of(shell.raw), expected)
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(data)))
    assert shell.model("decompress", "-", "-o", "out.png").code == 0
    assert sorted(shell.listing()) == ["img.png", "out.png"]


def test_info_shows_what_is_in_the_file(shell: Shell, compressed: bytes) -> None:
    shell.file("img.aec", compressed)
    result = shell.run("info", "img.aec")
    header = parse(compressed).header
    assert result.code == 0
    first, second, *chunks = result.out.splitlines()
    assert first.startswith(f"img.aec: 30x20 RGB8, {len(compressed)} bytes, ")
    assert "quality 60," in second
    assert header.model_id.hex() in second
    assert [line.split()[1] for line in chunks] == ["HEAD", "TILE", "DONE"]


def test_info_as_json_is_one_object_a_line(shell: Shell, compressed: bytes) -> None:
    shell.file("a.aec", compressed)
    shell.file("b.aec", compressed)
    result = shell.run("info", "--json", "a.aec", "b.aec")
    first, second = (json.loads(line) for line in result.out.splitlines())
    assert (first["file"], second["file"]) == ("a.aec", "b.aec")
    assert (first["width"], first["height"], first["pixel_format"]) == (30, 20, "RGB8")
    assert (first["quality"], first["bytes"], first["tiles"]) == (60, len(compressed), 1)
    assert first["model_id"] == parse(compressed).header.model_id.hex()
    assert first["bpp"] == pytest.approx(8 * len(compressed) / 600)
    ends = [chunk["offset"] + 12 + chunk["length"] for chunk in first["chunks"]]
    assert ends[-1] == len(compressed)


def test_verify_decodes(shell: Shell, compressed: bytes) -> None:
    shell.file("a.aec", compressed)
    shell.file("b.aec", compressed)
    result = shell.model("verify", "a.aec", "b.aec")
    lines = [f"{name}.aec: ok, 1 tiles, 0 lossless\n" for name in "ab"]
    assert result == Result(0, "".join(lines), "")


def test_info_and_verify_count_lossless_tiles(shell: Shell) -> None:
    Image.new("RGB", (130, 70), "red").save(shell.folder / "flat.png")
    assert shell.model("compress", "flat.png").code == 0
    assert " 1 tiles of 1024 pixels, 1 lossless\n" in shell.run("info", "flat.aec").out
    assert json.loads(shell.run("info", "--json", "flat.aec").out)["lossless_tiles"] == 1
    assert shell.model("verify", "flat.aec").out == "flat.aec: ok, 1 tiles, 1 lossless\n"


def test_version_and_help(shell: Shell) -> None:
    result = shell.run("--version")
    assert (result.code, result.err) == (0, "")
    assert aecodec.__version__ in result.out
    for arguments in (("--help",), ("-h",), ("compress", "--help"), ("train", "-h")):
        result = shell.run(*arguments)
        assert result.code == 0
        assert result.out.startswith("Usage: aecodec")


def test_export_makes_loadable_weights(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aecodec.model.HyperpriorModel", lambda: HyperpriorModel(TINY))
    model = make_tiny_model()
    average = {name: value.clone() for name, value in model.state_dict().items()}
    with torch.no_grad():
        model.analysis.entry.weight.zero_()  # the average is what ships
    run = shell.folder / "run"
    run.mkdir()
    save_checkpoint(run / "checkpoint.safetensors", model, average, [], Progress())
    result = shell.run("export", "run", "-o", "new.safetensors")
    assert result.code == 0, result
    path = shell.folder / "new.safetensors"
    loaded = load_weights(path)
    assert loaded.model_id == load_weights(shell.weights).model_id
    assert bool(loaded.analysis.entry.weight.any())
    assert loaded.model_id.hex() in result.out
    assert str(path.stat().st_size) in result.out
    assert_one_line(shell.run("export", "run", "-o", "new.safetensors"), 1, "exists", "-f")
    assert shell.run("export", "run", "-o", "new.safetensors", "-f").code == 0


# ---- Bad inputs: each gives one line, and leaves nothing behind

Change = Callable[[bytes], bytes]


def unknown_model(data: bytes) -> bytes:
    stream = parse(data)
    return serialize(replace(stream, header=replace(stream.header, model_id=b"none")))


def wrong_checksum(data: bytes) -> bytes:
    stream = parse(data)
    (tile,) = stream.tiles
    return serialize(replace(stream, tiles=(replace(tile, checksum=tile.checksum ^ 1),)))


def noise(data: bytes) -> bytes:
    stream = parse(data)
    words = np.random.default_rng(0).bytes(400)
    return serialize(replace(stream, tiles=(Tile(stream.tiles[0].checksum, words),)))


BAD_STREAMS: dict[str, tuple[Change, str]] = {
    "empty": (lambda _: b"", "truncated"),
    "text": (lambda _: b"Dear reader,\n", "not an .aec file"),
    "png": (lambda _: truncated_png(), "not an .aec file"),
    "truncated": (lambda d: d[:-20], "truncated"),
    "half of the header": (lambda d: d[:20], "truncated"),
    "flipped bit": (lambda d: d[:60] + bytes([d[60] ^ 4]) + d[61:], "checksum"),
    "trailing bytes": (lambda d: d + b"\0", "trailing"),
    "newer version": (lambda d: d[:4] + b"\2" + d[5:], "version 2"),
    "no width": (lambda d: with_head(d, 0, 20), "width is 0"),
    "no height": (lambda d: with_head(d, 30, 0), "height is 0"),
    "wide": (lambda d: with_head(d, 2**32 - 1, 20), "width is 4294967295"),
    "high": (lambda d: with_head(d, 30, 2**32 - 1), "height is 4294967295"),
    "largest": (lambda d: with_head(d, 2**31 - 1, 2**31 - 1), "limit"),
    "more tiles": (lambda d: with_head(d, 12_000, 12_000), "tiles"),
}
BAD_PAYLOADS: dict[str, tuple[Change, str]] = {
    "unknown model": (unknown_model, "6e6f6e65"),
    "wrong checksum": (wrong_checksum, "checksum"),
    "noise": (noise, ""),
}


@pytest.mark.parametrize("command", ["decompress", "verify", "info"])
@pytest.mark.parametrize("fault", BAD_STREAMS)
def test_bad_streams_are_named(shell: Shell, compressed: bytes, fault: str, command: str) -> None:
    change, reason = BAD_STREAMS[fault]
    shell.file("img.aec", change(compressed))
    before = shell.listing()
    run = shell.run if command == "info" else shell.model
    assert_one_line(run(command, "img.aec"), 1, "aecodec: img.aec: ", reason)
    assert shell.listing() == before


@pytest.mark.parametrize("command", ["decompress", "verify"])
@pytest.mark.parametrize("fault", BAD_PAYLOADS)
def test_bad_payloads_are_named(shell: Shell, compressed: bytes, fault: str, command: str) -> None:
    change, reason = BAD_PAYLOADS[fault]
    shell.file("img.aec", change(compressed))
    before = shell.listing()
    assert_one_line(shell.model(command, "img.aec"), 1, "aecodec: img.aec: ", reason)
    assert shell.listing() == before


@pytest.mark.skipif(sys.platform == "win32", reason="needs limits of resources")
def test_sizes_of_bad_headers_are_not_allocated(shell: Shell) -> None:
    """A header that promises the largest picture costs no memory, and no torch."""
    header = Header(2**31 - 1, 1, PixelFormat.RGB8, 14, 0, b"none")
    tile = Tile(0, b"")
    small = serialize(Stream(replace(header, width=1), (tile,)))
    shell.file("img.aec", with_head(small, 2**31 - 1, 2**31 - 1))
    code = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_AS, (2**29, 2**29));"
        "from aecodec.cli import main; main(['decompress', 'img.aec'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=ENVIRONMENT
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "limit" in done.stderr


@pytest.mark.parametrize("data", [b"", b"Dear reader,\n", truncated_png()[:30], truncated_png()])
def test_bad_pictures_are_named(shell: Shell, data: bytes) -> None:
    shell.file("img.png", data)
    assert_one_line(shell.model("compress", "img.png"), 1, "aecodec: img.png: ")
    assert sorted(shell.listing()) == ["img.png"]


def test_values_out_of_range_are_refused(shell: Shell) -> None:
    Image.fromarray(np.full((4, 4), 1.5, np.float32)).save(shell.folder / "img.tiff")
    result = shell.model("compress", "img.tiff")
    assert_one_line(result, 1, "img.tiff", "mode F must be finite and lie in [0, 1]")
    assert sorted(shell.listing()) == ["img.tiff"]


@pytest.mark.parametrize("command", ["compress", "decompress", "verify", "info"])
def test_missing_files_and_folders_are_named(shell: Shell, command: str) -> None:
    (shell.folder / "folder.png").mkdir()
    assert_one_line(shell.run(command, "./none.png"), 1, "./none.png: No such file or directory\n")
    elsewhere = ["-o", "out.png"] if command in ("compress", "decompress") else []
    result = shell.run(command, "folder.png", *elsewhere)
    assert_one_line(result, 1, "folder.png: Is a directory\n")
    assert shell.listing() == {}


@pytest.mark.parametrize("command", ["compress", "decompress", "verify", "info"])
def test_unreadable_files_are_named(
    shell: Shell, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = shell.file("img.bin", b"data")
    path.chmod(0)
    if os.access(path, os.R_OK):  # the superuser reads everything

        def refuse(self: Path, *_mode: str) -> bytes:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self))

        monkeypatch.setattr(Path, "read_bytes", refuse)
        monkeypatch.setattr(Path, "open", refuse)
    result = shell.run(command, "img.bin")
    assert_one_line(result, 1, "aecodec: img.bin: Permission denied\n")
    monkeypatch.undo()
    assert os.listdir(shell.folder) == ["img.bin"]


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("none/out.png", "output folder none does not exist"),
        ("none/", "output folder none/ does not exist"),
        ("out.xyz", "unknown picture format '.xyz'"),
        ("out", "cannot write out: its name has no extension"),
        ("out.aec", "unknown picture format '.aec'"),
        ("out.xbm", "cannot write out.xbm"),
    ],
)
def test_bad_outputs_are_named(shell: Shell, compressed: bytes, target: str, reason: str) -> None:
    shell.file("img.aec", compressed)
    assert_one_line(shell.model("decompress", "img.aec", "-o", target), 1, "img.aec", reason)
    assert sorted(shell.listing()) == ["img.aec"]


def test_an_output_that_is_a_folder_is_named(shell: Shell, compressed: bytes) -> None:
    shell.file("img.aec", compressed)
    shell.picture("other.png")
    (shell.folder / "img.png").mkdir()
    (shell.folder / "other.aec").mkdir()
    assert_one_line(shell.model("decompress", "img.aec", "-f"), 1, "img.aec", "img.png is a folder")
    assert_one_line(shell.model("compress", "other.png", "-f"), 1, "other.aec is a folder")
    assert_one_line(
        shell.model("compress", "other.png", "-o", "none/x.aec"), 1, "folder none does not exist"
    )


def test_bad_weights_are_named(shell: Shell, compressed: bytes) -> None:
    shell.picture("img.png")
    shell.file("other.aec", compressed)
    shell.file("text.safetensors", b"Dear reader,\n")
    before = shell.listing()
    for name in ("none.safetensors", "text.safetensors"):
        for command, file in (("compress", "img.png"), ("decompress", "other.aec")):
            assert_one_line(shell.run(command, file, "--model", name), 1, file, name)
    assert shell.listing() == before


def test_reasons_of_several_lines_become_one(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, compressed: bytes
) -> None:
    def fail(*_: object) -> None:
        raise aecodec.WeightsError("two\n\tlines")

    monkeypatch.setattr(Codec, "verify", fail)
    shell.file("img.aec", compressed)
    assert_one_line(shell.model("verify", "img.aec"), 1, "img.aec: two lines\n")


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_a_full_disk_leaves_no_output(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, compressed: bytes, command: str, existing: bool
) -> None:
    def fail(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    shell.picture("img.png")
    shell.file("img.aec", compressed)
    source, target = ("img.png", "out.aec") if command == "compress" else ("img.aec", "out.png")
    if existing:
        shell.file(target, b"old")
    before = shell.listing()
    monkeypatch.setattr(os, "fsync", fail)
    result = shell.model(command, source, "-o", target, "-f")
    assert_one_line(result, 1, f"aecodec: {source}: {target}: No space left on device\n")
    assert shell.listing() == before


def test_one_bad_input_does_not_stop_the_others(shell: Shell, compressed: bytes) -> None:
    for name in ("a.png", "c.png"):
        shell.picture(name)
    shell.file("b.png", b"Dear reader,\n")
    result = shell.model("compress", "a.png", "b.png", "c.png")
    assert result.code == 1
    assert result.out.count("\n") == 2
    assert result.err.count("\n") == 1
    assert result.err.startswith("aecodec: b.png: ")
    assert sorted(shell.listing()) == ["a.aec", "a.png", "b.png", "c.aec", "c.png"]
    shell.file("b.aec", compressed[:-1])
    for arguments in (("info", "a.aec", "b.aec"), ("verify", "a.aec", "b.aec", "--model", "")):
        arguments = (*arguments[:-1], str(shell.weights)) if arguments[-1] == "" else arguments
        result = shell.run(*arguments)
        assert (result.code, result.err.count("\n")) == (1, 1)
        assert result.out.startswith("a.aec: ")
        assert "b.aec: truncated" in result.err


# ---- Wrong usage: exit code 2, nothing done


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["compress"], "INPUT"),
        (["bogus"], "bogus"),
        (["compress", "a.png", "--bogus"], "--bogus"),
        (["compress", "a.png", "-q", "101"], "101"),
        (["compress", "a.png", "-q", "-1"], "-1"),
        (["compress", "a.png", "-q", "best"], "best"),
        (["compress", "a.png", "a.jpg"], "several inputs would become a.aec"),
        (["compress", "a.png", "./a.png"], "several inputs would become a.aec"),
        (["compress", "a.png", "in/a.png", "-o", "in"], "several inputs would become in/a.aec"),
        (["compress", "a.png", "b.png", "-o", "none"], "none must be an existing folder"),
        (["compress", "a.png", "b.png", "-o", "a.png"], "a.png must be an existing folder"),
        (["compress", "a.png", "b.png", "-o", "-"], "single picture"),
        (["decompress", "a.aec", "-"], "single picture"),
        (["info"], "FILE"),
        (["train", "in"], "--output"),
        (["export", "run"], "--output"),
    ],
)
def test_wrong_usage(shell: Shell, arguments: list[str], reason: str) -> None:
    for name in ("a.png", "a.jpg", "b.png"):
        shell.picture(name)
    (shell.folder / "in").mkdir()
    before = shell.listing()
    assert_one_line(shell.run(*arguments), 2, reason)
    assert shell.listing() == before


def test_no_arguments_give_the_help(shell: Shell) -> None:
    result = shell.run()
    assert result.code == 2
    assert "compress" in result.err


def test_training_on_a_missing_folder_is_named(shell: Shell) -> None:
    assert_one_line(shell.run("train", "none", "-o", "run"), 1, "none: not a folder")
    assert os.listdir(shell.folder) == []


@pytest.mark.parametrize(
    ("option", "value"), [("--crop", "100"), ("--crop", "576"), ("--learning-rate", "nan")]
)
def test_training_with_bad_settings_is_refused(shell: Shell, option: str, value: str) -> None:
    result = shell.run("train", str(shell.folder), "-o", "run", option, value)
    assert_one_line(result, 1, value)
    assert os.listdir(shell.folder) == []


def test_exports_that_cannot_be_are_named(shell: Shell) -> None:
    run = shell.folder / "run"
    run.mkdir()
    assert_one_line(shell.run("export", "run", "-o", "x.st"), 1, "checkpoint.safetensors")
    assert_one_line(shell.run("export", "none", "-o", "x.st"), 1, "none/checkpoint.safetensors")
    (run / "checkpoint.safetensors").write_bytes(shell.weights.read_bytes())
    assert_one_line(shell.run("export", "run", "-o", "x.st"), 1, "run: holds another model")
    assert os.listdir(shell.folder) == ["run"]


# ---- Interruption


@pytest.mark.parametrize("command", ["compress", "decompress"])
def test_an_interruption_leaves_no_partial_output(
    shell: Shell, monkeypatch: pytest.MonkeyPatch, compressed: bytes, command: str
) -> None:
    shell.picture("a.png")
    shell.picture("b.png")
    shell.file("c.aec", compressed)
    shell.file("d.aec", compressed)
    inputs = ("a.png", "b.png") if command == "compress" else ("c.aec", "d.aec")
    (shell.folder / "out").mkdir()
    real = os.fsync
    calls = []

    def interrupt(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(descriptor)

    monkeypatch.setattr(os, "fsync", interrupt)
    result = shell.model(command, *inputs, "-o", "out")
    assert result.code == 130
    assert result.err.strip() == "aecodec: interrupted"
    (finished,) = (shell.folder / "out").iterdir()
    assert finished.stem == Path(inputs[0]).stem
    assert result.out.count("\n") == 1


def test_an_interruption_while_coding(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Codec, "compress", interrupt)
    shell.picture("img.png")
    result = shell.model("compress", "img.png")
    assert (result.code, result.out, result.err.strip()) == (130, "", "aecodec: interrupted")
    assert sorted(shell.listing()) == ["img.png"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_a_real_sigint_ends_the_process(tmp_path: Path) -> None:
    """The process waits for a pipe's bytes when the signal comes, so nothing is left to chance."""
    pipe = tmp_path / "img.png"
    os.mkfifo(pipe)
    # A parent that ignores SIGINT, as shells make of jobs in the background, hands that down.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler);"
        "from aecodec.cli import main; main()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, "compress", "img.png", "-o", "img.aec"],
        cwd=tmp_path, env=ENVIRONMENT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    descriptor = -1
    try:
        deadline = time.monotonic() + 30
        while descriptor < 0 and time.monotonic() < deadline:
            with suppress(OSError):  # nobody reads yet
                descriptor = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            time.sleep(0.02)
        assert descriptor >= 0
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
        if descriptor >= 0:
            os.close(descriptor)
    assert (process.returncode, out, err.strip()) == (130, "", "aecodec: interrupted")
    assert os.listdir(tmp_path) == ["img.png"]


# ---- Cost of starting


def test_python_m_does_the_same(shell: Shell, compressed: bytes) -> None:
    shell.file("img.aec", compressed)
    done = subprocess.run(
        [sys.executable, "-m", "aecodec", "info", "img.aec"],
        capture_output=True, text=True, check=False,
        env=ENVIRONMENT,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == shell.run("info", "img.aec").out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["info", "img.aec"],
        ["bogus"],
        ["compress", "--quality", "300", "x.png"],
        ["compress", "none.png"],
        ["compress", "text.png"],
        ["decompress", "text.png", "-o", "x.png"],
        ["verify", "text.png"],
        ["train", "none", "-o", "run"],
    ],
    ids=" ".join,
)
def test_torch_is_not_loaded_in_vain(shell: Shell, compressed: bytes, arguments: list[str]) -> None:
    shell.file("img.aec", compressed)
    shell.file("text.png", b"Dear reader,\n")
    code = (
        "import sys\nfrom aecodec.cli import main\n"
        "try: main()\nfinally: print('torch' in sys.modules, end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False,
        env=ENVIRONMENT,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.stdout.endswith("False")


def test_checksums_of_pixels_are_added_and_compared(shell: Shell) -> None:
    Image.new("RGB", (30, 20), "red").save(shell.folder / "a.png")
    assert shell.model("compress", "--checksum", "a.png").code == 0
    assert shell.model("verify", "a.aec").code == 0
    path = shell.folder / "a.aec"
    stream = parse(path.read_bytes())
    (chunk,) = stream.ancillary
    path.write_bytes(serialize(replace(stream, ancillary=(Chunk(chunk.type, bytes(32)),))))
    result = shell.model("verify", "a.aec")
    assert result.code == 1
    assert result.err.startswith("aecodec: a.aec: checksum of the picture is ")

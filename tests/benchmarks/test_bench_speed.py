"""Times in turns, over sizes and threads."""

import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

from benchmarks import speed
from benchmarks.__main__ import cli
from benchmarks.codecs import CodecUnavailableError, ImageCodec, jpeg420
from benchmarks.rounds import Setting, Times, rounds_of, sweep
from benchmarks.untrained import untrained

SMALL, LARGE = Image.new("RGB", (4, 3)), Image.new("RGB", (8, 6))


def noted(name: str, calls: list[tuple[str, int, int]], fails: bool = False) -> ImageCodec:
    def encode(image: Image.Image, _quality: float) -> bytes:
        calls.append((name, image.width, torch.get_num_threads()))
        if fails and image is LARGE:
            raise MemoryError("no room")
        return b"12"

    return ImageCodec(name, (), encode, lambda _: SMALL)


def test_every_codec_has_its_turn_in_every_round() -> None:
    calls: list[tuple[str, int, int]] = []
    before = torch.get_num_threads()
    try:
        times, left_out = sweep(
            [noted("aecodec", calls), noted("other", calls)], [SMALL, LARGE], [1, 2], 75, 3
        )
    finally:
        torch.set_num_threads(before)
    turn = [(name, width, n) for width in (4, 8) for n in (1, 2) for name in ("aecodec", "other")]
    assert calls == 4 * turn
    assert left_out == []
    assert {len(t.encode) for t in times.values()} == {3}
    assert len(times) == 8


def test_a_failure_is_a_line_and_not_tried_again() -> None:
    calls: list[tuple[str, int, int]] = []
    times, left_out = sweep([noted("bad", calls, fails=True)], [SMALL, LARGE], [1], 75, 2)
    assert left_out == ["bad on 8x6 pixels, 1 thread: MemoryError: no room"]
    assert [setting.width for setting in times] == [4]
    assert calls == [("bad", 4, 1), ("bad", 8, 1), ("bad", 4, 1), ("bad", 4, 1)]


def test_large_pictures_get_fewer_rounds() -> None:
    assert [rounds_of(Image.new("L", (side, 1000)), 10) for side in (100, 1000, 5000, 9000)] == [
        10, 10, 2, 2,
    ]  # fmt: skip
    assert rounds_of(Image.new("L", (9000, 1000)), 1) == 1


def test_table_states_ratios_and_throughput() -> None:
    times = {
        Setting("aecodec", 1000, 500, 2): Times([0.1, 0.1], [0.2, 0.2], 9),
        Setting("other", 1000, 500, 2): Times([0.2, 0.2], [0.05, 0.05], 7),
    }
    title, _, ours, other = speed.format_times(times).splitlines()
    assert title == "1000x500 pixels (0.50 MP), 2 threads, median of 2 interleaved rounds"
    assert ours.split() == ["aecodec", "100.0", "5.00", "1.000", "200.0", "2.50", "1.000", "9"]
    assert other.split() == ["other", "200.0", "2.50", "2.000", "50.0", "10.00", "0.250", "7"]


def test_speed_command_writes_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    monkeypatch.setattr(speed, "make_codecs", lambda _: ([jpeg420()], ["avif: not here"]))
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    output = tmp_path / "speed"
    arguments = [tmp_path / "a.png", "--sizes", "0.0006,60x50", "--threads", 1, "--repeats", 2]
    result = CliRunner().invoke(
        cli, ["speed", *map(str, arguments), "--no-commands", "-o", str(output)]
    )
    assert result.exit_code == 0, result.output
    assert "left out: avif: not here" in result.stderr
    found = json.loads((output / "speed.json").read_text(encoding="utf-8"))
    assert [(row["width"], row["height"], row["rounds"]) for row in found["times"]] == [
        (30, 20, 2), (60, 50, 2),
    ]  # fmt: skip
    assert len((output / "speed.csv").read_text(encoding="utf-8").splitlines()) == 3
    assert {path.suffix for path in output.glob("speed_sizes.*")} == {".png", ".svg"}


@pytest.mark.parametrize("threads", ["0", "two", "1,-1"])
def test_bad_threads_are_wrong_usage(tmp_path: Path, threads: str) -> None:
    SMALL.save(tmp_path / "a.png")
    result = CliRunner().invoke(cli, ["speed", str(tmp_path / "a.png"), "--threads", threads])
    assert result.exit_code == 2
    assert "not a list of numbers of threads" in result.stderr


def test_compressai_is_named_with_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "compressai", None)
    with pytest.raises(CodecUnavailableError, match="pip install compressai"):
        untrained("bmshj2018_hyperprior")


def test_files_of_untrained_models_hold_all_that_decoding_needs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A stand-in with CompressAI's interface: the container and the padding are ours."""

    class Net:
        def eval(self) -> "Net":
            return self

        def update(self) -> None: ...

        def compress(self, x: torch.Tensor) -> dict[str, object]:
            assert x.shape[2] % 64 == 0
            assert x.shape[3] % 64 == 0
            pixels = (x * 255).round().to(torch.uint8).numpy()
            return {"strings": [[pixels.tobytes()], [b"side"]], "shape": tuple(x.shape[2:])}

        def decompress(self, strings: list[list[bytes]], shape: list[int]) -> dict[str, object]:
            (y,), (z,) = strings
            assert z == b"side"
            pixels = np.frombuffer(bytearray(y), np.uint8).reshape(1, 3, *shape)
            return {"x_hat": torch.from_numpy(pixels) / 255}

    package = ModuleType("compressai")
    package.__dict__["zoo"] = SimpleNamespace(mbt2018_mean=lambda **_: Net())
    monkeypatch.setitem(sys.modules, "compressai", package)
    codec = untrained("mbt2018_mean")
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (70, 33, 3), np.uint8))
    restored = codec.decode(codec.encode(image, 75))
    assert np.array_equal(np.asarray(restored), np.asarray(image))
    assert codec.name == "untrained mbt2018-mean"

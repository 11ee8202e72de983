"""Times in turns, over sizes and threads, each codec in a process of its own."""

import json
import os
import signal
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
from benchmarks.codecs import CodecUnavailableError
from benchmarks.contestants import (
    AGAINST,
    NATIVE,
    NUMPY,
    Contestant,
    ContestantError,
    Cost,
    Round,
    Worker,
    contestants,
    started,
)
from benchmarks.rounds import Setting, Times, rounds_of, sweep
from benchmarks.untrained import untrained

JPEG = Contestant("jpeg", {"kind": "pillow", "format": "JPEG", "options": {}})
CHECKOUT = """
import os
class Codec:
    def __init__(self, model): pass
    def compress(self, image, quality, **wishes): return bytes(int(quality))
    def decompress(self, data): print("nothing"); return os.environ["OMP_NUM_THREADS"]
"""


class Noted:
    """A stand-in for a worker that notes when its turn comes."""

    def __init__(self, name: str, threads: int, calls: list[tuple[str, str, int]]) -> None:
        self.name, self.threads, self._calls = name, threads, calls
        self.fails = False

    def measure(self, picture: Path, quality: float) -> Round:
        """Takes no time."""
        self._calls.append((self.name, picture.stem, self.threads))
        if self.fails and picture.stem == "large":
            raise ContestantError("no room")
        return Round(Cost(1.0, 2.0), Cost(3.0, 4.0), round(quality))


@pytest.fixture
def pictures(tmp_path: Path) -> list[Path]:
    found = [tmp_path / "small.png", tmp_path / "large.png"]
    for path, size in zip(found, ((4, 3), (8, 6)), strict=True):
        Image.new("RGB", size).save(path)
    return found


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Another checkout, whose files have as many bytes as the quality says."""
    (tmp_path / "other" / "aecodec").mkdir(parents=True)
    (tmp_path / "other" / "aecodec" / "__init__.py").write_text(CHECKOUT, encoding="utf-8")
    return tmp_path / "other"


def test_every_codec_has_its_turn_in_every_round(pictures: list[Path]) -> None:
    calls: list[tuple[str, str, int]] = []
    workers = [Noted(name, number, calls) for name in ("aecodec", "other") for number in (1, 2)]
    times, left_out = sweep(workers, pictures, 75, 3)
    turn = [(worker.name, path.stem, worker.threads) for path in pictures for worker in workers]
    assert calls == 4 * turn
    assert left_out == []
    assert {len(t.encode) for t in times.values()} == {3}
    assert len(times) == 8
    assert times[Setting("other", 8, 6, 2)].costs == (Cost(1.0, 2.0), Cost(3.0, 4.0))


def test_a_failure_is_a_line_and_not_tried_again(pictures: list[Path]) -> None:
    calls: list[tuple[str, str, int]] = []
    bad = Noted("bad", 1, calls)
    bad.fails = True
    times, left_out = sweep([bad], pictures, 75, 2)
    assert left_out == ["bad on 8x6 pixels, 1 thread: no room"]
    assert [setting.width for setting in times] == [4]
    assert [name for _, name, _ in calls] == ["small", "large", "small", "small"]


def test_large_pictures_get_fewer_rounds() -> None:
    assert [rounds_of((side, 1000), 10) for side in (100, 1000, 5000, 9000)] == [10, 10, 2, 2]
    assert rounds_of((9000, 1000), 1) == 1


def test_table_states_ratios_of_both_clocks() -> None:
    ours = Times([Cost(0.1, 0.2)] * 2, [Cost(0.2, 0.3)] * 2, 9)
    other = Times([Cost(0.2, 0.2)] * 2, [Cost(0.05, 0.6)] * 2, 7)
    times = {Setting("one", 1000, 500, 2): ours, Setting("two", 1000, 500, 2): other}
    title, _, first, second = speed.format_times(times, "one").splitlines()
    assert title == (
        "1000x500 pixels (0.50 MP), 2 threads, loaded: medians of 2 rounds in turns; ratios to one"
    )
    assert first.split() == [
        "one", "100.0", "1.000", "200.0", "1.000", "200.0", "1.000", "300.0", "1.000", "9",
    ]  # fmt: skip
    assert second.split() == [
        "two", "200.0", "2.000", "200.0", "1.000", "50.0", "0.250", "600.0", "2.000", "7",
    ]  # fmt: skip
    assert speed.format_times(times, "none").splitlines()[2].split()[2] == "-"


def test_workers_measure_what_they_do(pictures: list[Path]) -> None:
    with Worker(JPEG, 1) as worker:
        for path in pictures:
            found = worker.measure(path, 75)
            assert 0 < found.encode.cpu < 5
            assert 0 < found.decode.wall < 60
            assert found.size > 100
        with pytest.raises(ContestantError, match="FileNotFoundError"):
            worker.measure(pictures[0].with_name("none.png"), 75)
        assert worker.measure(pictures[0], 75).size > 100  # one failure does not end it


def test_a_worker_that_dies_is_named(pictures: list[Path]) -> None:
    with Worker(JPEG, 1) as worker:
        os.kill(worker.process_id, signal.SIGKILL)
        with pytest.raises(ContestantError, match="its process ended with code -9"):
            worker.measure(pictures[0], 75)


def test_what_cannot_run_is_left_out_with_its_reason() -> None:
    bad = Contestant("bad", {"kind": "pillow", "format": "NONE", "options": {}})
    workers, running, left_out = started([bad, JPEG], [1, 2])
    for worker in workers:
        worker.close()
    assert [(worker.name, worker.threads) for worker in workers] == [("jpeg", 1), ("jpeg", 2)]
    assert running == [JPEG]
    assert left_out == ["bad: KeyError: 'NONE'"]


def test_both_runtimes_and_another_checkout_take_part(
    checkout: Path, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AECODEC_RUNTIME", "of the user")
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    rows = {row.name: row for row in contestants(None, checkout)}
    assert [rows[name].runtime for name in (NUMPY, NATIVE, AGAINST)] == ["numpy", "native", None]
    assert rows[NATIVE].environment(2)["AECODEC_RUNTIME"] == "native"
    environment = rows[AGAINST].environment(2)
    assert environment["PYTHONPATH"] == str(checkout)
    assert environment["OMP_NUM_THREADS"] == "2"
    assert not {"AECODEC_RUNTIME", "PYTHONDONTWRITEBYTECODE"} & environment.keys()
    with Worker(rows[AGAINST], 1) as worker:
        assert worker.measure(pictures[0], 31).size == 31
    assert [path.name for path in (checkout / "aecodec").iterdir()] == ["__init__.py"]


@pytest.mark.parametrize(
    ("told", "reason"),
    [
        ("", "this checkout has no native runtime"),
        ("numpy", "no compiler"),
        ("native", None),
    ],
)
def test_a_native_runtime_that_is_not_there_is_left_out(
    checkout: Path, told: str, reason: str | None
) -> None:
    (checkout / "aecodec" / "decoder").mkdir()
    (checkout / "aecodec" / "decoder" / "__init__.py").touch()
    code = f"class runtime_info: runtime, reason = {told!r}, 'no compiler'\n" if told else ""
    (checkout / "aecodec" / "decoder" / "loading.py").write_text(code, encoding="utf-8")
    row = Contestant(NATIVE, {"kind": "aecodec", "model": None}, checkout, "native")
    workers, running, left_out = started([row], [1])
    for worker in workers:
        worker.close()
    assert left_out == ([f"{NATIVE}: RuntimeError: {reason}"] if reason else [])
    assert running == ([] if reason else [row])


def test_speed_command_writes_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    gone = Contestant("gone", {"kind": "nothing"})
    monkeypatch.setattr(speed, "contestants", lambda *_: [JPEG, gone])
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(tmp_path / "a.png")
    output = tmp_path / "speed"
    arguments = [tmp_path / "a.png", "--sizes", "0.0006,60x50", "--threads", 1, "--repeats", 2]
    result = CliRunner().invoke(cli, ["speed", *map(str, arguments), "-o", str(output)])
    assert result.exit_code == 0, result.output
    assert "left out: gone: KeyError: 'nothing'" in result.stderr
    assert "ratios to jpeg" in result.stdout
    found = json.loads((output / "speed.json").read_text(encoding="utf-8"))
    assert [(row["width"], row["height"], row["rounds"]) for row in found["times"]] == [
        (30, 20, 2), (60, 50, 2),
    ]  # fmt: skip
    assert all(row["encode_cpu_seconds"] > 0 for row in found["times"])
    assert len((output / "speed.csv").read_text(encoding="utf-8").splitlines()) == 3
    assert {path.suffix for path in output.glob("speed_sizes.*")} == {".png", ".svg"}


@pytest.mark.parametrize("threads", ["0", "two", "1,-1"])
def test_bad_threads_are_wrong_usage(tmp_path: Path, threads: str) -> None:
    Image.new("RGB", (4, 3)).save(tmp_path / "a.png")
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

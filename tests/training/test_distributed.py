"""Several processes that train one model, on CPUs, started by torchrun."""

import csv
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from conftest import FAST_RUN
from safetensors.torch import load_file

from aecodec.autoencoder.quantization import quantize_noise
from aecodec.cli.train import train
from aecodec.errors import InputError, TrainingError
from aecodec.training import launch
from aecodec.training.batches import Batches, MappedTiles
from aecodec.training.config import CHECKPOINT, SETTINGS, TrainConfig
from aecodec.training.data import TILE, Tiles
from aecodec.training.distributed import ALONE, Team, joined_team
from aecodec.training.loop import Trainer

RUN = replace(FAST_RUN, batch=6, steps=4, decay_start=1.0, report_every=1, validate_every=4)
"""Its rate does not depend on its length, so that it can be made in parts."""
SECONDS = 100
"""More than a launch takes on a busy machine."""
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


class Launch:
    """A call of torchrun, which ends with the block."""

    def __init__(self, processes: int, *arguments: str | Path, restarts: int = 0) -> None:
        command = [
            sys.executable, "-m", "torch.distributed.run", "--master-port", str(free_port()),
            "--nproc-per-node", str(processes), "--max-restarts", str(restarts),
            "-m", "aecodec", "train", *map(str, arguments), "--device", "cpu",
        ]  # fmt: skip
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def __enter__(self) -> "Launch":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.communicate()

    def end(self) -> tuple[int, str]:
        """Exit code and all that was said."""
        said, _ = self.process.communicate(timeout=SECONDS)
        return self.process.returncode, said

    def worker(self, rank: int) -> int:
        """The process number of a worker."""
        own = self.process.pid
        children = Path(f"/proc/{own}/task/{own}/children").read_text().split()
        wanted = f"\0RANK={rank}\0".encode()
        (found,) = (
            int(child) for child in children
            if wanted in b"\0" + Path(f"/proc/{child}/environ").read_bytes()
        )  # fmt: skip
        return found


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port: int = server.getsockname()[1]
    return port


def make_run(run: Path, config: TrainConfig) -> Path:
    """A folder with settings, for the command to go by."""
    run.mkdir()
    config.save(run / SETTINGS)
    return run


def trained(folder: Path, run: Path, config: TrainConfig) -> Path:
    """A run that one process has trained."""
    Trainer.prepare([folder], run, config).train()
    return run


def launched(processes: int, folder: Path, run: Path, *options: str) -> str:
    with Launch(processes, folder, "-o", run, *options) as started:
        code, said = started.end()
    assert code == 0, said
    return said


def table(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


def steps_of(run: Path) -> list[int]:
    path = run / "train.csv"
    return [int(row["step"]) for row in table(path)] if path.exists() else []


def assert_same_runs(run: Path, other: Path) -> None:
    """Same losses, validations and weights within float tolerance; each step logged once."""
    assert steps_of(run) == steps_of(other) == list(range(1, RUN.steps + 1))
    for name, columns in (("train.csv", ("loss", "bpp", "psnr")), ("validation.csv", ("bpp",))):
        rows, others = table(run / name), table(other / name)[-len(table(run / name)) :]
        for row, expected in zip(rows, others, strict=True):
            for column in columns:
                assert float(row[column]) == pytest.approx(float(expected[column]), rel=1e-3)
    state, expected_state = (load_file(each / CHECKPOINT) for each in (run, other))
    assert state.keys() == expected_state.keys()
    for key, value in state.items():
        if key.startswith(("model/", "average/")):
            torch.testing.assert_close(value, expected_state[key], rtol=1e-3, atol=2e-4, msg=key)


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_two_and_then_three_processes_learn_what_one_does(
    picture_folder: Path, tmp_path: Path
) -> None:
    one = trained(picture_folder, tmp_path / "one", RUN)
    several = make_run(tmp_path / "several", RUN)
    said = launched(2, picture_folder, several, "--steps", "2")
    assert said.count("step 2 loss") == 1
    launched(3, picture_folder, several, "--steps", "4")
    assert_same_runs(one, several)


@pytest.mark.slow
def test_one_and_then_two_processes(picture_folder: Path, tmp_path: Path) -> None:
    config = replace(RUN, optimizer="soap")
    one = trained(picture_folder, tmp_path / "one", config)
    several = trained(picture_folder, tmp_path / "several", replace(config, steps=2))
    launched(2, picture_folder, several, "--steps", "4")
    assert_same_runs(one, several)


@linux
@pytest.mark.slow
def test_a_killed_worker_and_a_signal_lose_nothing(picture_folder: Path, tmp_path: Path) -> None:
    endless = replace(RUN, steps=10**6, validate_every=10**6, checkpoint_seconds=0.0)
    run = make_run(tmp_path / "run", endless)
    with Launch(2, picture_folder, "-o", run, restarts=1) as started:
        wait_for(lambda: len(steps_of(run)) >= 3)
        os.kill(started.worker(0), signal.SIGKILL)
        killed_at = steps_of(run)[-1]
        wait_for(lambda: steps_of(run)[-1] > killed_at + 3)
        started.process.send_signal(signal.SIGTERM)
        _, said = started.end()
    steps = steps_of(run)
    assert "aecodec/training" not in said, said
    # A step is logged before it is saved, so that one can come again; none is left out.
    assert all(after - before in (0, 1) for before, after in pairwise(steps))
    assert said.count("at step") == 2
    resumed = Trainer.prepare([picture_folder], run, endless)
    assert resumed.progress.step == steps[-1]


@pytest.mark.slow
def test_a_run_by_time_ends_in_all_processes(picture_folder: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", RUN)
    start = time.monotonic()
    launched(2, picture_folder, run, "--minutes", "0.2")
    assert time.monotonic() - start < SECONDS
    assert (run / CHECKPOINT).exists()


@pytest.mark.slow
def test_one_message_tells_what_is_wrong(picture_folder: Path, tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", RUN)
    with Launch(2, picture_folder, "-o", run, "--batch", "3") as started:
        code, said = started.end()
    assert code != 0
    assert said.count("cannot share a batch of 3 patches") == 1
    assert "TrainingError" not in said


def test_parts_make_up_a_batch(tiles: Tiles) -> None:
    cpu = torch.device("cpu")
    whole_x, whole_q = Batches(MappedTiles(tiles), RUN, cpu).at(3)
    for parts in (2, 3, 6):
        for rank in range(parts):
            x, q = Batches(MappedTiles(tiles), RUN, cpu, (rank, parts)).at(3)
            torch.testing.assert_close(x, whole_x[rank::parts])
            assert torch.equal(q, whole_q[rank::parts])


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("parts", [3, 6])
def test_noise_of_parts_is_that_of_the_whole(layout: torch.memory_format, parts: int) -> None:
    x = torch.zeros(6, 5, 3, 4).contiguous(memory_format=layout)
    torch.manual_seed(1)
    whole = quantize_noise(x)
    for rank in range(parts):
        torch.manual_seed(1)
        part = torch.zeros(6 // parts, 5, 3, 4).contiguous(memory_format=layout)
        assert torch.equal(quantize_noise(part, (rank, parts)), whole[rank::parts])


def test_processes_must_share_a_batch_evenly() -> None:
    Team((1, 3)).check_batch(6)
    with pytest.raises(TrainingError, match=r"4 processes cannot share a batch of 6 .* --batch"):
        Team((0, 4)).check_batch(6)


@pytest.fixture
def as_launched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The environment that torchrun gives the only process of a run."""
    told = {
        launch.LAUNCHED: "none", launch.RESTARTS: "0", "RANK": "0", "WORLD_SIZE": "1",
        "LOCAL_RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()),
    }  # fmt: skip
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    yield
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@pytest.mark.usefixtures("as_launched")
def test_one_process_agrees_with_itself() -> None:
    with joined_team("cpu") as team:
        assert team is not ALONE
        assert team.agree(0.1) == 0.1
        assert team.any(True)
        assert not team.any(False)
        assert team.text("mse@1") == "mse@1"
        p = torch.nn.Parameter(torch.zeros(2, 3))
        p.grad = torch.arange(6.0).view(3, 2).T
        (mean,) = team.average([p], [torch.tensor(2.0)])
        assert mean == 2.0
        assert torch.equal(p.grad, torch.arange(6.0).view(3, 2).T)


@pytest.mark.usefixtures("as_launched")
@pytest.mark.parametrize(
    ("device", "missing", "message"),
    [
        ("mps", None, "cpu or cuda, not mps"),
        ("cpu", "is_gloo_available", "lacks the backend gloo"),
        ("cuda", "is_nccl_available", "lacks the backend nccl"),
    ],
)
def test_missing_backends_are_named(
    device: str, missing: str | None, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing:
        monkeypatch.setattr(torch.distributed, missing, lambda: False)
    with pytest.raises(TrainingError, match=message), joined_team(device):
        pass


@pytest.mark.usefixtures("as_launched")
def test_a_restart_goes_on_where_its_command_began_a_run(
    picture_folder: Path, tiny_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [
        str(picture_folder), "-o", str(tmp_path / "run"), "--init", str(tiny_weights), "--batch",
        "2", "--crop", "64", "--no-compile", "--device", "cpu", "--steps",
    ]  # fmt: skip
    assert CliRunner().invoke(train, [*command, "1"]).exception is None
    again = CliRunner().invoke(train, [*command, "2"]).exception
    assert isinstance(again, InputError)
    torch.distributed.destroy_process_group()
    monkeypatch.setenv(launch.RESTARTS, "1")
    assert CliRunner().invoke(train, [*command, "2"]).exception is None
    assert steps_of(tmp_path / "run") == [1, 2]


def test_without_torchrun_there_is_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(launch.LAUNCHED, raising=False)
    with joined_team("mps") as team:
        assert team is ALONE
    assert launch.seconds_since_launch() == 0.0


@linux
@pytest.mark.usefixtures("as_launched")
def test_time_counts_from_the_launch() -> None:
    assert launch.seconds_since_launch() > 0.0


@pytest.fixture
def tiles() -> Tiles:
    """Three tiles of noise."""
    generator = torch.Generator().manual_seed(2)
    return torch.randint(0, 256, (3, TILE, TILE, 3), generator=generator).byte().numpy()

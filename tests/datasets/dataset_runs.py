"""Runs of the command over a data set in a bucket, and what they must leave."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil
import pyarrow.parquet
from cluster import Cluster
from fault_proxy import FaultProxy
from object_store import Bucket

MANIFEST = "_manifest/"
RUN_SECONDS = 600.0
"""How long a run may take on a machine that has other things to do; alone it takes ten."""
OPTIONS = ("-q", "30")
"""How all pictures are compressed here."""


@dataclass(frozen=True)
class Site:
    """Where data sets lie and who works on them.

    Attributes:
        bucket: the data sets, seen without the proxy.
        proxy: between the cluster and the bucket.
        cluster: joined by each run.
        folder: for what runs say.
    """

    bucket: Bucket
    proxy: FaultProxy
    cluster: Cluster
    folder: Path

    def start(self, source: str, target: str, *options: str, joins: bool = True) -> "Run":
        """Starts the command, which joins the cluster or starts a Ray of its own."""
        where = ["--address", self.cluster.address] if joins else ["--workers", "2"]
        command = ["compress", source, "-o", target, "--engine", "ray", *where, *OPTIONS, *options]
        return Run(command, self.cluster.environment, self.folder)

    def run(self, source: str, target: str, *options: str, seconds: float = RUN_SECONDS) -> "Ended":
        """Runs it to its end."""
        with self.start(source, target, *options) as run:
            return run.wait(seconds)


@dataclass(frozen=True)
class Ended:
    """How a run ended: its exit code, what it said, and its seconds."""

    code: int
    out: str
    err: str
    seconds: float

    def errors(self) -> list[str]:
        """Its lines about errors."""
        found = [line for line in self.err.splitlines() if line.startswith("aecodec: ")]
        assert "Traceback" not in self.err, self.err
        return [line for line in found if ": warning: " not in line]


class Run:
    """A run that goes on; as a context, which ends it with all its processes."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str], folder: Path) -> None:
        """Starts it in a session of its own, as a terminal does."""
        self._out, self._err = folder / "stdout", folder / "stderr"
        self._start = time.monotonic()
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "aecodec", *arguments], env=environment, stdout=out,
                stderr=err, stdin=subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to all its processes, as Ctrl-C does."""
        os.killpg(self._process.pid, number)

    def wait(self, seconds: float = RUN_SECONDS) -> Ended:
        """Waits for its end.

        Raises:
            TimeoutExpired: that takes too long.
        """
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            sys.stderr.write(self._err.read_text(errors="replace"))
            raise
        out, err = (path.read_text(errors="replace") for path in (self._out, self._err))
        return Ended(code, out, err, time.monotonic() - self._start)

    def processes(self) -> list[int]:
        """Its processes, and what they have left behind in its session."""
        found = []
        for process in psutil.pids():
            with suppress(ProcessLookupError, PermissionError):
                if os.getsid(process) == self._process.pid:
                    found.append(process)
        return found

    def __enter__(self) -> "Run":
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@dataclass(frozen=True)
class Left:
    """What runs have left below a root of outputs.

    Attributes:
        outputs: by their names.
        rows: all of the manifest.
    """

    outputs: dict[str, bytes]
    rows: list[dict[str, Any]]

    def failed(self) -> dict[str, str]:
        """Errors by paths of inputs, of those that no run has done."""
        done = self.done()
        return {row["path"]: row["error"] for row in self.rows if row["path"] not in done}

    def done(self) -> Counter[str]:
        """How often the manifest says of each input that it is done."""
        return Counter(row["path"] for row in self.rows if row["error"] is None)


def left_of(objects: Mapping[str, bytes]) -> Left:
    """What is there, of which the manifest must be whole Parquet files and nothing else."""
    rows = []
    for name in sorted(objects):
        if name.startswith(MANIFEST):
            assert name.endswith(".parquet"), f"{name} is left behind"
            rows += pyarrow.parquet.read_table(BytesIO(objects[name])).to_pylist()
    return Left({k: v for k, v in objects.items() if not k.startswith(MANIFEST)}, rows)


def assert_whole(
    objects: Mapping[str, bytes], expected: Mapping[str, bytes], failed: Collection[str] = ()
) -> Left:
    """Nothing is lost, nothing is there twice, nothing else is left, and errors are listed.

    Args:
        objects: all below the root of outputs.
        expected: the outputs of good inputs by the inputs' names, byte for byte.
        failed: the other inputs.
    """
    left = left_of(objects)
    assert left.done() == Counter(dict.fromkeys(expected, 1))
    assert left.outputs == {output_of(name): data for name, data in expected.items()}
    digests = {row["path"]: row["sha256"] for row in left.rows if row["error"] is None}
    assert digests == {name: hashlib.sha256(data).hexdigest() for name, data in expected.items()}
    assert set(left.failed()) == set(failed)
    return left


def output_of(name: str) -> str:
    """The output of an input."""
    return f"{name.rpartition('.')[0]}.aec"

"""What takes part in the measurements of speed, each in a process of its own.

So each has the runtime, the number of threads and the checkout that it is to have, and the CPU time
of its process is its own.
"""

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Self

from aecodec.models import registry

ROOT = Path(__file__).resolve().parents[1]
RUNTIME = "AECODEC_RUNTIME"
"""The variable of the environment by which aecodec's runtime is chosen."""
AGAINST = "against"
"""The row of another checkout."""
NUMPY, NATIVE = "aecodec-numpy", "aecodec-native"
PREFIX = "untrained "
UNTRAINED = ("bmshj2018_hyperprior", "mbt2018_mean")
"""Models of CompressAI's zoo, see `benchmarks/untrained.py`."""
_WORKER = Path(__file__).with_name("worker.py")


class ContestantError(Exception):
    """A codec cannot be loaded, or failed."""


@dataclass(frozen=True)
class Contestant:
    """A row of the tables.

    Attributes:
        name: of the row.
        spec: which codec, as `benchmarks/worker.py` takes it.
        checkout: the folder whose packages it runs.
        runtime: of aecodec; None for its own choice, and for other codecs.
    """

    name: str
    spec: dict[str, Any] = field(hash=False)
    checkout: Path = ROOT
    runtime: str | None = None

    @property
    def has_commands(self) -> bool:
        """Whether it is an aecodec, whose commands can be timed."""
        return bool(self.spec["kind"] == "aecodec")

    def environment(self, threads: int) -> dict[str, str]:
        """That of its processes: compiled modules are kept, as those of an installation are."""
        own = {
            "PYTHONPATH": str(self.checkout),
            "PYTHONPYCACHEPREFIX": _compiled_modules(),
            "GOMP_SPINCOUNT": "1000",
            "OMP_NUM_THREADS": str(threads),
        }
        if self.runtime:
            own[RUNTIME] = self.runtime
        unset = {"PYTHONDONTWRITEBYTECODE", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", RUNTIME}
        return {key: value for key, value in os.environ.items() if key not in unset} | own


@cache
def _compiled_modules() -> str:
    """A folder for compiled modules, so that none is written into a checkout."""
    folder = tempfile.mkdtemp(prefix="aecodec-bench-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def contestants(model: str | None, against: Path | None) -> list[Contestant]:
    """All that are to be compared; whether they can run shows when they are started.

    Without a model that is named, the released one of each other tuning is a row, too.
    """
    ours = {"kind": "aecodec", "model": model}
    found = [
        Contestant(NUMPY, ours, runtime="numpy"),
        Contestant(NATIVE, ours, runtime="native"),
    ]
    if model is None:
        found += [
            Contestant(f"aecodec-{each.tune}", ours | {"model": each.name})
            for each in registry.MODELS
            if each.tune not in (None, registry.DEFAULT_TUNE)
        ]
    if against is not None:
        found.append(Contestant(AGAINST, {"kind": "aecodec", "model": None}, against))
    peers: dict[str, tuple[str, dict[str, Any]]] = {
        "jpeg420": ("JPEG", {"subsampling": "4:2:0", "optimize": True}),
        "webp": ("WEBP", {"method": 4}),
        "avif": ("AVIF", {"subsampling": "4:4:4", "speed": 6, "advanced": {"tune": "iq"}}),
        "jxl": ("JXL", {"effort": 7}),
    }
    for name, (kind, options) in peers.items():
        found.append(Contestant(name, {"kind": "pillow", "format": kind, "options": options}))
    found += [Contestant(PREFIX + name, {"kind": "untrained", "name": name}) for name in UNTRAINED]
    return found


@dataclass(frozen=True)
class Cost:
    """Seconds: of the wall clock, and of all threads of the process on the CPU."""

    wall: float
    cpu: float


@dataclass(frozen=True)
class Round:
    """What one encoding and decoding took, and the bytes of the file."""

    encode: Cost
    decode: Cost
    size: int


class Worker:
    """The process of a contestant, with its codec loaded."""

    def __init__(self, contestant: Contestant, threads: int) -> None:
        """Starts it, and waits until its codec is loaded.

        Raises:
            ContestantError: the codec cannot be loaded; the message says why.
        """
        self.name, self.threads = contestant.name, threads
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # `close` closes it
        spec = json.dumps(contestant.spec | {"threads": threads})
        self._process = subprocess.Popen(
            [sys.executable, "-P", str(_WORKER), spec],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True,
            env=contestant.environment(threads),
        )  # fmt: skip
        try:
            self._answer()
        except ContestantError:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Does nothing more."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Ends the process."""
        self.close()

    @property
    def process_id(self) -> int:
        """The number of its process."""
        return self._process.pid

    def measure(self, picture: Path, quality: float) -> Round:
        """Encodes and decodes a picture once.

        Raises:
            ContestantError: the codec failed, or its process ended.
        """
        assert self._process.stdin is not None
        try:
            request = json.dumps({"picture": str(picture), "quality": quality})
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        except OSError as exc:
            raise ContestantError(self._last_words()) from exc
        answer = self._answer()
        return Round(Cost(*answer["encode"]), Cost(*answer["decode"]), answer["size"])

    def close(self) -> None:
        """Ends the process."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):  # what was not sent yet cannot be
                    stream.close()
        self._process.wait()
        self._errors.close()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ContestantError(self._last_words())
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise ContestantError(answer["error"])
        return answer

    def _last_words(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        lines = self._errors.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else f"its process ended with code {code}"


def started(
    rows: Sequence[Contestant], threads: Sequence[int]
) -> tuple[list[Worker], list[Contestant], list[str]]:
    """Workers for each number of threads, the rows that have some, and a line for each other."""
    workers: list[Worker] = []
    running, left_out = [], []
    for row in rows:
        before = len(workers)
        try:
            workers.extend(Worker(row, number) for number in threads)
            running.append(row)
        except ContestantError as exc:
            for worker in workers[before:]:
                worker.close()
            del workers[before:]
            left_out.append(f"{row.name}: {exc}")
    return workers, running, left_out

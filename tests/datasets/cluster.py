"""A real Ray cluster of several nodes on this machine, whose nodes and workers can be killed.

Each node is a `ray start` with a raylet, an object store and workers of its own. The first one also
holds what keeps the cluster together; drivers join it, so that only others may be killed.
"""

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import psutil

OBJECT_STORE_BYTES = 150 << 20
_RAY = (sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats")
_START_SECONDS = 240.0
_POLL_SECONDS = 0.05


_C_LIBRARY = ctypes.CDLL(None) if sys.platform == "linux" else None
_PR_SET_PDEATHSIG = 1


def _end_with_parent() -> None:
    """Lets the system kill this process when the tests are killed; Ray's own do likewise."""
    if _C_LIBRARY is not None:
        _C_LIBRARY.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Node:
    """One node, with all its processes."""

    def __init__(self, arguments: list[str], environment: Mapping[str, str], log: Path) -> None:
        """Starts it; `log` takes what it says."""
        self._log = log
        command = [
            *_RAY, "--num-cpus=1", f"--object-store-memory={OBJECT_STORE_BYTES}",
            "--node-ip-address=127.0.0.1", "--min-worker-port=0", "--max-worker-port=0",
            "--dashboard-agent-listen-port=0", "--dashboard-agent-grpc-port=0",
            "--metrics-export-port=0", *arguments,
        ]  # fmt: skip
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                start_new_session=True, preexec_fn=_end_with_parent,
            )  # fmt: skip

    def wait(self) -> None:
        """Waits until it has joined its cluster.

        Raises:
            TimeoutError: it does not.
        """
        end = time.monotonic() + _START_SECONDS
        while "Ray runtime started" not in (said := self._log.read_text(errors="replace")):
            if time.monotonic() > end or self._process.poll() is not None:
                raise TimeoutError(f"Ray does not start: {said}")
            time.sleep(_POLL_SECONDS)

    def processes(self) -> list[psutil.Process]:
        """All its processes."""
        with suppress(psutil.NoSuchProcess):
            own = psutil.Process(self._process.pid)
            return [own, *own.children(recursive=True)]
        return []

    def workers(self) -> Iterator[psutil.Process]:
        """Its processes that work on tasks."""
        for process in self.processes():
            with suppress(psutil.Error):
                name = process.name()
                if name.startswith("ray::") and not name.endswith("Agent"):
                    yield process

    def kill(self) -> None:
        """Ends all its processes at once, as a loss of power does."""
        found = self.processes()
        for process in found:
            with suppress(psutil.NoSuchProcess):
                process.suspend()  # so that none sees another one's end
        for process in {*found, *self.processes()}:
            with suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(found, timeout=10)
        self._process.wait(10)


class Cluster:
    """Nodes of one CPU each, as a context."""

    def __init__(self, nodes: int = 2, environment: Mapping[str, str] | None = None) -> None:
        """Prepares that many nodes, whose workers have `environment` beside the present one."""
        self._count = nodes
        self.environment = {
            **os.environ, **(environment or {}), "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_worker_niceness": "0",
        }  # fmt: skip
        """What processes need that join it; only they may, since Ray listens to the network."""
        self.nodes: list[Node] = []
        self.address = ""

    def __enter__(self) -> "Cluster":
        # Sockets lie in this folder, and their paths must be short.
        self.folder = Path(tempfile.mkdtemp(prefix="aec-ray-"))
        try:
            self._start(["--head", "--port=0", "--include-dashboard=false",
                         f"--temp-dir={self.folder}"]).wait()  # fmt: skip
            self.address = (self.folder / "ray_current_cluster").read_text().strip()
            for node in [self.add_node() for _ in range(self._count - 1)]:
                node.wait()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        self._end()

    def add_node(self) -> Node:
        """Starts one more node, which may still be joining."""
        return self._start([f"--address={self.address}"])

    def _start(self, arguments: list[str]) -> Node:
        log = self.folder / f"node-{len(self.nodes)}.log"
        node = Node(arguments, self.environment, log)
        self.nodes.append(node)
        return node

    def _end(self) -> None:
        for node in reversed(self.nodes):
            node.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class MemoryKiller:
    """Kills what takes too much memory in a cluster, as a context.

    A system out of memory kills the largest process; Ray's own monitor kills the worker.
    """

    def __init__(self, cluster: Cluster, limit: int, *, whole_workers: bool = False) -> None:
        """Prepares to watch.

        Args:
            cluster: its workers and their children are watched.
            limit: resident bytes that each process may have.
            whole_workers: whether the worker is killed in place of its child.
        """
        self.killed = 0
        self._cluster, self._limit, self._whole = cluster, limit, whole_workers
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "MemoryKiller":
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:  # fmt: skip
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(_POLL_SECONDS):
            for node in self._cluster.nodes:
                for worker in node.workers():
                    self._check(worker)

    def _check(self, worker: psutil.Process) -> None:
        with suppress(psutil.Error):
            for process in (worker, *worker.children(recursive=True)):
                if process.memory_info().rss > self._limit:
                    (worker if self._whole else process).kill()
                    self.killed += 1
                    return

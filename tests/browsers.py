"""Node and Chromium as the tests of the decoder for browsers run them.

Without them such tests are skipped, but for continuous integration, where they fail.
"""

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from aecodec.models import registry

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = ROOT / "aecodec" / "viewer" / "web"
MODELS = ROOT / "aecodec" / "models"
MODEL, TABLES = "c929693e", "9116a9a4"
SECONDS = 300
TYPES = {
    ".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".json": "application/json",
    ".png": "image/png",
}  # fmt: skip

Result = dict[str, Any]
Task = dict[str, Any]


def program(name: str, *others: str) -> str:
    """Path of a program under one of its names."""
    for each in (name, *others):
        found = shutil.which(each)
        if found:
            return found
    message = f"{name} is not installed"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@dataclass
class Node:
    """The decoder under node, with the kernel, weights and tables of the package."""

    kernel: Path = SCRIPTS / "kernel.wasm"
    models: Mapping[str, Path] = field(
        default_factory=lambda: {
            each.model_id.hex(): MODELS / f"{each.name}.safetensors" for each in registry.MODELS
        }
    )
    tables: Mapping[str, Path] = field(
        default_factory=lambda: {TABLES: MODELS / "residual-1.safetensors"}
    )
    limits: Mapping[str, int] = field(default_factory=dict)

    def run(self, tasks: Sequence[Task]) -> list[Result]:
        """What became of each task.

        Args:
            tasks: each with `file`, and `options`, `turn` or `png`, see `driver.mjs`.
        """
        job = {
            "scripts": f"{SCRIPTS.as_uri()}/",
            "kernel": str(self.kernel),
            "models": {key: str(path) for key, path in self.models.items()},
            "tables": {key: str(path) for key, path in self.tables.items()},
            "limits": dict(self.limits),
            "tasks": [task | {"file": str(task["file"])} for task in tasks],
        }
        driver = Path(__file__).parent / "viewer" / "driver.mjs"
        done = subprocess.run(
            [program("node", "nodejs"), str(driver)], input=json.dumps(job).encode(),
            capture_output=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()
        found: list[Result] = json.loads(done.stdout)
        return found

    def decode(self, path: Path, **options: object) -> Result:
        """What became of one file."""
        return self.run([{"file": path, "options": options}])[0]


Answer = Callable[[str], bytes | None]
"""The bytes of a path such as `/decode.html`; None for none."""


@contextmanager
def served(answer: Answer) -> Iterator[str]:
    """The URL of a server on loopback, which ends with a slash."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            data = answer(path)
            self.send_response(200 if data is not None else 404)
            self.send_header("Content-Type", TYPES.get(Path(path).suffix, "application/binary"))
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write(data or b"")

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()

"""What the engine costs beside pictures: its driver, its manifest, and going on after a stop."""

import shutil
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from aecodec.datasets.items import Item
from aecodec.datasets.job import BLOCK_ITEMS
from aecodec.datasets.ledger import read_ledger
from aecodec.datasets.manifest import Manifest, Note, Row, now
from aecodec.datasets.stores import store_of
from benchmarks.footprint import Usage, run_once
from benchmarks.scale_measure import RAY, Way, environment

# The CPU time of the driver alone: neither of workers nor of Ray's own processes.
_DRIVER = """
import atexit, resource, sys
name = sys.argv.pop(1)
def note():
    used = resource.getrusage(resource.RUSAGE_SELF)
    with open(name, "w") as file:
        print(used.ru_utime + used.ru_stime, file=file)
atexit.register(note)
from aecodec.cli import main
main()
"""
BLOCK = BLOCK_ITEMS
"""Pictures of a block of the manifest that is made here."""
_PARTS = 64
_COPIES = (2, 8)
_TINY = (16, 256)
_LISTED = (500, 20_000)


@dataclass(frozen=True)
class EngineCosts:
    """Measured on one machine with a local disk.

    Attributes:
        manifest: seconds of a worker for the manifest of a block, with its note.
        manifest_bytes: of a picture in the manifest, in full blocks.
        dispatch: CPU seconds of the driver for a block.
        told: CPU seconds of the driver for a picture, at the highest.
        listed_bytes: of memory for a picture of one local folder, while it is listed.
        ledger_row: CPU seconds for a picture of the manifest that is read to go on.
        ledger_bytes: of memory for it, at the peak.
    """

    manifest: float
    manifest_bytes: float
    dispatch: float
    told: float
    listed_bytes: float
    ledger_row: float
    ledger_bytes: float


def measure_engine(folder: Path) -> EngineCosts:
    """Measures all of it, in an empty folder.

    Raises:
        RuntimeError: a command failed.
    """
    manifest = Manifest(store_of(str(folder / "done")))
    seconds, part_bytes = manifest_costs(manifest)
    row_seconds, row_bytes = ledger_costs(manifest, folder / "done")
    few, many = (listing(folder / f"listed{count}", count) for count in _LISTED)
    more = _LISTED[1] - _LISTED[0]
    told = max(0.0, many.cpu_seconds - few.cpu_seconds) / more
    start, whole = (_driver_seconds(folder / f"tiny{count}", count) for count in _TINY)
    blocks = _TINY[1] - _TINY[0]
    return EngineCosts(
        seconds, part_bytes / BLOCK, max(0.0, (whole - start) / blocks - told), told,
        max(0.0, (many.peak_mib - few.peak_mib) * 2**20 / more), row_seconds, row_bytes,
    )  # fmt: skip


def _row(number: int) -> Row:
    """A row as a run writes it."""
    path = f"2026/11/{number % 30:02}/picture-{number:09}.jpg"
    rng = np.random.default_rng(number)
    return {
        "path": path, "output": path.replace(".jpg", ".aec"), "state": "done",
        "size": int(rng.integers(10**6)), "bytes": int(rng.integers(5 * 10**5)), "width": 2448,
        "height": 1632, "bpp": rng.random(), "warnings": [], "seconds": rng.random(),
        "sha256": rng.bytes(32).hex(), "fingerprint": rng.bytes(16).hex(), "begun": True,
        "options": "a" * 32, "run": "20261127T000000-00000000", "finished": now(),
    }  # fmt: skip


def manifest_costs(manifest: Manifest) -> tuple[float, float]:
    """Writes parts as workers do; mean seconds and bytes of a part."""
    start = time.perf_counter()
    for number in range(_PARTS):
        rows = [_row(BLOCK * number + each) for each in range(BLOCK)]
        items = tuple(Item(row["path"], output=row["output"]) for row in rows)
        part = manifest.part_name("run", items)
        if manifest.read_part(part) is None and manifest.noted(part) is None:
            manifest.note(part, Note(frozenset(row["output"] for row in rows), 1))
        manifest.write_part(part, rows)
        manifest.forget(part)
    seconds = time.perf_counter() - start
    names = [manifest.at(name) for name in manifest.store.names(manifest.folder)]
    sizes = [len(manifest.store.read(name) or b"") for name in names if name.endswith(".parquet")]
    return seconds / _PARTS, sum(sizes) / len(sizes)


def ledger_costs(manifest: Manifest, folder: Path) -> tuple[float, float]:
    """CPU seconds and peak bytes for a picture that is read; more parts than are read at a time."""
    seconds, peaks, counts = [], [], []
    parts = sorted((folder / manifest.folder).glob("*.parquet"))
    for copies in _COPIES:
        for number in range(copies):
            for part in parts:
                shutil.copy(part, part.with_name(f"{number}-{part.name}"))
        counts.append(len(list((folder / manifest.folder).glob("*.parquet"))) * BLOCK)
        start = time.process_time()
        read_ledger(manifest)
        seconds.append(time.process_time() - start)
        tracemalloc.start()
        read_ledger(manifest)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    rows = counts[1] - counts[0]
    return (seconds[1] - seconds[0]) / rows, (peaks[1] - peaks[0]) / rows


def listing(place: Path, count: int) -> Usage:
    """A dry run of the engine over so many files, which it only lists and tells of."""
    place.mkdir()
    for number in range(count):
        (place / f"picture-{number:09}.png").touch()
    words = Way(RAY, 1).command(place, place.with_suffix(".out"))
    return run_once([*words, "--json", "--dry-run"], environment())


def _driver_seconds(place: Path, count: int) -> float:
    """CPU seconds of the driver in a run over so many tiny pictures, each in a block of its own."""
    place.mkdir()
    for number in range(count):
        Image.new("RGB", (8, 8), (number % 256, 0, 0)).save(place / f"{number:05}.png")
    noted = place.with_suffix(".seconds")
    words = Way(RAY, 2).command(place, place.with_suffix(".out"))[3:]
    run_once(["-c", _DRIVER, str(noted), *words, "--block-size", "1"], environment())
    return float(noted.read_text(encoding="utf-8"))

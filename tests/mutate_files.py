"""Runs mutated files through every way of reading them: a driver for long, repeatable runs.

Not collected by pytest. From the root of the repository:

    PYTHONPATH=. python tests/mutate_files.py --seed 1 --count 100000 --report runs.jsonl

Any error but the package's own, a reading that contradicts another, an input that takes longer than
`--seconds-each`, and memory beyond `--megabytes` end the run with code 1 and the input in `--keep`.
The same seed and count give the same inputs. The report gets one line of JSON.
"""

import argparse
import faulthandler
import hashlib
import json
import random
import resource
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import torch
from conftest import export_tiny, make_tiny_model
from mutation import LIMITS, Mutator, exercise, seeds

from aecodec.codec import Codec

HANG_SECONDS = 120


def main() -> None:
    """Runs what the arguments say."""
    arguments = _arguments()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", module=r"PIL\.")  # as the command line does
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "tiny.safetensors"
        export_tiny(make_tiny_model(), weights)
        codec = Codec(weights, limits=LIMITS)
        files = seeds(codec)
        report = run(Mutator(codec, files, arguments.seed), arguments)
    line = json.dumps(report)
    sys.stdout.write(line + "\n")
    if arguments.report:
        with Path(arguments.report).open("a", encoding="utf-8") as file:
            file.write(line + "\n")
    sys.exit(1 if report["findings"] else 0)


def run(mutator: Mutator, arguments: argparse.Namespace) -> dict[str, object]:
    """Runs all inputs and tells what came of them."""
    outcomes: Counter[str] = Counter()
    findings: list[str] = []
    slowest, slowest_number = 0.0, -1
    for data in mutator.files:
        exercise(mutator.codec, data, random.Random(0))
    before = _peak()
    budget = arguments.megabytes * 2**20
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + budget, resource.RLIM_INFINITY))
    start = time.monotonic()
    for number in range(arguments.start, arguments.start + arguments.count):
        data = mutator.input(number)
        faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
        begun = time.process_time()
        try:
            outcomes[exercise(mutator.codec, data, random.Random(number))] += 1
            fault = ""
        except Exception:  # the purpose of the run
            fault = traceback.format_exc()
        took = time.process_time() - begun
        if took > slowest:
            slowest, slowest_number = took, number
        if not fault and took > arguments.seconds_each:
            fault = f"{took:.1f} s"
        if fault:
            findings.append(keep(data, fault, arguments, number))
            if len(findings) >= arguments.most:
                break
    faulthandler.cancel_dump_traceback_later()
    growth = (_peak() - before) / 2**20
    if growth > arguments.megabytes:
        findings.append(f"peak memory grew by {growth:.0f} MB")
    return {
        "seed": mutator.seed,
        "start": arguments.start,
        "inputs": sum(outcomes.values()) + len(findings),
        "outcomes": dict(outcomes.most_common()),
        "seconds": round(time.monotonic() - start, 1),
        "slowest_cpu_seconds": round(slowest, 3),
        "slowest_number": slowest_number,
        "peak_mb": round(_peak() / 2**20),
        "growth_mb": round(growth),
        "findings": findings,
    }


def keep(data: bytes, fault: str, arguments: argparse.Namespace, number: int) -> str:
    """Writes an input that must not be lost, and tells where."""
    folder = Path(arguments.keep)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{hashlib.sha256(data).hexdigest()[:12]}.aec"
    path.write_bytes(data)
    sys.stderr.write(f"input {number} of seed {arguments.seed}, {path}:\n{fault}\n")
    return f"{path}: {fault.strip().splitlines()[-1]}"


def _peak() -> int:
    """Largest resident size so far, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Reads mutated files in every way.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first input")
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seconds-each", type=float, default=5.0, help="limit of CPU time")
    parser.add_argument("--megabytes", type=int, default=512, help="limit of growth")
    parser.add_argument("--most", type=int, default=10, help="findings that end the run")
    parser.add_argument("--keep", default="findings", help="folder for findings")
    parser.add_argument("--report", help="file to append a line of JSON to")
    return parser.parse_args()


if __name__ == "__main__":
    main()

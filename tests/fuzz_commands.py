"""Runs the command line on mutated pictures and .aec files, odd names and odd arguments.

Not collected by pytest; `tests/cli/test_fuzzed_commands.py` runs a few. From the root of the
repository:

    PYTHONPATH=. python tests/fuzz_commands.py --seed 1 --count 20000 --report runs.jsonl

An exception or an exit code that is none of aecodec's own, a failure without a reason, a temporary
file that is left behind, and a run that takes longer than `--seconds-each` are findings, and end
the run with code 1. The same seed gives the same commands.
"""

import argparse
import contextlib
import faulthandler
import io
import json
import os
import random
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import numpy as np
import torch
from conftest import export_tiny, make_picture, make_tiny_model
from PIL import Image
from shell import cleanly_ended

from aecodec.cli import main as command_line
from aecodec.codec import Codec
from aecodec.jobs.runner import DEBUG

HANG_SECONDS = 120
CODES = {0, 1, 2, 141}
"""What a run may end with."""
_ODD = (0, 1, 127, 128, 254, 255)
_NAMES = (
    "a b.png", "ä鷗.png", "-dash.png", "new\nline.png", "bad\udcff.png", "UP.PNG", "noext",
    "a.tar.png", "x" * 251 + ".png", "x" * 300, "a\0b", "", ".", "..", "/", "-", "loop", "folder",
    "none/x.png", "a.png/x", "/dev/null", "/dev/full", "/dev/fd/99", "/dev/fd/x", "memory://none",
    "http://", "://", "%s{}",
)  # fmt: skip
_OUTPUTS = (
    "o.aec", "o.png", "o.jpg", "o.webp", "o.tif", "o.avif", "o.gif", "o.bmp", "o.ppm", "o.jp2",
    "o.ico", "o.icns", "o.tga", "o.pcx", "o.sgi", "o.qoi", "o.pdf", "o.eps", "o.xbm", "o.msp",
    "o.palm", "o.dds", "o.im", "o.blp", "o.h5", "o.wmf", "o.mpo", "o.bw", "o", "/dev/null",
    "/dev/full", "-",
)  # fmt: skip
_VALUES = (
    "0", "1", "-1", "100", "101", "nan", "inf", "1e999", "", "x", "0,0,8,8", "1,2,3", "9" * 30,
    "1/2", "1KB", "white", "#12", "lossless", "icc,exif", "\0", "½", "8",
)  # fmt: skip
_FLAGS = (
    "--lossless", "--checksum", "--strip", "-f", "--lossy", "--allow-truncated", "--preserve",
    "--json", "--help", "--nothing",
)  # fmt: skip
_VALUED = (
    "-q", "-e", "--size", "--bpp", "--psnr", "--max-error", "--keep", "--alpha-quality",
    "--max-pixels", "-j", "--region", "--scale", "--depth", "--background", "--output-quality",
    "--model", "--roi", "--roi-mask", "--variance-boost",
)  # fmt: skip
_SANE = {
    "-q": ("0", "50", "100"), "-e": ("0", "1"), "--max-error": ("0", "3"),
    "--region": ("0,0,8,8", "3,2,5,9"), "--scale": ("1/2", "1/4"),
    "--background": ("white", "#ff8000"), "--output-quality": ("5", "100", "lossless"),
    "--keep": ("icc", "exif,xmp", "text,iptc"), "-j": ("1", "2"), "--depth": ("8",),
    "--max-pixels": ("100", "99999"), "--alpha-quality": ("50",),
    "--roi": ("0,0,8,8:+20", "3,2,5,9:-7.5", "0,0,40,24:100"), "--variance-boost": ("0", "3", "10"),
    "--roi-mask": ("i0.png:+20", "i1.webp:-100", "i2.16.png:3", "none:1"),
}  # fmt: skip
_OF_COMMANDS = {
    "compress": (
        ("--lossless", "--checksum", "--strip", "-f", "--preserve"),
        (
            "-q",
            "-e",
            "--max-error",
            "--keep",
            "-j",
            "--max-pixels",
            "--alpha-quality",
            "--roi",
            "--roi-mask",
            "--variance-boost",
        ),
    ),
    "compare": (("--json", "-f"), ("--max-pixels",)),
    "decompress": (
        ("--lossy", "--strip", "-f", "--preserve", "--allow-truncated"),
        ("--region", "--scale", "--background", "--output-quality", "--depth", "-j"),
    ),
}
"""The flags and the options that each command has."""
_VERBS = ("compress", "decompress", "decompress", "info", "verify", "repair", "compare")
_PACKED_SHARE = {"compress": 0.05, "compare": 0.5}
"""How often inputs of a command are .aec files."""


@dataclass
class Findings:
    """What came of the commands.

    Attributes:
        codes: how many ended with each exit code.
        faults: what must not have happened.
        slowest: the longest, in seconds.
    """

    codes: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slowest: float = 0.0


def pictures() -> dict[str, bytes]:
    """Small pictures of many formats with metadata of all kinds, by the ends of their names."""
    exif = Image.Exif()
    exif[271], exif[274], exif[34665] = "Maker", 6, {36867: "2024:01:01 00:00:00", 40962: 40}
    rgb = Image.fromarray(make_picture(24, 40))
    alpha = Image.fromarray(np.dstack([make_picture(24, 40), make_picture(24, 40)[..., 0]]))
    deep = Image.fromarray(make_picture(9, 11)[..., 0].astype(np.uint16) * 257)
    found = {}
    for suffix, kind, image in (
        ("png", "PNG", rgb), ("jpg", "JPEG", rgb), ("webp", "WEBP", alpha), ("tif", "TIFF", rgb),
        ("gif", "GIF", rgb), ("bmp", "BMP", rgb), ("ppm", "PPM", rgb), ("avif", "AVIF", rgb),
        ("jp2", "JPEG2000", rgb), ("tga", "TGA", alpha), ("ico", "ICO", rgb),
        ("la.png", "PNG", alpha.convert("LA")), ("p.png", "PNG", rgb.convert("P")),
        ("16.png", "PNG", deep), ("cmyk.jpg", "JPEG", rgb.convert("CMYK")), ("psd", "PNG", rgb),
        ("sgi", "SGI", rgb), ("pcx", "PCX", rgb),
    ):  # fmt: skip
        stream = io.BytesIO()
        if kind in ("PNG", "JPEG", "WEBP", "AVIF"):
            image.save(stream, kind, exif=exif.tobytes())
        else:
            image.save(stream, kind)
        found[suffix] = stream.getvalue()
    return found


def mutated(data: bytes, random_: random.Random) -> bytes:
    """Bytes with a few changed, cut out, doubled or cut off; often as they are."""
    if random_.random() < 0.3:
        return data
    changed = bytearray(data)
    for _ in range(random_.choice((1, 1, 2, 5, 20))):
        at = random_.randrange(len(changed) + 1)
        kind = random_.randrange(5)
        if kind == 0 and at < len(changed):
            changed[at] = random_.choice(_ODD)
        elif kind == 1 and at < len(changed):
            changed[at] ^= 1 << random_.randrange(8)
        elif kind == 2:
            del changed[at : at + random_.choice((1, 2, 4, 100))]
        elif kind == 3:
            changed[at:at] = changed[at : at + random_.choice((1, 4, 30))]
        elif random_.random() < 0.3:
            del changed[at:]
    return bytes(changed)


class Fuzzer:
    """Makes command lines in a folder and runs them."""

    def __init__(self, folder: Path, weights: Path, seed: int) -> None:
        self.folder, self.weights, self.seed = folder, weights, seed
        self.pictures = pictures()
        codec = Codec(weights)
        self.packed = [
            codec.compress(make_picture(24, 40), 60, lossless_tiles=False),
            codec.compress(make_picture(24, 40), lossless=True),
            codec.compress(np.dstack([make_picture(20, 20)] * 2)[..., :4], 40),
            codec.compress(make_picture(16, 16)[..., 0].astype(np.uint16) * 200, 90),
        ]
        for data in self.pictures.values():
            with contextlib.suppress(ValueError), Image.open(io.BytesIO(data)) as image:
                self.packed.append(codec.compress(image, 50))

    def command(self, number: int) -> list[str]:
        """The arguments of a command; its input files are written."""
        random_ = random.Random(f"{self.seed} {number}")
        for path in self.folder.iterdir():
            if path.is_symlink() or path.is_file():
                path.unlink()
        (self.folder / "folder").mkdir(exist_ok=True)
        (self.folder / "loop").symlink_to("loop")
        verb = random_.choice(_VERBS)
        several = verb == "compare" or (verb != "repair" and random_.random() < 0.2)
        names = [self._input(verb, random_) for _ in range(2 if several else 1)]
        arguments = [verb]
        if verb in _OF_COMMANDS:
            arguments += self._options(verb, random_)
        if (verb == "repair" or random_.random() < 0.7) and verb not in ("info", "verify"):
            odd = random_.random() < 0.15
            output = "folder" if several and verb != "compare" else random_.choice(_OUTPUTS)
            arguments += ["-o", random_.choice(_NAMES) if odd else output]
        if verb != "info":
            arguments += ["--model", str(self.weights)]
        return [*arguments, *(["--"] if random_.random() < 0.8 else []), *names]

    def _input(self, verb: str, random_: random.Random) -> str:
        suffix = random_.choice(list(self.pictures))
        data = self.pictures[suffix]
        if random_.random() < _PACKED_SHARE.get(verb, 0.95):
            suffix, data = "aec", random_.choice(self.packed)
        if random_.random() < 0.1:
            name = random_.choice([each for each in _NAMES if not each.startswith("/dev/full")])
        else:
            name = f"i{random_.randrange(3)}.{suffix}"
        with contextlib.suppress(OSError, ValueError):
            if "/" not in name:
                (self.folder / name).write_bytes(mutated(data, random_))
        return name

    def _options(self, verb: str, random_: random.Random) -> Iterator[str]:
        for _ in range(random_.choice((0, 0, 1, 1, 2, 4))):
            mine = _OF_COMMANDS[verb]
            if random_.random() < 0.4:
                yield random_.choice(_FLAGS if random_.random() < 0.1 else mine[0])
            elif random_.random() < 0.9:
                name = random_.choice(mine[1])
                yield from (name, random_.choice(_SANE[name]))
            else:
                yield from (random_.choice(_VALUED), random_.choice(_VALUES))

    def run(self, number: int, findings: Findings, seconds: float) -> None:
        """Runs a command and notes what must not have happened."""
        arguments = self.command(number)
        before = {path.name for path in self.folder.iterdir()}
        start = time.process_time()
        fault = ""
        try:
            code, errors = cleanly_ended(command_line, arguments)
            findings.codes[code] += 1
            if code not in CODES:
                fault = f"exit code {code}"
            elif "Traceback" in errors or "a fault in aecodec" in errors:
                fault = errors
            elif code == 1 and "aecodec: " not in errors:
                fault = f"no reason is given: {errors!r}"
        except Exception:  # the purpose of the run
            fault = traceback.format_exc()
        took = time.process_time() - start
        findings.slowest = max(findings.slowest, took)
        left = [p.name for p in self.folder.iterdir() if p.name.endswith(".partial")]
        if left:
            fault = fault or f"left behind: {left}, before {before}"
        if took > seconds:
            fault = fault or f"{took:.1f} s"
        if fault:
            findings.faults.append(f"input {number} of seed {self.seed}: {arguments}\n{fault}")


@contextlib.contextmanager
def fuzzing(seed: int) -> Iterator[Fuzzer]:
    """A fuzzer in a folder of its own, which is the current one until the end of the block."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=UserWarning)
    before, debug = Path.cwd(), os.environ.get(DEBUG)
    with tempfile.TemporaryDirectory() as folder:
        weights = Path(folder) / "tiny.safetensors"
        export_tiny(make_tiny_model(), weights)
        work = Path(folder) / "work"
        work.mkdir()
        os.environ[DEBUG] = "1"
        os.chdir(work)
        try:
            yield Fuzzer(work, weights, seed)
        finally:
            os.chdir(before)
            if debug is None:
                del os.environ[DEBUG]


def main() -> None:
    """Runs what the arguments say."""
    parser = argparse.ArgumentParser(description="Runs the command line on odd inputs.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first command")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seconds", type=float, help="end after this time, whatever the count is")
    parser.add_argument("--seconds-each", type=float, default=10.0, help="limit of CPU time")
    parser.add_argument("--most", type=int, default=10, help="findings that end the run")
    parser.add_argument("--report", help="file to append a line of JSON to")
    arguments = parser.parse_args()
    findings, start, done = Findings(), time.monotonic(), 0
    with fuzzing(arguments.seed) as fuzzer:
        for number in range(arguments.start, arguments.start + arguments.count):
            faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
            fuzzer.run(number, findings, arguments.seconds_each)
            done += 1
            late = arguments.seconds and time.monotonic() - start > arguments.seconds
            if late or len(findings.faults) >= arguments.most:
                break
    faulthandler.cancel_dump_traceback_later()
    report = {
        "seed": arguments.seed, "start": arguments.start, "commands": done,
        "codes": dict(findings.codes), "seconds": round(time.monotonic() - start, 1),
        "slowest_cpu_seconds": round(findings.slowest, 2), "findings": findings.faults,
    }  # fmt: skip
    sys.stdout.write("\n\n".join([*findings.faults, json.dumps(report)]) + "\n")
    if arguments.report:
        with Path(arguments.report).open("a", encoding="utf-8") as file:
            file.write(json.dumps(report) + "\n")
    sys.exit(1 if findings.faults else 0)


if __name__ == "__main__":
    main()

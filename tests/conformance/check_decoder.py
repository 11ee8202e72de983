"""Runs the conformance kit against any decoder of .aec files; needs NumPy and Pillow alone.

    python check_decoder.py --decode "aecodec decompress {input} -o {output}" \
        --region "aecodec decompress {input} -o {output} --region {x},{y},{width},{height}"

`--decode` is a command that writes a PNG and exits with 0, or exits with another code and writes
nothing. `--region` (optional) does so for a part of the picture. `--latents` (optional) writes the
latents of all TILE chunks in their order, as for the checksum of section 9.5: little-endian int16
in units of 1/16 step, in the order row, column, channel. `{input}` and
`{output}` stand for paths. Arguments are split as a shell would; no shell runs. The exit code is 0
if everything passes.

`manifest.json` lists under `valid` each file's pixels (`pixels`, a PNG), which a decoder gives
exactly, also under an alpha of 0; `pixels_sha256` of the samples in the order row, column, channel;
`latents_sha256` and `symbols_sha256` over all TILE chunks (symbols: little-endian int32,
the residuals of the quality map where `map` is true, hyper-latents and then passes 1 to 4 of each
tile, each group in the order of sections 9.6 and 9.3);
`regions` as [x, y, width, height]; `optional` chunks as [type, SHA-256 of the payload], and how
many equal ones follow each other if more than one. Under `invalid` it lists the errors of
section 5, of which any may be reported. Sections are those of `aecodec/format/SPECIFICATION.md`.
"""

import argparse
import hashlib
import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

KIT = Path(__file__).resolve().parent
SECONDS = 300
"""Limit of one command."""

Entry = dict[str, Any]


def load_manifest(kit: Path = KIT) -> Entry:
    """The manifest; every file that it names must be there, and every .aec file be named."""
    manifest: Entry = json.loads((kit / "manifest.json").read_text(encoding="utf-8"))
    named = {entry["file"] for entry in manifest["valid"] + manifest["invalid"]}
    present = {path.relative_to(kit).as_posix() for path in kit.rglob("*.aec")}
    pictures = {entry["pixels"] for entry in manifest["valid"]}
    missing = sorted(named - present) + sorted(p for p in pictures if not (kit / p).is_file())
    if missing or present - named:
        raise FileNotFoundError(f"missing: {missing}, not listed: {sorted(present - named)}")
    return manifest


def expected_pixels(entry: Entry, kit: Path = KIT) -> "np.ndarray[Any, np.dtype[Any]]":
    """`(h, w)` or `(h, w, c)`, uint8 or uint16."""
    with Image.open(kit / entry["pixels"]) as image:
        return np.asarray(image)


def compare(pixels: "np.ndarray[Any, Any]", expected: "np.ndarray[Any, Any]") -> str:
    """What is wrong with decoded pixels; nothing if they conform."""
    if pixels.shape != expected.shape or pixels.dtype != expected.dtype:
        found, wish = (f"{each.dtype} {each.shape}" for each in (pixels, expected))
        return f"{found}, expected {wish}"
    largest = int(np.abs(pixels.astype(int) - expected).max())
    return f"a sample differs by {largest}" if largest else ""


def digest(data: "np.ndarray[Any, Any]") -> str:
    """SHA-256 of an array's bytes."""
    return hashlib.sha256(np.ascontiguousarray(data).tobytes()).hexdigest()


class Runner:
    """Runs one kind of command."""

    def __init__(self, template: str) -> None:
        self._words = shlex.split(template)

    def __call__(self, source: Path, target: Path, **values: int) -> tuple[int, str]:
        """Exit code and the last line on standard error."""
        words = [word.format(input=source, output=target, **values) for word in self._words]
        done = subprocess.run(words, capture_output=True, timeout=SECONDS, check=False)
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        return done.returncode, lines[-1] if lines else ""


def check_valid(entry: Entry, commands: dict[str, Runner], folder: Path) -> Iterator[str]:
    """Yields what fails."""
    expected = expected_pixels(entry)
    source = KIT / entry["file"]
    target = folder / "whole.png"
    code, line = commands["decode"](source, target)
    if code or not target.is_file():
        yield f"exit code {code}: {line}"
        return
    with Image.open(target) as image:
        pixels = np.asarray(image)
    yield compare(pixels, expected)
    if digest(pixels) != entry["pixels_sha256"]:
        yield "pixels_sha256 differs"
    if "region" in commands:
        for number, (x, y, width, height) in enumerate(entry.get("regions", ())):
            part = folder / f"region{number}.png"
            code, line = commands["region"](source, part, x=x, y=y, width=width, height=height)
            if code or not part.is_file():
                yield f"region {number}: exit code {code}: {line}"
                continue
            with Image.open(part) as image:
                fault = compare(np.asarray(image), expected[y : y + height, x : x + width])
            yield fault and f"region {number}: {fault}"
    if "latents" in commands and "latents_sha256" in entry:
        latents = folder / "latents.bin"
        code, line = commands["latents"](source, latents)
        found = hashlib.sha256(latents.read_bytes()).hexdigest() if not code else line
        yield "" if found == entry["latents_sha256"] else f"latents differ: {found}"


def check_invalid(entry: Entry, commands: dict[str, Runner], folder: Path) -> Iterator[str]:
    """Yields what fails."""
    target = folder / "out.png"
    code, _ = commands["decode"](KIT / entry["file"], target)
    if not code:
        yield f"accepted, expected {' or '.join(entry['errors'])}"
    if target.exists():
        yield "left an output behind"


def main() -> None:
    """Runs the kit as the arguments say."""
    parser = argparse.ArgumentParser(description="Runs the kit against a decoder.")
    parser.add_argument("--decode", required=True, metavar="COMMAND")
    parser.add_argument("--region", metavar="COMMAND")
    parser.add_argument("--latents", metavar="COMMAND")
    parser.add_argument("--only", metavar="TEXT", default="", help="files whose names hold this")
    arguments = vars(parser.parse_args())
    names = ("decode", "region", "latents")
    commands = {name: Runner(arguments[name]) for name in names if arguments[name]}
    manifest = load_manifest()
    failed = total = 0
    for kind, check in (("valid", check_valid), ("invalid", check_invalid)):
        for entry in manifest[kind]:
            if arguments["only"] not in entry["file"]:
                continue
            with tempfile.TemporaryDirectory() as folder:
                faults = [fault for fault in check(entry, commands, Path(folder)) if fault]
            failed, total = failed + bool(faults), total + 1
            sys.stdout.write(f"{'FAIL' if faults else 'ok  '} {entry['file']}: {entry['what']}\n")
            sys.stdout.writelines(f"     {fault}\n" for fault in faults)
    sys.stdout.write(f"{total - failed} of {total} pass\n")
    sys.exit(1 if failed or not total else 0)


if __name__ == "__main__":
    main()

"""Compiles the kernel: for this machine, and to WebAssembly for browsers.

`python -m aecodec.decoder.build_kernel` does both in a checkout. The hook that builds wheels runs
this file alone: it imports nothing but the standard library, and what only compiling needs when it
compiles.
"""

import hashlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path

SOURCES = Path(__file__).with_name("kernel")
LIBRARY_NAME = "kernel.dylib" if sys.platform == "darwin" else "kernel.so"
WASM = Path("viewer", "web", "kernel.wasm")
"""Where the browsers' kernel lies within the package."""
WASM_DIGEST = Path("viewer", "web", "decoder", "kernel_digest.js")
"""Where browsers find the kernel's SHA-256: a damaged one could give wrong pixels."""

COMPILERS = ("cc", "gcc", "clang")
WASM_COMPILERS = ("clang", "clang-14")
SECONDS = 600

# Nothing here may change what numbers are: no contraction, no fast arithmetic.
_COMMON = ("-std=gnu11", "-ffp-contract=off", "-fvisibility=hidden", "-Wno-psabi")
_NATIVE = ("-O3", "-fPIC", "-shared", "-pthread")
_WASM = (
    "--target=wasm32", "-Os", "-msimd128", "-mbulk-memory", "-ffreestanding", "-nostdlib",
    "-Wl,--no-entry", "-Wl,--export-dynamic", "-Wl,--strip-all", "-Wl,-z,stack-size=131072",
)  # fmt: skip


class BuildError(Exception):
    """No compiler is there, or it failed."""


def source_digest() -> str:
    """SHA-256 of the sources, which the kernel states as its own."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.glob("*.[ch]")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes().replace(b"\r\n", b"\n"))
    return digest.hexdigest()


def build_native(target: Path) -> None:
    """Compiles the kernel for this machine; all its instruction levels are in one library.

    Args:
        target: the file that is written.

    Raises:
        BuildError: no compiler is there, or it failed.
    """
    if sys.platform == "win32":
        raise BuildError("the kernel has no threads for Windows")
    wished = os.environ.get("CC", "").split()
    _compile(wished or [_found(COMPILERS)], _NATIVE, target)


def build_wasm(target: Path) -> None:
    """Compiles the kernel to WebAssembly; the same compiler gives the same bytes.

    Raises:
        BuildError: see `build_native`; clang and its linker `wasm-ld` are needed.
    """
    _compile([_found(WASM_COMPILERS)], _WASM, target)


def wasm_digest_script(kernel: bytes) -> str:
    """The script that tells browsers which kernel is whole."""
    digest = hashlib.sha256(kernel).hexdigest()
    return (
        "/** SHA-256 of kernel.wasm: a damaged kernel could give wrong pixels. */\n"
        f'export const KERNEL_SHA256 =\n  "{digest}";\n'
    )


def wasm_compiler() -> str:
    """What the compiler of WebAssembly says of its version; "" without one."""
    try:
        said = _run([_found(WASM_COMPILERS), "--version"])
    except BuildError:
        return ""
    return said.partition("\n")[0]


def _found(names: Sequence[str]) -> str:
    import shutil

    for name in names:
        if path := shutil.which(name):
            return path
    raise BuildError(f"none of {', '.join(names)} is installed")


def _compile(compiler: Sequence[str], options: Sequence[str], target: Path) -> None:
    """Writes beside the target and renames, since another process may have it loaded."""
    import tempfile

    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".kernel-") as folder:
        made = Path(folder, target.name)
        identity = f'-DAEC_SOURCE="{source_digest()}"'
        source = str(SOURCES / "kernel.c")
        _run([*compiler, *_COMMON, *options, identity, source, "-o", str(made)])
        made.replace(target)


def _run(command: Sequence[str]) -> str:
    import subprocess

    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False,
            env={**os.environ, "LC_ALL": "C"},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as exc:
        raise BuildError(f"{command[0]}: {exc}") from exc
    if done.returncode:
        raise BuildError(f"{command[0]} failed:\n{done.stderr[-2000:]}")
    return done.stdout


def main() -> int:
    """Builds what is asked for; see `--help`."""
    import argparse

    parser = argparse.ArgumentParser(description="Compiles the kernel of this checkout.")
    parser.add_argument("only", nargs="?", choices=("native", "wasm"), help="by default both")
    only = parser.parse_args().only
    targets = {
        "native": (build_native, SOURCES / LIBRARY_NAME),
        "wasm": (build_wasm, SOURCES.parents[1] / WASM),
    }
    failed = False
    for name, (build, target) in targets.items():
        if only in (None, name):
            try:
                build(target)
                if name == "wasm":
                    script = wasm_digest_script(target.read_bytes())
                    (SOURCES.parents[1] / WASM_DIGEST).write_text(script, encoding="utf-8")
                sys.stdout.write(f"{target}: {target.stat().st_size} bytes\n")
            except BuildError as exc:
                failed = True
                sys.stderr.write(f"{name}: {exc}\n")
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())

"""Building the kernel: for this machine, for browsers, and not at all."""

import subprocess
import sys
from pathlib import Path

import pytest

from aecodec.decoder import build_kernel
from aecodec.decoder.build_kernel import (
    LIBRARY_NAME,
    SOURCES,
    WASM,
    BuildError,
    build_native,
    build_wasm,
    source_digest,
    wasm_compiler,
)
from aecodec.decoder.native_library import load_library

PACKAGED = SOURCES.parents[1] / WASM
WASM_BYTES = 100_000
WASM_COMPILER = "Debian clang version 14.0.6"
"""What the packaged file was built with: another compiler gives other bytes."""


@pytest.mark.slow
def test_the_native_kernel_is_that_of_its_sources(tmp_path: Path) -> None:
    try:
        build_native(tmp_path / LIBRARY_NAME)
    except BuildError as exc:
        pytest.skip(str(exc))
    assert load_library(tmp_path / LIBRARY_NAME).aec_source().decode() == source_digest()
    assert [path.name for path in tmp_path.iterdir()] == [LIBRARY_NAME]


def test_the_packaged_wasm_is_that_of_these_sources() -> None:
    """It states the digest of its sources, as the native kernel does."""
    data = PACKAGED.read_bytes()
    assert data.startswith(b"\0asm")
    assert source_digest().encode() in data
    assert len(data) <= WASM_BYTES


def test_the_same_compiler_builds_the_same_wasm(tmp_path: Path) -> None:
    if wasm_compiler() != WASM_COMPILER:
        pytest.skip(f"the packaged file was built by {WASM_COMPILER}")
    build_wasm(tmp_path / "kernel.wasm")
    assert (tmp_path / "kernel.wasm").read_bytes() == PACKAGED.read_bytes()


def test_without_a_compiler_an_error_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    for build in (build_native, build_wasm):
        with pytest.raises(BuildError, match="is installed"):
            build(tmp_path / "kernel")
    assert not list(tmp_path.iterdir())


def test_a_compiler_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", f"{sys.executable} -c raise(SystemExit(3))")
    with pytest.raises(BuildError, match="failed"):
        build_native(tmp_path / LIBRARY_NAME)
    monkeypatch.setenv("CC", str(tmp_path / "no-such-compiler"))
    with pytest.raises(BuildError, match="no-such-compiler"):
        build_native(tmp_path / LIBRARY_NAME)
    assert not list(tmp_path.iterdir())


def test_the_file_needs_nothing_but_the_standard_library() -> None:
    """The hook of an isolated build runs it where nothing is installed."""
    done = subprocess.run(
        [sys.executable, "-S", "-I", build_kernel.__file__, "--help"], check=False, text=True,
        capture_output=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

"""The kernel under AddressSanitizer and UndefinedBehaviorSanitizer, called at random."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from aecodec.decoder.build_kernel import SOURCES

FUZZER = Path(__file__).with_name("fuzz_kernel.c")
ROUNDS = 40
OPTIONS = (
    "-std=gnu11", "-g", "-O0", "-fsanitize=address,undefined", "-fno-sanitize-recover=all",
    "-ffp-contract=off", "-Wno-psabi", "-pthread",
)  # fmt: skip
ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=1",
    "UBSAN_OPTIONS": "halt_on_error=1",
}


def compiled(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    command = [
        shutil.which("gcc") or "gcc",
        *OPTIONS,
        f"-I{SOURCES}",
        str(source),
        "-o",
        str(target),
    ]
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.fixture(scope="module")
def fuzzer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fuzzer")
    empty = folder / "empty.c"
    empty.write_text("int main(void) { return 0; }\n", encoding="utf-8")
    if not shutil.which("gcc") or compiled(empty, folder / "empty").returncode:
        pytest.skip("there is no gcc with sanitizers")
    done = compiled(FUZZER, folder / "fuzzer")
    assert done.returncode == 0, done.stderr
    return folder / "fuzzer"


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_random_calls_break_no_rule_of_c(fuzzer: Path, seed: int) -> None:
    """Random models, some of which break the format's bounds, on every level alike."""
    done = subprocess.run(
        [fuzzer, str(seed), str(ROUNDS)], check=False, capture_output=True, text=True,
        env={**os.environ, **ENVIRONMENT},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    taken = int(done.stdout.split()[2])
    assert ROUNDS // 2 < taken < ROUNDS

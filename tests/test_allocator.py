"""Freed memory stays in the process, so that touching it again faults no pages."""

import os
import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, numpy as np
from aecodec.allocator import keep_freed_memory
kept = keep_freed_memory()
np.ones(24 << 20, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(24 << 20, np.uint8)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")


def faults(**variables: str) -> tuple[str, int]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | variables, check=True, capture_output=True, text=True,
    )  # fmt: skip
    kept, count = done.stdout.split()
    return kept, int(count)


def test_freed_memory_is_used_again_without_page_faults() -> None:
    kept, count = faults()
    assert kept == "True"
    assert count < 60  # ten times 24 MiB are 61,440 pages, or 120 huge ones


def test_the_users_choice_stands() -> None:
    kept, count = faults(MALLOC_MMAP_THRESHOLD_="65536")
    assert kept == "False"
    assert count > 60

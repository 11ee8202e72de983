"""How commands import torch: without what they do not need, and with threads that do not spin."""

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from aecodec import Codec
from aecodec.cli.starting import DEFERRED, prepare_torch


def run(code: str, **environment: str) -> str:
    plain = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "GOMP_"))}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=plain | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_commands_leave_out_what_loads_when_it_is_used() -> None:
    code = (
        "from aecodec.cli.starting import prepare_torch; prepare_torch(); import os, sys, torch;"
        f"module = sys.modules['{DEFERRED}'];"
        "print('_late_loader' in vars(module), os.environ.get('GOMP_SPINCOUNT'));"
        "print(callable(module.register_meta));"
        "print('_late_loader' in vars(module), hasattr(module, 'no such thing'));"
        "print(tuple(torch.roll(torch.empty(2, 3, device='meta'), 1).shape))"
    )
    assert run(code).split("\n") == ["True 1000", "True", "False False", "(2, 3)"]


@pytest.mark.parametrize("name", ["OMP_WAIT_POLICY", "GOMP_SPINCOUNT"])
def test_the_users_choice_of_waiting_stays(name: str) -> None:
    choice = {"OMP_WAIT_POLICY": "active", "GOMP_SPINCOUNT": "7"}[name]
    code = (
        "import os; from aecodec.cli.starting import prepare_torch; prepare_torch();"
        "print(os.environ.get('OMP_WAIT_POLICY'), os.environ.get('GOMP_SPINCOUNT'))"
    )
    expected = ["active", "None"] if name == "OMP_WAIT_POLICY" else ["None", "7"]
    assert run(code, **{name: choice}).split() == expected


def test_the_library_leaves_torch_as_it_is() -> None:
    """Which it loaded for this file."""
    assert type(sys.modules[DEFERRED]) is ModuleType


def test_a_torch_that_is_there_already_stays() -> None:
    before = dict(os.environ), list(sys.meta_path)
    prepare_torch()
    assert (dict(os.environ), sys.meta_path) == before


def test_commands_write_what_the_library_does(tmp_path: Path) -> None:
    """In one process, so that torch is imported once."""
    y, x = np.mgrid[:90, :70]
    pixels = np.stack([x * 3, y * 2, (x * y) // 30], axis=2).astype(np.uint8)
    pixels += np.random.default_rng(0).integers(0, 9, pixels.shape, dtype=np.uint8)
    source = tmp_path / "a.png"
    Image.fromarray(pixels).save(source)
    wishes = {"plain": [], "exact": ["--lossless"], "slow": ["-e", "3"], "near": ["--psnr", "35"]}
    commands = [["compress", str(source), "-o", str(tmp_path / k), *v] for k, v in wishes.items()]
    commands.append(["decompress", str(tmp_path / "exact"), "-o", str(tmp_path / "exact.png")])
    run(
        "from aecodec.cli import cli\n"
        f"for command in {commands!r}: cli.main(command, standalone_mode=False)"
    )
    found = {k: (tmp_path / k).read_bytes() for k in wishes}
    codec = Codec()
    assert found["plain"] == codec.compress(source)
    assert found["exact"] == codec.compress(source, lossless=True)
    assert found["slow"] == codec.compress(source, effort=3)
    decoded = codec.decompress_array(found["near"]).astype(float)
    assert 10 * np.log10(255**2 / np.mean((decoded - pixels) ** 2)) >= 35
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "exact.png")), pixels)

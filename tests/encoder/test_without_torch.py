"""Pictures are compressed without PyTorch at efforts 0 to 2, to the same bytes as beside it."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture, make_sixteen_bit
from PIL import Image

from aecodec import Codec
from aecodec.options import DEFAULT_EFFORT, SEARCH_EFFORT, EncodeWishes
from aecodec.picture.pixels import Pixels

PICTURES: dict[str, Pixels] = {
    "colour": make_picture(75, 110),
    "gray": make_picture(40, 33)[:, :, 0].copy(),
    "alpha": np.dstack([make_picture(70, 50), make_picture(70, 50, seed=1)[:, :, :1]]),
    "deep": make_sixteen_bit(50, 40, 3),
}
WISHES: dict[str, EncodeWishes] = {
    "plain": {},
    "fast": {"effort": 0},
    "corrected": {"effort": 2},
    "exact": {"lossless": True},
    "tiles": {"tile_exponent": 6},
}
WITHOUT = """
import sys
sys.modules["torch"] = None  # whoever imports it now fails
import numpy as np
import pytest
from aecodec import Codec
codec, folder = Codec(sys.argv[1]), sys.argv[2]
for name in {names}:
    pixels = np.load(f"{{folder}}/{{name}}.npy", allow_pickle=False)
    for kind, wishes in {wishes}.items():
        with open(f"{{folder}}/{{name}}.{{kind}}", "wb") as file:
            file.write(codec.compress(pixels, **wishes))
"""


def test_compression_needs_no_torch(tiny_codec: Codec, tiny_weights: Path, tmp_path: Path) -> None:
    for name, pixels in PICTURES.items():
        np.save(tmp_path / f"{name}.npy", pixels, allow_pickle=False)
    code = WITHOUT.format(names=list(PICTURES), wishes=WISHES)
    command = [sys.executable, "-c", code, str(tiny_weights), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, pixels in PICTURES.items():
        for kind, wishes in WISHES.items():
            data = (tmp_path / f"{name}.{kind}").read_bytes()
            assert data == tiny_codec.compress(pixels, **wishes), (name, kind)


@pytest.mark.parametrize(
    "arguments", [[], ["-e", "0"], ["-e", "2"], ["--lossless"], ["--psnr", "32"]]
)
def test_the_command_loads_no_torch(
    arguments: list[str], tiny_codec: Codec, tiny_weights: Path, tmp_path: Path
) -> None:
    picture, found = tmp_path / "picture.png", tmp_path / "picture.aec"
    Image.fromarray(PICTURES["colour"]).save(picture)
    code = (
        "import sys\nfrom aecodec.cli import main\n"
        "try: main()\nfinally: print('torch' in sys.modules)"
    )
    command = ["compress", str(picture), "-o", str(found), "--model", str(tiny_weights)]
    done = subprocess.run(
        [sys.executable, "-c", code, *command, *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "False"
    assert tiny_codec.decompress_array(found).shape == PICTURES["colour"].shape


def test_the_default_effort_is_one_of_these() -> None:
    assert DEFAULT_EFFORT < SEARCH_EFFORT

"""What commands set for their process: threads that do not spin, freed memory that stays."""

import os
import platform
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture
from PIL import Image
from shell import ENVIRONMENT, Shell

from aecodec import Codec, Target
from aecodec.cli.startup import SPIN_COUNT, prepare_process
from aecodec.picture.metadata import Metadata
from aecodec.picture.metrics import pixels_psnr
from aecodec.picture.picture import Picture

FAULTS = """
import resource, numpy as np
from aecodec.cli.startup import keep_freed_memory
kept = keep_freed_memory()
np.ones(24 << 20, np.uint8)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    np.ones(24 << 20, np.uint8)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
SET = "print(os.environ.get('OMP_WAIT_POLICY'), os.environ.get('GOMP_SPINCOUNT'))"

needs_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told")


def run(code: str, **environment: str) -> str:
    own = ("OMP_", "GOMP_", "MALLOC_", "OPENBLAS_")
    plain = {k: v for k, v in os.environ.items() if not k.startswith(own)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=plain | environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({}, ["None", SPIN_COUNT]),
        ({"OMP_WAIT_POLICY": "active"}, ["active", "None"]),
        ({"GOMP_SPINCOUNT": "7"}, ["None", "7"]),
    ],
)
def test_threads_of_torch_sleep_soon_unless_the_user_chooses(
    choice: dict[str, str], expected: list[str]
) -> None:
    code = "import os; from aecodec.cli.startup import prepare_process; prepare_process({}); {}"
    assert run(code.format("torch=True", SET), **choice).split() == expected
    without = run(code.format("", SET), **choice).split()
    assert without == [choice.get("OMP_WAIT_POLICY", "None"), choice.get("GOMP_SPINCOUNT", "None")]


@pytest.mark.parametrize(("choice", "expected"), [({}, "1"), ({"OPENBLAS_NUM_THREADS": "3"}, "3")])
def test_blas_starts_no_threads_of_its_own(choice: dict[str, str], expected: str) -> None:
    told = "print(os.environ.get('OPENBLAS_NUM_THREADS'))"
    code = "import os{}; from aecodec.cli.startup import prepare_process; prepare_process(); {}"
    assert run(code.format("", told), **choice) == expected
    late = run(code.format(", numpy", told), **choice)
    assert late == choice.get("OPENBLAS_NUM_THREADS", "None")


def test_a_torch_that_is_there_already_stays() -> None:
    import_module("torch")
    before = dict(os.environ), list(sys.meta_path)
    prepare_process(torch=True)
    assert (dict(os.environ), sys.meta_path) == before


@needs_glibc
def test_freed_memory_is_used_again_without_page_faults() -> None:
    kept, count = run(FAULTS).split()
    assert kept == "True"
    assert int(count) < 60  # ten times 24 MiB are 61,440 pages, or 120 huge ones


@needs_glibc
def test_the_users_choice_of_memory_stands() -> None:
    kept, count = run(FAULTS, MALLOC_MMAP_THRESHOLD_="65536").split()
    assert kept == "False"
    assert int(count) > 60


@pytest.mark.parametrize("arguments", [["verify"], ["train", "-o"]])
def test_commands_prepare_their_process_and_the_library_does_not(
    arguments: list[str], tmp_path: Path, tiny_codec: Codec, tiny_weights: Path
) -> None:
    path, weights = tmp_path / "a.aec", str(tiny_weights)
    path.write_bytes(tiny_codec.compress(np.zeros((8, 9, 3), np.uint8)))
    library = f"import aecodec; aecodec.Codec({weights!r}).verify(open({str(path)!r}, 'rb').read())"
    told = "from aecodec.cli.startup import keep_freed_memory as k; print(k.cache_info().misses)"
    assert run(f"{library}; import os; {SET}; {told}").split() == ["None", "None", "0"]
    more = [str(path), "--model", weights] if arguments == ["verify"] else ["run", str(tmp_path)]
    command = (
        "import os\nfrom aecodec.cli import main\n"
        f"try: main({[*arguments, *more]!r})\nexcept SystemExit: pass\n{told}"
    )
    assert run(command).split()[-1] == "1"


@pytest.mark.slow
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
    assert found["near"] == codec.compress_to(source, Target("psnr", 35))[0]
    assert pixels_psnr(pixels, codec.decompress_array(found["near"])) == pytest.approx(35, abs=0.1)
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "exact.png")), pixels)


def test_python_m_does_the_same(shell: Shell, compressed: bytes) -> None:
    shell.file("img.aec", compressed)
    done = subprocess.run(
        [sys.executable, "-m", "aecodec", "info", "img.aec"],
        capture_output=True, text=True, check=False,
        env=ENVIRONMENT,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == shell.run("info", "img.aec").out


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["info", "img.aec"],
        ["bogus"],
        ["compress", "--quality", "300", "x.png"],
        ["compress", "none.png"],
        ["compress", "text.png"],
        ["decompress", "text.png", "-o", "x.png"],
        ["verify", "text.png"],
        ["train", "none", "-o", "run"],
    ],
    ids=" ".join,
)
def test_torch_is_not_loaded_in_vain(shell: Shell, compressed: bytes, arguments: list[str]) -> None:
    shell.file("img.aec", compressed)
    shell.file("text.png", b"Dear reader,\n")
    code = (
        "import sys\nfrom aecodec.cli import main\n"
        "try: main()\nfinally: print('torch' in sys.modules, end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False,
        env=ENVIRONMENT,
    )  # fmt: skip
    assert "Traceback" not in done.stderr
    assert done.stdout.endswith("False")


def imported(shell: Shell, *arguments: str) -> set[str]:
    """The modules that a command imports."""
    code = (
        "import sys\nfrom aecodec.cli import main\n"
        "try: main()\nfinally: print('\\n', *sys.modules, end='')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True,
        env=ENVIRONMENT, cwd=shell.folder,
    )  # fmt: skip
    return set(done.stdout.splitlines()[-1].split())


READERS = {f"aecodec.picture.{name}" for name in ("jpeg", "tiff", "netpbm", "heif", "png")}
SLOW = {"concurrent.futures", "fractions", "safetensors", "tempfile", "importlib.resources"}
"""What no command needs to tell of a file."""


@pytest.mark.parametrize("arguments", [["--help"], ["info", "img.aec"]], ids=" ".join)
def test_what_computes_nothing_loads_neither_numpy_nor_pillow(
    shell: Shell, compressed: bytes, arguments: list[str]
) -> None:
    shell.file("img.aec", compressed)
    assert not imported(shell, *arguments) & ({"numpy", "PIL", "torch", "ctypes"} | SLOW)


def test_decompressing_to_png_loads_neither_pillow_nor_an_encoder(
    shell: Shell, tiny_codec: Codec, tiny_weights: Path
) -> None:
    exif, text = b"II*\0\x08\0\0\0\0\0\0\0\0\0", (("Comment", b"hello"),)
    metadata = Metadata(icc=b"profile", exif=exif, xmp=b"<x/>", text=text)
    picture = Picture(make_picture(70, 80), metadata)
    shell.file("img.aec", tiny_codec.compress(picture, lossless_tiles=False))
    found = imported(shell, "decompress", "img.aec", "--model", str(tiny_weights))
    assert "aecodec.picture.png_writing" in found
    others = {"aecodec.coding.residual", "aecodec.coding.lossless", "aecodec.format.recovery"}
    assert not found & (READERS | others | {"PIL", "argparse", "safetensors"})
    encoders = {name for name in found if name.startswith("aecodec.encoder.")}
    assert encoders <= {"aecodec.encoder.model_store"}  # which loads the others when it must


def test_compressing_loads_the_reader_of_that_format_alone(
    shell: Shell, tiny_weights: Path
) -> None:
    shell.picture("img.png")
    found = imported(shell, "compress", "img.png", "--model", str(tiny_weights))
    assert found & READERS == {"aecodec.picture.png"}
    assert not found & {"pyvips", "PIL.ImageCms", "PIL.TiffImagePlugin", "PIL.AvifImagePlugin"}
    assert not found & {"aecodec.coding.residual", "aecodec.picture.writers"}

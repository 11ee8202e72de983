"""Other libraries learn of `.aec` files, whichever is imported first."""

import subprocess
import sys

import pytest
from shell import ENVIRONMENT

PILLOW = "from PIL import Image; kinds = Image.registered_extensions()"
IMAGEIO = "import imageio; kinds = imageio.config.known_extensions"
TOLD = "assert '.aec' in kinds, kinds"


def run(*lines: str) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(lines)],
        capture_output=True, text=True, check=False, env=ENVIRONMENT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("library", [PILLOW, IMAGEIO], ids=["Pillow", "imageio"])
def test_before_and_after(library: str) -> None:
    run("import aecodec", library, TOLD)
    run(library, "import aecodec", TOLD)


def test_both_in_one_process() -> None:
    run(
        "import sys, aecodec", "before = list(sys.meta_path)", PILLOW, TOLD, IMAGEIO, TOLD,
        "assert len(sys.meta_path) == len(before) - 1",
        "assert not any('aecodec' in type(each).__module__ for each in sys.meta_path)",
    )  # fmt: skip


def test_modules_keep_their_own_loader() -> None:
    run(
        "import aecodec, inspect", PILLOW,
        "assert Image.__loader__ is Image.__spec__.loader",
        "assert type(Image.__loader__).__name__ == 'SourceFileLoader'",
        "assert 'def open(' in inspect.getsource(Image)",
    )  # fmt: skip


def test_importing_the_package_loads_none_of_them() -> None:
    run(
        "import sys, aecodec",
        "loaded = {'PIL', 'numpy', 'torch', 'imageio', 'zarr'} & {*sys.modules}",
        "assert not loaded, loaded",
    )


def test_pillow_reads_no_other_file_more_slowly() -> None:
    """What decodes is loaded only when a file of this kind is opened."""
    run(
        "import sys, aecodec", "from io import BytesIO", PILLOW,
        "stream = BytesIO()", "Image.new('L', (3, 3)).save(stream, 'PNG')",
        "Image.open(stream).load()",
        "assert 'aecodec.codec' not in sys.modules",
    )  # fmt: skip


def test_a_library_that_cannot_be_imported_fails_as_ever() -> None:
    run(
        "import sys, aecodec", "sys.path[:] = []",
        "sys.path_importer_cache.clear()",
        "try:\n    import PIL.Image",
        "except ModuleNotFoundError as exc:\n    assert 'PIL' in str(exc)",
        "else:\n    raise SystemExit('found')",
    )  # fmt: skip

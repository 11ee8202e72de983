"""Pictures in a few files, for a machine that is lent without a disk of ours.

    python -m aecodec.training.pack PICTURES... -o FOLDER --part-mib 45

The pictures stay as they are, compressed, and lie in tar files that are the same each time.
`unpack` writes them back.
"""

import argparse
import logging
import sys
import tarfile
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from PIL import features

from aecodec.errors import AecError, TrainingError
from aecodec.storage.files import replacing
from aecodec.training.data import find_pictures

MIB = 2**20
_NAME = "pictures-{:03}.tar"
_PARTS = "pictures-*.tar"
_BLOCK = tarfile.BLOCKSIZE
_END = tarfile.RECORDSIZE
"""A tar file is filled up to a multiple of this."""

logger = logging.getLogger(__name__)


def pack(folders: Sequence[Path], output: Path, *, most: int = 45 * MIB) -> list[Path]:
    """Writes all pictures below folders into tar files.

    Args:
        folders: searched recursively; no two pictures in them may have one name.
        output: folder of the tar files, made when absent; older ones in it are removed.
        most: bytes of a tar file.

    Raises:
        TrainingError: no pictures, two of one name, one larger than a file, or no room on disk.
    """
    pictures = find_pictures(folders)
    names = {path.name for path in pictures}
    if len(names) < len(pictures):
        raise TrainingError("two pictures have the same name; rename one")
    written: list[Path] = []
    try:
        output.mkdir(parents=True, exist_ok=True)
        for stale in output.glob(_PARTS):
            stale.unlink()
        for part in _split(pictures, most):
            path = output / _NAME.format(len(written))
            with replacing(str(path)) as file, tarfile.open(fileobj=file, mode="w|") as archive:
                for picture in part:
                    _add(archive, picture)
            written.append(path)
    except OSError as exc:
        raise TrainingError(f"{output}: cannot pack: {exc}") from exc
    return written


def unpack(packed: Path, output: Path) -> int:
    """Writes the pictures of all tar files in a folder into another.

    Returns:
        How many there are.

    Raises:
        TrainingError: there is no such file, one is damaged, or the disk is full; or pictures are
            AVIF and Pillow cannot read that here.
    """
    count = 0
    paths = sorted(packed.glob(_PARTS))
    if not paths:
        raise TrainingError(f"{packed}: holds no packed pictures")
    try:
        output.mkdir(parents=True, exist_ok=True)
        for path in paths:
            with tarfile.open(path, mode="r:") as archive:
                for member in archive:
                    source = archive.extractfile(member)
                    if source is None:
                        continue
                    name = Path(member.name).name
                    _check_readable(name)
                    (output / name).write_bytes(source.read())
                    count += 1
    except (OSError, tarfile.TarError) as exc:
        raise TrainingError(f"{packed}: cannot unpack: {exc}") from exc
    return count


def _split(pictures: Sequence[Path], most: int) -> list[list[Path]]:
    """Pictures in their order, in parts that fit into a file."""
    parts: list[list[Path]] = []
    left = 0
    for picture in pictures:
        need = 2 * _BLOCK + -(-picture.stat().st_size // _BLOCK) * _BLOCK  # a long name takes two
        if need + _END > most:
            raise TrainingError(f"{picture}: larger than a part of {most} bytes")
        if need > left:
            parts.append([])
            left = most - _END
        parts[-1].append(picture)
        left -= need
    return parts


def _add(archive: tarfile.TarFile, picture: Path) -> None:
    """Adds a picture under its bare name, with nothing of the machine that it comes from."""
    data = picture.read_bytes()
    member = tarfile.TarInfo(picture.name)
    member.size = len(data)
    archive.addfile(member, BytesIO(data))


def _check_readable(name: str) -> None:
    if name.lower().endswith(".avif") and not features.check("avif"):
        raise TrainingError("Pillow here cannot read AVIF; pack the tiles as PNG or WebP instead")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command."""
    parser = argparse.ArgumentParser(description="Pack pictures for a lent machine.")
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("-o", "--output", required=True, type=Path)
    parser.add_argument("--part-mib", type=int, default=45)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        paths = pack(given.pictures, given.output, most=given.part_mib * MIB)
    except AecError as exc:
        sys.exit(f"pack: {exc}")
    for path in paths:
        logger.info("%s: %d bytes", path, path.stat().st_size)


if __name__ == "__main__":
    main()

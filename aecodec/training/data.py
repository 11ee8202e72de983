"""Pictures to tiles; `batches.py` makes batches of them.

All pictures are decoded once into memory-mapped tiles of `TILE` pixels, so that a step costs no
decoding. A resumed run finds the same tiles, or gets an error if its pictures are others.
"""

import hashlib
import json
import logging
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from aecodec.autoencoder.quantization import WHOLE, Part
from aecodec.errors import TrainingError
from aecodec.picture.pixels import DAMAGE
from aecodec.storage.files import replacing, write_bytes
from aecodec.training.config import CROP_MAX

TILE = CROP_MAX
TILES_PER_PICTURE = 6
HOLD_OUT = 50
"""Every 50th picture, sorted by name, is held out for validation."""
SMALLEST = 64
"""Pictures with a shorter side are left out."""
DECODERS = 32
"""Most pictures that are decoded at a time, in threads: Pillow's decoders let others run."""
TILES, HELD_OUT = "tiles.npy", "held_out.npy"
"""Names of the caches in the folder of a run."""
ORIGIN = ".pictures.json"
"""Takes the place of a cache's suffix in the name of the file that says what it was made from."""

SUFFIXES = frozenset(
    [".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff", ".bmp", ".ppm", ".jp2", ".gif"],
)

Tiles = npt.NDArray[np.uint8]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class RunTiles:
    """What a run learns from, and what it is validated on."""

    training: Tiles
    held_out: Tiles


def prepare_tiles(folders: Sequence[Path], run: Path, seed: int) -> RunTiles:
    """The tiles of a run, from the caches in its folder or decoded now.

    Args:
        folders: where the pictures are, searched recursively.
        run: folder of the run, made when absent.
        seed: seed of the choice of tiles in large pictures.

    Raises:
        TrainingError: no pictures, or others than those of the caches.
    """
    training, held_out = hold_out(find_pictures(folders))
    run.mkdir(parents=True, exist_ok=True)
    return RunTiles(
        load_tiles(training, run / TILES, per_picture=TILES_PER_PICTURE, seed=seed),
        load_tiles(held_out, run / HELD_OUT, per_picture=1, seed=seed),
    )


def share_tiles(run: Path, other: Path) -> None:
    """Gives another folder the tiles of a run too, on the same disk without a copy.

    Raises:
        TrainingError: the folder cannot be written.
    """
    try:
        other.mkdir(parents=True, exist_ok=True)
        for cache in (TILES, HELD_OUT):
            for name in (cache, str(Path(cache).with_suffix(ORIGIN))):
                (other / name).unlink(missing_ok=True)
                try:
                    os.link(run / name, other / name)
                except OSError:
                    shutil.copyfile(run / name, other / name)
    except OSError as exc:
        raise TrainingError(f"{other}: cannot hold tiles: {exc}") from exc


def find_pictures(folders: Sequence[Path]) -> list[Path]:
    """All picture files below `folders`, sorted by name.

    Raises:
        TrainingError: a folder does not exist or none holds a picture.
    """
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise TrainingError(f"{folder}: not a folder")
        found += [p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file()]
    if not found:
        raise TrainingError(f"no pictures in {', '.join(map(str, folders))}")
    return sorted(found, key=lambda path: (path.name, str(path)))


def hold_out(pictures: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """Training and held-out pictures; with few pictures at least the first is held out."""
    held_out = list(pictures[::HOLD_OUT])
    training = [path for number, path in enumerate(pictures) if number % HOLD_OUT]
    return training or held_out, held_out


def load_tiles(pictures: Sequence[Path], cache: Path, *, per_picture: int, seed: int) -> Tiles:
    """Tiles of all pictures, memory-mapped from `cache`, which is made when absent.

    Args:
        pictures: files to read; those that cannot be read are reported and left out.
        cache: a `.npy` file.
        per_picture: most tiles to take from one picture.
        seed: seed of the choice of tiles in large pictures.

    Returns:
        `(n, TILE, TILE, 3)` uint8.

    Raises:
        TrainingError: no picture could be read, or the cache is of other pictures.
    """
    origin = cache.with_suffix(ORIGIN)
    fingerprint = _fingerprint(pictures)
    if not cache.exists():
        write_bytes(str(origin), fingerprint)
        _write_tiles(pictures, cache, per_picture=per_picture, seed=seed)
    elif not origin.exists() or origin.read_bytes() != fingerprint:
        raise TrainingError(f"{cache}: made from other pictures; remove it to train on these")
    return open_tiles(cache)


def open_tiles(cache: Path) -> Tiles:
    """The tiles that `load_tiles` stored, mapped, not read.

    Raises:
        TrainingError: the file is damaged.
    """
    try:
        tiles: Tiles = np.load(cache, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as exc:
        raise TrainingError(f"{cache}: damaged; remove it and train on: {exc}") from exc
    if tiles.dtype != np.uint8 or tiles.shape[1:] != (TILE, TILE, 3):
        raise TrainingError(f"{cache}: holds no tiles; remove it and train on")
    return tiles


def validation_batches(
    tiles: Tiles, *, batch: int, side: int, part: Part = WHOLE
) -> Iterator[tuple[slice, Tensor]]:
    """Centre crops of held-out tiles, `(<= batch, 3, side, side)`, and which tiles they are of.

    Of a part they are each so many-th batch.
    """
    margin = (TILE - side) // 2
    centre = slice(margin, margin + side)
    for start in range(0, len(tiles), batch)[part[0] :: part[1]]:
        rows = slice(start, start + batch)
        yield rows, to_tensor(tiles[rows, centre, centre])


def to_tensor(patches: Iterable[Tiles] | Tiles) -> Tensor:
    """uint8 patches `(H, W, 3)` to a batch `(N, 3, H, W)` in [0, 1], channels_last."""
    stacked = torch.from_numpy(np.stack(list(patches)))
    return (
        stacked.permute(0, 3, 1, 2).float().div(255).contiguous(memory_format=torch.channels_last)
    )


def _write_tiles(pictures: Sequence[Path], cache: Path, *, per_picture: int, seed: int) -> None:
    def read(job: tuple[int, Path]) -> list[Tiles]:
        number, path = job
        try:
            return _cut(path, per_picture, np.random.default_rng([seed, number, 2]))
        except (OSError, Image.DecompressionBombError, *DAMAGE) as exc:
            logger.warning("left out %s: %s", path, exc)
            return []

    count = 0
    with (
        replacing(str(cache)) as file,
        ThreadPoolExecutor(min(DECODERS, os.cpu_count() or 1)) as pool,
    ):
        _write_header(file, count)
        for tiles in pool.map(read, enumerate(pictures)):
            for tile in tiles:
                file.write(tile.tobytes())
                count += 1
        if not count:
            some = f"{len(pictures)} pictures could be read, e.g. {pictures[0]}"
            raise TrainingError(f"none of {some}")
        file.seek(0)
        _write_header(file, count)
    logger.info("%d tiles from %d pictures", count, len(pictures))


def _write_header(file: BinaryIO, count: int) -> None:
    """The header of a `.npy` file, whose length does not depend on the number of tiles."""
    shape = (count, TILE, TILE, 3)
    header = {"descr": "|u1", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)


def _fingerprint(pictures: Sequence[Path]) -> bytes:
    """Names and sizes of pictures as a line of JSON; folders may move."""
    listed = [[path.name, path.stat().st_size] for path in pictures]
    digest = hashlib.sha256(json.dumps(listed).encode()).hexdigest()
    return (json.dumps({"pictures": len(listed), "sha256": digest}) + "\n").encode()


def _cut(path: Path, most: int, rng: np.random.Generator) -> list[Tiles]:
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB"))
    height, width = pixels.shape[:2]
    if min(height, width) < SMALLEST:
        raise ValueError(f"{width}x{height} is smaller than {SMALLEST}")
    missing = [(0, max(0, TILE - side)) for side in (height, width)]
    if any(pad for _, pad in missing):
        pixels = np.pad(pixels, (*missing, (0, 0)), mode="symmetric")
        height, width = pixels.shape[:2]
    count = min(most, max(1, (height // TILE) * (width // TILE)))
    tops = rng.integers(0, height - TILE + 1, count)
    lefts = rng.integers(0, width - TILE + 1, count)
    return [
        np.ascontiguousarray(pixels[t : t + TILE, s : s + TILE])
        for t, s in zip(tops, lefts, strict=True)
    ]

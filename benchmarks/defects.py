"""Pictures with and without defects, made of tiles by a seeded procedure.

Two kinds of task: an object is one tile that a camera sees again and again, a little shifted,
turned, brighter or darker, and with noise; a texture is a tile whose blocks look alike, of which
some blocks are normal pictures to learn from and others are looked at. Defects are scratches,
stains and missing parts, drawn into normal pictures, and pictures of another tile.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from benchmarks.pictures import load_picture

Picture = NDArray[np.uint8]
Mask = NDArray[np.bool_]

TILE = 512
OBJECT, TEXTURE = 256, 112
"""Sides of the pictures of each kind."""
BLOCK = 128
DEFECTS = ("scratch", "stain", "missing", "other")


class Example(NamedTuple):
    """A picture to look at.

    Attributes:
        pixels: `(s, s, 3)`.
        mask: `(s, s)`, where the defect is.
        defect: one of `DEFECTS`; empty for a normal picture.
    """

    pixels: Picture
    mask: Mask
    defect: str


@dataclass(frozen=True)
class Task:
    """Normal pictures to learn from, and pictures to look at.

    Attributes:
        kind: object or texture.
        name: of the tile.
        normal: to learn from.
        examples: to look at.
    """

    kind: str
    name: str
    normal: Sequence[Picture]
    examples: Sequence[Example]


def make_tasks(files: Sequence[Path], objects: int, textures: int, seed: int) -> list[Task]:
    """Tasks of tiles of 512x512 pixels; the same for the same files and seed.

    Objects are files at even distances; textures are those whose blocks are most alike, among every
    third file.

    Raises:
        ValueError: there are too few tiles.
    """
    rng = np.random.default_rng(seed)
    usable = [path for path in files if _size(path) == (TILE, TILE)]
    if len(usable) < objects or len(usable[1::3]) < textures:
        raise ValueError(f"{len(usable)} tiles of {TILE}x{TILE} pixels are too few")
    chosen = [usable[n * len(usable) // objects + len(usable) // (2 * objects)]
              for n in range(objects)]  # fmt: skip
    alike = sorted(usable[1::3], key=lambda path: _unevenness(_load(path)))[:textures]
    tasks = [
        _task("object", path, chosen[n - 1], rng, _seen_again, 24) for n, path in enumerate(chosen)
    ]
    tasks += [_task("texture", path, alike[n - 1], rng, _cut, 32) for n, path in enumerate(alike)]
    return tasks


Take = Callable[[Picture, np.random.Generator, int, bool], Picture]
"""A normal picture of a tile, given its number, and whether it is one to learn from."""


def _task(
    kind: str, path: Path, other: Path, rng: np.random.Generator, take: Take, count: int
) -> Task:
    tile, strange = _load(path), _load(other)
    normal = [take(tile, rng, number, True) for number in range(count)]
    examples = []
    for number in range(16):
        pixels = take(tile, rng, number, False)
        examples.append(Example(pixels, np.zeros(pixels.shape[:2], np.bool_), ""))
    for defect, draw in (("scratch", _scratched), ("stain", _stained), ("missing", _missing)):
        drawn = (draw(take(tile, rng, number, False), rng) for number in range(6))
        examples += [Example(pixels, mask, defect) for pixels, mask in drawn]
    for number in range(3):
        pixels = take(strange, rng, number, False)
        examples.append(Example(pixels, np.ones(pixels.shape[:2], np.bool_), "other"))
    return Task(kind, path.name, normal, examples)


def _size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def _load(path: Path) -> Picture:
    return np.asarray(load_picture(path))


def _seen_again(tile: Picture, rng: np.random.Generator, _number: int, _learn: bool) -> Picture:
    """The middle of a tile as a camera that is not quite still sees it."""
    turned = ndimage.rotate(tile, rng.uniform(-1, 1), reshape=False, order=1, mode="reflect")
    top, left = rng.integers(120, 137, 2)
    return _lit(turned[top : top + OBJECT, left : left + OBJECT], rng)


def _cut(tile: Picture, rng: np.random.Generator, number: int, learn: bool) -> Picture:
    """A part of a block; like on a chessboard, black ones are learned from."""
    blocks = [(r, c) for r in range(4) for c in range(4) if (r + c) % 2 == learn]
    row, column = blocks[number % len(blocks)]
    top, left = np.array([row, column]) * BLOCK + rng.integers(0, BLOCK - TEXTURE + 1, 2)
    part = tile[top : top + TEXTURE, left : left + TEXTURE]
    return _lit(part[:: rng.choice([-1, 1]), :: rng.choice([-1, 1])], rng)


def _lit(part: Picture, rng: np.random.Generator) -> Picture:
    noisy = part * rng.uniform(0.96, 1.04) + rng.normal(0, 2, part.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _unevenness(tile: Picture) -> float:
    """How much the blocks of a tile differ in colour, contrast and detail; infinite if flat."""
    side = TILE // BLOCK
    blocks = tile.reshape(side, BLOCK, side, BLOCK, 3).swapaxes(1, 2).astype(np.float64)
    blocks = blocks.reshape(-1, BLOCK, BLOCK, 3)
    contrast = blocks.std((1, 2))
    if contrast.max(1).min() < 12:
        return float("inf")
    gray = blocks.mean(3)
    coarse = gray.reshape(-1, BLOCK // 4, 4, BLOCK // 4, 4).mean((2, 4))
    detail = [
        np.log(np.abs(np.diff(each, axis=axis)).mean((1, 2)) + 0.1)[:, None]
        for each in (gray, coarse)
        for axis in (1, 2)
    ]
    colour = blocks.mean((1, 2)) / blocks.std((0, 1, 2))
    described = np.concatenate([colour, np.log(contrast + 0.1), *detail], axis=1)
    return float(described.std(0).mean())


def _scratched(pixels: Picture, rng: np.random.Generator) -> tuple[Picture, Mask]:
    """A bent line of 2 or 3 pixels, darker or lighter by 40 to 70."""
    side = len(pixels)
    mask = np.zeros((side, side), np.bool_)
    place, angle = rng.uniform(0.2, 0.8, 2) * side, rng.uniform(0, 2 * np.pi)
    bend = rng.uniform(-0.01, 0.01)
    for _ in range(2 * int(rng.integers(30, int(side * 0.45)))):
        place = place + 0.5 * np.array([np.sin(angle), np.cos(angle)])
        angle += bend
        row, column = np.round(place).astype(int)
        if 0 <= row < side and 0 <= column < side:
            mask[row, column] = True
    mask = ndimage.binary_dilation(mask) if rng.random() < 0.5 else mask | np.roll(mask, 1, 0)
    changed = pixels.astype(np.float64)
    changed[mask] += rng.choice([-1, 1]) * rng.uniform(40, 70)
    return np.clip(changed, 0, 255).astype(np.uint8), mask


def _stained(pixels: Picture, rng: np.random.Generator) -> tuple[Picture, Mask]:
    """A blot of a random colour that covers 40 %, with soft borders."""
    mask = _blot(len(pixels), rng, rng.uniform(0.05, 0.1))
    cover = ndimage.gaussian_filter(mask.astype(np.float64), 1.5)[:, :, None] * 0.4
    mixed = pixels * (1 - cover) + rng.uniform(0, 255, 3) * cover
    return np.clip(mixed, 0, 255).astype(np.uint8), mask


def _missing(pixels: Picture, rng: np.random.Generator) -> tuple[Picture, Mask]:
    """A part that has the mean colour of its rim, with a little noise."""
    mask = _blot(len(pixels), rng, rng.uniform(0.06, 0.12))
    rim = ndimage.binary_dilation(mask, iterations=4) & ~mask
    changed = pixels.copy()
    filled = pixels[rim].mean(0) + rng.normal(0, 2, (int(mask.sum()), 3))
    changed[mask] = np.clip(filled, 0, 255)
    return changed, mask


def _blot(side: int, rng: np.random.Generator, part: float) -> Mask:
    """A rough disc whose radius is this part of the side."""
    radius = part * side
    row, column = rng.uniform(0.2, 0.8, 2) * side
    rows, columns = np.mgrid[:side, :side]
    rough = ndimage.gaussian_filter(rng.normal(size=(side, side)), radius / 3)
    inside: Mask = (
        np.hypot(rows - row, columns - column) + rough / rough.std() * radius / 4 < radius
    )
    return inside

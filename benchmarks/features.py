"""What features are good for: `python -m benchmarks features TILES --index INDEX`.

Two linear probes, a search for near-duplicates, and how close the vectors of a picture and of its
.aec files are. Rivals are thumbnails, histograms of oriented gradients (HOG) and, for the search, a
perceptual hash.
"""

import io
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.feature import hog
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from aecodec.applications.features import features
from aecodec.codec import Codec
from benchmarks.machine import hold_threads
from benchmarks.pictures import load_picture

Picture = NDArray[np.uint8]
Vectors = NDArray[np.floating]
Method = Callable[[Sequence[Picture]], Vectors]

SIDE, DIGIT_SIDE, HOG_SIDE = 256, 64, 128
QUALITIES = (25, 50, 75, 90)
CLASSES: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "food": (
        ("ronaldl29/public-domain-recipes",),
        (
            "LukeSmithxyz/based.cooking", "bingo-45/rasoiguide", "Ulydivine/sweet_crust",
            "android/compose-samples", "biechuyangwang/food-and-health",
        ),
    ),
    "animals": (
        ("iqbal-jewel/wildnatureusa-social", "zscore/flat-cats"),
        ("410630486/114_web_midterm_project", "Digamma05/safari-wildlife-guide"),
    ),
    "scenery": (
        ("hoojaoh/data-stunning",),
        (
            "Chase-Riddick/nz-tourism-solution", "neilhuang01428/nz-trip-2026",
            "rchiles67/australia-holiday-planner-2026", "acirulis/italy-trip",
        ),
    ),
    "screens": (
        ("18F/18f.gsa.gov",),
        (
            "microsoft/pxt-microbit", "ONRR/doi-extractives-data",
            "USDAForestService/fs-open-forest-platform", "uswds/uswds-site",
        ),
    ),
}  # fmt: skip
"""Sources of tiles by what they show: of one half of the pictures, and of the other."""


def thumbnails(pictures: Sequence[Picture]) -> Vectors:
    """16x16 pixels in colour; gray ones of digits stay gray."""
    return np.stack([_resized(each, 16).reshape(-1) / 255 for each in pictures])


def gradients(pictures: Sequence[Picture]) -> Vectors:
    """HOG of 128x128 pixels in cells of 16x16, or of digits in cells of 8x8."""
    return np.stack([_hog(each) for each in pictures])


def _hog(picture: Picture) -> Vectors:
    side, cell = (DIGIT_SIDE, 8) if len(picture) == DIGIT_SIDE else (HOG_SIDE, 16)
    pixels = _resized(picture, side)
    axis = 2 if pixels.ndim == 3 else None
    found: Vectors = hog(pixels, pixels_per_cell=(cell, cell), channel_axis=axis)
    return found


def _resized(picture: Picture, side: int) -> Picture:
    return np.asarray(Image.fromarray(picture).resize((side, side), Image.Resampling.BOX))


def probe() -> object:
    """A linear classifier."""
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500))


def digits_accuracy(method: Method) -> float:
    """Accuracy on scikit-learn's 1797 digits, enlarged to 64x64, in five folds."""
    digits = load_digits()
    pictures = [
        np.asarray(
            Image.fromarray((each * 255 / 16).astype(np.uint8)).resize(
                (DIGIT_SIDE, DIGIT_SIDE), Image.Resampling.BICUBIC
            )
        )
        for each in digits.images
    ]
    return float(cross_val_score(probe(), method(pictures), digits.target, cv=5).mean())


def tiles_accuracy(vectors: Vectors, labels: NDArray[np.str_], half: NDArray[np.bool_]) -> float:
    """Balanced accuracy on pictures of sources that were not learned from, both ways round."""
    found = []
    for learn in (half, ~half):
        fitted = probe().fit(vectors[learn], labels[learn])  # type: ignore[attr-defined]
        guessed = fitted.predict(vectors[~learn])
        found.append(balanced_accuracy_score(labels[~learn], guessed))
    return float(np.mean(found))


def changed(picture: Picture, rng: np.random.Generator) -> dict[str, Picture]:
    """Near-duplicates of a picture."""
    image, side = Image.fromarray(picture), len(picture)
    kept = int(side * rng.uniform(0.7, 0.9))
    left, top = (int(each) for each in rng.integers(0, side - kept + 1, 2))
    small = int(rng.choice([112, 144, 176, 208, 320]))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=20)
    with Image.open(file) as decoded:
        jpeg = np.asarray(decoded)
    return {
        "crop": np.asarray(image.crop((left, top, left + kept, top + kept))),
        "rescale": np.asarray(image.resize((small, small), Image.Resampling.LANCZOS)),
        "JPEG 20": jpeg,
        "brighter": np.clip(picture * 1.2 + 10, 0, 255).astype(np.uint8),
        "mirrored": np.ascontiguousarray(picture[:, ::-1]),
    }


def found_first(stored: Vectors, queries: Vectors, numbers: Sequence[int]) -> float:
    """How often the picture itself is nearest, by the cosine of differences from the mean."""
    middle = stored.mean(0)
    directions = _unit(stored - middle)
    nearest = np.argmax(_unit(queries - middle) @ directions.T, axis=1)
    return float(np.mean(nearest == np.asarray(numbers)))


def _unit(x: Vectors) -> Vectors:
    unit: Vectors = x / np.linalg.norm(x, axis=1, keepdims=True)
    return unit


def found_first_by_hash(
    stored: Sequence[Picture], queries: Sequence[Picture], numbers: Sequence[int]
) -> float:
    """The same with the perceptual hash of ImageHash, by the number of different bits."""
    known, asked = (
        np.stack([imagehash.phash(Image.fromarray(each)).hash.reshape(-1) for each in side])
        for side in (stored, queries)
    )
    nearest = [int(np.argmin((known != each).sum(1))) for each in asked]
    return float(np.mean(np.asarray(nearest) == np.asarray(numbers)))


def labelled_tiles(
    tiles: Path, index: Path
) -> tuple[list[Picture], NDArray[np.str_], NDArray[np.bool_]]:
    """Tiles at 256x256 pixels, what they show, and which half their source belongs to."""
    pictures, labels, half = [], [], []
    for line in index.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        for label, (first, second) in CLASSES.items():
            wanted = "nonphoto" if label == "screens" else "photo"
            if row["source"] in (*first, *second) and row["cls"] == wanted:
                tile = np.asarray(load_picture(tiles / Path(row["file"]).name))
                pictures.append(_resized(tile, SIDE))
                labels.append(label)
                half.append(row["source"] in first)
    return pictures, np.array(labels), np.array(half)


def closeness(codec: Codec, pictures: Sequence[Picture]) -> list[str]:
    """How alike the vectors of pictures and of their .aec files are."""
    own = features(pictures, codec=codec)
    middle = own.mean(0)
    lines = []
    for quality in QUALITIES:
        files = [codec.compress(each, quality) for each in pictures]
        stored = features(files, codec=codec)
        cosine = (_unit(own - middle) * _unit(stored - middle)).sum(1)
        first = found_first(own, stored, range(len(pictures)))
        lines.append(f"| {quality} | {np.median(cosine):.4f} | {cosine.min():.4f} | {first:.3f} |")
    return lines


@click.command()
@click.argument("tiles", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--index", required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The JSON lines that tell each tile's source.",
)  # fmt: skip
@click.option("--queries", type=click.IntRange(1), default=100, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
def main(tiles: Path, index: Path, queries: int, seed: int) -> None:
    """Shows what feature vectors are good for, against thumbnails, HOG and a perceptual hash."""
    hold_threads(1)
    codec = Codec()
    methods: dict[str, Method] = {
        "aecodec": lambda pictures: features(pictures, codec=codec),
        "thumbnails 16x16": thumbnails,
        "HOG": gradients,
    }
    pictures, labels, half = labelled_tiles(tiles, index)
    rng = np.random.default_rng(seed)
    numbers = [int(each) for each in rng.permutation(len(pictures))[:queries]]
    copies = [changed(pictures[number], rng) for number in numbers]
    kinds = list(copies[0])
    click.echo(f"{len(pictures)} tiles, {len(numbers)} queries of each kind")
    click.echo(f"| method | length | digits | tiles | {' | '.join(kinds)} | CPU s |")
    click.echo("|---" * (len(kinds) + 5) + "|")
    for name, method in methods.items():
        start = time.process_time()
        vectors = method(pictures)
        found = [
            found_first(vectors, method([each[kind] for each in copies]), numbers) for kind in kinds
        ]
        cells = [digits_accuracy(method), tiles_accuracy(vectors, labels, half), *found]
        rates = " | ".join(f"{each:.3f}" for each in cells)
        seconds = time.process_time() - start
        click.echo(f"| {name} | {vectors.shape[1]} | {rates} | {seconds:.0f} |")
    hashed = [
        found_first_by_hash(pictures, [each[kind] for each in copies], numbers) for kind in kinds
    ]
    click.echo(f"| perceptual hash | 64 bits | | | {' | '.join(f'{h:.3f}' for h in hashed)} | |")
    click.echo("| quality of the files | median cosine | least | found first |")
    click.echo("|---|---|---|---|")
    click.echo("\n".join(closeness(codec, pictures[:: max(len(pictures) // queries, 1)])))

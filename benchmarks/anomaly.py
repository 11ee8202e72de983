"""Anomaly scores against simple detectors: `python -m benchmarks anomaly TILES`.

The area under the ROC curve, 0.5 for guesses and 1 for faultless, of whole pictures by their score
and of pixels by their heat. The rivals look at pixels: what principal components leave of the
picture or of its blocks, and an isolation forest on simple statistics of blocks.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score

from aecodec.applications.anomaly import AnomalyProfile, Layout
from aecodec.applications.heat_maps import overlay
from aecodec.applications.latent_maps import LatentMap, LatentReader, channel_order
from aecodec.codec import Codec
from benchmarks.defects import DEFECTS, Picture, Task, make_tasks
from benchmarks.machine import hold_threads
from benchmarks.pictures import collect_pictures

Heat = NDArray[np.float64]
"""`(h, w)`, of any size."""
Detector = Callable[[Picture], Heat]
Learn = Callable[[Task], Detector]

BLOCK = 16
"""Side of the isolation forest's blocks; latents have the same."""
PCA_SIDE, PCA_PARTS = 64, 16
PATCH, PATCH_PARTS = 8, 32
SHOWN = 3
"""Tasks that are drawn."""


def by_latents(codec: Codec, layout: Layout | None, cache: dict[int, LatentMap]) -> Learn:
    """The scores of aecodec."""
    reader = LatentReader(codec)

    def read(pixels: Picture) -> LatentMap:
        if id(pixels) not in cache:
            cache[id(pixels)] = reader.of_pixels(pixels)
        return cache[id(pixels)]

    def learn(task: Task) -> Detector:
        profile = learned(codec, [read(pixels) for pixels in task.normal], layout)
        return lambda pixels: profile.score(read(pixels)).heat

    return learn


def learned(codec: Codec, maps: Sequence[LatentMap], layout: Layout | None) -> AnomalyProfile:
    """A profile of normal pictures."""
    order = channel_order(codec.decoder(maps[0].model_id).prior)
    return AnomalyProfile.fit(maps, order, layout=layout)


def by_whole_pca(task: Task) -> Detector:
    """What 16 components of pictures, shrunk to 64x64 pixels, leave."""

    def shrunk(pixels: Picture) -> NDArray[np.float64]:
        small = Image.fromarray(pixels).resize((PCA_SIDE, PCA_SIDE), Image.Resampling.BOX)
        return np.asarray(small, np.float64).reshape(1, -1)

    pca = PCA(PCA_PARTS).fit(np.concatenate([shrunk(pixels) for pixels in task.normal]))

    def heat(pixels: Picture) -> Heat:
        x = shrunk(pixels)
        rest = (x - pca.inverse_transform(pca.transform(x))).reshape(PCA_SIDE, PCA_SIDE, 3)
        found: Heat = ndimage.gaussian_filter((rest**2).sum(2), 1)
        return found

    return heat


def by_patch_pca(task: Task) -> Detector:
    """What 32 components of 8x8 blocks leave."""
    pca = PCA(PATCH_PARTS).fit(np.concatenate([_patches(x, PATCH)[0] for x in task.normal]))

    def heat(pixels: Picture) -> Heat:
        x, shape = _patches(pixels, PATCH)
        rest: Heat = ((x - pca.inverse_transform(pca.transform(x))) ** 2).sum(1).reshape(shape)
        return rest

    return heat


def by_forest(task: Task) -> Detector:
    """An isolation forest on means, deviations, extremes and gradients of 16x16 blocks."""
    learned_from = np.concatenate([_statistics(pixels)[0] for pixels in task.normal])
    forest = IsolationForest(n_estimators=100, random_state=0).fit(learned_from)

    def heat(pixels: Picture) -> Heat:
        x, shape = _statistics(pixels)
        found: Heat = -forest.score_samples(x).reshape(shape)
        return found

    return heat


def _patches(pixels: Picture, side: int) -> tuple[NDArray[np.float64], tuple[int, int]]:
    """Blocks as rows of a matrix, and their number each way."""
    rows, columns = pixels.shape[0] // side, pixels.shape[1] // side
    blocks = pixels.reshape(rows, side, columns, side, 3).swapaxes(1, 2)
    return blocks.reshape(rows * columns, -1).astype(np.float64), (rows, columns)


def _statistics(pixels: Picture) -> tuple[NDArray[np.float64], tuple[int, int]]:
    flat, shape = _patches(pixels, BLOCK)
    blocks = flat.reshape(-1, BLOCK, BLOCK, 3)
    gradients = [np.abs(np.diff(blocks, axis=axis)).mean((1, 2, 3))[:, None] for axis in (1, 2)]
    levels = [function(blocks, axis=(1, 2)) for function in (np.mean, np.std, np.min, np.max)]
    return np.concatenate([*levels, *gradients], axis=1), shape


def areas(task: Task, detect: Detector) -> dict[str, float]:
    """Areas under the curve: of each defect, of all pictures, and of pixels without `other`."""
    heats = [detect(example.pixels) for example in task.examples]
    scores = np.array([heat.max() for heat in heats])
    names = np.array([example.defect for example in task.examples])
    found = {
        defect: float(roc_auc_score(names[kept] != "", scores[kept]))
        for defect in DEFECTS
        for kept in [(names == "") | (names == defect)]
    }
    found["all"] = float(roc_auc_score(names != "", scores))
    pairs = [
        (example.mask, _enlarged(heat, len(example.mask)))
        for example, heat in zip(task.examples, heats, strict=True)
        if example.defect != "other"
    ]
    masks, pixels = (np.concatenate([each[::2, ::2].ravel() for each in side])
                     for side in zip(*pairs, strict=True))  # fmt: skip
    found["pixels"] = float(roc_auc_score(masks, pixels))
    return found


def _enlarged(heat: Heat, side: int) -> Heat:
    large: Heat = ndimage.zoom(heat, side / len(heat), order=1, grid_mode=True, mode="nearest")
    return large


def alarms(codec: Codec, task: Task, cache: dict[int, LatentMap]) -> tuple[float, float]:
    """Parts of the normal pictures, and of the others, that lie beyond the threshold."""
    profile = learned(codec, [cache[id(pixels)] for pixels in task.normal], None)
    beyond = np.array([profile.score(cache[id(e.pixels)]).is_anomalous for e in task.examples])
    odd = np.array([bool(example.defect) for example in task.examples])
    return float(beyond[~odd].mean()), float(beyond[odd].mean())


def draw_examples(codec: Codec, tasks: Sequence[Task], path: Path) -> None:
    """Pictures with their heat: one row a task, one pair of columns a defect."""
    reader, rows = LatentReader(codec), []
    for task in tasks:
        profile = learned(codec, [reader.of_pixels(pixels) for pixels in task.normal], None)
        row = []
        for defect in ("", *DEFECTS[:3]):
            pixels = next(e.pixels for e in task.examples if e.defect == defect)
            hot = overlay(pixels, profile.score(reader.of_pixels(pixels)))
            row += [_shown(pixels), _shown(hot)]
        rows.append(np.concatenate(row, axis=1))
    Image.fromarray(np.concatenate(rows)).save(path)


def _shown(pixels: Picture) -> Picture:
    return np.asarray(Image.fromarray(pixels).resize((160, 160), Image.Resampling.LANCZOS))


@click.command()
@click.argument("tiles", type=click.Path(exists=True, path_type=Path))
@click.option("--objects", type=click.IntRange(1), default=8, show_default=True)
@click.option("--textures", type=click.IntRange(0), default=8, show_default=True)
@click.option("--seed", type=int, default=1, show_default=True)
@click.option("--every", type=click.IntRange(1), default=1, help="Use every so many-th tile.")
@click.option("--picture", type=click.Path(path_type=Path), help="Draw examples to this PNG.")
def main(
    tiles: Path, objects: int, textures: int, seed: int, every: int, picture: Path | None
) -> None:
    """Shows how well anomalies are found in tiles of 512x512 pixels, against simple detectors."""
    hold_threads(1)
    try:
        tasks = make_tasks(collect_pictures([tiles])[::every], objects, textures, seed)
    except (OSError, ValueError) as exc:
        raise click.ClickException(str(exc)) from exc
    codec = Codec()
    cache: dict[int, LatentMap] = {}
    learners: dict[str, Learn] = {
        "aecodec": by_latents(codec, None, cache),
        "aecodec, layout free": by_latents(codec, "free", cache),
        "PCA of pictures": by_whole_pca,
        "PCA of 8x8 blocks": by_patch_pca,
        "isolation forest": by_forest,
    }
    columns = [*DEFECTS, "all", "pixels"]
    for kind in ("object", "texture"):
        of_kind = [task for task in tasks if task.kind == kind]
        if not of_kind:
            continue
        click.echo(f"| {kind}, {len(of_kind)} tiles | {' | '.join(columns)} | CPU s |")
        click.echo("|---" * (len(columns) + 2) + "|")
        for name, learn in learners.items():
            sums: dict[str, list[float]] = defaultdict(list)
            start = time.process_time()
            for task in of_kind:
                for key, value in areas(task, learn(task)).items():
                    sums[key].append(value)
            cells = " | ".join(f"{np.mean(sums[key]):.3f}" for key in columns)
            click.echo(f"| {name} | {cells} | {time.process_time() - start:.1f} |")
        rates = np.mean([alarms(codec, task, cache) for task in of_kind], axis=0)
        click.echo(
            f"beyond the threshold: {rates[0]:.0%} of normal pictures, {rates[1]:.0%} of others"
        )
    if picture is not None:
        draw_examples(codec, tasks[:SHOWN], picture)

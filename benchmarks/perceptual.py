"""How the distortions that training can lower rank pictures: `python -m benchmarks perceptual`.

Each is compared with SSIMULACRA2 of the `ssimulacra2` package on real distortions of crops: codecs
at several qualities, blur, noise, and two faults of colour. The measure is Spearman's rank
correlation over all crops and distortions together, and within each kind of distortion.

Crops are large enough for what the package can measure, see `metrics.SSIMULACRA2_SIDE`.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image, ImageFilter
from torch import Tensor

from aecodec.autoencoder.distortion import Distortion
from aecodec.autoencoder.mixture_text import DISTORTIONS
from aecodec.picture.perceptual import SSIMULACRA2_SIDE, ssimulacra2
from benchmarks.codecs import FACTORIES, ImageCodec
from benchmarks.pictures import collect_pictures, load_picture

CODECS = ("jpeg420", "webp", "avif-iq", "aecodec")
QUALITIES = (15.0, 30.0, 50.0, 70.0, 85.0, 95.0)
BLURS = (0.4, 0.7, 1.2, 2.0)
"""Standard deviations in pixels."""
NOISES = (2.0, 5.0, 10.0, 20.0)
"""Standard deviations in 8-bit levels, each channel on its own."""
SHIFTS = (2, 4, 8, 16)
"""Levels by which Cb rises and Cr falls everywhere."""
COLOUR_BLOCKS = (2, 4, 8, 16)
"""Sides in pixels of squares that get one Cb and one Cr."""
CALLS = 5
"""Timed calls, of which the fastest counts."""
BATCH, SIDE = 8, 256
"""Of the step whose cost is measured."""


@dataclass(frozen=True)
class Sample:
    """One distorted crop.

    Attributes:
        picture: name of the picture.
        kind: of the distortion, such as "webp" or "blur".
        score: SSIMULACRA2 of the package.
        values: of each distortion, by name, in lambda units.
    """

    picture: str
    kind: str
    score: float
    values: Mapping[str, float]


def to_tensor(image: Image.Image) -> Tensor:
    """`(1, 3, H, W)` in [0, 1]."""
    pixels = np.array(image.convert("RGB"), np.float32)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous() / 255


def distorted(
    image: Image.Image, codecs: Sequence[ImageCodec], seed: int
) -> Iterator[tuple[str, Image.Image]]:
    """Kinds and pictures, from all codecs and all other faults."""
    for codec in codecs:
        for quality in QUALITIES:
            yield codec.name, codec.decode(codec.encode(image, quality))
    for radius in BLURS:
        yield "blur", image.filter(ImageFilter.GaussianBlur(radius))
    generator = np.random.default_rng(seed)
    pixels = np.asarray(image, np.float64)
    for sigma in NOISES:
        noisy = pixels + generator.normal(0, sigma, pixels.shape)
        yield "noise", Image.fromarray(noisy.round().clip(0, 255).astype(np.uint8))
    y, cb, cr = image.convert("YCbCr").split()
    for levels in SHIFTS:
        # Pillow clips at 0 and 255.
        moved = (y, cb.point(lambda v, d=levels: v + d), cr.point(lambda v, d=levels: v - d))
        yield "colour shift", Image.merge("YCbCr", moved).convert("RGB")
    for side in COLOUR_BLOCKS:
        coarse = (max(1, image.width // side), max(1, image.height // side))
        blocks = (
            plane.resize(coarse, Image.Resampling.BOX).resize(image.size, Image.Resampling.NEAREST)
            for plane in (cb, cr)
        )
        yield "colour blocks", Image.merge("YCbCr", (y, *blocks)).convert("RGB")


@torch.inference_mode()
def measure(
    name: str, image: Image.Image, variants: Iterable[tuple[str, Image.Image]]
) -> list[Sample]:
    """SSIMULACRA2 and all distortions of one picture.

    Args:
        name: of the picture.
        image: the original.
        variants: kinds of distortion and distorted pictures, as `distorted` makes them.

    Raises:
        MetricUnavailableError: no ssimulacra2, or the picture is too small.
        TrainingError: the picture is too small for a distortion.
    """
    distortions = {key: make() for key, make in DISTORTIONS.items()}
    x = to_tensor(image)
    return [
        Sample(
            name,
            kind,
            ssimulacra2(image, restored),
            {key: float(each(to_tensor(restored), x)) for key, each in distortions.items()},
        )
        for kind, restored in variants
    ]


def rank_correlation(samples: Sequence[Sample], name: str) -> float:
    """Spearman's, of a distortion and the loss of SSIMULACRA2; 1 when they order alike."""
    lost = _ranks(np.array([-sample.score for sample in samples]))
    ours = _ranks(np.array([sample.values[name] for sample in samples]))
    return float(np.corrcoef(lost, ours)[0, 1])


def _ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 0; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    first = np.cumsum(counts) - counts
    return np.asarray((first + (counts - 1) / 2)[place])


def step_seconds(distortion: Distortion) -> float:
    """Seconds of the processor, for the distortion and its gradient, of 8 patches of 256x256."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(BATCH, 3, SIDE, SIDE, generator=generator)
    x_hat = (x + 0.05 * torch.randn(x.shape, generator=generator)).requires_grad_()
    times = []
    for _ in range(CALLS):
        start = time.process_time()
        distortion(x_hat, x).sum().backward()  # type: ignore[no-untyped-call]  # torch
        times.append(time.process_time() - start)
    return min(times)


def format_table(samples: Sequence[Sample], seconds: Mapping[str, float]) -> str:
    """Rank correlations, all together and by kind, and costs."""
    kinds = list(dict.fromkeys(sample.kind for sample in samples))
    lines = [" ".join(f"{title:>14}" for title in ("", *seconds))]
    for kind in ("all", *kinds):
        chosen = [sample for sample in samples if kind in ("all", sample.kind)]
        cells = (f"{rank_correlation(chosen, name):14.3f}" for name in seconds)
        lines.append(f"{kind:>14} " + " ".join(cells))
    cost = " ".join(f"{1e3 * each:14.0f}" for each in seconds.values())
    return "\n".join([*lines, f"{'ms a step':>14} {cost}"])


@click.command()
@click.argument("pictures", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--crop", type=click.IntRange(SSIMULACRA2_SIDE), default=SSIMULACRA2_SIDE, show_default=True
)
@click.option("--limit", type=click.IntRange(1), help="Take so many pictures, evenly spaced.")
@click.option("--model", metavar="PATH", help="Weights to use instead of the released ones.")
def main(pictures: tuple[Path, ...], crop: int, limit: int | None, model: str | None) -> None:
    """Rank correlation of training distortions with SSIMULACRA2 on the middles of PICTURES."""
    torch.set_num_threads(1)
    paths = collect_pictures(pictures)
    if limit is not None and limit < len(paths):
        paths = [paths[number * len(paths) // limit] for number in range(limit)]
    codecs = [FACTORIES[name](model) for name in CODECS]
    samples: list[Sample] = []
    with click.progressbar(paths, show_pos=True) as bar:
        for seed, path in enumerate(bar):
            image = load_picture(path, crop)
            if min(image.size) >= crop:
                samples += measure(path.name, image, distorted(image, codecs, seed))
    seconds = {name: step_seconds(make()) for name, make in DISTORTIONS.items()}
    pictures_measured = len({sample.picture for sample in samples})
    click.echo(f"{len(samples)} distorted crops of {pictures_measured} pictures, {crop}x{crop}")
    click.echo("Spearman's rank correlation with SSIMULACRA2")
    click.echo(format_table(samples, seconds))


if __name__ == "__main__":
    main()

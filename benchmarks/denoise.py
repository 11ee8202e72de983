"""What denoising gives beside others: `python -m benchmarks denoise PICTURES`.

Gaussian noise is seeded, clipped and rounded to 8 bits. Rivals know its level; those with a weight
have the one of several that suits these pictures best. Also: what bits the noise costs, how well
its level is estimated, and what is lost of clean pictures.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.restoration import denoise_tv_chambolle, denoise_wavelet

from aecodec.applications.denoise import denoise
from aecodec.codec import Codec
from benchmarks.machine import hold_threads
from benchmarks.pictures import collect_pictures, load_picture

Picture = NDArray[np.uint8]
Result = NDArray[Any]
Denoise = Callable[[Picture, float], Result]

LEVELS = (15, 25, 50)
CHECKED_LEVELS = (0, 5, 10, *LEVELS)
TV_WEIGHTS = (0.4, 0.6, 0.8, 1.0)
"""Of TV-Chambolle, times the level over 255."""
NLM_STRENGTHS = (0.3, 0.45, 0.6, 0.75)
"""Of non-local means, times the level."""


def noisy(picture: Picture, level: float, seed: int) -> Picture:
    """The picture with white Gaussian noise, clipped and rounded."""
    noise = np.random.default_rng([seed, int(level)]).normal(0, level, picture.shape)
    return np.rint(picture + noise).clip(0, 255).astype(np.uint8)


def psnr(a: Picture, b: Result) -> float:
    """PSNR of 8-bit colours in dB."""
    error = np.mean((a.astype(np.float64) - np.clip(b, 0, 255)) ** 2)
    return float(10 * np.log10(255**2 / max(error, 1e-10)))


def by_wavelet(picture: Picture, level: float) -> Result:
    """BayesShrink of scikit-image, in YCbCr."""
    found = denoise_wavelet(
        picture / 255, sigma=level / 255, method="BayesShrink", mode="soft", convert2ycbcr=True,
        rescale_sigma=True, channel_axis=2,
    )  # fmt: skip
    return np.asarray(found * 255)


def by_tv(weight: float) -> Denoise:
    """TV-Chambolle of scikit-image."""

    def run(picture: Picture, level: float) -> Result:
        chambolle: Callable[..., Result] = denoise_tv_chambolle
        return chambolle(picture / 255, weight=weight * level / 255, channel_axis=2) * 255

    return run


def by_nlm(strength: float) -> Denoise:
    """Non-local means of OpenCV for colours, with its own sizes of windows."""

    def run(picture: Picture, level: float) -> Picture:
        h = strength * level
        return np.asarray(cv2.fastNlMeansDenoisingColored(picture, None, h, h, 7, 21))

    return run


def by_bm3d(picture: Picture, level: float) -> Result:
    """BM3D for colours, by the package of its authors."""
    from bm3d import bm3d_rgb

    return np.asarray(bm3d_rgb(picture / 255, level / 255) * 255)


def rivals(with_bm3d: bool) -> dict[str, list[Denoise]]:
    """Each rival, with all its weights."""
    found: dict[str, list[Denoise]] = {
        "wavelet (scikit-image)": [by_wavelet],
        "TV-Chambolle (scikit-image)": [by_tv(weight) for weight in TV_WEIGHTS],
        "non-local means (OpenCV)": [by_nlm(strength) for strength in NLM_STRENGTHS],
    }
    return found | ({"BM3D": [by_bm3d]} if with_bm3d else {})


def measure(
    codec: Codec, pictures: list[Picture], level: float, others: dict[str, list[Denoise]]
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Mean PSNR, bits per pixel and CPU seconds by method at one level."""
    rates: dict[str, list[float]] = {"as it is": [], "denoised": []}

    def coded(name: str, strength: float | None, picture: Picture, _level: float) -> Result:
        data = codec.compress(picture, denoise=strength, lossless_tiles=False)
        rates[name].append(8 * len(data) * 3 / picture.size)
        return codec.decompress_array(data)

    ways: dict[str, list[Denoise]] = {
        "noisy": [lambda picture, _level: picture],
        "aecodec, .aec as it is": [partial(coded, "as it is", None)],
        "aecodec, .aec denoised": [partial(coded, "denoised", level)],
        "aecodec, picture": [lambda picture, level: denoise(picture, level, codec=codec)],
        "aecodec, picture, auto": [lambda picture, _level: denoise(picture, codec=codec)],
        **others,
    }
    quality, spent = {}, {}
    for name, several in ways.items():
        tried = [_tried(way, pictures, level) for way in several]
        quality[name], spent[name] = max(tried)  # of the weight with the best PSNR
    return quality, {name: float(np.mean(each)) for name, each in rates.items()}, spent


def _tried(way: Denoise, pictures: list[Picture], level: float) -> tuple[float, float]:
    """Mean PSNR and CPU seconds of one method with one weight."""
    reached, spent = [], []
    for number, picture in enumerate(pictures):
        noise = noisy(picture, level, number)
        start = time.process_time()
        found = way(noise, level)
        spent.append(time.process_time() - start)
        reached.append(psnr(picture, found))
    return float(np.mean(reached)), float(np.mean(spent))


def estimates(pictures: list[Picture], level: float) -> list[float]:
    """The level that is estimated of each picture with noise of a level."""
    from aecodec.encoder.noise import noise_level
    from aecodec.picture.picture import Picture as Whole
    from aecodec.picture.row_readers import PictureRows

    return [
        noise_level(PictureRows(Whole(noisy(picture, level, number))))
        for number, picture in enumerate(pictures)
    ]


def lost_when_clean(codec: Codec, pictures: list[Picture]) -> tuple[float, float]:
    """The mean and the largest loss of PSNR in dB of clean pictures at strength auto."""
    losses = []
    for picture in pictures:
        plain, careful = (
            psnr(picture, codec.decompress_array(codec.compress(picture, denoise=wish)))
            for wish in (None, "auto")
        )
        losses.append(plain - careful)
    return float(np.mean(losses)), max(losses)


@click.command()
@click.argument("pictures", type=click.Path(exists=True, path_type=Path))
@click.option("--pictures", "count", type=click.IntRange(1), help="Use so many, evenly spaced.")
@click.option(
    "--bm3d", is_flag=True, help="Also run BM3D, of the package bm3d; a minute a picture."
)
def main(pictures: Path, count: int | None, bm3d: bool) -> None:
    """Shows PSNR of denoised PICTURES beside other methods, bits, and estimated levels."""
    hold_threads(1)
    cv2.setNumThreads(1)
    try:
        paths = collect_pictures([pictures])
        paths = paths[:: max(len(paths) // (count or len(paths)), 1)][:count]
        loaded: list[Picture] = [np.asarray(load_picture(path)) for path in paths]
    except (OSError, ValueError) as exc:
        raise click.ClickException(str(exc)) from exc
    codec = Codec()
    tables = [measure(codec, loaded, level, rivals(bm3d)) for level in LEVELS]
    click.echo(f"| {len(loaded)} pictures, PSNR in dB | {' | '.join(map(str, LEVELS))} | CPU s |")
    click.echo("|---" * (len(LEVELS) + 2) + "|")
    for name in tables[0][0]:
        cells = " | ".join(f"{best[name]:.2f}" for best, _, _ in tables)
        spent = tables[0][2].get(name)
        click.echo(f"| {name} | {cells} | {'' if spent is None else f'{spent:.2f}'} |")
    for name in tables[0][1]:
        cells = " | ".join(f"{rates[name]:.2f}" for _, rates, _ in tables)
        click.echo(f"| bits per pixel, {name} | {cells} | |")
    for level in CHECKED_LEVELS:
        found = estimates(loaded, level)
        click.echo(
            f"noise of {level}: estimated {np.median(found):.2f}, "
            f"from {min(found):.2f} to {max(found):.2f}"
        )
    mean, most = lost_when_clean(codec, loaded)
    click.echo(f"clean pictures lose {mean:.3f} dB at strength auto, {most:.3f} dB at most")

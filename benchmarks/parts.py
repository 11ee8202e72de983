"""Where coding spends its time: `python -m benchmarks parts PICTURE`.

All parts take turns in one run, on one tile, with the model loaded and warm. Times are of the CPU,
all threads together, so that other work on the machine disturbs them little. The last lines decode
one file with the exact synthesis and with the same layers in floats.
"""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import click
import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from aecodec.autoencoder.model import HyperpriorModel
from aecodec.autoencoder.transforms import SynthesisTransform
from aecodec.codec import Codec
from aecodec.decoder.latents import Grid, decode_latents
from aecodec.decoder.networks import YHat
from aecodec.decoder.numpy_block import ExactBlock
from aecodec.decoder.rows import render
from aecodec.decoder.work_sharing import Crew, Floats
from aecodec.encoder.latents import encode_latents
from aecodec.format.constants import MEAN_FRACTION
from aecodec.format.container import parse
from aecodec.format.quality import quality_index, relative_quality
from aecodec.format.quality_map import Quality
from aecodec.picture.pixels import Pixels
from benchmarks.codecs import describe
from benchmarks.machine import hold_threads
from benchmarks.pictures import load_picture, of_size, parse_sizes

KMAC_SIDE = 256
MULTIPLE = 64
"""Sides that every transform divides."""
SYNTHESIS = "whole synthesis"
EXACT, FLOAT = "whole decoding", "whole decoding, floats"

Times = dict[str, list[float]]


class FloatSynthesis:
    """The real-valued synthesis with the interface of the exact one, for whole 8-bit colour."""

    def __init__(self, network: SynthesisTransform) -> None:
        self._network = network

    @torch.inference_mode()
    def pixels(
        self, y_hat: YHat, quality: Quality, *, scale: int, inside: tuple[int, int],
        sixteen_bit: bool, gray: bool,
    ) -> Pixels:  # fmt: skip
        """See `aecodec.decoder.networks.SynthesisNetwork`."""
        assert isinstance(quality, int)
        assert (scale, sixteen_bit, gray) == (1, False, False)
        y = torch.from_numpy(y_hat).permute(2, 0, 1)[None].float().mul_(1 / MEAN_FRACTION)
        x = self._network(y, torch.tensor([relative_quality(quality)]))
        samples = x[0].mul_(255.0).add_(0.5).clamp_(0, 255)
        array: Pixels = samples.to(torch.uint8).permute(1, 2, 0).numpy()
        return array


@torch.no_grad()
def kmacs(model: HyperpriorModel) -> dict[str, float]:
    """Thousands of multiplications a pixel of each part of a forward pass, convolutions alone."""
    counts: dict[str, float] = defaultdict(float)

    def count(part: str, module: nn.Conv2d | nn.ConvTranspose2d, x: Tensor, y: Tensor) -> None:
        # A convolution uses each weight once for each output, a transposed one for each input.
        grid = x if isinstance(module, nn.ConvTranspose2d) else y
        places = grid.shape[2] * grid.shape[3] / KMAC_SIDE**2
        counts[part] += module.weight.numel() * places / 1000

    hooks = [
        module.register_forward_hook(lambda m, inputs, y, part=part: count(part, m, inputs[0], y))
        for part, child in model.named_children()
        for module in child.modules()
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d))
    ]
    model(torch.rand(1, 3, KMAC_SIDE, KMAC_SIDE), torch.ones(1), noisy=False)
    for hook in hooks:
        hook.remove()
    return dict(counts)


def measure_parts(codec: Codec, image: Image.Image, quality: float, rounds: int) -> Times:
    """CPU seconds of each part, one for each round.

    Args:
        codec: with the model to measure.
        image: RGB, sides divisible by 64, at most one tile.
        quality: 0 to 100.
        rounds: how often all parts take their turn.
    """
    encoder, index, pixels = codec.encoder, quality_index(quality), np.asarray(image)
    decoder, prior = encoder.decoder, encoder.decoder.prior
    y = np.ascontiguousarray(encoder.analyze(pixels, index))
    z, grid = encoder.analysis.hyper(y, index), Grid(*y.shape[:2])
    tile, y_hat = encode_latents(prior, y, z, index)
    stream = parse(codec.compress(pixels, quality, lossless_tiles=False))
    in_floats = replace(decoder, synthesis=FloatSynthesis(encoder.trainable.synthesis))
    runs: dict[str, Callable[[], object]] = {
        "analysis": lambda: encoder.analyze(pixels, index),
        "hyper-analysis": lambda: encoder.analysis.hyper(y, index),
        "prior and coder, encoding": lambda: encode_latents(prior, y, z, index),
        "prior and coder, decoding": lambda: decode_latents(prior, tile, grid, index),
        SYNTHESIS: lambda: decoder.synthesis.pixels(
            y_hat, index, scale=1, inside=(image.height, image.width), sixteen_bit=False, gray=False
        ),
        EXACT: lambda: render(decoder, stream),
        FLOAT: lambda: render(in_floats, stream),
    }
    for run in runs.values():
        run()
    times: Times = defaultdict(list)
    with _blocks_timed(times):
        for name, run in rounds * list(runs.items()):
            blocks = len(times["blocks"])
            start = time.process_time()
            run()
            times[name].append(time.process_time() - start)
            if name == SYNTHESIS:
                times["blocks of one synthesis"].append(sum(times["blocks"][blocks:]))
    del times["blocks"]
    return times


@contextmanager
def _blocks_timed(times: Times) -> Iterator[None]:
    run = ExactBlock.__call__

    def timed(self: ExactBlock, stream: Floats, crew: Crew) -> None:
        start = time.process_time()
        run(self, stream, crew)
        times["blocks"].append(time.process_time() - start)

    with patch.object(ExactBlock, "__call__", timed):
        yield


def format_parts(times: Times, counts: dict[str, float], pixels: int) -> str:
    """A table of medians, with multiplications and their rate where they are known."""
    of_part = {
        "analysis": counts["analysis"],
        "hyper-analysis": counts["hyper_analysis"],
        "prior and coder, encoding": counts["prior"],
        "prior and coder, decoding": counts["prior"],
        SYNTHESIS: counts["synthesis"],
    }
    lines = [f"{'part':28}{'kMAC/pixel':>12}{'CPU, ms':>10}{'GMAC/s':>9}"]
    for name, seconds in times.items():
        middle = statistics.median(seconds)
        cost = of_part.get(name)
        rate = "" if cost is None else f"{cost * pixels / middle / 1e6:.1f}"
        lines.append(f"{name:28}{'' if cost is None else f'{cost:.2f}':>12}"
                     f"{1000 * middle:10.1f}{rate:>9}")  # fmt: skip
    ratio = statistics.median(times[EXACT]) / statistics.median(times[FLOAT])
    return "\n".join([*lines, f"decoding exactly takes {ratio:.2f} times as long as in floats"])


@click.command()
@click.argument("picture", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--size", default="768x512", show_default=True, help="Sides, multiples of 64.")
@click.option("-q", "--quality", type=click.FloatRange(0, 100), default=75.0, show_default=True)
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True)
@click.option("--repeats", type=click.IntRange(1), default=10, show_default=True)
@click.option("--model", help="Name or weights file of a model in place of the default.")
def main(
    picture: Path, size: str, quality: float, threads: int, repeats: int, model: str | None
) -> None:
    """Shows what each part of coding costs: multiplications a pixel and CPU time."""
    hold_threads(threads)
    try:
        image = load_picture(picture)
        width, height = parse_sizes(size, image)[0]
    except (OSError, ValueError) as exc:
        raise click.ClickException(f"{picture}: {describe(exc)}") from exc
    if width % MULTIPLE or height % MULTIPLE or max(width, height) > 1024:
        raise click.BadParameter(f"{size} is not one size of multiples of 64, 1024 at most")
    codec = Codec(model)
    times = measure_parts(codec, of_size(image, width, height), quality, repeats)
    counts = kmacs(HyperpriorModel(codec.encoder.decoder.config))
    click.echo(f"{width}x{height} pixels, {threads} threads, median of {repeats} rounds in turns")
    click.echo(format_parts(times, counts, width * height))

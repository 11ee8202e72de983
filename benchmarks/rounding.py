"""What the exact arithmetic costs: `python -m benchmarks rounding RUN`.

A released model is the run's averaged weights, rounded: its prior to integers of few bits, its
synthesis to 16-bit weights. Held-out tiles, which took no part in training or export, are coded
with both. Not of the rounding alone is the last column: the shipped tables are fitted to the
default effort, while symbols are rounded plainly here, as training does.
"""

from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch
from torch import Tensor

from aecodec.autoencoder.distortion import mean_squared_error
from aecodec.autoencoder.model import HyperpriorModel
from aecodec.autoencoder.transforms import to_model_space
from aecodec.decoder.latents import Grid, decode_latents
from aecodec.decoder.networks import Levels, Symbols
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.networks import EncoderModel, load_encoder
from aecodec.errors import AecError
from aecodec.format.constants import MEAN_FRACTION
from aecodec.format.quality import quality_index, relative_quality
from aecodec.models.registry import load_model, tuned_model
from aecodec.models.weights import Weights
from aecodec.picture.metrics import pixels_psnr
from aecodec.picture.pixels import Pixels
from aecodec.training.checkpoint import load_average, load_state
from aecodec.training.config import CHECKPOINT
from aecodec.training.data import HELD_OUT
from benchmarks.codecs import describe

QUALITIES = (10.0, 25.0, 50.0, 75.0, 100.0)


@dataclass(frozen=True)
class Cost:
    """One tile at one quality.

    Attributes:
        estimated_bits: by training's real-valued prior.
        rounded_bits: by the same with everything rounded that the exact prior rounds.
        prior_loss: dB, by which rounding the prior worsens the picture.
        table_bits: what the shipped tables say that the symbols cost.
        word_bits: of the words that are written.
        synthesis_loss: dB, of 8-bit pictures, by which the exact synthesis is worse than the real.
    """

    estimated_bits: float
    rounded_bits: float
    prior_loss: float
    table_bits: float
    word_bits: float
    synthesis_loss: float


@torch.inference_mode()
def measure_tile(parent: HyperpriorModel, model: EncoderModel, pixels: Pixels, index: int) -> Cost:
    """Codes one tile with both models.

    Args:
        parent: the averaged weights.
        model: what was exported from them.
        pixels: `(H, W, 3)` uint8, sides divisible by 64.
        index: row of the quality grid.
    """
    height, width = pixels.shape[:2]
    x, q = to_model_space(pixels), torch.tensor([relative_quality(index)])
    real = parent(x, q, noisy=False)
    parent.set_quantized(True)
    rounded = parent(x, q, noisy=False)
    parent.set_quantized(False)
    real_mse, rounded_mse = (mean_squared_error(each.x_hat, x) for each in (real, rounded))
    latents = torch.round(parent.estimate(parent.analysis(x, q), q).y_hat * MEAN_FRACTION)
    y_hat = np.ascontiguousarray(latents[0].permute(1, 2, 0).numpy().astype(np.int16))
    smooth = _picture(parent.synthesis(latents / MEAN_FRACTION, q)[0])
    exact = model.decoder.synthesis.pixels(
        y_hat, index, scale=1, inside=(height, width), sixteen_bit=False, gray=False
    )
    coded = _coded(model, pixels, index)
    return Cost(
        estimated_bits=float(real.bpp) * height * width,
        rounded_bits=float(rounded.bpp) * height * width,
        prior_loss=10 * float(torch.log10(rounded_mse / real_mse)),
        table_bits=coded.by_tables,
        word_bits=coded.of_words,
        synthesis_loss=pixels_psnr(pixels, smooth) - pixels_psnr(pixels, exact),
    )


@dataclass(frozen=True)
class _Bits:
    """What the symbols of a tile cost by the tables, and in words."""

    by_tables: float
    of_words: float


def _coded(model: EncoderModel, pixels: Pixels, index: int) -> _Bits:
    prior = model.decoder.prior
    y = np.ascontiguousarray(model.analyze(pixels, index))
    tile, _ = encode_latents(prior, y, model.analysis.hyper(y, index), index)
    tables = [prior.tables.hyper_tables]
    bits = 0.0

    def observe(symbols: Symbols, numbers: Levels) -> None:
        nonlocal bits
        group = tables.pop() if tables else prior.tables.scale_tables  # z comes first
        for number in np.unique(numbers):
            bits += float(group[number].bits(symbols[numbers == number]).sum())

    decode_latents(prior, tile, Grid(*y.shape[:2]), index, observe=observe)
    return _Bits(bits, 8.0 * len(tile.words))


def _picture(x: Tensor) -> Pixels:
    """`(3, H, W)` about [0, 1], rounded to 8 bits, `(H, W, 3)`."""
    samples = x.clamp(0, 1).mul(255).add(0.5).to(torch.uint8)
    return np.ascontiguousarray(samples.permute(1, 2, 0).numpy())


def format_costs(costs: dict[float, list[Cost]]) -> str:
    """A line for each quality: sums of bits, means of dB over tiles."""
    lines = [
        f"{'':>9}{'prior':>19}{'synthesis, dB':>20}{'words, %, against':>24}",
        f"{'quality':>9}{'bits, %':>11}{'dB':>8}{'mean':>12}{'worst':>8}{'tables':>12}"
        f"{'training':>12}",
    ]
    for quality, each in costs.items():
        real, rounded, tables, words = (
            sum(getattr(cost, name) for cost in each)
            for name in ("estimated_bits", "rounded_bits", "table_bits", "word_bits")
        )
        losses = [cost.synthesis_loss for cost in each]
        lines.append(
            f"{quality:9g}{100 * (rounded / real - 1):+11.2f}"
            f"{sum(cost.prior_loss for cost in each) / len(each):8.4f}"
            f"{sum(losses) / len(losses):12.4f}{max(losses):8.4f}"
            f"{100 * (words / tables - 1):+12.3f}{100 * (words / rounded - 1):+12.2f}"
        )
    return "\n".join(lines)


def load_parent(checkpoint: Path, weights: Weights) -> HyperpriorModel:
    """The averaged weights of a run, if `weights` were exported from them.

    Raises:
        TrainingError: the checkpoint cannot be read, or is of a model of other sizes.
        ValueError: they were exported from others.
    """
    parent = HyperpriorModel(weights.config)
    load_state(parent, load_average(checkpoint), checkpoint)
    kept = weights.tensors["parent"]["prior"].array("base")  # as it was trained
    if not np.array_equal(kept, parent.state_dict()["prior.base"].numpy()):
        raise ValueError(
            f"model {weights.model_id.hex()} was not exported from what {checkpoint} holds now"
        )
    return parent.eval()


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--model", default=tuned_model("psnr").name, show_default=True,
    help="Name or weights file of what was exported from the run.",
)  # fmt: skip
@click.option("--tiles", type=click.IntRange(1), default=10, show_default=True)
def main(run: Path, model: str, tiles: int) -> None:
    """Shows what rounding the averaged weights of RUN costs on its held-out tiles."""
    try:
        weights = load_model(model)
        parent, coder = load_parent(run / CHECKPOINT, weights), load_encoder(weights)
        held_out = np.load(run / HELD_OUT, mmap_mode="r", allow_pickle=False)
    except (AecError, OSError, ValueError) as exc:
        raise click.ClickException(f"{run}: {describe(exc)}") from exc
    chosen = held_out[:: max(1, len(held_out) // tiles)][:tiles]
    costs: dict[float, list[Cost]] = {}
    for quality in QUALITIES:
        costs[quality] = [
            measure_tile(parent, coder, tile, quality_index(quality)) for tile in chosen
        ]
    side = chosen.shape[1]
    click.echo(f"model {weights.model_id.hex()}, {len(chosen)} held-out tiles of {side}x{side}")
    click.echo(format_costs(costs))

"""What the exact arithmetic costs: `python -m benchmarks rounding RUN`.

A released model is the run's averaged weights, rounded: its prior to integers of few bits, its
synthesis to 16-bit weights. Held-out tiles, which took no part in training or export, are coded
with both. Not of the rounding alone is the last column: the shipped tables are fitted to the
default effort, while symbols are rounded plainly here, as training does.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from safetensors import safe_open
from torch import Tensor

from aecodec.autoencoder.model import HyperpriorModel
from aecodec.autoencoder.transforms import to_model_space
from aecodec.decoder.latents import Grid, decode_latents
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.networks import CodecModel, load_weights
from aecodec.encoder.tile import hyper_analyze
from aecodec.errors import AecError
from aecodec.format.quality import quality_index, relative_quality
from aecodec.models import registry
from aecodec.training.checkpoint import load_average
from benchmarks.codecs import describe
from benchmarks.curves import psnr

if TYPE_CHECKING:
    from aecodec.coding.ans import SymbolTable

QUALITIES = (10.0, 25.0, 50.0, 75.0, 100.0)
_KNOTS = "prior.base"
"""A tensor that a weights file keeps as it was trained."""


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
def measure_tile(parent: HyperpriorModel, model: CodecModel, x: Tensor, index: int) -> Cost:
    """Codes one tile with both models.

    Args:
        parent: the averaged weights.
        model: what was exported from them.
        x: `(1, 3, H, W)` in [0, 1], sides divisible by 64.
        index: row of the quality grid.
    """
    q, pixels = relative_quality(index), x.shape[-2] * x.shape[-1]
    real = parent(x, q, noisy=False)
    parent.set_quantized(True)
    rounded = parent(x, q, noisy=False)
    parent.set_quantized(False)
    latents = torch.round(parent.estimate(parent.analysis(x, q), q).y_hat * 16)
    original = _picture(x[0])
    smooth = _picture(parent.synthesis(latents / 16, q)[0])
    exact = Image.fromarray(model.synthesis(latents, index).numpy())
    table_bits, word_bits = _coded(model, x, index)
    return Cost(
        estimated_bits=float(real.bpp) * pixels,
        rounded_bits=float(rounded.bpp) * pixels,
        prior_loss=10 * float(torch.log10(rounded.mse / real.mse)),
        table_bits=table_bits,
        word_bits=word_bits,
        synthesis_loss=psnr(original, smooth) - psnr(original, exact),
    )


def _coded(model: CodecModel, x: Tensor, index: int) -> tuple[float, float]:
    """Bits by the tables and by the words."""
    y = np.ascontiguousarray(model.analysis(x, relative_quality(index))[0].permute(1, 2, 0).numpy())
    tile, _ = encode_latents(model.prior, y, hyper_analyze(model, y, index), index)
    tables: list[list[SymbolTable]] = [model.prior.hyper_tables]
    bits = 0.0

    def observe(symbols: npt.NDArray[np.int32], numbers: npt.NDArray[np.uint8]) -> None:
        nonlocal bits
        group = tables.pop() if tables else model.prior.scale_tables  # z comes first
        for number in np.unique(numbers):
            bits += float(group[number].bits(symbols[numbers == number]).sum())

    decode_latents(model.prior, tile, Grid(*y.shape[:2]), index, observe=observe)
    return bits, 8.0 * len(tile.words)


def _picture(x: Tensor) -> Image.Image:
    """`(3, H, W)` about [0, 1], rounded to 8 bits."""
    samples = x.clamp(0, 1).mul(255).add(0.5).to(torch.uint8)
    return Image.fromarray(np.ascontiguousarray(samples.permute(1, 2, 0).numpy()))


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


def load_parent(checkpoint: Path, weights: Path, model: CodecModel) -> HyperpriorModel:
    """The averaged weights of a run, if `weights` was exported from them.

    Raises:
        ValueError: it was exported from others.
    """
    parent = HyperpriorModel(model.config)
    parent.load_state_dict(load_average(checkpoint))
    with safe_open(weights, "pt") as file:
        kept = file.get_tensor(f"parent.{_KNOTS}")
    if not torch.equal(kept, parent.state_dict()[_KNOTS]):
        raise ValueError(f"{weights.name} was not exported from what {checkpoint} holds now")
    return parent.eval()


@click.command()
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--model", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="What was exported from the run; by default the newest released model.",
)  # fmt: skip
@click.option("--tiles", type=click.IntRange(1), default=10, show_default=True)
def main(run: Path, model: Path | None, tiles: int) -> None:
    """Shows what rounding the averaged weights of RUN costs on its held-out tiles."""
    try:
        with registry.weights_path(registry.MODELS[-1]) as newest:
            weights = model or newest
            coder = load_weights(weights)
            parent = load_parent(run / "checkpoint.safetensors", weights, coder)
        held_out = np.load(run / "held_out.npy", mmap_mode="r", allow_pickle=False)
    except (AecError, OSError, ValueError) as exc:
        raise click.ClickException(f"{run}: {describe(exc)}") from exc
    chosen = held_out[:: max(1, len(held_out) // tiles)][:tiles]
    costs: dict[float, list[Cost]] = {}
    for quality in QUALITIES:
        costs[quality] = [
            measure_tile(parent, coder, to_model_space(tile), quality_index(quality))
            for tile in chosen
        ]
    side = chosen.shape[1]
    click.echo(f"model {coder.model_id.hex()}, {len(chosen)} held-out tiles of {side}x{side}")
    click.echo(format_costs(costs))

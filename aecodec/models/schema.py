"""Names, types and shapes of the tensors in a weights file; SPECIFICATION.md, sections 15 and 19.

They follow from a model's sizes alone, so that a file is checked before any network is built.
"""

from collections.abc import Iterator

from aecodec.format.constants import (
    CONTEXT_KERNEL,
    HYPER_KERNEL,
    HYPER_TABLE_SIZE,
    KNOTS,
    NORM_SIZE,
    PASSES,
    PATCH_CHANNELS,
    SCALE_LEVELS,
)
from aecodec.format.quality import QUALITIES
from aecodec.models.config import ModelConfig

Shape = tuple[int | None, ...]
Signature = dict[str, tuple[str, Shape]]
"""Type and shape of each tensor, by name; None is a length that other tensors state."""

MIXTURE = 4
"""Logistic distributions of each channel of the trained hyper-prior."""
BLOCK_KERNEL = 3


def signature(config: ModelConfig) -> Signature:
    """All tensors of a weights file of these sizes."""
    return {
        **decoder_signature(config),
        **dict(_analysis(config)),
        **dict(_hyper_analysis(config)),
        **dict(_parents(config)),
    }


def decoder_signature(config: ModelConfig) -> Signature:
    """The tensors that decoding depends on, `prior.*` and `synthesis.*`."""
    return {**dict(_prior(config)), **dict(_synthesis(config))}


Entry = tuple[str, tuple[str, Shape]]


def _prior(c: ModelConfig) -> Iterator[Entry]:
    width, latents = c.context_channels, c.latent_channels
    hyper = "prior.hyper_synthesis"
    yield from _integer_conv(f"{hyper}.entry", 4 * width, c.hyper_channels)
    yield from _context_block(f"{hyper}.first", width, HYPER_KERNEL)
    yield from _integer_conv(f"{hyper}.up", 4 * width, width)
    yield from _context_block(f"{hyper}.second", width, HYPER_KERNEL)
    yield from _integer_conv(f"{hyper}.head", 2 * latents, width)
    for number in range(PASSES - 1):
        name = f"prior.passes.{number}"
        yield from _integer_conv(f"{name}.entry", width, latents + width)
        yield from _context_block(f"{name}.first", width, CONTEXT_KERNEL)
        yield from _context_block(f"{name}.second", width, CONTEXT_KERNEL)
        yield from _integer_conv(f"{name}.head", 2 * latents, width)
    tables = "prior.tables"
    yield f"{tables}.base", ("int16", (QUALITIES, latents))
    yield f"{tables}.rate_features", ("int16", (QUALITIES, width))
    yield f"{tables}.norms", ("int32", (NORM_SIZE,))
    yield f"{tables}.reciprocals", ("int32", (NORM_SIZE,))
    yield f"{tables}.scale_counts", ("int32", (None,))
    yield f"{tables}.scale_sizes", ("int32", (SCALE_LEVELS,))
    yield f"{tables}.hyper_counts", ("int32", (c.hyper_channels, HYPER_TABLE_SIZE))


def _integer_conv(name: str, outputs: int, inputs: int, kernel: int = 1) -> Iterator[Entry]:
    yield f"{name}.weight", ("int8", (outputs, inputs, kernel, kernel))
    yield f"{name}.bias", ("int32", (outputs,))
    yield f"{name}.shift", ("int8", (outputs,))


def _context_block(name: str, width: int, kernel: int) -> Iterator[Entry]:
    yield from _integer_conv(f"{name}.mix_in", width, width)
    yield from _integer_conv(f"{name}.depthwise", width, 1, kernel)
    yield from _integer_conv(f"{name}.mix_out", width, width)


def _synthesis(c: ModelConfig) -> Iterator[Entry]:
    wide = 4 * c.channels
    yield "synthesis.outer_gain", ("int32", (KNOTS, c.latent_channels))
    yield "synthesis.inner_gain", ("int32", (KNOTS, c.channels))
    yield from _linear("synthesis.up", c.latent_channels, wide)
    yield "synthesis.exit.weight", ("int16", (c.channels, PATCH_CHANNELS))
    yield "synthesis.exit.bias", ("int64", (PATCH_CHANNELS,))
    yield "synthesis.exit.shift", ("int8", ())
    yield from _exact_block("synthesis.first", c.latent_channels)
    for number in range(c.synthesis_coarse_blocks - 1):
        yield from _exact_block(f"synthesis.coarse.{number}", c.latent_channels)
    for number in range(c.synthesis_blocks - 1):
        yield from _exact_block(f"synthesis.blocks.{number}", c.channels)
    yield from _exact_block("synthesis.last", c.channels)


def _exact_block(name: str, width: int) -> Iterator[Entry]:
    for layer, outputs, inputs, kernel in _block_layers(width):
        yield f"{name}.{layer}.weight", ("int16", (outputs, inputs, kernel, kernel))
        yield f"{name}.{layer}.bias", ("int32", (outputs,))
        yield f"{name}.{layer}.shift", ("int8", (outputs,))
        if layer != "mix_out":
            read = width if layer == "depthwise" else inputs
            yield f"{name}.{layer}.input_shift", ("int8", (read,))
        if layer in ("mix_in", "expand"):
            yield f"{name}.{layer}.fraction", ("int8", ())


def _block_layers(width: int) -> tuple[tuple[str, int, int, int], ...]:
    """Name, outputs, inputs of each output, and kernel of each convolution of a block."""
    return (
        ("mix_in", width, width, 1),
        ("depthwise", width, 1, BLOCK_KERNEL),
        ("mix_out", width, width, 1),
        ("expand", 2 * width, width, 1),
        ("contract", width, 2 * width, 1),
    )


def _analysis(c: ModelConfig) -> Iterator[Entry]:
    yield from _linear("analysis.entry", PATCH_CHANNELS, c.channels)
    yield from _exact_block("analysis.first", c.channels)
    yield "analysis.inner_gain", ("int32", (KNOTS, c.channels))
    for number in range(c.analysis_blocks - 1):
        yield from _exact_block(f"analysis.blocks.{number}", c.channels)
    yield from _linear("analysis.down", 4 * c.channels, c.latent_channels)
    for number in range(c.analysis_coarse_blocks - 1):
        yield from _exact_block(f"analysis.coarse.{number}", c.latent_channels)
    yield from _exact_block("analysis.last", c.latent_channels)
    yield "analysis.outer_gain", ("int32", (KNOTS, c.latent_channels))


def _hyper_analysis(c: ModelConfig) -> Iterator[Entry]:
    width = c.context_channels
    yield from _linear("hyper_analysis.entry", c.latent_channels, width)
    yield from _exact_block("hyper_analysis.first", width)
    yield from _linear("hyper_analysis.down", 4 * width, width)
    yield from _exact_block("hyper_analysis.second", width)
    yield from _linear("hyper_analysis.exit", 4 * width, c.hyper_channels)


def _linear(name: str, inputs: int, outputs: int) -> Iterator[Entry]:
    yield f"{name}.weight", ("int16", (inputs, outputs))
    yield f"{name}.bias", ("int64", (outputs,))
    yield f"{name}.shift", ("int8", (outputs,))


def _parents(c: ModelConfig) -> Iterator[Entry]:
    yield "parent.prior.base", ("float32", (KNOTS, c.latent_channels))
    yield "parent.prior.rate_features", ("float32", (KNOTS, c.context_channels))
    for name in ("logits", "locations", "log_scales"):
        yield f"parent.hyper_prior.{name}", ("float32", (c.hyper_channels, MIXTURE))

"""Sizes of a model."""

from dataclasses import dataclass

from aecodec.errors import WeightsError
from aecodec.format.constants import PASSES

SIZE_MAX = 4096
"""Largest width or number of blocks of a model."""


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of a model.

    Attributes:
        channels: width at stride 8 of both transforms.
        latent_channels: M, channels of y; divisible by 4.
        hyper_channels: Z, channels of z.
        context_channels: H, width of the hyper and context networks.
        analysis_blocks: blocks at stride 8 in the analysis.
        synthesis_blocks: blocks at stride 8 in the synthesis.
    """

    channels: int = 128
    latent_channels: int = 320
    hyper_channels: int = 64
    context_channels: int = 128
    analysis_blocks: int = 3
    synthesis_blocks: int = 5

    def __post_init__(self) -> None:
        """Checks what a file can get wrong.

        Raises:
            WeightsError: a size is no whole number, out of range, or does not divide.
        """
        for name, value in vars(self).items():
            if type(value) is not int or not 1 <= value <= SIZE_MAX:
                raise WeightsError(f"{name} must be a whole number in 1 to {SIZE_MAX}")
        if self.latent_channels % PASSES:
            raise WeightsError(f"latent_channels must be a multiple of {PASSES}")

"""What a weights file says of its model: sizes, and settings of the encoder's search."""

import math
import re
from dataclasses import dataclass

from aecodec.errors import WeightsError
from aecodec.format.constants import PASSES, PATCH, STRIDE

SIZE_MAX = 4096
"""Largest width or number of blocks of a model."""
HYPER_CHANNELS_MAX = 256
"""Each has a table, whose number has 8 bits."""
DISTORTION_NAMES = frozenset({"mse", "ms_ssim", "ms_ssim_chroma", "structure_xyb"})
"""What a search can lower; `autoencoder.mixture_text` has the functions."""
_PART = re.compile(r"(\d*\.?\d+) ([a-z_]+)@(\d*\.?\d+)", re.ASCII)


@dataclass(frozen=True)
class ModelConfig:
    """Sizes of a model.

    Attributes:
        channels: width at stride 8 of both transforms.
        latent_channels: M, channels of y; divisible by 4.
        hyper_channels: Z, channels of z; at most 256.
        context_channels: H, width of the hyper and context networks.
        analysis_blocks: blocks at stride 8 in the analysis.
        synthesis_blocks: blocks at stride 8 in the synthesis.
        analysis_coarse_blocks: blocks at stride 16 in the analysis.
        synthesis_coarse_blocks: blocks at stride 16 in the synthesis.
    """

    channels: int = 128
    latent_channels: int = 320
    hyper_channels: int = 64
    context_channels: int = 128
    analysis_blocks: int = 3
    synthesis_blocks: int = 5
    analysis_coarse_blocks: int = 1
    synthesis_coarse_blocks: int = 1

    def __post_init__(self) -> None:
        """Checks what a file can get wrong.

        Raises:
            WeightsError: a size is no whole number, out of range, or does not divide.
        """
        for name, value in vars(self).items():
            most = HYPER_CHANNELS_MAX if name == "hyper_channels" else SIZE_MAX
            if type(value) is not int or not 1 <= value <= most:
                raise WeightsError(f"{name} must be a whole number in 1 to {most}")
        if self.latent_channels % PASSES:
            raise WeightsError(f"latent_channels must be a multiple of {PASSES}")

    @property
    def analysis_halo(self) -> int:
        """Latents around a tile that its latents depend on; SPECIFICATION.md, section 19.3."""
        return _halo(self.analysis_blocks, self.analysis_coarse_blocks)

    @property
    def synthesis_halo(self) -> int:
        """Latents around a tile that its pixels depend on; SPECIFICATION.md, section 7.3."""
        return _halo(self.synthesis_blocks, self.synthesis_coarse_blocks)


def _halo(blocks: int, coarse: int) -> int:
    """Each block looks one place further, at stride 8 or, the coarse ones, at stride 16."""
    return -(-(coarse * STRIDE + blocks * PATCH) // STRIDE)


@dataclass(frozen=True)
class SearchSettings:
    """Settings of the encoder's rounding and search, which were tuned with the model.

    A latent's error e adds about `curvature * e**2` bits to the loss; the dead zone works with
    weights w near that. Pairs hold the value of the first and of the last round.

    Attributes:
        curvature: bits per squared quantization step of error.
        plain_weight: w of a dead zone without search; above the curvature, since errors that all
            point to zero add up.
        correction_weight: w where corrections can mend some of these errors.
        weights: w of a search, which can mend what rounding to zero does.
        weights_until: part of the rounds after which w stays.
        paces: part of the way to the quadratic model's minimum that a round goes.
        hyper_paces: step of the hyper-latents for each bit of gradient.
        hyper_pull: part of the way to its integer that a hyper-latent goes back in each round.
        hyper_rounds: rounds for which both are meant; in more rounds they are smaller.
        hyper_index: row of the quality grid beyond which the steps of hyper-latents fall.
        hyper_fall: power of lambda with which they fall.
        distortion: what the search weighs against bits: "mse", or the calibrated mixture that the
            model was trained for, as `mixture_text.parse_mixture` reads it.
    """

    curvature: float = 7.5
    plain_weight: float = 25.0
    correction_weight: float = 16.0
    weights: tuple[float, float] = (12.0, 8.0)
    weights_until: float = 0.8
    paces: tuple[float, float] = (0.35, 0.1)
    hyper_paces: tuple[float, float] = (0.006, 0.0006)
    hyper_pull: float = 0.04
    hyper_rounds: float = 24.0
    hyper_index: float = 200.0
    hyper_fall: float = 0.4
    distortion: str = "mse"

    @classmethod
    def for_distortion(cls, text: str) -> "SearchSettings":
        """Settings for a model that was trained for "mse" or for a calibrated mixture.

        Mixtures fall more steeply where latents err than the squared error does, and less evenly.
        Theirs are the settings of aec-1-visual.

        Raises:
            WeightsError: see `check_distortion`.
        """
        if text == "mse":
            return cls()
        return cls(curvature=16.0, weights=(26.0, 17.0), paces=(0.17, 0.08), distortion=text)

    def __post_init__(self) -> None:
        """Checks what a file can get wrong; JSON's lists become pairs.

        Raises:
            WeightsError: a setting is no positive number, or no pair of them, or the distortion
                is unknown or not calibrated.
        """
        check_distortion(self.distortion)
        for name, value in vars(self).items():
            if name == "distortion":
                continue
            pair = isinstance(type(self).__dataclass_fields__[name].default, tuple)
            if pair and isinstance(value, (list, tuple)) and len(value) == 2:
                numbers: tuple[object, ...] = tuple(value)
                object.__setattr__(self, name, numbers)
            else:
                numbers = (value,) if not pair else (None,)
            for number in numbers:
                if not isinstance(number, (int, float)) or not 0 < number < float("inf"):
                    raise WeightsError(f"search setting {name} is {value!r}")


def check_distortion(text: object) -> None:
    """Checks the distortion of a search, so that no search fails for it.

    Raises:
        WeightsError: it is neither "mse" nor parts `SHARE NAME@FACTOR` with known names, each once,
            and shares that add up to 1.
    """
    if text == "mse":
        return
    found = [_PART.fullmatch(part) for part in text.split(" + ")] if isinstance(text, str) else []
    parts = [match.groups() for match in found if match is not None]
    names = [name for _, name, _ in parts]
    numbers = [float(number) for share, _, factor in parts for number in (share, factor)]
    fits = parts and len(parts) == len(found) and len(set(names)) == len(names)
    if (
        not fits
        or not DISTORTION_NAMES.issuperset(names)
        or not all(0 < number < math.inf for number in numbers)
        or abs(sum(numbers[::2]) - 1) > 1e-6
    ):
        raise WeightsError(f"search setting distortion is {text!r}")

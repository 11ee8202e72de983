"""Settings of a training run, the sizes of its model among them."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aecodec.errors import TrainingError, WeightsError
from aecodec.models.config import ModelConfig
from aecodec.storage.files import write_bytes

CHECKPOINT, SETTINGS = "checkpoint.safetensors", "config.json"
"""Names of files in the folder of a run."""
CROP_MAX = 512
"""Side of the tiles that patches are cut from, see `data.TILE`."""
OPTIMIZERS = ("muon", "adamw", "soap")
DECAY_SHAPES = ("sqrt", "linear")
NOISE_MAX = 16.0
"""Largest deviation of noise that is still light, in levels of 256."""


@dataclass(frozen=True)
class Phase:
    """A part of a run.

    Attributes:
        quantized: whether the fixed-point networks train rounded.
        dead_zone: whether latents are rounded as encoders do it.
    """

    quantized: bool = False
    dead_zone: bool = False


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a run; stored in its folder, so that resuming needs none of them.

    Attributes:
        steps: length of the whole run, at whose end the learning rate is zero; a run of no steps is
            as it started.
        batch: patches a step.
        crop: side of a patch in pixels, divisible by 64.
        seed: seed of every random draw.
        loss: what the loss weighs against bits, as `mixture_text.parse_mixture` reads it; the
            folder of a run has it with the factors that were found at its start.
        learning_rate: learning rate of AdamW, from which the ratios derive the others.
        muon_ratio: learning rate of Muon over that of AdamW.
        linear_ratio: learning rate of the four linear layers, which start near their optimum.
        optimizer: "muon" (and AdamW for what is no matrix), "soap" (likewise) or "adamw".
        soap_ratio: learning rate of SOAP over that of AdamW.
        precondition_every: steps between new bases of SOAP.
        warmup: steps of linear warm-up, in a run by steps.
        warmup_share: part of a run by time that warms up, if its optimizers start anew.
        decay_start: fraction of the run after which the learning rate falls; 1 for never.
        decay_shape: "sqrt" or "linear", see `schedule.rate_factor`.
        quantized_start: fraction of the run after which the fixed-point networks train rounded;
            a run without decay trains them as they are.
        dead_zone_start: fraction of the run after which latents are rounded as encoders round them,
            for the decoder to learn from, while the analysis stays as it is; 1 for never.
        downscale: part of the patches of a batch that are scaled down, by 0.6 to 1.
        noise: largest deviation of the noise in a patch, in levels of 256.
        ema: decay of the exponential moving average of the weights, which is what ships.
        validate_every: steps between validations.
        compile: use torch.compile.
        mixed: bfloat16 inside the blocks, on devices where that is fast (`device.py`).
        report_every: steps between lines of the log.
        checkpoint_seconds: time between checkpoints; what a crash can cost.
        start_patches: patches that the linear start is fitted to.
        model: sizes of the model.
    """

    steps: int = 20_000
    batch: int = 8
    crop: int = 256
    seed: int = 0
    loss: str = "mse"
    learning_rate: float = 1e-3
    muon_ratio: float = 2.5
    linear_ratio: float = 0.15
    optimizer: str = "muon"
    soap_ratio: float = 1.0
    precondition_every: int = 10
    warmup: int = 100
    warmup_share: float = 0.03
    decay_start: float = 0.5
    decay_shape: str = "sqrt"
    quantized_start: float = 0.9
    dead_zone_start: float = 1.0
    downscale: float = 0.5
    noise: float = 0.5
    ema: float = 0.9995
    validate_every: int = 2_000
    compile: bool = True
    mixed: bool = True
    report_every: int = 50
    checkpoint_seconds: float = 600.0
    start_patches: int = 192
    model: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        """Checks what a user can get wrong.

        Raises:
            TrainingError: a value is out of range.
        """
        if self.steps < 0 or self.batch < 1:
            raise TrainingError("steps must be at least 0, and batch at least 1")
        if self.crop % 64 or not 64 <= self.crop <= CROP_MAX:
            raise TrainingError(f"crop must be a multiple of 64 up to {CROP_MAX}, not {self.crop}")
        if not 0.0 < self.learning_rate < 1.0:
            raise TrainingError(f"learning rate must lie between 0 and 1, not {self.learning_rate}")
        if not self.loss.strip():
            raise TrainingError("loss must name a distortion, such as mse")
        self._check_shares()
        for name in ("validate_every", "report_every", "start_patches", "precondition_every"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} must be at least 1")
        if not self.checkpoint_seconds >= 0.0:
            raise TrainingError("checkpoint_seconds must be at least 0")
        for name, known in (("optimizer", OPTIMIZERS), ("decay_shape", DECAY_SHAPES)):
            if getattr(self, name) not in known:
                raise TrainingError(f"{name} must be one of {', '.join(known)}")

    def _check_shares(self) -> None:
        if not 0.0 <= self.ema < 1.0:
            raise TrainingError("ema must lie in [0, 1)")
        for name in ("warmup_share", "decay_start", "dead_zone_start", "downscale"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise TrainingError(f"{name} must lie in [0, 1]")
        if not 0.0 <= self.noise <= NOISE_MAX:
            raise TrainingError(f"noise must lie between 0 and {NOISE_MAX}, not {self.noise}")

    def phase_at(self, share: float) -> Phase:
        """What is rounded after this share of the run; nothing in a run without decay."""
        quantized, dead_zone = (
            self.decay_start < 1.0 and start < 1.0 and share >= start
            for start in (self.quantized_start, self.dead_zone_start)
        )
        return Phase(quantized, dead_zone)

    @property
    def phases(self) -> list[Phase]:
        """The phases of the run, in their order."""
        starts = sorted({0.0, self.quantized_start, self.dead_zone_start})
        return list(dict.fromkeys(self.phase_at(start) for start in starts))

    def save(self, path: Path) -> None:
        """Writes the settings as JSON."""
        write_bytes(str(path), (json.dumps(asdict(self), indent=2) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> "TrainConfig":
        """Reads settings that `save` wrote.

        Raises:
            TrainingError: the file is damaged or from another version.
        """
        return parse_config(path.read_text(encoding="utf-8"), path)


def parse_config(text: str, source: Path | str) -> TrainConfig:
    """Settings from JSON; those left out have their defaults.

    Raises:
        TrainingError: it is no JSON, or of another version.
    """
    try:
        values: dict[str, Any] = json.loads(text)
        sizes = ModelConfig(**values.pop("model", {}))
        return TrainConfig(model=sizes, **values)
    except (ValueError, TypeError, AttributeError, WeightsError) as exc:
        raise TrainingError(f"{source}: not the settings of a run: {exc}") from exc


def load_model_config(path: Path) -> ModelConfig:
    """Reads the sizes of a model from JSON; those left out have their defaults.

    Raises:
        TrainingError: the file is damaged, or no model can have these sizes.
    """
    try:
        return ModelConfig(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, WeightsError) as exc:
        raise TrainingError(f"{path}: not the sizes of a model: {exc}") from exc

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


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a run; stored in its folder, so that resuming needs none of them.

    Attributes:
        steps: length of the whole run; the learning rate decays to zero at its end.
        batch: patches a step.
        crop: side of a patch in pixels, divisible by 64.
        seed: seed of every random draw.
        learning_rate: learning rate of AdamW, from which the ratios derive the others.
        muon_ratio: learning rate of Muon over that of AdamW.
        linear_ratio: learning rate of the four linear layers, which start near their optimum.
        warmup: steps of linear warm-up.
        decay_start: fraction of the run after which the learning rate falls linearly.
        quantized_start: fraction of the run after which the fixed-point networks train rounded.
        ema: decay of the exponential moving average of the weights, which is what ships.
        validate_every: steps between validations.
        compile: use torch.compile.
        mixed: bfloat16 inside the blocks, on devices where that is fast (`device.py`).
        report_every: steps between lines of the log.
        start_patches: patches that the linear start is fitted to.
        model: sizes of the model.
    """

    steps: int = 20_000
    batch: int = 8
    crop: int = 256
    seed: int = 0
    learning_rate: float = 1e-3
    muon_ratio: float = 2.5
    linear_ratio: float = 0.15
    warmup: int = 100
    decay_start: float = 0.5
    quantized_start: float = 0.9
    ema: float = 0.9995
    validate_every: int = 2_000
    compile: bool = True
    mixed: bool = True
    report_every: int = 100
    start_patches: int = 192
    model: ModelConfig = field(default_factory=ModelConfig)

    def __post_init__(self) -> None:
        """Checks what a user can get wrong.

        Raises:
            TrainingError: a value is out of range.
        """
        if self.steps < 1 or self.batch < 1:
            raise TrainingError("steps and batch must be at least 1")
        if self.crop % 64 or not 64 <= self.crop <= CROP_MAX:
            raise TrainingError(f"crop must be a multiple of 64 up to {CROP_MAX}, not {self.crop}")
        if not 0.0 < self.learning_rate < 1.0:
            raise TrainingError(f"learning rate must lie between 0 and 1, not {self.learning_rate}")
        if not (0.0 <= self.decay_start < 1.0 and 0.0 <= self.ema < 1.0):
            raise TrainingError("decay_start and ema must lie in [0, 1)")
        for name in ("validate_every", "report_every", "start_patches"):
            if getattr(self, name) < 1:
                raise TrainingError(f"{name} must be at least 1")

    def rate_factor(self, step: int) -> float:
        """Learning rate at `step` over the full one: warm-up, plateau, linear decay to zero."""
        warm = min(1.0, (step + 1) / max(1, self.warmup))
        left = 1.0 - step / self.steps
        return warm * min(1.0, max(0.0, left / (1.0 - self.decay_start)))

    def save(self, path: Path) -> None:
        """Writes the settings as JSON."""
        write_bytes(str(path), (json.dumps(asdict(self), indent=2) + "\n").encode())

    @classmethod
    def load(cls, path: Path) -> "TrainConfig":
        """Reads settings that `save` wrote.

        Raises:
            TrainingError: the file is damaged or from another version.
        """
        try:
            values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            sizes = ModelConfig(**values.pop("model", {}))
            return cls(model=sizes, **values)
        except (ValueError, TypeError, AttributeError, WeightsError) as exc:
            raise TrainingError(f"{path}: not the settings of a run: {exc}") from exc


def load_model_config(path: Path) -> ModelConfig:
    """Reads the sizes of a model from JSON; those left out have their defaults.

    Raises:
        TrainingError: the file is damaged, or no model can have these sizes.
    """
    try:
        return ModelConfig(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError, WeightsError) as exc:
        raise TrainingError(f"{path}: not the sizes of a model: {exc}") from exc

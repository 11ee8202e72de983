"""What comes before the first step: the model as it starts, and the factors of the loss.

Both look at training tiles, in batches that no step sees.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import replace

import torch
from torch import Tensor

from aecodec.autoencoder.mixture_text import parse_mixture
from aecodec.autoencoder.model import HyperpriorModel
from aecodec.training.batches import Batches, MappedTiles
from aecodec.training.checkpoint import load_state
from aecodec.training.config import TrainConfig
from aecodec.training.data import Tiles
from aecodec.training.initialization import start_model
from aecodec.training.loss import calibrate

START_STEP = 2**62
"""Steps from here on serve the start alone."""
CALIBRATION_PATCHES = 64
"""So many at least are a loss's factors found on."""

logger = logging.getLogger(__name__)


def start_batches(
    batches: Batches, config: TrainConfig, count: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Patches and relative qualities, in batches, `count` or a few more in all."""
    for step in range(-(-count // config.batch)):
        yield batches.at(START_STEP + step)


def make_model(
    config: TrainConfig, tiles: Tiles, initial: Mapping[str, Tensor] | None, *, new: bool
) -> HyperpriorModel:
    """The model of a run; the caller's random numbers stay as they are.

    Args:
        config: settings of the run.
        tiles: to learn from.
        initial: weights to start from, which nothing is fitted to.
        new: whether it starts as a linear codec unless there are weights; otherwise it is to be
            loaded.

    Raises:
        TrainingError: the weights are those of another model.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = HyperpriorModel(config.model)
        if initial is not None:
            load_state(model, initial, "the initial weights")
        elif new:
            batches = Batches(MappedTiles(tiles), config, torch.device("cpu"))
            start_model(
                model,
                torch.cat([x for x, _ in start_batches(batches, config, config.start_patches)]),
            )
    return model


def check_loss(config: TrainConfig) -> None:
    """Checks the text of a loss, and that patches are large enough for it.

    Raises:
        TrainingError: it says what is wrong.
    """
    patch = torch.zeros(1, 3, config.crop, config.crop)
    for part in parse_mixture(config.loss).parts:
        part.distortion(patch, patch)


def keep_factors(config: TrainConfig, stored: TrainConfig | None) -> TrainConfig:
    """Settings with the factors of a stored loss, if theirs is the same loss without factors."""
    if stored is None:
        return config
    wanted, known = parse_mixture(config.loss), parse_mixture(stored.loss)
    same = not wanted.calibrated and wanted.shares == known.shares
    return replace(config, loss=stored.loss) if same else config


@torch.no_grad()
def find_factors(config: TrainConfig, model: HyperpriorModel, batches: Batches) -> TrainConfig:
    """Settings whose loss has factors, for what a model makes of patches now if it had none.

    Args:
        config: settings of the run.
        model: on its device, rounding nothing.
        batches: of the run.

    Raises:
        TrainingError: see `Mixture.calibrate`.
    """
    mixture = parse_mixture(config.loss)
    if mixture.calibrated:
        return config
    seen = [
        (model(x, q, noisy=False).x_hat, x, q)
        for x, q in start_batches(batches, config, CALIBRATION_PATCHES)
    ]
    found = calibrate(mixture, *(torch.cat(each) for each in zip(*seen, strict=True)))
    logger.info("loss: %s", found.text)
    return replace(config, loss=found.text)

"""Models that have been released. Append only: files of every entry stay decodable for ever.

To release one, put its weights beside this module, and add its line to `MODELS`.
"""

import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from aecodec.errors import WeightsError

if TYPE_CHECKING:
    from aecodec.models.weights import Weights


Tune = Literal["psnr", "visual"]
"""What a model was trained for: the least squared error, or what the eye sees."""
TUNES: tuple[Tune, ...] = get_args(Tune)


@dataclass(frozen=True)
class ReleasedModel:
    """One released model.

    Attributes:
        name: what people call it, and `--model` takes.
        model_id: 4 bytes that stand in each file; a digest of all that decoding depends on.
        tune: what it compresses for where no model is named; None for one that has a successor.
            No two models have the same.
    """

    name: str
    model_id: bytes
    tune: Tune | None = None


MODELS: tuple[ReleasedModel, ...] = (
    ReleasedModel("aec-1", bytes.fromhex("c929693e"), "psnr"),
    ReleasedModel("aec-1-visual", bytes.fromhex("5f9b0b01"), "visual"),
)
DEFAULT_TUNE: Tune = "visual"
"""Of compression where neither a tuning nor a model is asked for."""


def find_model(model_id: bytes) -> ReleasedModel | None:
    """The released model with this id, if there is one."""
    return next((model for model in MODELS if model.model_id == model_id), None)


def named_model(name: str) -> ReleasedModel | None:
    """The released model of this name, if there is one."""
    return next((model for model in MODELS if model.name == name), None)


def tuned_model(tune: Tune = DEFAULT_TUNE) -> ReleasedModel:
    """The released model that compresses for a tuning.

    Raises:
        WeightsError: there is none.
    """
    for model in MODELS:
        if model.tune == tune:
            return model
    raise WeightsError(f"no model has been released for the tuning {tune}")


@cache
def released_weights(model: ReleasedModel) -> "Weights":
    """The weights of a released model, which are read and checked once in a process.

    Raises:
        WeightsError: they are missing or damaged.
    """
    from aecodec.models.weights import read_released  # late, for NumPy: `info` needs only names

    weights = read_released(model.name)
    if weights.model_id != model.model_id:
        raise WeightsError(
            f"the weights of {model.name} are damaged: "
            f"model {weights.model_id.hex()}, not {model.model_id.hex()}"
        )
    return weights


def check_model(name: "str | os.PathLike[str]") -> None:
    """Checks that a released model or a file has this name, and reads nothing.

    Raises:
        WeightsError: there is neither.
    """
    if named_model(os.fspath(name)) is None and not Path(name).is_file():
        known = ", ".join(model.name for model in MODELS)
        raise WeightsError(f"{os.fspath(name)!r} is neither a released model ({known}) nor a file")


def load_model(name: "str | os.PathLike[str]") -> "Weights":
    """The weights of a released model by its name, or of a file by its path.

    A name wins over a file of the same name; `./NAME` is the file.

    Raises:
        WeightsError: there is neither, or the weights are damaged.
    """
    released = named_model(os.fspath(name))
    if released is not None:
        return released_weights(released)
    check_model(name)
    from aecodec.models.weights import read_weights

    return read_weights(Path(name))

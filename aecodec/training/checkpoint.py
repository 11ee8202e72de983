"""The state of a run in one safetensors file: weights, average, optimizers, progress."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from aecodec.autoencoder.model import HyperpriorModel
from aecodec.errors import TrainingError
from aecodec.storage.files import write_bytes
from aecodec.training.matrix_optimizers import HOST_STATE


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        step: finished steps.
        seconds: time spent in steps.
        patches: patches seen.
        skipped: steps whose gradient was not finite.
    """

    step: int = 0
    seconds: float = 0.0
    patches: int = 0
    skipped: int = 0


RunState = tuple[HyperpriorModel, dict[str, Tensor], list[torch.optim.Optimizer], Progress]
"""Model, average of its weights, optimizers, and how far it has come."""


def save_checkpoint(
    path: Path,
    model: HyperpriorModel,
    average: Mapping[str, Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
    progress: Progress,
) -> None:
    """Writes everything that resuming needs; a crash leaves the previous file untouched.

    Raises:
        TrainingError: the file cannot be written.
    """
    tensors = {f"model/{k}": v for k, v in model.state_dict().items()}
    tensors |= {f"average/{k}": v for k, v in average.items()}
    for name, p in model.named_parameters():
        for optimizer in optimizers:
            for key, value in optimizer.state.get(p, {}).items():
                tensors[f"optimizer/{name}/{key}"] = value
    data = save(
        {k: v.detach().cpu().contiguous() for k, v in tensors.items()},
        {"progress": json.dumps(asdict(progress))},
    )
    try:
        write_bytes(str(path), data)
    except OSError as exc:
        raise TrainingError(f"{path}: cannot save: {exc}") from exc


def load_checkpoint(
    path: Path,
    model: HyperpriorModel,
    average: Mapping[str, Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
) -> Progress:
    """Restores what `save_checkpoint` wrote, in place.

    Raises:
        TrainingError: the file is damaged or belongs to another model.
    """
    try:
        with safe_open(path, "pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no dict
    except (SafetensorError, KeyError, TypeError, ValueError) as exc:
        raise TrainingError(f"{path}: cannot resume: {exc}") from exc
    load_state(model, below(tensors, "model/"), path)
    averaged = below(tensors, "average/")
    _check_state(average, averaged, path)
    for key, value in averaged.items():
        average[key].copy_(value)
    owners = owners_of(optimizers)
    for name, p in model.named_parameters():
        for key, value in below(tensors, f"optimizer/{name}/").items():
            owners[p].state[p][key] = place_state(p, key, value)
    return progress


def owners_of(
    optimizers: Sequence[torch.optim.Optimizer],
) -> dict[nn.Parameter, torch.optim.Optimizer]:
    """Which optimizer a parameter learns by."""
    return {p: o for o in optimizers for group in o.param_groups for p in group["params"]}


def place_state(p: Tensor, key: str, value: Tensor) -> Tensor:
    """A part of an optimizer's state for a parameter, where and how its steps need it."""
    if key in HOST_STATE:
        return value
    state = value.to(p)
    return state.contiguous(memory_format=_layout(p, state))


def load_average(path: Path) -> dict[str, Tensor]:
    """The averaged weights alone.

    Raises:
        TrainingError: the file is missing or damaged.
    """
    try:
        with safe_open(path, "pt") as file:
            names = [key for key in file.keys() if key.startswith("average/")]  # noqa: SIM118
            return {name.removeprefix("average/"): file.get_tensor(name) for name in names}
    except (SafetensorError, FileNotFoundError) as exc:
        raise TrainingError(f"{path}: no checkpoint to read: {exc}") from exc


def load_state(model: HyperpriorModel, state: Mapping[str, Tensor], source: Path | str) -> None:
    """Gives a model its weights.

    Args:
        model: receives them.
        state: the weights by name.
        source: where they come from, for the error.

    Raises:
        TrainingError: they belong to a model of other sizes.
    """
    _check_state(model.state_dict(), state, source)
    model.load_state_dict(state)


def _check_state(
    wanted: Mapping[str, Tensor], state: Mapping[str, Tensor], source: Path | str
) -> None:
    """Checks names and shapes.

    Raises:
        TrainingError: the first that differs.
    """
    for name in sorted(wanted.keys() | state.keys()):
        shapes = [tuple(each[name].shape) if name in each else None for each in (wanted, state)]
        if shapes[0] != shapes[1]:
            expected, found = ("absent" if shape is None else shape for shape in shapes)
            raise TrainingError(
                f"{source}: the weights of another model: {name} is {found}, not {expected}"
            )


def below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Those tensors whose names begin so, by the rest of their names."""
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def _layout(p: Tensor, state: Tensor) -> torch.memory_format:
    wide = p.ndim == 4 and state.ndim == 4
    if wide and p.is_contiguous(memory_format=torch.channels_last):
        return torch.channels_last
    return torch.contiguous_format

"""Weights to start from in few bytes: in half precision, large ones in 12 bits where need be.

A file that is small enough for a repository, from which `aecodec train --init` begins: the averaged
weights of a run, undecayed or decayed. It is no release; `aecodec export` makes those.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from aecodec.autoencoder.model import HyperpriorModel
from aecodec.errors import TrainingError, WeightsError
from aecodec.models.config import ModelConfig
from aecodec.models.registry import load_model
from aecodec.storage.files import write_bytes
from aecodec.training.initialization import trainable_state

FORMAT = "aecodec-start-1"
MOST_BYTES = 15 * 2**20
"""Of the file, header included."""
_HEADER_BYTES = 2**17
_LEVELS = 2047
"""Largest of the whole numbers of 12 bits that a row of weights is rounded to."""
_LOW, _HIGH, _STEP = ".low", ".high", ".step"
"""Ends of the names of lower 4 bits, upper 8 bits, and steps of rows."""


def save_start(path: Path, state: Mapping[str, Tensor], config: ModelConfig) -> None:
    """Writes weights in half precision, the largest in 12 bits if they would not fit otherwise.

    Args:
        path: the file.
        state: of a `HyperpriorModel`.
        config: its sizes.

    Raises:
        TrainingError: they do not fit even so, or the file cannot be written.
    """
    halves = {name: _half(value) for name, value in state.items()}
    size = sum(value.nbytes for value in halves.values())
    tensors: dict[str, Tensor] = {}
    for name in sorted(halves, key=lambda name: -halves[name].nbytes):
        value = halves[name]
        if size + _HEADER_BYTES > MOST_BYTES and value.ndim > 1 and value.is_floating_point():
            packed = _pack(name, state[name].detach().float().cpu())
            size += sum(each.nbytes for each in packed.values()) - value.nbytes
            tensors |= packed
        else:
            tensors[name] = value
    data = save(tensors, {"format": FORMAT, "config": json.dumps(asdict(config))})
    if len(data) > MOST_BYTES:
        raise TrainingError(f"{path}: {len(data)} bytes of weights, more than {MOST_BYTES}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(str(path), data)
    except OSError as exc:
        raise TrainingError(f"{path}: cannot save: {exc}") from exc


def read_initial(name: str) -> tuple[ModelConfig, dict[str, Tensor]]:
    """Sizes and weights to start from: of `save_start`'s file, or a release by path or name.

    Raises:
        TrainingError: the file is damaged.
        WeightsError: likewise, or there is no such release.
    """
    path = Path(name)
    facts = _facts(path) if path.is_file() else {}
    if facts.get("format") != FORMAT:
        weights = load_model(name)
        return weights.config, trainable_state(weights)
    try:
        config = ModelConfig(**json.loads(facts["config"]))
        with safe_open(path, "pt") as file:
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no dict
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, WeightsError) as exc:
        raise TrainingError(f"{path}: cannot read: {exc}") from exc
    shapes = {name: value.shape for name, value in HyperpriorModel(config).state_dict().items()}
    for name in [name.removesuffix(_STEP) for name in tensors if name.endswith(_STEP)]:
        low, high, step = (tensors.pop(name + end, None) for end in (_LOW, _HIGH, _STEP))
        if low is None or high is None or step is None or name not in shapes:
            raise TrainingError(f"{path}: {name} lacks a part")
        tensors[name] = _unpack(low, high, step, shapes[name])
    return config, {k: v.float() if v.is_floating_point() else v for k, v in tensors.items()}


def _facts(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, "pt") as file:
            return file.metadata() or {}
    except (SafetensorError, OSError):
        return {}


def _half(value: Tensor) -> Tensor:
    host = value.detach().cpu().contiguous()
    if not host.is_floating_point():
        return host
    return host.half() if host.abs().max() < 6e4 else host


def _pack(name: str, value: Tensor) -> dict[str, Tensor]:
    """Rows as whole numbers of 12 bits times a step."""
    rows = value.flatten(1)
    step = (rows.abs().amax(1, keepdim=True) / _LEVELS).clamp_min(1e-12)
    levels = (rows / step).round().int().flatten()
    low = torch.nn.functional.pad(levels & 15, (0, levels.numel() % 2)).view(-1, 2)
    return {
        name + _LOW: (low[:, 0] | low[:, 1] << 4).to(torch.uint8),
        name + _HIGH: (levels >> 4).to(torch.int8),
        name + _STEP: step[:, 0].clone(),
    }


def _unpack(low: Tensor, high: Tensor, step: Tensor, shape: torch.Size) -> Tensor:
    lower = torch.stack([low & 15, low >> 4], 1).flatten()[: high.numel()]
    levels = (high.int() << 4) + lower.int()
    return (levels.view(shape[0], -1) * step[:, None]).view(shape)

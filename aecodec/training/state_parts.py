"""The state of a run in small files, to go on from on another machine.

Weights are kept as they are, averages by their difference from them, and first moments of AdamW and
Muon, both in bfloat16. Of AdamW's second moments only means over rows and over columns are kept,
whose product is near them (as in Adafactor). Of SOAP nothing is kept: it measures moments and bases
anew. If that is still too much, first moments are left out too, and then averages, which begin anew
with the weights. A run that goes on from parts warms up again, by `TrainConfig.warmup` or
`warmup_share`, while the moments become exact.

Source of the reduced form: Shazeer, Stern, "Adafactor: Adaptive Learning Rates with Sublinear
Memory Cost", section 3, https://arxiv.org/abs/1804.04235.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from aecodec.autoencoder.model import HyperpriorModel
from aecodec.errors import TrainingError
from aecodec.storage.files import write_bytes
from aecodec.training.checkpoint import Progress, below, load_state, owners_of, place_state
from aecodec.training.config import TrainConfig, parse_config
from aecodec.training.matrix_optimizers import SOAP

PART_BYTES = 15 * 2**20
"""Most bytes of a part."""
PARTS = 4
"""Most parts of a state."""
MOST_BYTES = PARTS * PART_BYTES
"""Most bytes of all parts of a state together."""
_HEADER_BYTES = 2**18
"""Kept free in each part for names and settings."""
_NAME = "state-{}.safetensors"
FIRST_MOMENTS = ("exp_avg", "momentum")
"""What optimizers call them."""
_SECOND_MOMENT = "exp_avg_sq"

State = dict[str, Tensor]


def save_parts(
    folder: Path,
    model: HyperpriorModel,
    average: Mapping[str, Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
    progress: Progress,
    config: TrainConfig,
    *,
    most: int = MOST_BYTES,
) -> list[Path]:
    """Writes the state of a run as `state-1.safetensors` and so on, at most `PARTS` of them.

    Args:
        folder: made when absent; parts of another state in it are removed.
        model: of the run, as are the others.
        average: moving average of its weights.
        optimizers: which know its moments.
        progress: how far it has come.
        config: its settings.
        most: bytes of all parts together.

    Raises:
        TrainingError: the weights alone are too large, or cannot be written.
    """
    sorted_out = (_bins(state, most) for state in _states(model, average, optimizers))
    parts = next((parts for parts in sorted_out if parts is not None), None)
    if parts is None:
        raise TrainingError(f"the weights need more than {PARTS} parts or {most} bytes")
    facts = {
        "progress": json.dumps(asdict(progress)),
        "config": json.dumps(asdict(config)),
        "parts": str(len(parts)),
    }
    paths = [folder / _NAME.format(number + 1) for number in range(len(parts))]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for stale in folder.glob(_NAME.format("*")):
            stale.unlink()
        for path, part in zip(paths, parts, strict=True):
            write_bytes(str(path), save(part, facts))
    except OSError as exc:
        raise TrainingError(f"{folder}: cannot save: {exc}") from exc
    return paths


def load_parts(
    folder: Path,
    model: HyperpriorModel,
    average: Mapping[str, Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
) -> Progress:
    """Restores what `save_parts` kept, in place.

    Raises:
        TrainingError: parts are missing or damaged, or belong to another model.
    """
    facts, state = _read(folder)
    progress = Progress(**json.loads(facts["progress"]))
    load_state(model, below(state, "weights/"), folder)
    differences = below(state, "average/")
    for name, value in model.state_dict().items():
        difference = differences.get(name)
        average[name].copy_(value if difference is None else value + difference.to(value))
    first, rows = below(state, "first/"), below(state, "rows/")
    columns = below(state, "columns/")
    owners = owners_of(optimizers)
    for name, p in model.named_parameters():
        kept: State = {}
        if name in first and not isinstance(owners[p], SOAP):
            kept[_first_name(owners[p])] = first[name].float()
        if name in rows and isinstance(owners[p], torch.optim.AdamW):
            kept.setdefault("exp_avg", torch.zeros_like(p))
            kept[_SECOND_MOMENT] = _expand(rows[name], columns.get(name), p)
            kept["step"] = torch.tensor(float(max(1, progress.step)))
        for key, value in kept.items():
            owners[p].state[p][key] = place_state(p, key, value.view(_shape(p, value)))
    return progress


def whole_bytes(
    model: HyperpriorModel,
    average: Mapping[str, Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
) -> int:
    """What `save_parts` writes, about, when it leaves out nothing for want of room."""
    whole = next(_states(model, average, optimizers))
    return sum(value.nbytes for value in whole.values()) + PARTS * _HEADER_BYTES


def read_config(folder: Path) -> TrainConfig:
    """The settings of the run whose parts these are.

    Raises:
        TrainingError: parts are missing or damaged.
    """
    return parse_config(_facts(_paths(folder)[0])["config"], folder)


def _states(
    model: HyperpriorModel,
    average: Mapping[str, Tensor],
    optimizers: Sequence[torch.optim.Optimizer],
) -> Iterator[State]:
    """What could be written, the whole first and the least last."""
    weights = {f"weights/{name}": _host(value) for name, value in model.state_dict().items()}
    differences = {
        f"average/{name}": _host(average[name] - value).bfloat16()
        for name, value in model.state_dict().items()
        if value.is_floating_point()
    }
    first, second = _moments(model, optimizers)
    yield weights | differences | first | second
    yield weights | differences | second
    yield weights | second


def _moments(
    model: HyperpriorModel, optimizers: Sequence[torch.optim.Optimizer]
) -> tuple[State, State]:
    """First moments in bfloat16, and second ones in reduced form."""
    first: State = {}
    second: State = {}
    owners = owners_of(optimizers)
    for name, p in model.named_parameters():
        state = owners[p].state.get(p, {})
        for key in FIRST_MOMENTS:
            if key in state:
                first[f"first/{name}"] = _host(state[key]).bfloat16()
        if _SECOND_MOMENT in state:
            squares = _host(state[_SECOND_MOMENT])
            wide = squares.flatten(1) if p.ndim > 1 else squares[:, None]
            second[f"rows/{name}"] = wide.mean(1)
            if p.ndim > 1:
                second[f"columns/{name}"] = wide.mean(0)
    return first, second


def _expand(rows: Tensor, columns: Tensor | None, p: nn.Parameter) -> Tensor:
    """Second moments from their means."""
    if columns is None:
        return rows
    return (rows[:, None] * columns / rows.mean().clamp_min(1e-30)).view(p.shape)


def _first_name(optimizer: torch.optim.Optimizer) -> str:
    kinds = {"AdamW": "exp_avg", "Muon": "momentum"}
    return kinds[type(optimizer).__name__]


def _shape(p: nn.Parameter, value: Tensor) -> torch.Size:
    return p.shape if value.ndim else value.shape


def _bins(state: State, most: int) -> list[State] | None:
    """The state in few parts, largest tensors first; None if it takes too many or `most` bytes."""
    room = PART_BYTES - _HEADER_BYTES
    parts: list[State] = []
    free: list[int] = []
    for name, value in sorted(state.items(), key=lambda item: -item[1].nbytes):
        if value.nbytes > room:
            return None
        number = next((n for n, left in enumerate(free) if left >= value.nbytes), len(free))
        if number == len(free):
            free.append(room)
            parts.append({})
        free[number] -= value.nbytes
        parts[number][name] = value
    size = sum(value.nbytes for value in state.values()) + len(parts) * _HEADER_BYTES
    return parts if len(parts) <= PARTS and size <= most else None


def _read(folder: Path) -> tuple[dict[str, str], State]:
    """Settings and tensors of all parts."""
    paths = _paths(folder)
    facts = _facts(paths[0])
    state: State = {}
    for path in paths:
        if _facts(path) != facts:
            raise TrainingError(f"{path}: a part of another state than {paths[0].name}")
        with safe_open(path, "pt") as file:
            state |= {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no dict
    if int(facts["parts"]) != len(paths):
        raise TrainingError(f"{folder}: {len(paths)} of {facts['parts']} parts are here")
    return facts, state


def _paths(folder: Path) -> list[Path]:
    paths = sorted(folder.glob(_NAME.format("*")))
    if not paths:
        raise TrainingError(f"{folder}: no parts of a state")
    return paths


def _facts(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, "pt") as file:
            facts: dict[str, str] = file.metadata() or {}
    except (SafetensorError, OSError) as exc:
        raise TrainingError(f"{path}: cannot read: {exc}") from exc
    if not {"progress", "config", "parts"} <= facts.keys():
        raise TrainingError(f"{path}: no part of a state")
    return facts


def _host(value: Tensor) -> Tensor:
    return value.detach().cpu().contiguous()

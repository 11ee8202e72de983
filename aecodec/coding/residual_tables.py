"""Stored tables of the residual layer: thresholds, distributions of symbols, expected weights.

SPECIFICATION.md, section 16. Released tables are never changed, only added.
"""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from aecodec.coding.ans import SymbolTable
from aecodec.coding.residual_planes import plane_sites
from aecodec.errors import UnsupportedError, WeightsError
from aecodec.models.tensor_file import parse_tensors, released_data

if TYPE_CHECKING:
    from mmap import mmap

LEVELS = 48
"""Steps of activity, and scales of the symbols' distributions."""
FRACTIONS = 4
"""Tables of a scale, one for each quarter of a prediction."""
NAMES = ("thresholds", "sizes", "counts", "lengths", "weights")
"""The tensors of a file, in the order in which the id covers them."""

RELEASED = {bytes.fromhex("9116a9a4"): "residual-1"}
"""Names of the released tables by their ids, the newest last."""

Stored = Mapping[str, npt.NDArray[np.int32]]

_SITES = (*plane_sites(1), *plane_sites(3))

PLANES = len(_SITES)
"""The planes of gray pictures, then those of colour pictures."""


@dataclass(frozen=True, eq=False)
class PlanePrior:
    """What weights of a plane to expect.

    Attributes:
        activity: `(n,)` expected weights of the activities, in 1/512.
        activity_levels: `(n,)` levels of the tables of their differences.
        features: `(m,)` expected weights of the features, in 1/4096.
        feature_levels: `(m,)` levels of the tables of the first class's differences.
        step_levels: `(m,)` the same of later classes.
    """

    activity: npt.NDArray[np.int64]
    activity_levels: npt.NDArray[np.int64]
    features: npt.NDArray[np.int64]
    feature_levels: npt.NDArray[np.int64]
    step_levels: npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ResidualTables:
    """Tables of the residual layer.

    Attributes:
        thresholds: `(LEVELS - 1,)` int64, rising.
        symbols: `FRACTIONS * LEVELS` tables.
        priors: expected weights of each plane, by `PlaneSite.index`.
        tables_id: 4 bytes.
    """

    thresholds: npt.NDArray[np.int64]
    symbols: tuple[SymbolTable, ...]
    priors: tuple[PlanePrior, ...]
    tables_id: bytes


def make_tables(stored: Stored) -> ResidualTables:
    """Checks stored tables and takes them apart.

    Raises:
        WeightsError: they do not fit together.
    """
    wide = {name: stored[name].astype(np.int64) for name in NAMES}
    if any(values.ndim != 1 for values in wide.values()):
        raise WeightsError("a table of the residual layer is not a list")
    thresholds, sizes, counts, lengths, weights = (wide[name] for name in NAMES)
    if len(thresholds) != LEVELS - 1 or len(sizes) != FRACTIONS * LEVELS:
        raise WeightsError("tables of the residual layer have other sizes")
    if (np.diff(thresholds) <= 0).any() or sizes.min() < 2 or sizes.sum() != len(counts):
        raise WeightsError("the tables of the residual layer do not fit together")
    if lengths.tolist() != _weight_lengths() or lengths.sum() != len(weights):
        raise WeightsError("the weights of the residual layer do not fit its planes")
    parts = np.split(counts, np.cumsum(sizes)[:-1])
    symbols = tuple(SymbolTable(-((len(part) - 2) // 2), part) for part in parts)
    lists = np.split(weights, np.cumsum(lengths)[:-1])
    priors = tuple(PlanePrior(*lists[5 * n : 5 * n + 5]) for n in range(PLANES))
    flat = b"".join(stored[name].astype("<i4").tobytes() for name in NAMES)
    return ResidualTables(thresholds, symbols, priors, hashlib.sha256(flat).digest()[:4])


def _weight_lengths() -> list[int]:
    """Lengths of the lists V, A, W, F and G of all planes."""
    counts = ((site.activity_count, site.feature_count) for site in _SITES)
    return [length for v, w in counts for length in (v, v, w, w, w)]


def load_tables(path: Path) -> ResidualTables:
    """Reads a file of tables.

    Raises:
        WeightsError: it is missing or damaged.
    """
    return _load(str(path), path.read_bytes)


def _load(about: str, read: "Callable[[], mmap | bytes]") -> ResidualTables:
    try:
        tensors, _ = parse_tensors(read())
    except (OSError, WeightsError) as exc:
        raise WeightsError(f"{about}: {exc}") from exc
    if any(name not in tensors or tensors[name].dtype != np.int32 for name in NAMES):
        raise WeightsError(f"{about}: no tables of a residual layer")
    return make_tables({name: tensors[name].astype(np.int32, copy=False) for name in NAMES})


def store_tables(stored: Stored) -> bytes:
    """What `load_tables` reads, for arguments that `make_tables` takes."""
    from safetensors.numpy import save  # late, since only export writes

    return save({name: np.ascontiguousarray(stored[name]) for name in NAMES})


def newest_tables() -> ResidualTables:
    """The newest released tables."""
    return released_tables(next(reversed(RELEASED)))


@cache
def released_tables(tables_id: bytes) -> ResidualTables:
    """Released tables by their id.

    Raises:
        UnsupportedError: no such id.
        WeightsError: the file is missing, damaged or not the released one.
    """
    if tables_id not in RELEASED:
        raise UnsupportedError(f"residual tables {tables_id.hex()} are unknown")
    name = RELEASED[tables_id]
    tables = _load(name, lambda: released_data(name))
    if tables.tables_id != tables_id:
        raise WeightsError(f"{name}: not the released tables, but {tables.tables_id.hex()}")
    return tables

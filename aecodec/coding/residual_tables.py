"""Stored tables of the residual layer: thresholds, distributions of symbols, expected weights.

A file of tables holds, as safetensors:

    thresholds  (LEVELS - 1,) int32, rising
    sizes       (FRACTIONS * LEVELS,) int32, the length of each part of the next
    counts      (n,) int32, the counts of the tables one after the other, see `aecodec/entropy.py`
    lengths     (5 * PLANES,) int32, the length of each part of the next
    weights     (m,) int32: for each plane, see `aecodec/residual.py`, V, A, W, F and G

Table `FRACTIONS * scale + f` is of the symbols of a scale whose prediction has the fraction f / 4;
its first symbol is -((size - 2) // 2). The id is the first four bytes of the SHA-256 of all five in
this order, as little-endian int32. Released tables are never changed, only added.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load_file, save

from aecodec.coding.ans import SymbolTable
from aecodec.errors import UnsupportedError, WeightsError

LEVELS = 48

FRACTIONS = 4

RELEASED = {bytes.fromhex("9116a9a4"): "residual-1"}
"""Names of the released tables by their ids, the newest last."""

_FOLDER = Path(__file__).parent / "models"

PLANES = 28
"""7 of gray pictures, 21 of colour pictures."""

NAMES = ("thresholds", "sizes", "counts", "lengths", "weights")

Stored = Mapping[str, npt.NDArray[np.int32]]


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
    thresholds, sizes, counts = stored["thresholds"], stored["sizes"], stored["counts"]
    if thresholds.shape != (LEVELS - 1,) or sizes.shape != (FRACTIONS * LEVELS,):
        raise WeightsError("tables of the residual layer have other sizes")
    if (np.diff(thresholds) <= 0).any() or sizes.min() < 2 or sizes.sum() != len(counts):
        raise WeightsError("the tables of the residual layer do not fit together")
    lengths = stored["lengths"]
    if (
        lengths.shape != (5 * PLANES,)
        or lengths.min() < 1
        or lengths.sum() != len(stored["weights"])
    ):
        raise WeightsError("the weights of the residual layer do not fit together")
    parts = np.split(counts.astype(np.int64), np.cumsum(sizes)[:-1])
    symbols = tuple(SymbolTable(-((len(part) - 2) // 2), part) for part in parts)
    weights = np.split(stored["weights"].astype(np.int64), np.cumsum(lengths)[:-1])
    priors = tuple(PlanePrior(*weights[5 * n : 5 * n + 5]) for n in range(PLANES))
    flat = b"".join(stored[name].astype("<i4").tobytes() for name in NAMES)
    return ResidualTables(
        thresholds.astype(np.int64), symbols, priors, hashlib.sha256(flat).digest()[:4]
    )


def load_tables(path: Path) -> ResidualTables:
    """Reads a file of tables.

    Raises:
        WeightsError: it is missing or damaged.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as exc:
        raise WeightsError(f"{path}: {exc}") from exc
    if any(name not in tensors or tensors[name].dtype != np.int32 for name in NAMES):
        raise WeightsError(f"{path}: no tables of a residual layer")
    return make_tables({name: tensors[name] for name in NAMES})


def store_tables(stored: Stored) -> bytes:
    """What `load_tables` reads, for arguments that `make_tables` takes."""
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
    path = _FOLDER / f"{RELEASED[tables_id]}.safetensors"
    tables = load_tables(path)
    if tables.tables_id != tables_id:
        raise WeightsError(f"{path}: not the released tables")
    return tables

"""Tables of features as files: NumPy's npz, or Parquet through pyarrow (extra `apps`)."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np

from aecodec.applications.features import Vector
from aecodec.errors import InputError
from aecodec.storage.files import write_bytes

FORMAT = "aecodec-features-1"
SUFFIXES = (".npz", ".parquet")


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """Features of files.

    Attributes:
        files: their names.
        vectors: `(n, d)`.
        qualities: `(n,)`, 0 to 100, at which the latents of each were made.
        model_id: 4 bytes, of the model that made them.
    """

    files: Sequence[str]
    vectors: Vector
    qualities: Sequence[float]
    model_id: bytes


def check_table_name(name: str) -> None:
    """Refuses names that tell no format, and Parquet where pyarrow is missing.

    Raises:
        InputError: says which are known, or what to install.
    """
    suffix = Path(name).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{name}: features are written as {' or '.join(SUFFIXES)}")
    if suffix == ".parquet":
        try:
            import pyarrow  # noqa: F401  # only whether it is there
        except ImportError as exc:
            reason = "Parquet needs pyarrow: pip install 'aecodec[apps]'"
            raise InputError(f"{name}: {reason}") from exc


def write_table(name: str, table: FeatureTable) -> None:
    """Writes a table, whole or not at all, in the format that its name tells.

    An npz has the arrays `files`, `features`, `qualities`, `model_id` and `format`, and needs no
    pickle to be read. Parquet has the columns `file`, `quality` and `features`, a list of fixed
    length, and `model_id` and `format` in the metadata of its schema.

    Raises:
        InputError: see `check_table_name`.
        OSError: the file cannot be written.
    """
    check_table_name(name)
    parquet = Path(name).suffix.lower() == ".parquet"
    write_bytes(name, _parquet(table) if parquet else _npz(table))


def _npz(table: FeatureTable) -> bytes:
    file = BytesIO()
    np.savez(
        file,
        files=np.array(table.files, np.str_),
        features=table.vectors,
        qualities=np.array(table.qualities, np.float32),
        model_id=np.array(table.model_id.hex()),
        format=np.array(FORMAT),
    )
    return file.getvalue()


def _parquet(table: FeatureTable) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = pa.array(table.vectors.reshape(-1), pa.float32())
    columns = {
        "file": pa.array(table.files, pa.string()),
        "quality": pa.array(table.qualities, pa.float32()),
        "features": pa.FixedSizeListArray.from_arrays(flat, table.vectors.shape[1]),
    }
    about = {"format": FORMAT, "model_id": table.model_id.hex()}
    file = BytesIO()
    pq.write_table(pa.table(columns).replace_schema_metadata(about), file)
    return file.getvalue()

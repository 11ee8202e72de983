"""What a run measured: one `Cell` for each file made, stored as JSON and as CSV."""

import csv
import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aecodec.storage.files import write_bytes
from benchmarks.curves import Curve, Point

JSON_NAME = "results.json"
CSV_NAME = "results.csv"
CODEC_FACT = "codec "
"""Before the name of a codec in the facts of a run: its version and settings."""
_COLUMNS = (
    "codec", "picture", "quality", "bytes", "width", "height", "encode_seconds", "decode_seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Cell:
    """One picture coded by one codec at one quality.

    Attributes:
        codec: name of the codec.
        picture: path of the picture, as given.
        quality: what the encoder was asked for, on its own scale.
        bytes: length of the whole file, headers included.
        width: of the unpadded picture, pixels.
        height: of the unpadded picture, pixels.
        metrics: values by metric; `inf` for an unchanged picture; absent if not computable.
        encode_seconds: median, from RGB picture in memory to file in memory.
        decode_seconds: median, from file in memory to RGB picture in memory.
    """

    codec: str
    picture: str
    quality: float
    bytes: int
    width: int
    height: int
    metrics: Mapping[str, float]
    encode_seconds: float
    decode_seconds: float

    @property
    def bpp(self) -> float:
        """Bits of the file / pixels of the picture."""
        return 8 * self.bytes / (self.width * self.height)


@dataclass
class Results:
    """All cells of a run, in the order of pictures, then codecs, then qualities.

    Attributes:
        cells: what was measured.
        left_out: a line for each thing that is missing, with the reason.
        machine: facts of the machine and of the run.
    """

    cells: list[Cell] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    machine: dict[str, str | int] = field(default_factory=dict)

    def curves(self, metric: str) -> dict[str, dict[str, Curve]]:
        """For each codec, the curve of each picture in `metric`; `Point.psnr` holds its value."""
        found: dict[str, dict[str, list[Point]]] = {}
        for cell in self.cells:
            if metric in cell.metrics:
                point = Point(cell.quality, cell.bpp, cell.metrics[metric])
                found.setdefault(cell.codec, {}).setdefault(cell.picture, []).append(point)
        return {
            name: {path: sorted(points, key=lambda p: p.quality) for path, points in curves.items()}
            for name, curves in found.items()
        }

    @property
    def metrics(self) -> list[str]:
        """Metrics that at least one cell has, in the order of their first use."""
        return list(dict.fromkeys(name for cell in self.cells for name in cell.metrics))

    def to_json(self) -> str:
        """One document; `null` stands for an infinite value."""
        document = {
            "machine": self.machine,
            "left_out": self.left_out,
            "cells": [cell_to_dict(cell) for cell in self.cells],
        }
        return json.dumps(document, indent=1, allow_nan=False) + "\n"

    def to_csv(self) -> str:
        """One line for each cell; infinite values are `inf`, absent ones empty."""
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow([*_COLUMNS, "bpp", *self.metrics])
        for cell in self.cells:
            values = [cell.metrics.get(name, "") for name in self.metrics]
            writer.writerow([*(getattr(cell, c) for c in _COLUMNS), cell.bpp, *values])
        return stream.getvalue()

    def save(self, folder: Path) -> None:
        """Writes `results.json` and `results.csv`, each at once or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(str(folder / JSON_NAME), self.to_json().encode())
        write_bytes(str(folder / CSV_NAME), self.to_csv().encode())


def cell_to_dict(cell: Cell) -> dict[str, Any]:
    """The fields of a cell for JSON."""
    plain = {name: v if math.isfinite(v) else None for name, v in cell.metrics.items()}
    return asdict(cell) | {"metrics": plain}


def cell_from_dict(stored: Mapping[str, Any]) -> Cell:
    """The cell that `cell_to_dict` was given.

    Raises:
        TypeError: fields are missing or unknown.
        KeyError: there are no metrics.
    """
    metrics = {k: math.inf if v is None else float(v) for k, v in stored["metrics"].items()}
    return Cell(**{**stored, "metrics": metrics})


def load_results(path: Path) -> Results:
    """Reads a `results.json`.

    Raises:
        OSError: it cannot be read.
        ValueError: it holds something else.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        cells = [cell_from_dict(cell) for cell in stored["cells"]]
        return Results(cells, list(stored["left_out"]), dict(stored["machine"]))
    except (KeyError, TypeError, AttributeError, ValueError) as exc:
        raise ValueError(f"{path}: not a results.json: {exc}") from exc


def speeds_of(results: Results, codec: str, what: str) -> list[float]:
    """Megapixels a second of each cell of a codec.

    Args:
        results: of a run.
        codec: its name.
        what: "encode" or "decode".
    """
    return [
        cell.width * cell.height / 1e6 / max(getattr(cell, f"{what}_seconds"), 1e-9)
        for cell in results.cells
        if cell.codec == codec
    ]

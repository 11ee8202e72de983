"""The weights file: released form of a model, checked when it is read, never unpickled.

It is a safetensors file; SPECIFICATION.md, section 15, says what is in it. `prior.*` and
`synthesis.*` hold what decoders need, `analysis.*` and `hyper_analysis.*` what encoders need
besides, all in integers, and `parent.*` knots that only further training needs.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from aecodec.errors import WeightsError
from aecodec.models.config import ModelConfig, SearchSettings
from aecodec.models.schema import signature
from aecodec.models.tensor_file import Array, Tensors, parse_tensors, released_data

if TYPE_CHECKING:
    from collections.abc import Callable
    from mmap import mmap

__all__ = [
    "Array", "SearchSettings", "TensorTree", "Tensors", "Weights", "check_tensors", "model_digest",
    "read_released", "read_weights", "weights_bytes",
]  # fmt: skip

FORMAT = "aecodec-weights-1"
DECODER_PARTS = ("prior.", "synthesis.")
MODEL_ID_BYTES = 4


@dataclass(frozen=True)
class TensorTree:
    """Tensors taken apart at the dots of their names."""

    arrays: dict[str, Array] = field(default_factory=dict)
    parts: dict[str, "TensorTree"] = field(default_factory=dict)

    @classmethod
    def of(cls, tensors: Tensors) -> "TensorTree":
        """The tree of tensors with dotted names."""
        tree = cls()
        for name, array in tensors.items():
            *above, last = name.split(".")
            node = tree
            for part in above:
                node = node.parts.setdefault(part, cls())
            node.arrays[last] = array
        return tree

    def __getitem__(self, name: str) -> "TensorTree":
        """A part, e.g. `tree["synthesis"]["first"]`.

        Raises:
            WeightsError: there is none of that name.
        """
        if name not in self.parts:
            raise WeightsError(f"the weights lack the part {name!r}")
        return self.parts[name]

    def array(self, name: str) -> Array:
        """A tensor of this part.

        Raises:
            WeightsError: there is none of that name.
        """
        if name not in self.arrays:
            raise WeightsError(f"the weights lack the tensor {name!r}")
        return self.arrays[name]


@dataclass(frozen=True, eq=False)
class Weights:
    """What a weights file holds.

    Attributes:
        model_id: 4 bytes, see `model_digest`.
        config: sizes.
        search: settings of the encoder's search.
        tensors: all of them.
    """

    model_id: bytes
    config: ModelConfig
    search: SearchSettings
    tensors: TensorTree


def model_digest(tensors: Tensors) -> bytes:
    """The model id, a digest of all that decoding depends on; SPECIFICATION.md, section 15."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        if name.startswith(DECODER_PARTS):
            array, encoded = tensors[name], name.encode("ascii")
            digest.update(bytes([len(encoded)]) + encoded)
            digest.update(bytes([8 * array.dtype.itemsize, array.ndim]))
            digest.update(np.array(array.shape, "<u4").tobytes())
            digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).data)
    return digest.digest()[:MODEL_ID_BYTES]


def read_weights(path: Path) -> Weights:
    """Reads a weights file: exactly the tensors that its sizes ask for, all finite.

    Raises:
        WeightsError: the file is missing, damaged or of another kind.
    """
    return _read(str(path), path.read_bytes)


def read_released(name: str) -> Weights:
    """The weights of this name in the package; their tensors cannot be written to.

    Raises:
        WeightsError: see `read_weights`.
    """
    return _read(f"{name}.safetensors", lambda: released_data(name))


def _read(about: str, read: "Callable[[], mmap | bytes]") -> Weights:
    try:
        tensors, metadata = parse_tensors(read())
    except (OSError, WeightsError) as exc:
        raise WeightsError(f"{about}: cannot read weights: {exc}") from exc
    try:
        config, search = _settings(metadata)
        check_tensors(tensors, config)
    except WeightsError as exc:
        raise WeightsError(f"{about}: {exc}") from exc
    return Weights(model_digest(tensors), config, search, TensorTree.of(tensors))


def _settings(metadata: dict[str, str]) -> tuple[ModelConfig, SearchSettings]:
    if metadata.get("format") != FORMAT:
        raise WeightsError("not a weights file of aecodec")
    try:
        config = ModelConfig(**json.loads(metadata["config"]))
        return config, SearchSettings(**json.loads(metadata.get("search", "{}")))
    except (KeyError, TypeError, ValueError, RecursionError) as exc:
        raise WeightsError(f"cannot read weights: {exc}") from exc


def weights_bytes(
    tensors: Tensors, config: ModelConfig, search: SearchSettings | None = None
) -> bytes:
    """The bytes of a weights file.

    Raises:
        WeightsError: a tensor is missing, superfluous, of another kind or not finite.
    """
    from safetensors.numpy import save  # late, since only export writes

    check_tensors(tensors, config)
    metadata = {"format": FORMAT, "config": json.dumps(asdict(config))}
    metadata["search"] = json.dumps(asdict(search or SearchSettings()))
    return save({k: np.asarray(v, order="C") for k, v in tensors.items()}, metadata)


def check_tensors(tensors: Tensors, config: ModelConfig) -> None:
    """Checks names, types, shapes and values.

    Raises:
        WeightsError: a tensor is missing, superfluous, of another kind or not finite.
    """
    wanted = signature(config)
    for name in sorted(wanted.keys() ^ tensors.keys()):
        raise WeightsError(f"{name} is {'missing' if name in wanted else 'superfluous'}")
    for name, (kind, shape) in wanted.items():
        array = tensors[name]
        fits = len(array.shape) == len(shape) and all(
            side in (None, found) for side, found in zip(shape, array.shape, strict=True)
        )
        if array.dtype.name != kind or not fits:
            raise WeightsError(f"{name} is {array.dtype.name} {array.shape}, not {kind} {shape}")
        if array.dtype.kind == "f" and not np.isfinite(array.astype(np.float32)).all():
            raise WeightsError(f"{name} is not finite")

"""The weights file: released form of a model, checked when it is read, never unpickled.

It is a safetensors file; SPECIFICATION.md, section 15, says what is in it. `prior.*` and
`synthesis.*` hold what decoders need, `analysis.*` and `hyper_analysis.*` what encoders need
besides, all in integers, and `parent.*` knots that only further training needs.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from aecodec.errors import WeightsError
from aecodec.models.config import ModelConfig, SearchSettings
from aecodec.models.schema import signature

FORMAT = "aecodec-weights-1"
DECODER_PARTS = ("prior.", "synthesis.")
MODEL_ID_BYTES = 4

Array = npt.NDArray[np.generic]
Tensors = Mapping[str, Array]
"""Arrays by their names in the file, e.g. `synthesis.first.mix_in.weight`."""


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
            digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return digest.digest()[:MODEL_ID_BYTES]


def read_weights(path: Path) -> Weights:
    """Reads a weights file: exactly the tensors that its sizes ask for, all finite.

    Raises:
        WeightsError: the file is missing, damaged or of another kind.
    """
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise WeightsError(f"{path}: not a weights file of aecodec")
            config = ModelConfig(**json.loads(metadata["config"]))
            search = SearchSettings(**json.loads(metadata.get("search", "{}")))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no dict
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as exc:
        raise WeightsError(f"{path}: cannot read weights: {exc}") from exc
    except WeightsError as exc:
        raise WeightsError(f"{path}: {exc}".replace(f"{path}: {path}", str(path))) from exc
    try:
        check_tensors(tensors, config)
    except WeightsError as exc:
        raise WeightsError(f"{path}: {exc}") from exc
    return Weights(model_digest(tensors), config, search, TensorTree.of(tensors))


def weights_bytes(
    tensors: Tensors, config: ModelConfig, search: SearchSettings | None = None
) -> bytes:
    """The bytes of a weights file.

    Raises:
        WeightsError: a tensor is missing, superfluous, of another kind or not finite.
    """
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

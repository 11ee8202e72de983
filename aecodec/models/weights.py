"""The weights file: released form of a model, checked when it is read, never unpickled.

A safetensors file. `prior.*` and `synthesis.*` hold the exact integer path (`integer.py`,
`integer_synthesis.py`), `analysis.*` and `hyper_analysis.*` the float transforms (block
convolutions as float16), `parent.*` knots that only further training needs. Its metadata holds the
model's sizes.
"""

import hashlib
import json
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from aecodec.autoencoder.model import HyperpriorModel
from aecodec.errors import WeightsError
from aecodec.export.weights import _empty_model, _signature
from aecodec.models.config import ModelConfig
from aecodec.models.schema import Signature

FORMAT = "aecodec-weights-1"

DECODER_PARTS = ("prior.", "synthesis.")

ENCODERS = ("analysis", "hyper_analysis")

MODEL_ID_BYTES = 4

TensorDict = dict[str, Tensor]


def model_digest(tensors: TensorDict) -> bytes:
    """The model id, see SPECIFICATION.md: a digest of all that decoding depends on."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        if name.startswith(DECODER_PARTS):
            array = tensors[name].numpy()
            encoded = name.encode("ascii")
            digest.update(bytes([len(encoded)]) + encoded)
            digest.update(bytes([8 * array.itemsize, array.ndim]))
            digest.update(np.array(array.shape, "<u4").tobytes())
            digest.update(np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())
    return digest.digest()[:MODEL_ID_BYTES]


def read_weights(path: Path) -> tuple[ModelConfig, TensorDict]:
    """Sizes and tensors of a weights file: exactly those that its sizes ask for, all finite.

    Raises:
        WeightsError: the file is missing, damaged or of another kind.
    """
    model, tensors = _read(path)
    return model.config, tensors


def _read(path: Path) -> tuple[HyperpriorModel, TensorDict]:
    """A model without storage, and the tensors that it asks for."""
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                raise WeightsError(f"{path}: not a weights file of aecodec")
            config = ModelConfig(**json.loads(metadata["config"]))
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118  # no dict
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as exc:
        raise WeightsError(f"{path}: cannot read weights: {exc}") from exc
    model = _empty_model(config)
    _check_tensors(_signature(model), tensors, path)
    return model, tensors


def _check_tensors(signature: Signature, tensors: TensorDict, path: Path) -> None:
    found: Signature = {k: (v.dtype, tuple(v.shape)) for k, v in tensors.items()}
    wrong = sorted(k for k in signature.keys() | found.keys() if signature.get(k) != found.get(k))
    if wrong:
        raise WeightsError(f"{path}: {wrong[0]} is missing, superfluous or of another shape")
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{path}: {name} is not finite")


def below(tensors: TensorDict, prefix: str) -> TensorDict:
    """The tensors of one part, by their names within it."""
    start = prefix + "."
    return {k.removeprefix(start): v for k, v in tensors.items() if k.startswith(start)}

"""Models that have been released. Append only: files of every entry stay decodable for ever."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.resources import as_file, files
from pathlib import Path


@dataclass(frozen=True)
class ReleasedModel:
    """One released model.

    Attributes:
        name: what people call it.
        model_id: 4 bytes that stand in each file; a digest of all that decoding depends on.
    """

    name: str
    model_id: bytes


MODELS: tuple[ReleasedModel, ...] = (
    ReleasedModel("aec-1", bytes.fromhex("24d8e758")),
    ReleasedModel("aec-2", bytes.fromhex("a8a4b650")),
    ReleasedModel("aec-3", bytes.fromhex("ff5e95c7")),
    ReleasedModel("aec-4", bytes.fromhex("329f2676")),
    ReleasedModel("aec-5", bytes.fromhex("ed7b5dc7")),
    ReleasedModel("aec-6", bytes.fromhex("7659d85b")),
    ReleasedModel("aec-7", bytes.fromhex("ddd70b2b")),
)


def find_model(model_id: bytes) -> ReleasedModel | None:
    """The released model with this id, if there is one."""
    return next((model for model in MODELS if model.model_id == model_id), None)


def weights_path(model: ReleasedModel) -> AbstractContextManager[Path]:
    """The weights file inside the package, as a path for the time of the context."""
    return as_file(files("aecodec") / "models" / f"{model.name}.safetensors")

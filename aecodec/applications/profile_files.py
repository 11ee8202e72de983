"""The file of an anomaly profile: safetensors with metadata, checked when it is read."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

from aecodec.applications.anomaly import LAYOUTS, PART_NAMES, AnomalyProfile, Layout, Scale
from aecodec.applications.anomaly_parts import COMPONENTS, MEMORY, SHADES
from aecodec.errors import InputError
from aecodec.format.quality import QUALITY_INDEX_MAX
from aecodec.models.config import SIZE_MAX
from aecodec.storage.files import write_bytes

FORMAT = "aecodec-anomaly-1"
HEADER_MAX = 2**16
"""Bytes of the header of a file; a profile's has about a thousand."""
FILE_MAX = 2**28
_LENGTH_BYTES = 8
_PLACES_MAX = 2**22

Tensors = dict[str, npt.NDArray[np.float32]]


def profile_bytes(profile: AnomalyProfile) -> bytes:
    """The bytes of a profile's file."""
    tensors = {
        f"{name}.{key}": np.ascontiguousarray(value, np.float32)
        for name, arrays in profile.arrays.items()
        for key, value in arrays.items()
    }
    metadata = {
        "format": FORMAT,
        "profile": json.dumps(
            {
                "model_id": profile.model_id.hex(),
                "quality_index": profile.quality_index,
                "layout": profile.layout,
                "channels": [int(each) for each in profile.channels],
                "scales": {name: list(scale) for name, scale in profile.scales.items()},
                "threshold": profile.threshold,
                "pictures": profile.pictures,
            }
        ),
    }
    return save(tensors, metadata)


def write_profile(profile: AnomalyProfile, path: str) -> None:
    """Writes a profile, whole or not at all.

    Raises:
        OSError: the file cannot be written.
    """
    write_bytes(path, profile_bytes(profile))


def read_profile(path: str) -> AnomalyProfile:
    """Reads a profile.

    Raises:
        InputError: the file is no profile, or damaged.
        OSError: it cannot be read.
    """
    if Path(path).stat().st_size > FILE_MAX:
        raise InputError(f"{path}: no anomaly profile: more than {FILE_MAX} bytes")
    data = Path(path).read_bytes()
    try:
        return profile_from(data)
    except InputError as exc:
        raise InputError(f"{path}: {exc}") from exc


def profile_from(data: bytes) -> AnomalyProfile:
    """A profile from the bytes of its file.

    Raises:
        InputError: they are no profile, or damaged.
    """
    try:
        about = _about(data)
        profile = _profile(about, load(data))
    except InputError:
        raise
    except (SafetensorError, KeyError, TypeError, ValueError, OverflowError, RecursionError) as exc:
        raise InputError(f"damaged anomaly profile: {exc}") from exc
    _check_shapes(profile)
    return profile


def _about(data: bytes) -> dict[str, Any]:
    """What the metadata say."""
    length = int.from_bytes(data[:_LENGTH_BYTES], "little")
    if not 2 <= length <= min(HEADER_MAX, len(data) - _LENGTH_BYTES):
        raise InputError("no anomaly profile")
    header = json.loads(data[_LENGTH_BYTES : _LENGTH_BYTES + length])
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if not isinstance(metadata, dict) or metadata.get("format") != FORMAT:
        raise InputError(f"no anomaly profile of the format {FORMAT}")
    about = json.loads(metadata["profile"])
    if not isinstance(about, dict):
        raise ValueError("its metadata are no object")
    return about


def _profile(about: dict[str, Any], tensors: Tensors) -> AnomalyProfile:
    """A profile whose numbers lie in their ranges."""
    layout: Layout = LAYOUTS[LAYOUTS.index(about["layout"])]
    names = PART_NAMES[layout]
    scales = {name: Scale(*(float(each) for each in about["scales"][name])) for name in names}
    channels = np.array([_whole(each, 0, SIZE_MAX) for each in about["channels"]], np.intp)
    numbers = [float(about["threshold"]), *(each for scale in scales.values() for each in scale)]
    if not all(math.isfinite(each) for each in numbers):
        raise ValueError("a number is not finite")
    if min(scale.reach for scale in scales.values()) <= 0:
        raise ValueError("a scale is not positive")
    if not 1 <= len(channels) <= SHADES:
        raise ValueError(f"{len(channels)} channels of shades")
    arrays = {
        name: {
            key.removeprefix(f"{name}."): value
            for key, value in tensors.items()
            if key.startswith(f"{name}.")
        }
        for name in names
    }
    for key, value in tensors.items():
        if value.dtype != np.float32 or not np.isfinite(value).all():
            raise ValueError(f"{key} is not made of finite float32")
    model_id = bytes.fromhex(about["model_id"])
    if len(model_id) != 4:
        raise ValueError("its model id does not have 4 bytes")
    return AnomalyProfile(
        model_id, _whole(about["quality_index"], 0, QUALITY_INDEX_MAX), layout, channels, arrays,
        scales, numbers[0], _whole(about["pictures"], 1, 2**31),
    )  # fmt: skip


def _whole(value: object, least: int, most: int) -> int:
    if type(value) is not int or not least <= value <= most:
        raise ValueError(f"{value!r} is no whole number in {least} to {most}")
    return value


def _check_shapes(profile: AnomalyProfile) -> None:
    """Refuses arrays that are missing, superfluous, or do not fit together."""
    for name, shapes in _shapes(profile).items():
        found = {key: value.shape for key, value in profile.arrays[name].items()}
        if found != shapes:
            raise InputError(f"damaged anomaly profile: the arrays of {name} do not fit together")
    positive = [("bits", "deviation")]
    if profile.layout == "fixed":
        positive += [("shades", "variance"), ("shades", "deviation")]
    else:
        positive += [("latents", "variance")]
    for name, key in positive:
        if profile.arrays[name][key].min() <= 0:
            raise InputError(f"damaged anomaly profile: {name}.{key} is not positive")


def _shapes(profile: AnomalyProfile) -> dict[str, dict[str, tuple[int, ...]]]:
    """The shapes that the arrays of each part must have."""
    wide = 2 * len(profile.channels)
    if profile.layout == "fixed":
        places = profile.arrays["bits"].get("mean", np.empty(0)).shape
        if len(places) != 2 or not 1 <= places[0] * places[1] <= _PLACES_MAX:
            raise InputError("damaged anomaly profile: no places")
        each = (*places, wide)
        parts = min(len(profile.arrays["shades"].get("components", ())), COMPONENTS)
        return {
            "shades": {
                "mean": each, "variance": each, "deviation": (wide,), "components": (parts, *each),
            },
            "bits": {"mean": places, "deviation": places},
        }  # fmt: skip
    count = len(profile.arrays["shades"].get("memory", ()))
    channels = profile.arrays["latents"].get("mean", np.empty(0)).shape
    if not 2 <= count <= MEMORY or len(channels) != 1 or channels[0] <= int(profile.channels.max()):
        raise InputError("damaged anomaly profile: sizes out of range")
    return {
        "shades": {
            "mean": (wide,), "whitening": (wide, wide), "memory": (count, wide),
            "spread": (count,),
        },
        "bits": {"mean": (1,), "deviation": (1,)},
        "latents": {"mean": channels, "variance": channels},
    }  # fmt: skip

"""Compares two picture files, .aec or any other: fidelity, sizes, metadata, a picture of it all.

Pictures are compared as they are shown, turned as their metadata say. Where their kinds differ,
gray becomes RGB, 8 bits become 16, and pixels without alpha are opaque. Pixels that are transparent
in both do not count. Colour profiles are not applied.
"""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from aecodec.codec import Codec
from aecodec.errors import AecError, InputError
from aecodec.format.chunks import METADATA_KINDS
from aecodec.format.container import SIGNATURE
from aecodec.jobs.runner import JobLog
from aecodec.jobs.transcode import picture_format
from aecodec.picture.alpha import over_background
from aecodec.picture.metadata import Metadata, turned
from aecodec.picture.metrics import measure
from aecodec.picture.orientation import orientation_in
from aecodec.picture.perceptual import MetricUnavailableError, flip_error, ssimulacra2
from aecodec.picture.picture import Picture, decode_picture
from aecodec.picture.pixels import (
    SIXTEEN_BIT_STEP,
    Pixels,
    join,
    peak,
    split,
    to_eight_bit,
    to_sixteen_bit,
)
from aecodec.picture.writers import prepared, written
from aecodec.storage.arguments import load
from aecodec.storage.files import write_bytes

AMPLIFY = 8.0
"""How often differences are enlarged in the picture of them."""
_BEHIND = (128, 128, 128)
"""What shows through alpha for measures that know none."""
_LABELS = {
    "ms_ssim": ("MS-SSIM", ".5f"), "ssimulacra2": ("SSIMULACRA2", ".2f"), "flip": ("FLIP", ".5f"),
}  # fmt: skip
_OF_EQUALS = {"ms_ssim": 1.0, "ssimulacra2": 100.0, "flip": 0.0}
_MODELS = {1: "gray", 2: "gray and alpha", 3: "RGB", 4: "RGB and alpha"}


@dataclass(frozen=True)
class Side:
    """One of two files that are compared.

    Attributes:
        file: its name.
        bytes: its size.
        bpp: the same in bits per pixel.
        width: pixels, as it is shown.
        height: pixels, as it is shown.
        kind: of its pixels, such as "RGB, 8 bits".
    """

    file: str
    bytes: int
    bpp: float
    width: int
    height: int
    kind: str


@dataclass(frozen=True)
class Unequal:
    """Metadata of one kind that differ; the attributes are bytes, None for what is not there."""

    kind: str
    first: int | None
    second: int | None


@dataclass(frozen=True)
class Comparison:
    """How two pictures differ.

    Attributes:
        first: the file that is taken for the original.
        second: the other file.
        identical: whether all that is visible is the same.
        peak: the largest sample of what is compared, 255 or 65535.
        psnr: over all samples in dB, 100 for equal colours.
        max_error: the largest difference of two samples of colour.
        alpha_max_error: the same of alpha; None where both are opaque.
        unequal_pixels: how many differ at all.
        visual: "ms_ssim", at most 1, "ssimulacra2", at most 100, and "flip", a mean error of 0
            to 1; each None where it cannot be computed.
        unavailable: a line for each of them that cannot.
        metadata: kinds that differ.
    """

    first: Side
    second: Side
    identical: bool
    peak: int
    psnr: float
    max_error: int
    alpha_max_error: int | None
    unequal_pixels: int
    visual: dict[str, float | None]
    unavailable: tuple[str, ...]
    metadata: tuple[Unequal, ...]

    def fields(self) -> dict[str, Any]:
        """All attributes, with the measures among them, as they go into JSON."""
        found = asdict(self)
        visual = found.pop("visual")
        return {**found, **visual}

    def text(self) -> str:
        """The same for people, in several lines."""
        lines = [_described(each) for each in (self.first, self.second)]
        if self.identical:
            lines.append("  every visible pixel is the same")
        else:
            share = self.unequal_pixels / (self.first.width * self.first.height)
            lines.append(f"  PSNR {self.psnr:.2f} dB")
            for name, (label, form) in _LABELS.items():
                value = self.visual[name]
                if value is not None:
                    lines.append(f"  {label} {value:{form}}")
            lines.append(
                f"  largest error {self.max_error} of {self.peak}, {share:.2%} of the pixels differ"
            )
            if self.alpha_max_error:
                lines.append(f"  largest error of alpha {self.alpha_max_error} of {self.peak}")
            lines += [f"  {line}" for line in self.unavailable]
        lines += [f"  {self._told(each)}" for each in self.metadata]
        return "\n".join(lines)

    def _told(self, unequal: Unequal) -> str:
        if unequal.first is None:
            return f"{unequal.kind} only in {self.second.file}, {unequal.second} bytes"
        if unequal.second is None:
            return f"{unequal.kind} only in {self.first.file}, {unequal.first} bytes"
        return f"{unequal.kind} differs: {unequal.first} and {unequal.second} bytes"


@dataclass(frozen=True)
class _Pair:
    """Two pictures of one size, depth and number of colours, with alpha both or neither."""

    colours: tuple[Pixels, Pixels]
    alphas: tuple[Pixels, Pixels] | None

    @property
    def visible(self) -> Pixels | None:
        """The alpha where either can be seen; None for everywhere."""
        return None if self.alphas is None else np.maximum(*self.alphas)

    def differences(self) -> npt.NDArray[np.int32]:
        """Absolute differences of visible samples, `(H, W, c)`, with those of alpha last."""
        found = np.abs(np.subtract(*self.colours, dtype=np.int32))
        planes = found if found.ndim == 3 else found[:, :, None]
        if self.alphas is None:
            return planes
        alpha = np.abs(np.subtract(*self.alphas, dtype=np.int32))
        planes[self.visible == 0] = 0
        return np.dstack((planes, alpha))

    def shown(self) -> list[Image.Image]:
        """Both over gray, in RGB of 8 bits."""
        alphas = self.alphas or (None, None)
        flat = (
            over_background(join(c, a), _BEHIND) for c, a in zip(self.colours, alphas, strict=True)
        )
        return [Image.fromarray(to_eight_bit(each)).convert("RGB") for each in flat]


def compare_files(
    codec: Codec, first: str, second: str, *, log: JobLog, target: str | None = None,
    amplify: float = AMPLIFY,
) -> Comparison:  # fmt: skip
    """Compares two files, and may write a picture of their differences.

    Args:
        codec: decodes .aec files.
        first: a path, a URL, or `-` for standard input.
        second: the same.
        log: takes warnings.
        target: the picture to write; its extension gives the format.
        amplify: by how much differences are multiplied there; black is no difference.

    Raises:
        InputError: a file is no picture, damaged or too large, the pictures have different sizes,
            or the target's format is unknown.
        WeightsError: a model of one's own is missing or damaged.
        OSError: a file cannot be read or written.
    """
    kind = None if target is None else picture_format(target)
    sides, pictures = zip(*(_read(codec, name, log) for name in (first, second)), strict=True)
    if pictures[0].pixels.shape[:2] != pictures[1].pixels.shape[:2]:
        sizes = " and ".join(f"{side.width}x{side.height}" for side in sides)
        raise InputError(f"pictures of different sizes cannot be compared: {sizes}")
    pair = _aligned(*pictures)
    differences = pair.differences()
    if target is not None and kind is not None:
        _write_differences(differences, pair, target, kind, amplify)
    unequal = int(np.count_nonzero(differences.any(axis=2)))
    visual, unavailable = _visual(pair, identical=not unequal)
    colours = differences if pair.alphas is None else differences[:, :, :-1]
    return Comparison(
        first=sides[0],
        second=sides[1],
        identical=not unequal,
        peak=peak(pair.colours[0]),
        psnr=measure("psnr", *pair.colours, pair.visible),
        max_error=int(colours.max()),
        alpha_max_error=None if pair.alphas is None else int(differences[:, :, -1].max()),
        unequal_pixels=unequal,
        visual=visual,
        unavailable=unavailable,
        metadata=_unequal(*(picture.metadata for picture in pictures)),
    )


def psnr_of_files(codec: Codec, first: str, second: str, *, log: JobLog) -> float:
    """The PSNR in dB of the colours of two files that one can see; takes what `compare_files` does.

    Raises what `compare_files` raises.
    """
    pair = _aligned(*(_read(codec, name, log)[1] for name in (first, second)))
    return measure("psnr", *pair.colours, pair.visible)


def _read(codec: Codec, name: str, log: JobLog) -> tuple[Side, Picture]:
    """A file and its picture, turned as it is shown."""
    data = load(name)
    try:
        if data.startswith(SIGNATURE):
            picture = codec.decompress_picture(data)
        else:
            picture = decode_picture(data, limits=codec.limits)
    except AecError as exc:
        raise InputError(f"{name}: {exc}") from exc
    for line in picture.losses:
        log.warn(line, about=name)
    whole = turned(picture.whole, orientation_in(picture.metadata))
    height, width = whole.shape[:2]
    model = _MODELS[1 if whole.ndim == 2 else whole.shape[2]]
    kind = f"{model}, {8 * whole.dtype.itemsize} bits"
    colour, alpha = split(whole)
    side = Side(name, len(data), 8 * len(data) / (height * width), width, height, kind)
    return side, Picture(colour, picture.metadata, alpha=alpha)


def _aligned(*pictures: Picture) -> _Pair:
    deep = any(picture.pixels.dtype == np.uint16 for picture in pictures)
    coloured = any(picture.pixels.ndim == 3 for picture in pictures)
    colours, alphas = [], []
    for picture in pictures:
        pixels, alpha = picture.pixels, picture.alpha
        if deep and pixels.dtype == np.uint8:
            pixels = to_sixteen_bit(pixels.astype(np.uint8, copy=False))
            alpha = None if alpha is None else to_sixteen_bit(alpha.astype(np.uint8, copy=False))
        if coloured and pixels.ndim == 2:
            pixels = np.dstack([pixels] * 3)
        colours.append(pixels)
        alphas.append(
            np.full(pixels.shape[:2], peak(pixels), pixels.dtype) if alpha is None else alpha
        )
    opaque = all(picture.alpha is None for picture in pictures)
    return _Pair((colours[0], colours[1]), None if opaque else (alphas[0], alphas[1]))


def _visual(
    pair: _Pair, *, identical: bool
) -> tuple[dict[str, float | None], tuple[str, ...]]:  # fmt: skip
    """The measures of how it looks, and a line for each that cannot be computed."""
    if identical:
        return dict(_OF_EQUALS), ()
    shown = pair.shown()
    values: dict[str, float | None] = {}
    lines = []
    for name in _LABELS:
        values[name] = None
        try:
            values[name] = _measured(name, pair, shown)
        except (InputError, MetricUnavailableError, ImportError) as exc:
            lines.append(str(exc))
        except Exception as exc:  # a package may fail in any way, and the others still count
            lines.append(f"{name}: {type(exc).__name__}: {' '.join(str(exc).split())}")
    return values, tuple(lines)


def _measured(name: str, pair: _Pair, shown: list[Image.Image]) -> float:
    if name == "ms_ssim":
        return measure("ssim", *pair.colours, pair.visible)
    return ssimulacra2(*shown) if name == "ssimulacra2" else flip_error(*shown)


def _unequal(first: Metadata, second: Metadata) -> tuple[Unequal, ...]:
    chunks = [
        {kind: each.select((kind,)).chunks() for kind in METADATA_KINDS} for each in (first, second)
    ]
    sizes = [
        {kind: sum(len(chunk.payload) for chunk in found) or None for kind, found in each.items()}
        for each in chunks
    ]
    return tuple(
        Unequal(kind, sizes[0][kind], sizes[1][kind])
        for kind in METADATA_KINDS
        if chunks[0][kind] != chunks[1][kind]
    )


def _write_differences(
    differences: npt.NDArray[np.int32], pair: _Pair, target: str, kind: str, amplify: float
) -> None:
    """Writes what differs, in 8-bit steps; where alpha does, in all colours."""
    steps = differences.astype(np.float64)
    if peak(pair.colours[0]) > 255:
        steps /= SIXTEEN_BIT_STEP
    if pair.alphas is not None:
        steps = np.maximum(steps[:, :, :-1], steps[:, :, -1:])
    pixels = np.clip(np.rint(steps * amplify), 0, 255).astype(np.uint8)
    whole = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    file = written(prepared(whole, kind, None), kind, Metadata(), exact=True)
    write_bytes(target, file.data)


def _described(side: Side) -> str:
    return (
        f"{side.file}: {side.width}x{side.height} {side.kind}, "
        f"{side.bytes} bytes, {side.bpp:.3f} bpp"
    )

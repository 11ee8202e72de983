"""The codecs that the benchmarks compare, and the pictures that they compare them on.

To add a codec, write a function that makes an `ImageCodec` and name it in `FACTORIES`:

    def gif(_model: str | None = None) -> ImageCodec:
        def encode(image: Image.Image, quality: float) -> bytes:
            return save(image.quantize(round(quality)), "GIF")

        return ImageCodec("gif", (8, 16, 64, 256), encode, open_rgb, version=pillow_version)

    FACTORIES = {..., "gif": gif}

`encode` gets an 8-bit RGB picture without metadata and returns the bytes of a whole file; a higher
quality must mean more bytes and fewer errors. `decode` returns the RGB picture. Neither may keep
anything from one picture to the next.
"""

import io
import os
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module, metadata
from pathlib import Path

import numpy as np
import torch
from PIL import AvifImagePlugin, Image, features
from PIL import __version__ as pillow_version

from aecodec import __version__ as aecodec_version

REFERENCE = "jpeg420"
SUFFIXES = frozenset(
    [".avif", ".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".qoi", ".tif", ".tiff", ".webp"]
)

_AECODEC_LADDER = (10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95)
_SLOW_LADDER = (10, 30, 50, 70, 95)
_JPEG_LADDER = (5, *_AECODEC_LADDER)
_AVIF_LADDER = (20, 30, 40, 50, 60, 70, 80, 85, 90, 95)
_JPEG2000_LADDER = (26, 28, 30, 32, 34, 36, 38, 40, 42, 45)
_JXL_LADDER = (10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95)
_HEIC_LADDER = (10, 20, 30, 40, 50, 60, 70, 80, 90)
_FEATURES = {"JPEG": "jpg", "WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}
_EIGHT_BIT_MODES = frozenset(["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"])


@dataclass(frozen=True)
class ImageCodec:
    """A lossy codec as the benchmarks see it.

    Attributes:
        name: what the tables and `--codecs` call it.
        qualities: the ladder of qualities to measure, ascending.
        encode: makes a file of an RGB picture at a quality.
        decode: makes an RGB picture of a file.
        version: of the library and the model; stored results of other versions are not used.
    """

    name: str
    qualities: tuple[float, ...]
    encode: Callable[[Image.Image, float], bytes]
    decode: Callable[[bytes], Image.Image]
    version: str = ""


class CodecUnavailableError(Exception):
    """The codec cannot run here: a library, a Pillow feature or a model is missing."""


def save(image: Image.Image, file_format: str, **options: object) -> bytes:
    """The file that Pillow writes with these options, in memory."""
    stream = io.BytesIO()
    image.save(stream, file_format, **options)
    return stream.getvalue()


def open_rgb(data: bytes) -> Image.Image:
    """Decodes a file with Pillow, all of it, as RGB."""
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


def pillow_codec(
    name: str, file_format: str, qualities: tuple[float, ...], **options: object
) -> ImageCodec:
    """A codec of Pillow's whose `save` takes a whole number as `quality`.

    Raises:
        CodecUnavailableError: this Pillow was built without the format.
    """
    version = _pillow_version(file_format)

    def encode(image: Image.Image, quality: float) -> bytes:
        return save(image, file_format, quality=round(quality), **options)

    return ImageCodec(name, qualities, encode, open_rgb, version)


def _pillow_version(file_format: str) -> str:
    name = _FEATURES[file_format]
    if features.check(name) is not True:
        raise CodecUnavailableError(
            f"Pillow {pillow_version} has no {file_format} here; pip install -U pillow"
        )
    return f"Pillow {pillow_version}, {name} {features.version(name)}"


def aecodec(model: str | None = None, *, effort: int | None = None) -> ImageCodec:
    """Our codec, with one model kept loaded, at its default effort or another.

    Raises:
        CodecUnavailableError: the package or its weights cannot be loaded.
    """
    try:
        from aecodec import Codec
        from aecodec.format.container import parse_header
        from aecodec.options import DEFAULT_EFFORT

        codec = Codec(model)
        data = codec.compress(Image.new("RGB", (16, 16)))  # the model loads at first use
    except Exception as exc:  # whatever keeps it from loading, the others can still be measured
        raise CodecUnavailableError(describe(exc)) from exc
    version = f"{aecodec_version}, model {parse_header(data).model_id.hex()}"
    spent = DEFAULT_EFFORT if effort is None else effort

    def encode(image: Image.Image, quality: float) -> bytes:
        return codec.compress(image, quality, effort=spent)

    if effort is None:
        return ImageCodec("aecodec", _AECODEC_LADDER, encode, codec.decompress, version)
    ladder = _AECODEC_LADDER if spent <= DEFAULT_EFFORT else _SLOW_LADDER
    return ImageCodec(f"aecodec-e{effort}", ladder, encode, codec.decompress, version)


def jpeg420(_model: str | None = None) -> ImageCodec:
    """JPEG with chroma at half the resolution and optimal Huffman tables: the reference."""
    return pillow_codec("jpeg420", "JPEG", _JPEG_LADDER, subsampling="4:2:0", optimize=True)


def jpeg444(_model: str | None = None) -> ImageCodec:
    """JPEG with chroma at full resolution and optimal Huffman tables."""
    return pillow_codec("jpeg444", "JPEG", _JPEG_LADDER, subsampling="4:4:4", optimize=True)


def jpegli(_model: str | None = None) -> ImageCodec:
    """JPEG of Google's jpegli at its defaults (progressive, chroma at half the resolution)."""
    version = _plugin_version("pyjpegli", "pyjpegli")
    from pyjpegli import encode as encode_rgb

    def encode(image: Image.Image, quality: float) -> bytes:
        return bytes(encode_rgb(image.tobytes(), *image.size, quality=round(quality)))

    return ImageCodec("jpegli", _JPEG_LADDER, encode, open_rgb, version)


def webp(_model: str | None = None) -> ImageCodec:
    """Lossy WebP at its slowest method."""
    return pillow_codec("webp", "WEBP", _JPEG_LADDER, method=6)


def avif(_model: str | None = None) -> ImageCodec:
    """AVIF at libavif's default speed, with chroma at full resolution."""
    return pillow_codec("avif", "AVIF", _AVIF_LADDER, subsampling="4:4:4", speed=6)


def jpeg2000(_model: str | None = None) -> ImageCodec:
    """JPEG 2000 of OpenJPEG, 9/7 wavelets, rate set by the PSNR asked for, in dB."""
    version = _pillow_version("JPEG2000")

    def encode(image: Image.Image, quality: float) -> bytes:
        # Without mct=1 Pillow codes R, G and B apart: kodim23 at 38 dB takes 36113 B, not 21192.
        return save(
            image,
            "JPEG2000",
            quality_mode="dB",
            quality_layers=[quality],
            irreversible=True,
            mct=1,
        )

    return ImageCodec("jpeg2000", _JPEG2000_LADDER, encode, open_rgb, version)


def jxl(_model: str | None = None) -> ImageCodec:
    """JPEG XL of libjxl at its default effort 7."""
    version = _plugin_version("pillow_jxl", "pillow-jxl-plugin")

    def encode(image: Image.Image, quality: float) -> bytes:
        return save(image, "JXL", quality=round(quality), effort=7, num_threads=1)

    return ImageCodec("jxl", _JXL_LADDER, encode, open_rgb, version)


def heic(_model: str | None = None) -> ImageCodec:
    """HEIC of libheif and x265, chroma at full resolution."""
    version = _plugin_version("pillow_heif", "pillow-heif")
    import pillow_heif

    pillow_heif.register_heif_opener()

    def encode(image: Image.Image, quality: float) -> bytes:
        return save(image, "HEIF", quality=round(quality), chroma=444)

    return ImageCodec("heic", _HEIC_LADDER, encode, open_rgb, version)


def _plugin_version(module: str, package: str) -> str:
    try:
        import_module(module)
    except Exception as exc:  # a broken shared library fails in its own ways
        raise CodecUnavailableError(f"{describe(exc)}; pip install {package}") from exc
    return f"{package} {metadata.version(package)}"


FACTORIES: Mapping[str, Callable[[str | None], ImageCodec]] = {
    "aecodec": aecodec,
    **{f"aecodec-e{effort}": partial(aecodec, effort=effort) for effort in range(10)},
    "jpeg420": jpeg420,
    "jpeg444": jpeg444,
    "jpegli": jpegli,
    "webp": webp,
    "avif": avif,
    "jpeg2000": jpeg2000,
    "jxl": jxl,
    "heic": heic,
}


def collect_pictures(paths: Iterable[Path]) -> list[Path]:
    """The files among `paths` and the pictures right inside the folders among them.

    Each path comes once, folders in the order of their file names.

    Raises:
        FileNotFoundError: a path does not exist, or all of them together hold no picture.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            found.update(dict.fromkeys(sorted(p for p in path.iterdir() if _is_picture(p))))
        elif path.exists():
            found[path] = None
        else:
            raise FileNotFoundError(f"no such file or folder: {path}")
    if not found:
        raise FileNotFoundError("no pictures found; name picture files or folders that hold some")
    return list(found)


def _is_picture(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and path.is_file()


def load_picture(path: Path) -> Image.Image:
    """Loads an 8-bit picture as RGB, without metadata, so that all codecs store the same.

    Gray becomes RGB with equal channels; alpha and colour profiles are dropped.

    Raises:
        OSError: the file cannot be read.
        ValueError: the picture has more than 8 bits a channel.
    """
    with Image.open(path) as image:
        if image.mode not in _EIGHT_BIT_MODES:
            raise ValueError(f"mode {image.mode} is not 8-bit")
        return Image.fromarray(np.asarray(image.convert("RGB")))


def hold_threads(threads: int) -> None:
    """Lets codecs and metrics use so many threads, as far as they can be told."""
    # For libraries that are not loaded yet: FLIP brings its own OpenMP.
    os.environ["OMP_NUM_THREADS"] = str(threads)
    torch.set_num_threads(threads)
    AvifImagePlugin.DEFAULT_MAX_THREADS = threads


def describe(exc: BaseException) -> str:
    """An exception as one line."""
    text = " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine_facts() -> dict[str, str | int]:
    """What a reader must know of the machine to judge the numbers."""
    return {
        "aecodec": aecodec_version,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pillow": pillow_version,
        "libjpeg": _feature("libjpeg_turbo", "jpg"),
        "libwebp": _feature("webp"),
        "libavif": _feature("avif"),
        "machine": platform.machine(),
        "processor": _processor(),
        "system": platform.system(),
        "cpus": os.cpu_count() or 1,
        "usable cpus": cores(),
        "threads": torch.get_num_threads(),
        "load average": f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown",
    }


def _processor() -> str:
    """The name of the processor, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(filter(None, names), platform.processor() or "unknown")


def _feature(*names: str) -> str:
    return next((str(v) for v in map(features.version, names) if v), "absent")

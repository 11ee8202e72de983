"""The codecs that the benchmarks compare.

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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import import_module, metadata

from PIL import Image, features
from PIL import __version__ as pillow_version

from aecodec import __version__ as aecodec_version

REFERENCE = "jpeg420"

_AECODEC_LADDER = (10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95)
_SLOW_LADDER = (10, 30, 50, 70, 95)
_JPEG_LADDER = (5, *_AECODEC_LADDER)
_AVIF_LADDER = (20, 30, 40, 50, 60, 70, 80, 85, 90, 95)
_JPEG2000_LADDER = (26, 28, 30, 32, 34, 36, 38, 40, 42, 45)
_JXL_LADDER = (10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95)
_HEIC_LADDER = (10, 20, 30, 40, 50, 60, 70, 80, 90)
_FEATURES = {"JPEG": "jpg", "WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}


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


def describe(exc: BaseException) -> str:
    """An exception as one line."""
    text = " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__

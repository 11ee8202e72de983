"""The codecs that the benchmarks compare.

To add a codec, write a function that makes an `ImageCodec` and name it in `FACTORIES`:

    def gif(_model: str | None = None) -> ImageCodec:
        def encode(image: Image.Image, quality: float) -> bytes:
            return save(image.quantize(round(quality)), "GIF")

        return ImageCodec("gif", (8, 16, 64, 256), encode, open_rgb, pillow_version, "no tuning")

    FACTORIES = {..., "gif": gif}

`encode` gets an 8-bit RGB picture without metadata and returns the bytes of a whole file; a higher
quality must mean more bytes and fewer errors. `decode` returns the RGB picture. Neither may keep
anything from one picture to the next.
"""

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib import import_module, metadata

import numpy as np
from PIL import Image, features
from PIL import __version__ as pillow_version

from aecodec import __version__ as aecodec_version
from aecodec.models.registry import DEFAULT_TUNE, TUNES, Tune, tuned_model

OURS, REFERENCE = "aecodec", "jpeg420"
"""The beginning of the names of our rows, and the codec that the others are compared with."""

_AECODEC_LADDER = (10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95)
_SLOW_LADDER = (10, 30, 50, 70, 95)
_JPEG_LADDER = (5, *_AECODEC_LADDER)
_AVIF_LADDER = (20, 30, 40, 50, 60, 70, 80, 85, 90, 95)
_JPEG2000_LADDER = (26, 28, 30, 32, 34, 36, 38, 40, 42, 45)
_JXL_LADDER = (10, 20, 30, 40, 50, 60, 70, 75, 80, 85, 90, 95)
_HEIC_LADDER = (10, 20, 30, 40, 50, 60, 70, 80, 90)
AVIF_TUNES = ("psnr", "ssim", "iq")
"""What libaom may be told to encode for; `iq` is for the eye, and libavif's default from 1.4 on."""
_PROBE_SIDE, _PROBE_QUALITY = 64, 60
_FEATURES = {"JPEG": "jpg", "WEBP": "webp", "AVIF": "avif", "JPEG2000": "jpg_2000"}
_LIBRARIES = {"JPEG": "libjpeg", "WEBP": "libwebp", "AVIF": "libavif", "JPEG2000": "OpenJPEG"}


@dataclass(frozen=True)
class ImageCodec:
    """A lossy codec as the benchmarks see it.

    Attributes:
        name: what the tables and `--codecs` call it.
        qualities: the ladder of qualities to measure, ascending.
        encode: makes a file of an RGB picture at a quality.
        decode: makes an RGB picture of a file.
        version: of the library and the model; stored results of other versions are not used.
        settings: how the encoder is set and what it is tuned for.
    """

    name: str
    qualities: tuple[float, ...]
    encode: Callable[[Image.Image, float], bytes]
    decode: Callable[[bytes], Image.Image]
    version: str = ""
    settings: str = ""

    @property
    def details(self) -> str:
        """Version and settings, as they stand beside the name in reports."""
        return "; ".join(filter(None, (self.version, self.settings))) or "unknown"


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
    name: str, file_format: str, qualities: tuple[float, ...], settings: str, **options: object
) -> ImageCodec:
    """A codec of Pillow's whose `save` takes a whole number as `quality`.

    Args:
        name: of the codec.
        file_format: as Pillow calls it.
        qualities: its ladder.
        settings: what `options` mean, and what the encoder is tuned for.
        options: of `save`.

    Raises:
        CodecUnavailableError: this Pillow was built without the format.
    """
    version = _pillow_version(file_format)

    def encode(image: Image.Image, quality: float) -> bytes:
        return save(image, file_format, quality=round(quality), **options)

    return ImageCodec(name, qualities, encode, open_rgb, version, settings)


def _pillow_version(file_format: str) -> str:
    name = _FEATURES[file_format]
    if features.check(name) is not True:
        raise CodecUnavailableError(
            f"Pillow {pillow_version} has no {file_format} here; pip install -U pillow"
        )
    library = f"{_LIBRARIES[file_format]} {features.version(name)}"
    turbo = features.version("libjpeg_turbo")
    if file_format == "JPEG" and turbo:
        library = f"libjpeg-turbo {turbo}"
    return f"Pillow {pillow_version}, {library}"


def is_ours(name: str) -> bool:
    """Whether a row is of our codec, whatever its model and effort."""
    return name.partition("-")[0] == OURS


def aecodec(
    model: str | None = None, *, effort: int | None = None, tune: Tune | None = None
) -> ImageCodec:
    """Our codec, with one model kept loaded, at its default effort or another.

    Args:
        model: name or weights file; None for the default model.
        effort: 0 to 9; None for the default, and a name without it.
        tune: whose released model it is, in place of `model`.

    Raises:
        CodecUnavailableError: the package or its weights cannot be loaded, or no model has been
            released for the tuning.
    """
    try:
        from aecodec import Codec
        from aecodec.format.container import parse_header
        from aecodec.options import DEFAULT_EFFORT

        weights = model if model and tune is None else tuned_model(tune or DEFAULT_TUNE).name
        codec = Codec(weights)
        data = codec.compress(Image.new("RGB", (16, 16)))  # the model loads at first use
    except Exception as exc:  # whatever keeps it from loading, the others can still be measured
        raise CodecUnavailableError(describe(exc)) from exc
    version = f"{aecodec_version}, model {parse_header(data).model_id.hex()}"
    spent = DEFAULT_EFFORT if effort is None else effort

    def encode(image: Image.Image, quality: float) -> bytes:
        return codec.compress(image, quality, effort=spent)

    settings = f"weights {weights}, effort {spent}"
    ladder = _AECODEC_LADDER if spent <= DEFAULT_EFFORT else _SLOW_LADDER
    parts = [OURS, *([] if tune is None else [tune]), *([] if effort is None else [f"e{effort}"])]
    return ImageCodec("-".join(parts), ladder, encode, codec.decompress, version, settings)


def jpeg420(_model: str | None = None) -> ImageCodec:
    """JPEG with chroma at half the resolution and optimal Huffman tables: the reference."""
    return _jpeg("jpeg420", "4:2:0")


def jpeg444(_model: str | None = None) -> ImageCodec:
    """JPEG with chroma at full resolution and optimal Huffman tables."""
    return _jpeg("jpeg444", "4:4:4")


def _jpeg(name: str, subsampling: str) -> ImageCodec:
    settings = f"{subsampling}, optimize=True, quantization tables of the standard"
    options: dict[str, object] = {"subsampling": subsampling, "optimize": True}
    return pillow_codec(name, "JPEG", _JPEG_LADDER, settings, **options)


def jpegli(_model: str | None = None) -> ImageCodec:
    """JPEG of Google's jpegli at its defaults (progressive, chroma at half the resolution)."""
    version = _plugin_version("pyjpegli", "pyjpegli")
    from pyjpegli import encode as encode_rgb

    def encode(image: Image.Image, quality: float) -> bytes:
        return bytes(encode_rgb(image.tobytes(), *image.size, quality=round(quality)))

    settings = "4:2:0, progressive, adaptive quantization for the eye"
    return ImageCodec("jpegli", _JPEG_LADDER, encode, open_rgb, version, settings)


def webp(_model: str | None = None) -> ImageCodec:
    """Lossy WebP at its slowest method."""
    settings = "method 6, default preset (spatial noise shaping 50)"
    return pillow_codec("webp", "WEBP", _JPEG_LADDER, settings, method=6)


def avif(_model: str | None = None, *, tune: str) -> ImageCodec:
    """AVIF of libaom at libavif's default speed, with chroma at full resolution.

    Args:
        tune: one of `AVIF_TUNES`.

    Raises:
        CodecUnavailableError: there is no AVIF or no libaom, or it does not encode as `tune` says.
    """
    version = f"{_pillow_version('AVIF')}, {_aom_version()}"
    _need_tune(tune, version)
    settings = f"4:4:4, speed 6, tune={tune}"
    encode = partial(save_avif, tune=tune)
    return ImageCodec(f"avif-{tune}", _AVIF_LADDER, encode, open_rgb, version, settings)


def save_avif(image: Image.Image, quality: float, *, tune: str) -> bytes:
    """The file that libaom makes of a picture.

    Raises:
        ValueError: this libaom does not know the tuning.
    """
    return save(
        image, "AVIF", quality=round(quality), subsampling="4:4:4", speed=6, codec="aom",
        advanced={"tune": tune},
    )  # fmt: skip


def _aom_version() -> str:
    from PIL import _avif  # a Pillow without AVIF has none

    versions = str(_avif.codec_versions()).split(", ")
    found = next((text for text in versions if text.startswith("aom")), None)
    if found is None:
        raise CodecUnavailableError(f"Pillow {pillow_version} has no libaom here: {versions}")
    return found.replace(" [enc]:", " ").replace(" [enc/dec]:", " ")


def _need_tune(tune: str, version: str) -> None:
    """Makes sure that the encoder obeys: other tunings must give other bytes.

    Raises:
        CodecUnavailableError: it refuses the tuning, or makes the same file with another one.
    """
    files = {other: _probe(other) for other in AVIF_TUNES}
    own = files.pop(tune)
    if isinstance(own, str):
        raise CodecUnavailableError(f"{version} refuses tune={tune}: {own}")
    same = next((other for other, data in files.items() if data == own), None)
    if same is not None:
        raise CodecUnavailableError(
            f"{version} does not honour tune={tune}: it makes the same bytes with tune={same}"
        )


@cache
def _probe(tune: str) -> bytes | str:
    """The file of a small picture with edges, ramps and texture; an encoder's error as text."""
    across, down = np.meshgrid(np.arange(_PROBE_SIDE), np.arange(_PROBE_SIDE))
    grid = np.stack([across * 4, down * 4, (across * down * 37) % 256], axis=-1)
    grid[16:48, 16:48] = 255 - grid[16:48, 16:48]
    try:
        return save_avif(Image.fromarray(grid.astype(np.uint8)), _PROBE_QUALITY, tune=tune)
    except Exception as exc:  # an encoder may refuse in any way
        return describe(exc)


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

    settings = "9/7 wavelets, for PSNR"
    return ImageCodec("jpeg2000", _JPEG2000_LADDER, encode, open_rgb, version, settings)


def jxl(_model: str | None = None) -> ImageCodec:
    """JPEG XL of libjxl at its default effort 7."""
    version = _plugin_version("pillow_jxl", "pillow-jxl-plugin")

    def encode(image: Image.Image, quality: float) -> bytes:
        return save(image, "JXL", quality=round(quality), effort=7, num_threads=1)

    settings = "effort 7, made for Butteraugli"
    return ImageCodec("jxl", _JXL_LADDER, encode, open_rgb, version, settings)


def heic(_model: str | None = None) -> ImageCodec:
    """HEIC of libheif and x265, chroma at full resolution."""
    version = _plugin_version("pillow_heif", "pillow-heif")
    import pillow_heif

    pillow_heif.register_heif_opener()

    def encode(image: Image.Image, quality: float) -> bytes:
        tuned = {"preset": "slow", "tune": "ssim"}  # libheif's defaults; the plugin writes into it
        return save(image, "HEIF", quality=round(quality), chroma=444, enc_params=tuned)

    info = pillow_heif.libheif_info()
    version += f", libheif {info['libheif']}, {info['HEIF']}"
    settings = "4:4:4, preset=slow, tune=ssim"
    return ImageCodec("heic", _HEIC_LADDER, encode, open_rgb, version, settings)


def _plugin_version(module: str, package: str) -> str:
    try:
        import_module(module)
    except Exception as exc:  # a broken shared library fails in its own ways
        raise CodecUnavailableError(f"{describe(exc)}; pip install {package}") from exc
    return f"{package} {metadata.version(package)}"


FACTORIES: Mapping[str, Callable[[str | None], ImageCodec]] = {
    OURS: aecodec,
    **{f"{OURS}-{tune}": partial(aecodec, tune=tune) for tune in TUNES},
    **{f"{OURS}-e{effort}": partial(aecodec, effort=effort) for effort in range(10)},
    **{
        f"{OURS}-{tune}-e{effort}": partial(aecodec, effort=effort, tune=tune)
        for tune in TUNES
        for effort in range(10)
    },
    "jpeg420": jpeg420,
    "jpeg444": jpeg444,
    "jpegli": jpegli,
    "webp": webp,
    **{f"avif-{tune}": partial(avif, tune=tune) for tune in AVIF_TUNES},
    "jpeg2000": jpeg2000,
    "jxl": jxl,
    "heic": heic,
}


def describe(exc: BaseException) -> str:
    """An exception as one line."""
    text = " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__

"""`Image.open` and `Image.save` for `.aec` files.

A picture is opened by its header and its metadata; pixels are decoded when they are first asked
for. 16-bit gray has mode I;16; other 16-bit pictures, for which Pillow has no mode, are rounded to
8 bits.

Source: Pillow's handbook, "Writing your own image plugin".
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields, replace
from typing import IO, TYPE_CHECKING, Any

from PIL import Image, ImageFile, UnidentifiedImageError

from aecodec.errors import AecError, FormatError, InputError, SignatureError
from aecodec.format.chunks import SIDE_MAX, Limits, PixelFormat
from aecodec.format.container import parse
from aecodec.format.reader import FileReader
from aecodec.options import SCALES, DecodeOptions, EncodeOptions
from aecodec.picture.metadata import Metadata, metadata_in, metadata_of
from aecodec.plugins.names import FORMAT
from aecodec.storage.sources import read_all

if TYPE_CHECKING:
    from aecodec.picture.picture import Picture

_LIMITS = Limits(pixels=SIDE_MAX**2)
"""Pillow itself refuses pictures above its own limit, `Image.MAX_IMAGE_PIXELS`."""
_MODES = {
    PixelFormat.GRAY8: "L", PixelFormat.GRAYA8: "LA", PixelFormat.RGB8: "RGB",
    PixelFormat.RGBA8: "RGBA", PixelFormat.GRAY16: "I;16", PixelFormat.GRAYA16: "LA",
    PixelFormat.RGB16: "RGB", PixelFormat.RGBA16: "RGBA",
}  # fmt: skip
_WISHES = {field.name for field in fields(EncodeOptions)} - {"keep"}
"""The arguments of `Image.save` that are wishes of `EncodeOptions`."""
_KEPT = ("icc",)
"""What Pillow's plugins write of `Image.info` without being asked."""
_COMMENT = "Comment"


class AecImageFile(ImageFile.ImageFile):
    """A picture in an .aec file.

    Damage before the pixels raises `UnidentifiedImageError`, and any other an OSError when the
    pixels are decoded. With `ImageFile.LOAD_TRUNCATED_IMAGES` what is left of a file is decoded.
    """

    format = FORMAT
    format_description = "aecodec image"
    n_frames = 1
    is_animated = False
    _scale = 1

    def _open(self) -> None:
        assert self.fp is not None
        try:
            reader = FileReader(self.fp, _LIMITS)
        except SignatureError as exc:
            raise SyntaxError(str(exc)) from exc
        except AecError as exc:
            raise UnidentifiedImageError(str(exc)) from exc
        header = reader.header
        self._mode, self._size = _MODES[header.pixel_format], (header.width, header.height)
        with suppress(AecError):  # which `load` will name
            metadata_in(reader).attach(self)
        self.tile = [ImageFile._Tile(FORMAT, (0, 0, *self.size))]

    def draft(
        self, mode: str | None, size: tuple[int, int] | None
    ) -> tuple[str, tuple[int, int, float, float]] | None:
        """Has the picture decoded at 1/2, 1/4 or 1/8 of its size, if that is no less than `size`.

        Its mode stays as it is.
        """
        if not self.tile or size is None or self._scale != 1:
            return None
        width, height = self.size
        most = min(width // max(size[0], 1), height // max(size[1], 1))
        self._scale = max((scale for scale in SCALES if scale <= most), default=1)
        self._size = (-(-width // self._scale), -(-height // self._scale))
        return self.mode, (0, 0, width / self._scale, height / self._scale)

    def load(self) -> Any:  # noqa: ANN401  # Pillow's access to pixels, a class of C
        """Decodes the pixels, once.

        Raises:
            OSError: the file is damaged or needs an unknown model.
        """
        if self.tile:
            with _as_oserror():
                self._take(self._decoded())
        return super().load()

    def load_seek(self, pos: int) -> None:
        """Does nothing; that it is here tells `ImageFile.Parser` that `load` is of its own kind."""

    def verify(self) -> None:
        """Checks every checksum of the file, and decodes nothing.

        Raises:
            OSError: the file is damaged.
        """
        try:
            if self.tile and self.fp is not None:
                with _as_oserror():
                    parse(read_all(self.fp, _LIMITS), _LIMITS)
        finally:
            super().verify()

    def _decoded(self) -> "Picture":
        depth = None if self.mode == "I;16" else 8
        options = DecodeOptions(scale=self._scale, depth=depth)
        try:
            return self._decode(options)
        except FormatError:
            if not ImageFile.LOAD_TRUNCATED_IMAGES:
                raise
            return self._decode(replace(options, allow_truncated=True))

    def _decode(self, options: DecodeOptions) -> "Picture":
        from aecodec.decoder.opening import open_file  # here, since opening needs it not
        from aecodec.plugins.codecs import plugin_codec

        assert self.fp is not None
        with open_file(self.fp, options, _LIMITS) as file:
            return plugin_codec().decode(file, options)

    def _take(self, picture: "Picture") -> None:
        """Makes the decoded pixels those of this picture, which needs its file no more."""
        from aecodec.picture.picture import to_pil

        image = to_pil(picture.whole)
        self.im, self.readonly = image.im, image.readonly
        if self._scale != 1:
            picture.metadata.attach(self)  # they tell of the smaller picture
        self.tile = []
        if self._exclusive_fp and self.fp is not None:
            self.fp.close()
        self.fp = None


def save(image: Image.Image, file: IO[bytes]) -> None:
    """Writes a picture of any mode with the arguments that `Image.save` was given.

    These are the fields of `EncodeOptions`, and `icc_profile`, `exif`, `xmp`, `dpi` and `comment`.
    As in Pillow's own plugins, the colour profile is taken from `Image.info` by default, and other
    metadata only if they are given, or named in `keep`. Pixels are never turned.

    Raises:
        InputError: an argument or the mode is not acceptable; also a ValueError.
        OSError: the picture exceeds the limits, or the file cannot be written.
    """
    from aecodec.picture.picture import to_picture
    from aecodec.plugins.codecs import plugin_codec

    given = getattr(image, "encoderinfo", {})
    options = EncodeOptions(**{name: given[name] for name in _WISHES & given.keys()})
    keep = EncodeOptions(keep=given.get("keep", _KEPT)).keep
    plain = image.copy()  # whose `info` holds what is to be written, and nothing else
    plain.info = {key: image.info[key] for key in ("transparency",) if key in image.info}
    _chosen(metadata_of(image).select(keep), given).attach(plain)
    with _as_oserror():
        picture = to_picture(plain, alpha_quality=options.alpha_quality)
        file.write(plugin_codec().compress(picture, options=options))


def _chosen(metadata: Metadata, given: dict[str, Any]) -> Metadata:
    """Metadata with those that `Image.save` was given in their place."""
    if "icc_profile" in given:
        metadata = metadata.with_packet("icc", _bytes("icc_profile", given["icc_profile"]))
    if "exif" in given:
        exif = given["exif"]
        packed = exif.tobytes() if isinstance(exif, Image.Exif) else _bytes("exif", exif)
        metadata = metadata.with_packet("exif", packed)
    if "xmp" in given:
        metadata = metadata.with_packet("xmp", _bytes("xmp", given["xmp"]))
    if "dpi" in given:
        metadata = replace(metadata, resolution=_resolution(given["dpi"]))
    if given.get("comment"):
        metadata = replace(metadata, text=((_COMMENT, _bytes("comment", given["comment"])),))
    return metadata


def _bytes(name: str, value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if value is not None and not isinstance(value, bytes):
        raise InputError(f"{name} must be bytes, not {type(value).__name__}")
    return value or b""


def _resolution(dpi: object) -> tuple[float, float] | None:
    """Dots per inch across and down, of which `metadata_of` says whether they can be kept."""
    if not dpi:
        return None
    asked = Image.new("1", (1, 1))
    asked.info["dpi"] = dpi
    found = metadata_of(asked).resolution
    if found is None:
        raise InputError(f"dpi must be two numbers in 0.01 to 65535, not {dpi!r}")
    return found


@contextmanager
def _as_oserror() -> Iterator[None]:
    """Turns what is wrong with a file into what users of Pillow expect."""
    try:
        yield
    except InputError:
        raise
    except AecError as exc:
        raise OSError(str(exc)) from exc

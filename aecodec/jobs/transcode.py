"""File to file: pictures to .aec files and back, each written whole or not at all.

Commands, plugins and jobs over many files use these functions. They choose whether a picture is
read and written by rows, turn it where its orientation would be lost, and tell of everything that
the result cannot carry.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from os import SEEK_END
from pathlib import Path

import numpy as np

from aecodec.codec import Codec
from aecodec.decoder.opening import OpenFile, open_file
from aecodec.errors import InputError
from aecodec.format.chunks import Header
from aecodec.format.reader import FileReader
from aecodec.jobs.runner import JobLog
from aecodec.options import DecodeOptions, EncodeOptions, Found, Target
from aecodec.picture import pixels
from aecodec.picture.alpha import over_background
from aecodec.picture.formats import Quality, check_format, check_png_level, check_quality
from aecodec.picture.metadata import UPRIGHT, Metadata, turned
from aecodec.picture.orientation import orientation_in
from aecodec.picture.picture import decode_picture
from aecodec.picture.pixels import Pixels
from aecodec.picture.reshaping import stored_region
from aecodec.storage.arguments import load, opened_for_parts
from aecodec.storage.files import replacing, write_bytes
from aecodec.storage.names import STANDARD, is_pipe, status
from aecodec.storage.sources import is_url

_OWN_SUFFIX = ".aec"

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


_STREAMED_SUFFIXES = {".png": "PNG", ".ppm": "PPM", ".pgm": "PPM", ".pnm": "PPM"}
"""Extensions of formats that are written without Pillow."""


@dataclass(frozen=True)
class Compressed:
    """What became of a picture.

    Attributes:
        before: bytes of the source.
        after: bytes of the .aec file.
        width: pixels.
        height: pixels.
        found: where the search for a target ended; None without a target.
    """

    before: int
    after: int
    width: int
    height: int
    found: Found | None = None

    @property
    def bpp(self) -> float:
        """Bits per pixel of the file."""
        return 8 * self.after / (self.width * self.height)


@dataclass(frozen=True, kw_only=True)
class Saving:
    """How a picture is to be written.

    Attributes:
        background: what shows through alpha; None keeps alpha.
        quality: of formats that lose something, 0 to 100, or "lossless"; None for their default,
            see `formats.format_options`.
        strip: whether metadata are left out; pixels are turned for display then.
        preserve: whether the file gets the times and the permissions of its source.
        png_level: of PNG, zlib's, 0 to 9; None for what the pixels are worth.
    """

    background: Colour | None = None
    quality: Quality = None
    strip: bool = False
    preserve: bool = False
    png_level: int | None = None


@dataclass(frozen=True)
class Decompressed:
    """Size of a picture that was written, in pixels."""

    width: int
    height: int


def compress_file(
    codec: Codec,
    source: str,
    target: str,
    options: EncodeOptions,
    *,
    log: JobLog,
    progress: Callable[[float], None] | None = None,
    preserve: bool = False,
) -> Compressed:
    """Compresses a picture file.

    Args:
        codec: the encoder.
        source: a path, a URL, or `-` for standard input.
        target: the .aec file to write, or `-` for standard output.
        options: how.
        log: takes warnings; its `check` may end the work before the target is written.
        progress: called with the part of the work that is done, rising to 1.
        preserve: whether the target gets the times and the permissions of the source.

    Raises what `Codec.compress` raises.
    """
    like = _status(source) if preserve else None
    if options.target is None and _is_file(source):
        done = _compress_by_rows(codec, Path(source), target, options, log, progress, like)
        if done is not None:
            return done
    original = load(source)
    picture = decode_picture(original, options.keep, options.alpha_quality, codec.limits)
    for line in picture.losses:
        log.warn(line)
    found = None
    if options.target is None:
        data = codec.compress(picture, options=options, progress=progress)
    else:
        data, found = codec.compress_to(picture, options.target, options=options)
        if not found.met:
            log.warn(_nearest(options.target, found))
    log.check()
    write_bytes(target, data, like=like)
    height, width = picture.pixels.shape[:2]
    return Compressed(len(original), len(data), width, height, found)


def _is_file(source: str) -> bool:
    """Whether a source is a file here, which can be read in parts."""
    return _status(source) is not None and not is_pipe(source)


def _status(source: str) -> os.stat_result | None:
    """What the system says of a source; None for what is no file here."""
    return None if source == STANDARD or is_url(source) else status(source)


def _compress_by_rows(
    codec: Codec, source: Path, target: str, options: EncodeOptions, log: JobLog,
    progress: Callable[[float], None] | None, like: os.stat_result | None,
) -> Compressed | None:  # fmt: skip
    """Encodes a large picture by rows of tiles, if it can be read so."""
    from aecodec.picture.row_readers import open_rows

    with open_rows(source, options.keep, pixels.STREAM_PIXELS) as rows:
        if rows is None:
            return None
        with replacing(target, like=like) as file:
            after = 0
            for piece in codec.compress_rows(rows, options, progress=progress):
                log.check()
                after += file.write(piece)
        with source.open("rb") as original:
            before = original.seek(0, SEEK_END)
        return Compressed(before, after, rows.width, rows.height)


def _nearest(target: Target, found: Found) -> str:
    """Says that a target is out of reach, and how near the file comes."""
    unit = {"size": "bytes", "bpp": "bpp", "psnr": "dB", "ssim": "MS-SSIM"}[target.kind]
    return (
        f"{target.value:.6g} {unit} is out of reach; "
        f"the nearest is {found.measured:.6g} at quality {found.quality:g}"
    )


def decompress_file(
    codec: Codec,
    source: str,
    target: str,
    options: DecodeOptions,
    saving: Saving | None = None,
    *,
    log: JobLog,
) -> Decompressed:
    """Decompresses an .aec file into a file of another format.

    Args:
        codec: the decoder.
        source: a path, a URL, or `-` for standard input.
        target: the picture to write, whose extension gives the format, or `-` for a PNG on
            standard output.
        options: what of the file to decode; here the region counts in the picture as it is shown.
        saving: how to write it.
        log: takes warnings; its `check` may end the work before the target is written.

    Raises what `Codec.decompress_array` raises, and InputError where the format is unknown or
    cannot carry the picture.
    """
    from aecodec.picture import writers

    saving = saving or Saving()
    kind = picture_format(target)
    check_quality(kind, saving.quality)
    check_png_level(kind, saving.png_level)
    like = _status(source) if saving.preserve else None
    if not options.allow_truncated and kind in writers.STREAMED and _is_file(source):
        done = _decompress_by_rows(codec, source, target, options, saving, log, like)
        if done is not None:
            return done
    with opened_for_parts(source) as stream, open_file(stream, options, codec.limits) as file:
        for line in file.losses:
            log.warn(line)
        stored = _stored(options, file)
        _check(file.tiles.header, kind, stored, saving)
        picture = codec.decode(file, stored)
        exact = file.is_exact(stored)
    whole, metadata = picture.whole, picture.metadata
    if saving.strip:
        whole, metadata = turned(whole, orientation_in(metadata)), Metadata()
    image = writers.prepared(whole, kind, saving.background)
    try:
        done_picture = writers.written(
            image, kind, metadata, saving.quality, exact=exact, png_level=saving.png_level
        )
    except InputError as exc:
        raise InputError(f"cannot write {target}: {exc}") from exc
    for line in (*(() if saving.strip else picture.losses), *done_picture.losses):
        log.warn(line, about=target)
    log.check()
    write_bytes(target, done_picture.data, like=like)
    return Decompressed(done_picture.width, done_picture.height)


def picture_format(target: str) -> str:
    """Pillow's name of the format that a target's extension stands for.

    A pipe or device without an extension of a picture gets a PNG.

    Raises:
        InputError: it stands for none that can be written.
    """
    if target == STANDARD:
        return "PNG"
    suffix = Path(target).suffix.lower()
    if suffix in _STREAMED_SUFFIXES:
        return _STREAMED_SUFFIXES[suffix]
    from PIL import Image

    kind = Image.registered_extensions().get(suffix)
    if kind is None and is_pipe(target):
        return "PNG"
    if kind is None or kind not in Image.SAVE or suffix == _OWN_SUFFIX:
        reason = f"unknown picture format {suffix!r}" if suffix else "its name has no extension"
        raise InputError(f"cannot write {target}: {reason}")
    return kind


def _decompress_by_rows(
    codec: Codec, source: str, target: str, options: DecodeOptions, saving: Saving,
    log: JobLog, like: os.stat_result | None,
) -> Decompressed | None:  # fmt: skip
    """Decodes a large picture by rows of tiles, unless its pixels must be turned."""
    from aecodec.picture import writers

    kind = picture_format(target)
    with opened_for_parts(source) as stream:
        reader = FileReader(stream, codec.limits)
        file, header = OpenFile(reader, reader), reader.header
        stored = _stored(options, file)
        _check(header, kind, stored, saving)
        height, width = stored.view(header).size
        if height * width < pixels.STREAM_PIXELS:
            return None
        metadata, lines = file.described(stored)
        kept, lost = writers.fitted_to(_sample(header, kind, stored, saving), kind, metadata)
        if orientation_in(metadata) != UPRIGHT and ("exif" in lost or saving.strip):
            return None
        with (
            codec.open_rows(stream, options=stored) as (rows, _),
            replacing(target, like=like) as written,
        ):
            bands = _checked(rows, log, saving.background)
            kept = Metadata() if saving.strip else kept
            size = height, width
            writers.write_rows(written, kind, size, bands, kept, png_level=saving.png_level)
    if not saving.strip:
        if lost:
            lines = (*lines, f"{kind} carries no {', '.join(lost)}")
        for line in lines:
            log.warn(line, about=target)
    return Decompressed(width, height)


def _sample(header: Header, kind: str, options: DecodeOptions, saving: Saving) -> Pixels:
    """A pixel of the kind that will be written."""
    from aecodec.picture.writers import prepared

    form = header.pixel_format
    deep = form.is_sixteen_bit and not options.view(header).eight_bit
    pixel = np.zeros((1, 1, form.channels), np.uint16 if deep else np.uint8)
    whole = pixel[:, :, 0] if form.channels == 1 else pixel
    return prepared(whole, kind, saving.background)


def _stored(options: DecodeOptions, file: OpenFile) -> DecodeOptions:
    """The same wishes, with the region where it lies in the pixels as they are stored."""
    if options.region is None:
        return options
    header, orientation = file.tiles.header, orientation_in(file.metadata)
    region = stored_region(options.region, orientation, header.width, header.height)
    return replace(options, region=region)


def _checked(rows: Iterable[Pixels], log: JobLog, background: Colour | None) -> Iterator[Pixels]:
    for row in rows:
        log.check()
        yield row if background is None else over_background(row, background)


def _check(header: Header, kind: str, options: DecodeOptions, saving: Saving) -> None:
    """Refuses parts that do not lie in the picture, and formats that cannot carry it."""
    view, form = options.view(header), header.pixel_format
    check_format(
        kind,
        alpha=form.has_alpha and saving.background is None,
        sixteen_bit=form.is_sixteen_bit and not view.eight_bit,
        size=view.size,
    )

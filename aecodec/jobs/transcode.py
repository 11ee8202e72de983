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
from aecodec.decoder.rows import TileRows
from aecodec.errors import InputError
from aecodec.format.chunks import Header
from aecodec.format.reader import FileReader
from aecodec.jobs.runner import JobLog
from aecodec.jobs.saving import Colour, Saving
from aecodec.options import DecodeOptions, EncodeOptions, Found, Target
from aecodec.picture import pixels
from aecodec.picture.alpha import over_background
from aecodec.picture.formats import check_format, check_png_level, check_quality
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
        written: whether the file was written, and not left out as it is no smaller.
        found: where the search for a target ended; None without a target.
    """

    before: int
    after: int
    width: int
    height: int
    written: bool = True
    found: Found | None = None

    @property
    def bpp(self) -> float:
        """Bits per pixel of the file."""
        return 8 * self.after / (self.width * self.height)


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
    preserve: bool = False,
    keep_smaller: bool = False,
) -> Compressed:
    """Compresses a picture file.

    Args:
        codec: the encoder.
        source: a path, a URL, or `-` for standard input.
        target: the .aec file to write, or `-` for standard output.
        options: how.
        log: takes warnings and progress; its `check` may end the work before the target is
            written.
        preserve: whether the target gets the times and the permissions of the source.
        keep_smaller: whether nothing is written that is not smaller than the source.

    Raises what `Codec.compress` raises.
    """
    like = _status(source) if preserve else None
    if options.target is None and _is_file(source):
        place = _Place(target, like, keep_smaller)
        done = _compress_by_rows(codec, Path(source), place, options, log)
        if done is not None:
            return done
    original = load(source)
    picture = decode_picture(original, options.keep, options.alpha_quality, codec.limits)
    for line in picture.losses:
        log.warn(line)
    found = None
    height, width = picture.pixels.shape[:2]
    if options.target is None:
        progress = _progress(log, height, width)
        data = codec.compress(picture, options=options, progress=progress)
    else:
        data, found = codec.compress_to(picture, options.target, options=options)
        if not found.met:
            log.warn(_nearest(options.target, found))
    log.check()
    written = not keep_smaller or len(data) < len(original)
    if written:
        write_bytes(target, data, like=like)
    return Compressed(len(original), len(data), width, height, written, found)


@dataclass(frozen=True)
class _Place:
    """Where a file goes, whose status it gets, and whether it must be smaller than its source."""

    target: str
    like: os.stat_result | None
    smaller: bool


class _NotSmaller(Exception):  # no error
    """A file that is being written shall not be."""


def _is_file(source: str) -> bool:
    """Whether a source is a file here, which can be read in parts."""
    return _status(source) is not None and not is_pipe(source)


def _status(source: str) -> os.stat_result | None:
    """What the system says of a source; None for what is no file here."""
    return None if source == STANDARD or is_url(source) else status(source)


def _compress_by_rows(
    codec: Codec, source: Path, place: _Place, options: EncodeOptions, log: JobLog
) -> Compressed | None:
    """Encodes a large picture by rows of tiles, if it can be read so."""
    from aecodec.picture.row_readers import open_rows

    with open_rows(source, options.keep, pixels.STREAM_PIXELS) as rows:
        if rows is None:
            return None
        with source.open("rb") as original:
            before = original.seek(0, SEEK_END)
        progress = _progress(log, rows.height, rows.width)
        after = 0
        try:
            with replacing(place.target, like=place.like) as file:
                for piece in codec.compress_rows(rows, options, progress=progress):
                    log.check()
                    after += file.write(piece)
                if place.smaller and after >= before:
                    raise _NotSmaller
        except _NotSmaller:
            return Compressed(before, after, rows.width, rows.height, written=False)
        return Compressed(before, after, rows.width, rows.height)


def _progress(log: JobLog, height: int, width: int) -> Callable[[float], None]:
    """What tells a log how far the work on a picture is."""
    return lambda part: log.progress(part, height * width)


def _nearest(target: Target, found: Found) -> str:
    """Says that a target was not reached, and how near the file comes."""
    unit = {"size": "bytes", "bpp": "bpp", "psnr": "dB", "ssim": "MS-SSIM"}[target.kind]
    return (
        f"{target.value:.6g} {unit} was not reached; "
        f"the nearest found is {found.measured:.6g} at quality {found.quality:g}"
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
        whole = _decoded(codec, file, stored, log)
        metadata, losses = file.described(stored)
        exact = file.is_exact(stored)
    if saving.strip:
        whole, metadata = turned(whole, orientation_in(metadata)), Metadata()
    image = writers.prepared(whole, kind, saving.background)
    try:
        done_picture = writers.written(
            image, kind, metadata, saving.quality, exact=exact, png_level=saving.png_level
        )
    except InputError as exc:
        raise InputError(f"cannot write {target}: {exc}") from exc
    for line in (*(() if saving.strip else losses), *done_picture.losses):
        log.warn(line, about=target)
    log.check()
    write_bytes(target, done_picture.data, like=like)
    return Decompressed(done_picture.width, done_picture.height)


def _decoded(codec: Codec, file: OpenFile, options: DecodeOptions, log: JobLog) -> Pixels:
    """The pixels of a file that was opened with the same options."""
    view, model_id = options.view(file.tiles.header), file.tiles.header.model_id
    rows = TileRows(
        lambda: codec.decoder(model_id), file.tiles, view, file.states, lossy=options.lossy
    )
    return rows.whole(_progress(log, *view.size))


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
            bands = _checked(rows, log, (height, width), saving.background)
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


def _checked(
    rows: Iterable[Pixels], log: JobLog, size: tuple[int, int], background: Colour | None
) -> Iterator[Pixels]:
    ended, (height, width) = 0, size
    for row in rows:
        ended += len(row)
        log.progress(ended / height, height * width)
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

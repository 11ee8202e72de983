"""File to file: pictures to .aec files and back, each written whole or not at all.

Commands, plugins and jobs over many files use these functions. They choose whether a picture is
read and written by rows, turn it where its orientation would be lost, and tell of everything that
the result cannot carry.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from os import SEEK_END
from pathlib import Path

from PIL import Image

from aecodec.codec import Codec
from aecodec.decoder.opening import open_file
from aecodec.errors import InputError
from aecodec.format.chunks import Header
from aecodec.info import read_info
from aecodec.jobs.runner import JobLog
from aecodec.options import DecodeOptions, EncodeOptions, Found, Target
from aecodec.picture import pixels, writers
from aecodec.picture.alpha import over_background
from aecodec.picture.metadata import turned
from aecodec.picture.picture import decode_picture
from aecodec.picture.pixels import Pixels
from aecodec.picture.row_readers import open_rows
from aecodec.storage.arguments import load, opened_for_parts
from aecodec.storage.files import STANDARD, replacing, write_bytes

Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""


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
) -> Compressed:
    """Compresses a picture file.

    Args:
        codec: the encoder.
        source: a path, a URL, or `-` for standard input.
        target: the .aec file to write, or `-` for standard output.
        options: how.
        log: takes warnings; its `check` may end the work before the target is written.
        progress: called with the part of the work that is done, rising to 1.

    Raises what `Codec.compress` raises.
    """
    if options.target is None and _is_file(source):
        done = _compress_by_rows(codec, Path(source), target, options, log, progress)
        if done is not None:
            return done
    original = load(source)
    picture = decode_picture(original, options.keep, options.alpha_quality)
    if picture.frames > 1:
        log.warn(f"only the first of {picture.frames} frames is kept")
    found = None
    if options.target is None:
        data = codec.compress(picture, options=options, progress=progress)
    else:
        data, found = codec.compress_to(picture, options.target, options=options)
        if not found.met:
            log.warn(_nearest(options.target, found))
    log.check()
    write_bytes(target, data)
    height, width = picture.pixels.shape[:2]
    return Compressed(len(original), len(data), width, height, found)


def _is_file(source: str) -> bool:
    """Whether a source is a file here, which can be read in parts."""
    return source != STANDARD and Path(source).is_file()


def _compress_by_rows(
    codec: Codec, source: Path, target: str, options: EncodeOptions, log: JobLog,
    progress: Callable[[float], None] | None,
) -> Compressed | None:  # fmt: skip
    """Encodes a large picture by rows of tiles, if it can be read so."""
    with open_rows(source, options.keep) as rows:
        if rows is None or rows.height * rows.width < pixels.STREAM_PIXELS:
            return None
        with replacing(target) as file:
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
    *,
    background: Colour | None = None,
    log: JobLog,
) -> Decompressed:
    """Decompresses an .aec file into a file of another format.

    Args:
        codec: the decoder.
        source: a path, a URL, or `-` for standard input.
        target: the picture to write, whose extension gives the format, or `-` for a PNG on
            standard output.
        options: what of the file to decode.
        background: what shows through alpha; None keeps alpha.
        log: takes warnings; its `check` may end the work before the target is written.

    Raises what `Codec.decompress_array` raises, and InputError where the format is unknown or
    cannot carry the picture.
    """
    kind = picture_format(target)
    if not options.allow_truncated and kind in writers.STREAMED and _is_file(source):
        done = _decompress_by_rows(codec, source, target, options, background, log)
        if done is not None:
            return done
    with opened_for_parts(source) as stream, open_file(stream, options, codec.limits) as file:
        for line in file.losses:
            log.warn(line)
        _check(file.tiles.header, kind, options, background)
        picture = codec.decode(file, options)
    metadata = picture.metadata
    image = writers.prepared(picture.whole, kind, background)
    lost = writers.lost_in(image, kind, metadata)
    _tell_lost(log, target, kind, lost)
    if "exif" in lost:
        image = turned(image, metadata.orientation)
    try:
        encoded = writers.encode(image, kind, metadata)
    except InputError as exc:
        raise InputError(f"cannot write {target}: {exc}") from exc
    log.check()
    write_bytes(target, encoded)
    return Decompressed(image.shape[1], image.shape[0])


def picture_format(target: str) -> str:
    """Pillow's name of the format that a target's extension stands for.

    Raises:
        InputError: it stands for none that can be written.
    """
    if target == STANDARD:
        return "PNG"
    suffix = Path(target).suffix.lower()
    kind = Image.registered_extensions().get(suffix)
    if kind is None or kind not in Image.SAVE:
        reason = f"unknown picture format {suffix!r}" if suffix else "its name has no extension"
        raise InputError(f"cannot write {target}: {reason}")
    return kind


def _decompress_by_rows(
    codec: Codec, source: str, target: str, options: DecodeOptions, background: Colour | None,
    log: JobLog,
) -> Decompressed | None:  # fmt: skip
    """Decodes a large picture by rows of tiles, unless its orientation would be lost."""
    kind = picture_format(target)
    with opened_for_parts(source) as stream:
        header = read_info(stream, codec.limits)
        _check(header, kind, options, background)
        height, width = options.view(header).size
        if height * width < pixels.STREAM_PIXELS:
            return None
        with codec.open_rows(stream, options=options) as (rows, metadata):
            lost = metadata.lost_in(kind)
            if "exif" in lost:
                return None
            with replacing(target) as file:
                checked = _checked(rows, log, background)
                writers.write_rows(file, kind, (height, width), checked, metadata)
    _tell_lost(log, target, kind, lost)
    return Decompressed(width, height)


def _checked(rows: Iterable[Pixels], log: JobLog, background: Colour | None) -> Iterator[Pixels]:
    for row in rows:
        log.check()
        yield row if background is None else over_background(row, background)


def _check(header: Header, kind: str, options: DecodeOptions, background: Colour | None) -> None:
    """Refuses parts that do not lie in the picture, and formats that cannot carry it."""
    view, form = options.view(header), header.pixel_format
    writers.check_format(
        kind,
        alpha=form.has_alpha and background is None,
        sixteen_bit=form.is_sixteen_bit and not view.eight_bit,
    )


def _tell_lost(log: JobLog, target: str, kind: str, lost: list[str]) -> None:
    if lost:
        log.warn(f"{kind} carries no {', '.join(lost)}", about=target)

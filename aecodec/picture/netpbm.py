"""PBM, PGM, PPM and PAM, raw or as text, with any largest sample.

Samples are scaled to the full range of 8 bits, or of 16 bits where the largest is above 255, and
rounded half up. Since the step is at least one, a lossless file holds every sample: it comes back
as `round(sample * largest / 255)`, or 65535.

Source: netpbm, https://netpbm.sourceforge.net/doc/pnm.html and pam.html.
"""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.errors import InputError
from aecodec.picture.pixels import Pixels, rescaled
from aecodec.picture.reading import Reading, Wishes, more_frames

SIGNATURE = re.compile(rb"P[1-7][\s#]")
"""How such a file begins."""
_GAP = rb"(?:\s|#[^\n\r]*[\n\r])+"
_HEAD = re.compile(rb"P([1-6])" + 2 * (_GAP + rb"(\d{1,10})"))
_LARGEST = re.compile(_GAP + rb"(\d{1,10})")
_COMMENT = re.compile(rb"#[^\n\r]*")
_CHANNELS = {1: 1, 2: 1, 3: 3, 4: 1, 5: 1, 6: 3}
_SAMPLE_MAX = 65535
_FRAMES_MAX = 65536
"""Further pictures are not counted."""
_ALPHA = b"_ALPHA"


@dataclass(frozen=True)
class _Form:
    """What a head says: size, samples a pixel, largest sample, and where the samples begin."""

    width: int
    height: int
    channels: int
    largest: int
    start: int
    bitmap: bool = False
    text: bool = False

    @property
    def row_bytes(self) -> int:
        """The bytes of a row that is not text."""
        if self.bitmap:
            return -(-self.width // 8)
        return self.width * self.channels * (1 if self.largest < 256 else 2)


def read_netpbm(data: bytes, wishes: Wishes) -> Reading:
    """The first picture of a file.

    Raises:
        InputError: it is damaged.
        LimitError: it has too many pixels.
    """
    form = _head(data, 0)
    if not form.width or not form.height or not 1 <= form.largest <= _SAMPLE_MAX:
        raise InputError(
            f"damaged picture: {form.width} x {form.height} pixels up to {form.largest}"
        )
    wishes.limits.check_pixels(form.width, form.height)
    samples, end = _samples(data, form)
    if samples.size and samples.max() > form.largest:
        raise InputError(
            f"damaged picture: a sample of {samples.max()}, above the largest, {form.largest}"
        )
    pixels: Pixels = rescaled(samples, form.largest)
    frames = 1 + _further(data, end)
    whole = pixels[:, :, 0] if form.channels == 1 else pixels
    return Reading(whole, losses=tuple(more_frames(frames)), frames=frames)


def _further(data: bytes, at: int) -> int:
    """The number of whole pictures behind the first."""
    count = 0
    while count < _FRAMES_MAX and SIGNATURE.match(data, at):
        try:
            form = _head(data, at)
        except InputError:
            break
        at = len(data) if form.text else form.start + form.height * form.row_bytes
        count += at <= len(data)
    return count


def _head(data: bytes, at: int) -> _Form:
    if data.startswith(b"P7", at):
        return _pam_head(data, at + 2)
    head = _HEAD.match(data, at)
    if head is None:
        raise InputError("damaged picture: the head of a PNM is not complete")
    kind, width, height = map(int, head.groups())
    largest, end = 1, head.end()
    if kind not in (1, 4):
        found = _LARGEST.match(data, end)
        if found is None:
            raise InputError("damaged picture: the head of a PNM is not complete")
        largest, end = int(found[1]), found.end()
    return _Form(
        width, height, _CHANNELS[kind], largest, end + (kind > 3), kind in (1, 4), kind < 4
    )


def _pam_head(data: bytes, at: int) -> _Form:
    values: dict[bytes, int] = {}
    kind = b""
    while True:
        end = data.find(b"\n", at)
        if end < 0:
            raise InputError("damaged picture: the head of a PAM is not complete")
        key, _, value = data[at:end].strip().partition(b" ")
        at = end + 1
        if key == b"ENDHDR":
            break
        if key == b"TUPLTYPE":
            kind = (kind + b" " + value).strip()
        elif key and not key.startswith(b"#") and value.strip().isdigit():
            values.setdefault(key, int(value.strip()[:10]))
    depth = values.get(b"DEPTH", 0)
    named = {b"BLACKANDWHITE": 1, b"GRAYSCALE": 1, b"RGB": 3}.get(kind.removesuffix(_ALPHA))
    expected = depth if named is None and not kind else (named or 0) + kind.endswith(_ALPHA)
    if depth != expected or depth not in (1, 2, 3, 4):
        name = kind.decode("latin-1")
        raise InputError(f"PAM of {depth} samples a pixel, {name or 'no type'}, is not supported")
    width, height = values.get(b"WIDTH", 0), values.get(b"HEIGHT", 0)
    return _Form(width, height, depth, values.get(b"MAXVAL", 0), at)


def _samples(data: bytes, form: _Form) -> tuple[npt.NDArray[Any], int]:
    """Samples `(H, W, channels)` and the end of them in the file."""
    shape = (form.height, form.width, form.channels)
    if form.text:
        return _from_text(data, form).reshape(shape), len(data)
    kind: np.dtype[Any] = np.dtype(np.uint8 if form.largest < 256 else ">u2")
    size = form.row_bytes * form.height
    end = form.start + size
    if len(data) < end:
        raise InputError(f"damaged picture: it ends before row {form.height}")
    found = np.frombuffer(data, kind, size // kind.itemsize, form.start)
    if form.bitmap:
        bits = np.unpackbits(found.reshape(form.height, -1), axis=1)[:, : form.width]
        return (1 - bits).reshape(shape), end
    return found.reshape(shape), end


def _from_text(data: bytes, form: _Form) -> npt.NDArray[np.uint32]:
    body = _COMMENT.sub(b" ", data[form.start :])
    count = form.height * form.width * form.channels
    if form.bitmap:
        digits = np.frombuffer(b"".join(body.split()), np.uint8)[:count].astype(np.uint32) - 48
        found = 1 - digits
        wrong = bool((digits > 1).any())
    else:
        words = body.split(None, count)[:count]
        wrong = not all(word.isdigit() and len(word) < 10 for word in words)
        found = np.array([] if wrong else words, dtype="S10").astype(np.uint32)
    if wrong:
        raise InputError("damaged picture: a sample of a PNM is no number")
    if len(found) < count:
        raise InputError(f"damaged picture: it ends before row {form.height}")
    return found.astype(np.uint32)

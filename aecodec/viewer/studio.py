"""Everything that the viewer's page asks for about its pictures, by address.

Addresses are the same for the server and for exported pages: `pictures.json`, `0/original.png`,
and below `0/given/` (an .aec file as it was given) or `0/q300/` (the original at quality index 300,
which is 75) `picture.aec`, `figures.json`, `ssimulacra2.json`, `bits.json`, `error.json`, and
`jpeg.json` and `jpeg` of each other format.

One file is encoded or decoded at a time. Other formats and SSIMULACRA2 take long and cannot always
be interrupted; they wait for each other alone, so that encoding does not wait for them. What
browsers show has 8 bits, so that figures are of 8 bits, too.
"""

import json
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from io import BytesIO
from time import perf_counter
from typing import Any

import numpy as np

from aecodec.codec import Codec
from aecodec.errors import InputError
from aecodec.format.chunks import Limits
from aecodec.format.quality import QUALITY_STEPS
from aecodec.models.registry import Tune
from aecodec.picture.decoding import read_picture
from aecodec.picture.metadata import turned
from aecodec.picture.orientation import orientation_in
from aecodec.picture.picture import Picture, to_pil
from aecodec.picture.pixels import split
from aecodec.picture.reading import Wishes
from aecodec.viewer.exhibits import KEPT, Exhibit, exhibit_of
from aecodec.viewer.fidelity import differences, looked_at, measured
from aecodec.viewer.heat import bit_map, error_map
from aecodec.viewer.rivals import RIVAL_NAMES, RIVALS, nearest

JSON, PNG, AEC = "application/json", "image/png", "image/aec"
GIVEN = "given"
EFFORT = 1
_ADDRESS = re.compile(r"(\d{1,9})/(?:(original\.png)|(given|q\d{1,3})/([a-z0-9]+(?:\.[a-z]+)?))")
_KEPT_VERSIONS, _KEPT_ANSWERS = 4, 64
_KEPT_BYTES = 2**28
_SLOW = ("ssimulacra2", *RIVALS)
"""Parts that are compared, by the beginnings of their names."""

Check = Callable[[], None]


class UnknownError(Exception):
    """Nothing has this address."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What an address gives.

    Attributes:
        media: its media type.
        data: its bytes.
    """

    media: str
    data: bytes


@dataclass(frozen=True, eq=False)
class _Version:
    """A file of an exhibit.

    Attributes:
        data: the .aec file.
        seconds: how long encoding took; None for a file that was given.
        decoded: upright, of 8 bits; what the page's own decoder shows.
    """

    data: bytes
    seconds: float | None
    decoded: Picture


class Studio:
    """Answers addresses; safe to use from several threads."""

    def __init__(
        self, codec: Codec, exhibits: Sequence[Exhibit] = (), *, most: int = 8,
        tune: Tune | None = None,
    ) -> None:  # fmt: skip
        """Computes nothing yet.

        Args:
            codec: encodes and decodes; its limits hold.
            exhibits: the first pictures.
            most: pictures that are kept of those that are added; more push out older ones.
            tune: of what is encoded, see `EncodeOptions`.
        """
        self.codec, self._tune = codec, tune
        self._most, self._first, self._next = most, len(exhibits), len(exhibits)
        self._exhibits = dict(enumerate(exhibits))
        self._versions: OrderedDict[tuple[int, str], _Version] = OrderedDict()
        self._answers: OrderedDict[str, Answer] = OrderedDict()
        self._working = threading.RLock()
        self._comparing = threading.Lock()
        self._keeping = threading.Lock()

    def add(self, exhibit: Exhibit) -> int:
        """Takes one picture more; its number."""
        with self._keeping:
            number, self._next = self._next, self._next + 1
            self._exhibits[number] = exhibit
            if number - self._most >= self._first:
                self._exhibits.pop(number - self._most, None)
            return number

    def take(self, name: str, data: bytes, limits: Limits) -> int:
        """Takes a picture in its bytes, see `exhibit_of`; its number."""
        with self._working:
            exhibit = exhibit_of(name, data, limits)
        return self.add(exhibit)

    @property
    def numbers(self) -> list[int]:
        """Of all pictures, in the order in which they came."""
        with self._keeping:
            return list(self._exhibits)

    def exhibit(self, number: int) -> Exhibit:
        """One picture.

        Raises:
            UnknownError: there is none of this number.
        """
        found = self._exhibits.get(number)
        if found is None:
            raise UnknownError("no such picture")
        return found

    def described(self, number: int) -> dict[str, Any]:
        """What the page must know of a picture."""
        exhibit = self.exhibit(number)
        lacking = {}
        if exhibit.original is not None:
            lacking = {name: rival.lacking(exhibit.original) for name, rival in RIVALS.items()}
        return {
            "id": number,
            "name": exhibit.name,
            "width": exhibit.width,
            "height": exhibit.height,
            "original": exhibit.original is not None,
            "given": exhibit.given is not None,
            "quality": exhibit.quality,
            "lacking": {name: reason for name, reason in lacking.items() if reason},
        }

    def answer(self, address: str, check: Check = lambda: None) -> Answer:
        """What an address gives.

        Args:
            address: see above.
            check: called while it is computed; it may raise to end that.

        Raises:
            UnknownError: nothing has this address.
            AecError: it cannot be computed.
        """
        if address == "pictures.json":
            pictures = [self.described(each) for each in self.numbers]
            return _json({"pictures": pictures, "rivals": RIVAL_NAMES})
        parts = _ADDRESS.fullmatch(address)
        if parts is None:
            raise UnknownError("no such address")
        number, key, part = int(parts[1]), parts[3], parts[4]
        self.exhibit(number)
        with self._comparing if part and part.startswith(_SLOW) else self._working:
            check()
            kept = self._kept(address)
            if kept is None:
                kept = self._part(number, key, part, check) if key else self._original(number)
                self._keep(address, kept)
            return kept

    def _kept(self, address: str) -> Answer | None:
        with self._keeping:
            if address in self._answers:
                self._answers.move_to_end(address)
            return self._answers.get(address)

    def _keep(self, address: str, answer: Answer) -> None:
        """Keeps an answer, and forgets those that have not been asked for longest."""
        with self._keeping:
            self._answers[address] = answer
            while len(self._answers) > _KEPT_ANSWERS or (
                len(self._answers) > 1
                and sum(len(each.data) for each in self._answers.values()) > _KEPT_BYTES
            ):
                self._answers.popitem(last=False)

    def _original(self, number: int) -> Answer:
        exhibit = self._with_original(number).eight_bit
        file = BytesIO()
        to_pil(exhibit.whole).save(file, "PNG", compress_level=1, icc_profile=exhibit.metadata.icc)
        return Answer(PNG, file.getvalue())

    def _with_original(self, number: int) -> Exhibit:
        exhibit = self.exhibit(number)
        if exhibit.original is None:
            raise UnknownError("this picture has no original")
        return exhibit

    def _part(self, number: int, key: str, part: str, check: Check) -> Answer:
        version = self._version(number, key, check)
        if part == "picture.aec":
            return Answer(AEC, version.data)
        if part == "figures.json":
            return _json(self._figures(number, version))
        if part == "bits.json":
            return _json(bit_map(self.codec, version.data).fields())
        exhibit = self._with_original(number)
        if part == "error.json":
            return _json(error_map(differences(exhibit.eight_bit, version.decoded)).fields())
        if part == "ssimulacra2.json":
            return _json(looked_at(exhibit.eight_bit, version.decoded))
        rival, _, kind = part.partition(".")
        if rival in RIVALS and kind in ("", "json"):
            pair = self._compete(rival, exhibit, len(version.data), check)
            for suffix, answer in zip(("", ".json"), pair, strict=True):
                self._keep(f"{number}/{key}/{rival}{suffix}", answer)
            return pair[kind == "json"]
        raise UnknownError("no such address")

    def _version(self, number: int, key: str, check: Check) -> _Version:
        with self._working:
            return self._known_version(number, key, check)

    def _known_version(self, number: int, key: str, check: Check) -> _Version:
        place = number, key
        if place in self._versions:
            self._versions.move_to_end(place)
        else:
            exhibit = self.exhibit(number)
            seconds = None
            if key == GIVEN:
                if exhibit.given is None:
                    raise UnknownError("this picture has no .aec file")
                data = exhibit.given
            else:
                start = perf_counter()
                data = self._encoded(self._with_original(number), key, check)
                seconds = perf_counter() - start
            self._versions[place] = _Version(data, seconds, self._decoded(data))
            while len(self._versions) > _KEPT_VERSIONS:
                self._versions.popitem(last=False)
        return self._versions[place]

    def _encoded(self, exhibit: Exhibit, key: str, check: Check) -> bytes:
        quality = int(key[1:]) / QUALITY_STEPS
        if exhibit.original is None or quality > 100:
            raise UnknownError("qualities are 0 to 100")
        return self.codec.compress(
            exhibit.original,
            quality,
            effort=EFFORT,
            keep=KEPT,
            tune=self._tune,
            progress=lambda _: check(),
        )

    def _decoded(self, data: bytes) -> Picture:
        picture = self.codec.decompress_picture(data, depth=8)
        whole = turned(picture.whole, orientation_in(picture.metadata))
        colour, alpha = split(np.ascontiguousarray(whole))
        return Picture(colour, picture.metadata.select(KEPT), alpha=alpha)

    def _figures(self, number: int, version: _Version) -> dict[str, Any]:
        exhibit = self.exhibit(number)
        found: dict[str, Any] = {
            "bytes": len(version.data),
            "bpp": 8 * len(version.data) / (exhibit.width * exhibit.height),
            "seconds": version.seconds,
        }
        if exhibit.original is not None:
            found |= measured(exhibit.eight_bit, version.decoded)
        return found

    def _compete(
        self, name: str, exhibit: Exhibit, size: int, check: Check
    ) -> tuple[Answer, Answer]:
        """The file of another format, and its figures."""
        rival, original = RIVALS[name], exhibit.eight_bit
        reason = rival.lacking(original)
        if reason:
            raise InputError(f"{rival.name} {reason}")
        try:
            match = nearest(rival, original, size, check=check)
        except (OSError, ValueError) as exc:
            reason = " ".join(str(exc).split())
            raise InputError(f"{rival.name} cannot hold this picture: {reason}") from exc
        reading = read_picture(match.data, Wishes(KEPT, self.codec.limits))
        colour, alpha = split(reading.pixels)
        decoded = Picture(colour, alpha=alpha)
        found = {
            "bytes": len(match.data),
            "bpp": 8 * len(match.data) / (exhibit.width * exhibit.height),
            "quality": match.quality,
            **measured(original, decoded),
            **looked_at(original, decoded),
        }
        return Answer(rival.media, match.data), _json(found)


def _json(fields: object) -> Answer:
    return Answer(JSON, json.dumps(fields).encode())

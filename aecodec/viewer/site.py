"""The viewer's page with pictures, as files that any web server can serve."""

import json
from collections.abc import Callable, Iterator, Sequence

from aecodec.errors import AecError
from aecodec.format.container import parse_header
from aecodec.format.quality import QUALITY_STEPS
from aecodec.viewer.bundle import PAGES, VIEWER, web_files
from aecodec.viewer.rivals import RIVAL_NAMES, RIVALS
from aecodec.viewer.studio import GIVEN, Studio

QUALITIES = (25.0, 50.0, 75.0, 90.0)
_PARTS = ("picture.aec", "figures.json", "bits.json")
_COMPARED = ("error.json", "ssimulacra2.json")


def site_files(
    studio: Studio, qualities: Sequence[float] = QUALITIES, *,
    progress: Callable[[int, str], None] = lambda _number, _key: None,
) -> Iterator[tuple[str, bytes]]:  # fmt: skip
    """Paths and bytes of a page that shows the studio's pictures, with the models that they need.

    Args:
        studio: the pictures.
        qualities: at which originals are encoded, besides files that were given.
        progress: called with the number of a picture and the part of the address that follows.

    Raises:
        AecError: something cannot be computed.
    """
    described, used = [], set()
    for number in studio.numbers:
        exhibit = studio.exhibit(number)
        keys = [GIVEN] if exhibit.given is not None else []
        if exhibit.original is not None:
            keys += [f"q{round(each * QUALITY_STEPS)}" for each in qualities]
            yield f"data/{number}/original.png", studio.answer(f"{number}/original.png").data
        lacking: dict[str, str] = studio.described(number)["lacking"]
        for key in keys:
            progress(number, key)
            used.add(parse_header(studio.answer(f"{number}/{key}/picture.aec").data).model_id)
            yield from _version(studio, f"{number}/{key}/", set(RIVALS) - set(lacking))
        described.append(studio.described(number) | {"keys": keys})
    index = {"pictures": described, "rivals": RIVAL_NAMES, "static": True}
    yield "data/pictures.json", json.dumps(index).encode()
    for path, data in web_files(PAGES, used).items():
        yield ("index.html" if path == VIEWER else path), data


def _version(studio: Studio, base: str, rivals: set[str]) -> Iterator[tuple[str, bytes]]:
    parts = list(_PARTS)
    if studio.exhibit(int(base.partition("/")[0])).original is not None:
        parts += _COMPARED
        for name in sorted(rivals):
            try:
                yield f"data/{base}{name}.json", studio.answer(f"{base}{name}.json").data
                yield f"data/{base}{name}", studio.answer(f"{base}{name}").data
            except AecError as exc:
                fields = {"error": str(exc)}
                yield f"data/{base}{name}.json", json.dumps(fields).encode()
    for part in parts:
        yield f"data/{base}{part}", studio.answer(f"{base}{part}").data

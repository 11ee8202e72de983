"""What boxes of AVIF and HEIC say, in files that no encoder here writes."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from aecodec.picture.iso_boxes import HeifFacts, boxes, heif_facts


def box(kind: bytes, *contents: bytes) -> bytes:
    body = b"".join(contents)
    return struct.pack(">I4s", len(body) + 8, kind) + body


def full(kind: bytes, *contents: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(kind, struct.pack(">I", version << 24 | flags), *contents)


def item(number: int, kind: bytes, *, hidden: bool = False) -> bytes:
    return full(b"infe", struct.pack(">HH4sx", number, 0, kind), version=2, flags=int(hidden))


def make_heif(items: list[bytes], references: list[bytes], properties: list[bytes]) -> bytes:
    """A file whose main picture is item 1, which has all the properties."""
    associations = bytes([len(properties), *range(1, len(properties) + 1)])
    meta = full(
        b"meta",
        full(b"pitm", struct.pack(">H", 1)),
        full(b"iinf", struct.pack(">H", len(items)), *items),
        full(b"iref", *references),
        box(
            b"iprp",
            box(b"ipco", *properties),
            full(b"ipma", struct.pack(">IH", 1, 1), associations),
        ),
    )
    return box(b"ftyp", b"avif", bytes(4), b"mif1") + meta


def reference(kind: bytes, source: int, *targets: int) -> bytes:
    return box(kind, struct.pack(f">HH{len(targets)}H", source, len(targets), *targets))


SIZE = full(b"ispe", struct.pack(">II", 640, 480))
TEN_BITS = box(b"av1C", bytes([0x81, 0, 0x40, 0]))


def test_a_gain_map_and_a_depth_map_are_named_and_are_no_frames() -> None:
    items = [
        item(1, b"grid"), item(2, b"av01", hidden=True), item(3, b"av01"), item(4, b"tmap"),
        item(5, b"av01"), item(6, b"Exif"),
    ]  # fmt: skip
    references = [
        reference(b"dimg", 1, 2), reference(b"auxl", 3, 1), reference(b"dimg", 4, 1, 3),
        reference(b"thmb", 5, 1),
    ]  # fmt: skip
    depth = full(b"auxC", b"urn:mpeg:hevc:2015:auxid:2\0")
    colour = box(b"colr", b"nclx", struct.pack(">HHHB", 9, 16, 9, 128))
    facts = heif_facts(make_heif(items, references, [SIZE, TEN_BITS, colour, depth]))
    names = frozenset({b"urn:mpeg:hevc:2015:auxid:2", b"tmap"})
    assert facts == HeifFacts(b"avif", (640, 480), 10, (9, 16), False, names, 1)


def test_further_pictures_are_counted() -> None:
    items = [item(1, b"av01"), item(2, b"av01"), item(3, b"hvc1"), item(4, b"mime")]
    facts = heif_facts(make_heif(items, [], [SIZE, box(b"colr", b"prof", b"icc")]))
    assert facts is not None
    assert (facts.pictures, facts.profile, facts.bits, facts.nclx) == (3, True, 8, None)


def test_depth_of_pixel_information_counts() -> None:
    for depth in (8, 10, 12):
        facts = heif_facts(
            make_heif([item(1, b"av01")], [], [full(b"pixi", bytes([3, *[depth] * 3]))])
        )
        assert facts is not None
        assert facts.bits == depth


def test_boxes_of_every_form_of_size() -> None:
    large = struct.pack(">I4sQ", 1, b"larg", 18) + b"ab"
    data = box(b"abcd", b"x") + large + struct.pack(">I4s", 0, b"last") + b"to the end"
    found = [(kind, data[low:high]) for kind, low, high in boxes(data)]
    assert found == [(b"abcd", b"x"), (b"larg", b"ab"), (b"last", b"to the end")]
    assert list(boxes(struct.pack(">I4s", 3, b"tiny"))) == []


@given(st.binary(max_size=200))
def test_any_bytes_have_facts_or_none(data: bytes) -> None:
    heif_facts(b"\0\0\0\x10ftypavif\0\0\0\0" + data)
    whole = make_heif([item(1, b"av01")], [], [SIZE])
    heif_facts(whole[: len(whole) - len(data) // 2] + data)

"""What `aecodec info` tells of a file: header, chunks, model."""

from typing import Any

from aecodec.cli.console import load
from aecodec.format.chunks import (
    CHUNK_BYTES,
    DEFAULT_LIMITS,
    HEADER_BYTES,
    Buffer,
    Header,
    LayerHead,
    Limits,
)
from aecodec.format.container import chunk_table, parse, parse_header
from aecodec.format.reader import FileReader
from aecodec.models import registry
from aecodec.storage.sources import Source, can_seek, is_url, opened, read_all

Table = list[tuple[str, int, int]]
"""Type, offset in the file and size of the payload of each chunk."""


def facts_of(name: str) -> dict[str, Any]:
    """Reads a file, or of a URL that can seek only the starts of its chunks, and describes it.

    Raises:
        FormatError: the file is damaged, as far as it is read.
        UnsupportedError: newer version, unknown pixel format or unknown critical chunk.
        LimitError: file or picture exceed the limits.
        InputError: the URL cannot be opened.
        OSError: the file cannot be read.
    """
    if is_url(name):
        with opened(name) as file:
            if can_seek(file):
                return _facts(name, *_survey(FileReader(file)))
            data = read_all(file)
    else:
        data = load(name)
    stream = parse(data)
    layer = None if stream.layer is None else stream.layer.head
    return _facts(name, stream.header, chunk_table(data), layer) | {"checked": True}


def facts_text(facts: dict[str, Any]) -> str:
    """The same for people, in several lines."""
    model = facts["model"] or "unknown to this version"
    lines = [
        f"{facts['file']}: {facts['width']}x{facts['height']} {facts['pixel_format']}, "
        f"{facts['bytes']} bytes, {facts['bpp']:.3f} bpp",
        f"  quality {facts['quality']:g}, model {model} ({facts['model_id']}), "
        f"{facts['tiles']} tiles of {facts['tile_side']} pixels, "
        f"{facts['lossless_tiles']} lossless",
    ]
    if facts["alpha_bytes"]:
        lines.append(f"  alpha takes {facts['alpha_bytes']} bytes")
    if facts["max_error"] is not None:
        kept = f"within {facts['max_error']}" if facts["max_error"] else "exactly"
        lines.append(f"  a residual layer keeps every sample {kept}")
    if not facts["checked"]:
        lines.append("  read from afar: checksums of the chunks are not checked")
    lines += [f"  chunk {c['type']} at {c['offset']}, {c['length']} bytes" for c in facts["chunks"]]
    return "\n".join(lines)


def _survey(file: FileReader) -> tuple[Header, Table, LayerHead | None]:
    table = [(place.type.decode(), place.offset, place.length) for place in file.table()]
    return file.header, table, file.layer


def _facts(name: str, header: Header, table: Table, layer: LayerHead | None) -> dict[str, Any]:
    released = registry.find_model(header.model_id)
    size = table[-1][1] + CHUNK_BYTES  # DONE ends the file
    return {
        "file": name,
        "bytes": size,
        "checked": False,
        "width": header.width,
        "height": header.height,
        "pixel_format": header.pixel_format.name,
        "quality": header.quality,
        "bpp": 8 * size / (header.width * header.height),
        "model": released.name if released else None,
        "model_id": header.model_id.hex(),
        "tile_side": header.tile_side,
        "tiles": header.tile_count,
        "max_error": None if layer is None else layer.bound,
        "lossless_tiles": sum(kind == "PIXL" for kind, _, _ in table),
        "alpha_bytes": sum(CHUNK_BYTES + size for kind, _, size in table if kind == "ALPH"),
        "chunks": [
            {"type": kind, "offset": offset, "length": length} for kind, offset, length in table
        ],
    }


def read_info(source: Source, limits: Limits = DEFAULT_LIMITS) -> Header:
    """Reads the header of a file; nothing behind its first 36 bytes is looked at.

    Args:
        source: bytes, a path, a URL, or a binary file object.
        limits: what the picture may ask for.

    Raises:
        FormatError: signature or header are damaged or cut off.
        UnsupportedError: newer version or unknown pixel format.
        LimitError: the picture exceeds the limits.
        InputError: the source is none of these, or its URL cannot be opened.
        OSError: it cannot be read.
    """
    if isinstance(source, Buffer):
        return parse_header(source, limits)
    with opened(source) as file:
        if can_seek(file):
            file.seek(0)
        return parse_header(file.read(HEADER_BYTES), limits)

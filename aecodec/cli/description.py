"""What `aecodec info` says of a file to people at a terminal."""

from itertools import groupby

from aecodec.cli.terminal import styled
from aecodec.info import ChunkInfo, FileInfo

_OPTIONAL = {
    "iccp": "ICC profile", "exif": "EXIF", "xmpd": "XMP", "iptc": "IPTC", "phys": "resolution",
    "text": "text", "csum": "checksum of the pixels",
}  # fmt: skip
"""What optional chunks are called."""
_LABEL = 10
"""Width of what stands before the values."""


def described(found: FileInfo) -> str:
    """A file in several lines, with colours where they are shown."""
    pixels = found.pixel_format
    lines = [
        styled(found.file, bold=True),
        _row("picture", f"{found.width} x {found.height}, {pixels}"),
        _row("size", f"{found.bytes:,} bytes, {found.bpp:.3f} bits a pixel"),
        _row("quality", _quality(found)),
        _row("model", _model(found)),
        _row("tiles", _tiles(found)),
    ]
    if found.alpha_bytes:
        lines.append(_row("alpha", f"{found.alpha_bytes:,} bytes"))
    optional = [chunk for chunk in found.chunks if chunk.type in _OPTIONAL]
    if optional:
        names = [f"{_OPTIONAL[chunk.type]} {chunk.length:,}" for chunk in optional]
        lines.append(_row("holds", ", ".join(names) + " bytes"))
    lines.append(_row("chunks", _chunks(found.chunks)))
    if not found.checked:
        lines.append(styled("  read from afar: checksums are not checked", fg="yellow"))
    return "\n".join(lines)


def _row(label: str, value: str) -> str:
    return f"  {styled(label.ljust(_LABEL), fg='cyan')}{value}"


def _quality(found: FileInfo) -> str:
    if found.max_error is None:
        return found.quality_text
    kept = f"every sample within {found.max_error}" if found.max_error else "every sample exactly"
    return f"{kept}, over a lossy part of quality {found.quality_text}"


def _model(found: FileInfo) -> str:
    if found.model is None:
        return f"{styled('unknown to this version', fg='yellow')} ({found.model_id})"
    return f"{found.model} ({found.model_id})"


def _tiles(found: FileInfo) -> str:
    tiles = "1 tile" if found.tiles == 1 else f"{found.tiles:,} tiles"
    lossless = f", {found.lossless_tiles:,} lossless" if found.lossless_tiles else ""
    return f"{tiles} of {found.tile_side:,} pixels a side{lossless}"


def _chunks(chunks: tuple[ChunkInfo, ...]) -> str:
    """The chunks in their order, those of one type in a row together."""
    parts = []
    for kind, group in groupby(chunks, key=lambda chunk: chunk.type):
        lengths = [chunk.length for chunk in group]
        count = f"{len(lengths):,} x " if len(lengths) > 1 else ""
        parts.append(f"{count}{kind} {sum(lengths):,}")
    return ", ".join(parts)

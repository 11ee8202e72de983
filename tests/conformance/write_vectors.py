"""Writes the conformance kit; nothing else does, and nothing that exists is changed without -f.

From the root of the repository:

    PYTHONPATH=. python tests/conformance/write_vectors.py [--tune visual] [-f]

Files are made with the released model of a tuning, from pictures that are made here: all of them
for PSNR, and a few for each other tuning, beside those that are there. Released models decode for
ever, so a written kit is right for ever; write it again only before the format's first release, or
to add files.
"""

import argparse
import hashlib
import json
import struct
import sys
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from faults import (
    broken_alpha,
    broken_bytes,
    broken_chunks,
    broken_layer,
    broken_tiles,
    drawing,
    webp,
)
from PIL import Image, ImageCms

from aecodec.codec import Codec
from aecodec.coding.lossless import encode_pixels, encode_png
from aecodec.coding.residual_tables import newest_tables
from aecodec.decoder.latents import Grid, decode_latents
from aecodec.encoder.residual_fit import encode_residual
from aecodec.errors import AecError
from aecodec.format.chunks import (
    DEFAULT_LIMITS,
    Chunk,
    Header,
    Layer,
    LayerHead,
    LosslessTile,
    PixelFormat,
    Tile,
)
from aecodec.format.constants import STRIDE
from aecodec.format.container import Stream, parse, serialize
from aecodec.format.digest import PixelDigest, with_digest
from aecodec.format.tiling import tile_box
from aecodec.models.registry import TUNES, Tune, find_model, tuned_model
from aecodec.picture.pixels import Pixels as AnyPixels
from aecodec.picture.pixels import split as split_alpha

KIT = Path(__file__).resolve().parent
Pixels = npt.NDArray[np.uint8]
PROFILE_DATE = 2026, 11, 25, 15, 25, 52
"""When the ICC profile was made, which ImageCms would write anew each time: ICC.1:2022, 7.2.10."""
Entry = dict[str, Any]
FIRST: Tune = "psnr"
FURTHER = (
    "rgb-17x33", "gray-61x45", "quality-0", "quality-100", "extremes-100", "tiles-3x2",
    "tiles-mixed", "gray16", "layer-bound-2",
)  # fmt: skip
"""Files of which each further model has its own."""


def smooth(height: int, width: int, seed: int = 0) -> Pixels:
    """Waves with a little noise, `(height, width, 3)`."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width] / 16.0
    channels = [
        128 + 70 * np.sin(x * a + y * b + c) + rng.normal(0, 3, (height, width))
        for a, b, c in ((0.7, 0.4, 0), (0.5, -0.6, 1), (0.2, 0.9, 2))
    ]
    pixels: Pixels = np.clip(np.stack(channels, -1), 0, 255).astype(np.uint8)
    return pixels


def with_alpha(pixels: Pixels) -> Pixels:
    """The same pixels with alpha that rises from 0 at the left to 255 at the right."""
    height, width = pixels.shape[:2]
    alpha = np.broadcast_to(np.linspace(-50, 300, width).clip(0, 255), (height, width))
    return np.dstack([pixels, alpha.astype(np.uint8)])


def sixteen_bit(pixels: Pixels) -> npt.NDArray[np.uint16]:
    """The same pixels in 16 bits, with detail below the eighth."""
    noise = np.random.default_rng(2).integers(0, 257, pixels.shape)
    wide: npt.NDArray[np.uint16] = (
        (pixels.astype(np.int64) * 256 + noise).clip(0, 65535).astype(np.uint16)
    )
    return wide


def extremes(height: int, width: int) -> Pixels:
    """Random samples of 0 and 255, as far from a photograph as can be."""
    rng = np.random.default_rng(9)
    return (rng.integers(0, 2, (height, width, 3)) * 255).astype(np.uint8)


def tiled(codec: Codec, pixels: AnyPixels, quality: float = 50) -> bytes:
    """Tiles of 64 pixels a side, all learned."""
    return codec.compress(pixels, quality, tile_exponent=6, lossless_tiles=False)


def learned(codec: Codec, pixels: AnyPixels, quality: float = 50) -> bytes:
    """One learned tile."""
    return codec.compress(pixels, quality, lossless_tiles=False)


def layered(codec: Codec, pixels: AnyPixels, bound: int) -> bytes:
    """Learned tiles of 64 pixels a side with a residual layer, even where storing is smaller."""
    return with_layer(codec, pixels, tiled(codec, pixels), bound)


def with_layer(codec: Codec, pixels: AnyPixels, data: bytes, bound: int) -> bytes:
    """A file of these pixels, with a residual for each tile of it that is learned.

    Raises:
        RuntimeError: it does not decode to these pixels, give or take the bound.
    """
    stream, tables, decoded = parse(data), newest_tables(), codec.decompress_array(data)
    original, x_hat = pixels, decoded
    if stream.alphas:
        (original, _), (x_hat, _) = split_alpha(pixels), split_alpha(decoded)
    residuals = [
        encode_residual(original[part], x_hat[part], tables, bound=bound)
        for part, tile in zip(parts_of(stream.header), stream.tiles, strict=True)
        if isinstance(tile, Tile)
    ]
    layer = Layer(LayerHead(tables.tables_id, bound), tuple(residuals))
    layered_file = serialize(replace(stream, layer=layer))
    error = np.abs(codec.decompress_array(layered_file).astype(int) - pixels).max()
    if error > bound:
        raise RuntimeError(f"a residual layer within {bound} leaves an error of {error}")
    return layered_file


def with_checksum(codec: Codec, data: bytes) -> bytes:
    """The same picture with the checksum of its pixels."""
    digest = PixelDigest()
    digest.update(codec.decompress_array(data))
    return serialize(with_digest(parse(data), digest.result()))


def parts_of(header: Header) -> list[tuple[slice, slice]]:
    """Rows and columns of each tile's pixels."""
    return [tile_box(header, number).slices(STRIDE) for number in range(header.tile_count)]


def stored(codec: Codec, pixels: Pixels, encode: Callable[[Pixels], LosslessTile]) -> bytes:
    """One lossless tile."""
    form = PixelFormat.GRAY8 if pixels.ndim == 2 else PixelFormat.RGB8
    header = Header(pixels.shape[1], pixels.shape[0], form, 10, 300, codec.encoder.decoder.model_id)
    return serialize(Stream(header, (encode(np.ascontiguousarray(pixels)),)))


def described(data: bytes, *chunks: Chunk) -> bytes:
    """The same picture with optional chunks."""
    return serialize(replace(parse(data), ancillary=chunks))


def layer_mixed(codec: Codec) -> bytes:
    """Learned tiles with residuals on both sides of a lossless one.

    Each window of the synthesis ends at the lossless tile, as at the picture's border. A residual
    of what a tile shows beside learned neighbours would miss that.
    """
    pixels = smooth(8, 140, 13)
    pixels[:, 64:128] = drawing(8, 64)
    data = codec.compress(pixels, 20, tile_exponent=6)
    kinds = [type(tile) for tile in parse(data).tiles]
    if kinds != [Tile, LosslessTile, Tile]:
        raise RuntimeError(f"the tiles are {kinds}")
    return with_layer(codec, pixels, data, 0)


def layer_rows(codec: Codec) -> bytes:
    """Two rows of two tiles with all that there is: alpha, residuals and a checksum."""
    pixels = with_alpha(smooth(70, 70, 14))
    return with_checksum(codec, layered(codec, pixels, 0))


def mixed(codec: Codec) -> bytes:
    """A drawing in a smooth picture: learned tiles beside lossless ones."""
    pixels = smooth(150, 200, 3)
    pixels[64:128, 64:128] = drawing(64, 64)
    return codec.compress(pixels, 60, tile_exponent=6)


def valid_files(codec: Codec) -> dict[str, tuple[str, bytes]]:
    """Name, what it shows, and file."""
    icc = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    icc[24:36] = struct.pack(">6H", *PROFILE_DATE)
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = exif.tobytes().removeprefix(b"Exif\0\0")
    small = learned(codec, smooth(20, 30, 4))
    first = Chunk(b"text", b"Title\0first")
    return {
        "rgb-1x1": ("one RGB pixel", learned(codec, smooth(1, 1))),
        "gray-1x1": ("one gray pixel", learned(codec, smooth(1, 1)[..., 0])),
        "rgb-17x33": ("sides that are no multiples", learned(codec, smooth(33, 17, 1))),
        "rgb-1x97": ("one column", learned(codec, smooth(97, 1, 2), 80)),
        "gray-61x45": ("gray", learned(codec, smooth(45, 61, 2)[..., 1], 75)),
        "quality-0": ("the lowest quality", learned(codec, smooth(48, 64, 5), 0)),
        "quality-100": ("the highest quality", learned(codec, smooth(48, 64, 5), 100)),
        "quality-25.25": ("a quality between whole numbers", learned(codec, smooth(48, 64), 25.25)),
        "extremes-0": ("samples of 0 and 255 at quality 0", learned(codec, extremes(40, 40), 0)),
        "extremes-100": (
            "samples of 0 and 255 at quality 100, with escapes",
            learned(codec, extremes(40, 40), 100),
        ),
        "tiles-3x2": ("several learned tiles", tiled(codec, smooth(100, 150, 6), 60)),
        "tiles-gray": ("gray tiles", tiled(codec, smooth(70, 130, 7)[..., 2], 40)),
        "tiles-mixed": ("lossless tiles beside learned ones", mixed(codec)),
        "rgba": ("alpha beside RGB, several tiles", tiled(codec, with_alpha(smooth(70, 90, 8)))),
        "gray-alpha": ("alpha beside gray", learned(codec, with_alpha(smooth(40, 30, 8)[..., 0]))),
        "rgba-hidden": ("transparent everywhere", learned(codec, np.zeros((30, 40, 4), np.uint8))),
        "gray16": ("gray of 16 bits", learned(codec, sixteen_bit(smooth(50, 40, 9)[..., 0]), 90)),
        "lossless-webp": ("RGB pixels, WebP", stored(codec, drawing(50, 70), webp)),
        "lossless-png": ("RGB pixels, PNG", stored(codec, drawing(50, 70), encode_png)),
        "lossless-gray-webp": (
            "gray pixels, WebP",
            stored(codec, drawing(50, 70)[..., 0], webp),
        ),
        "lossless-gray-png": (
            "gray pixels, PNG",
            stored(codec, drawing(50, 70)[..., 0], encode_png),
        ),
        "lossless-flat": (
            "pixels that all are equal",
            stored(codec, np.full((9, 7, 3), (20, 90, 200), np.uint8), encode_pixels),
        ),
        "iccp": ("an ICC profile", described(small, Chunk(b"iccp", bytes(icc)))),
        "exif": (
            "EXIF, turned by 90 degrees for display",
            described(small, Chunk(b"exif", turned)),
        ),
        "xmpd": ("XMP", described(small, Chunk(b"xmpd", b"<x:xmpmeta xmlns:x='adobe:ns:meta/'/>"))),
        "phys": ("a resolution", described(small, Chunk(b"phys", struct.pack("<2d", 300, 150)))),
        "text": (
            "comments, one keyword twice",
            described(small, first, Chunk(b"text", "Autor\0Ä".encode()), first),
        ),
        "metadata-odd": (
            "empty, repeated and damaged metadata, which decoding ignores",
            described(
                small,
                Chunk(b"exif", b""),
                Chunk(b"exif", b"II"),
                Chunk(b"exif", turned),
                Chunk(b"phys", b"\0" * 15),
                Chunk(b"text", b"no zero byte"),
                Chunk(b"iccp", b"\0"),
            ),
        ),
        "layer-exact": ("a residual layer, exact", layered(codec, smooth(70, 90, 10), 0)),
        "layer-gray": ("an exact gray one", layered(codec, smooth(33, 41, 11)[..., 0], 0)),
        "layer-bound-2": ("a residual layer within 2", layered(codec, smooth(70, 90, 10), 2)),
        "layer-alpha": ("one beside alpha", layered(codec, with_alpha(smooth(40, 50, 12)), 0)),
        "layer-mixed": (
            "residuals of learned tiles on both sides of a lossless one",
            layer_mixed(codec),
        ),
        "layer-rows": (
            "two rows of tiles with alpha, a residual layer and a checksum",
            layer_rows(codec),
        ),
        "checksum": ("a checksum of the pixels", with_checksum(codec, small)),
        "unknown-optional": (
            "unknown optional chunks",
            described(small, Chunk(b"note", b"of no meaning"), Chunk(b"zZZZ", b"")),
        ),
        "optional-many": (
            "as many optional chunks as every decoder must accept",
            described(small, *[Chunk(b"note", b"")] * DEFAULT_LIMITS.metadata_chunks),
        ),
    }


def describe_valid(codec: Codec, name: str, what: str, data: bytes) -> tuple[Entry, AnyPixels]:
    """An entry of the manifest, and the expected pixels."""
    stream = parse(data)
    pixels = codec.decompress_array(data)
    prior = codec.encoder.decoder.prior
    latents, symbols = hashlib.sha256(), hashlib.sha256()
    for number, tile in enumerate(stream.tiles):
        if isinstance(tile, Tile):
            box = tile_box(stream.header, number)
            y_hat = decode_latents(
                prior, tile, Grid(box.height, box.width), stream.header.quality_index,
                observe=lambda found, _: symbols.update(found.astype("<i4").tobytes()),
            )  # fmt: skip
            latents.update(y_hat.astype("<i2").tobytes())
    entry: Entry = {"file": f"valid/{name}.aec", "what": what, "pixels": f"valid/{name}.png"}
    entry |= {"width": stream.header.width, "height": stream.header.height}
    form = stream.header.pixel_format
    entry |= {
        "channels": form.channels,
        "alpha": form.has_alpha,
        "bits": 16 if form.is_sixteen_bit else 8,
    }
    entry["model"] = stream.header.model_id.hex()
    entry["tiles"] = ["PIXL" if isinstance(t, LosslessTile) else "TILE" for t in stream.tiles]
    if "TILE" in entry["tiles"]:
        entry |= {"latents_sha256": latents.hexdigest(), "symbols_sha256": symbols.hexdigest()}
    digest = hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
    entry["pixels_sha256"] = digest
    if stream.ancillary:
        entry["optional"] = list_optional(stream.ancillary)
    if len(stream.tiles) > 1:
        entry["regions"] = regions_of(stream.header)
    return entry, pixels


def regions_of(header: Header) -> list[list[int]]:
    """Parts on both sides of borders between tiles, as `[x, y, width, height]`."""
    parts = [[60, 60, 9, 8], [63, 0, 2, 20], [0, 64, 64, 1]]
    fitting = [p for p in parts if p[0] + p[2] <= header.width and p[1] + p[3] <= header.height]
    return fitting or [[60, 0, 9, header.height]]


def list_optional(chunks: Iterable[Chunk]) -> list[list[Any]]:
    """Type and SHA-256 of the payload of each, and the number of equal ones in a row above 1."""
    listed: list[list[Any]] = []
    for chunk, equal in groupby(chunks):
        count = len(list(equal))
        found = [chunk.type.decode(), hashlib.sha256(chunk.payload).hexdigest()]
        listed.append([*found, count] if count > 1 else found)
    return listed


def files_of(tune: Tune, codec: Codec) -> dict[str, tuple[str, bytes]]:
    """The files of a tuning's model: all for PSNR, else a few that its weights could break."""
    files = valid_files(codec)
    if tune == FIRST:
        return files
    about = f", by the model of the tuning {tune}"
    return {f"{tune}-{name}": (files[name][0] + about, files[name][1]) for name in FURTHER}


def write_valid(tune: Tune, codec: Codec) -> list[Entry]:
    """Writes the valid files of a tuning's model; their entries in the manifest."""
    entries = []
    for name, (what, data) in files_of(tune, codec).items():
        entry, pixels = describe_valid(codec, name, what, data)
        (KIT / entry["file"]).write_bytes(data)
        Image.fromarray(pixels).save(KIT / entry["pixels"], optimize=True)
        entries.append(entry)
    return entries


def write_invalid(codec: Codec) -> list[Entry]:
    """Writes the files that a decoder must refuse; their entries in the manifest.

    Raises:
        RuntimeError: one decodes, or is refused for another reason.
    """
    one = learned(codec, smooth(20, 30, 4))
    tile_end = len(one) - 12
    faults = broken_bytes(one, tile_end) | broken_chunks(one, tiled(codec, smooth(20, 70, 4)))
    faults |= broken_tiles(codec, one) | broken_alpha(
        learned(codec, with_alpha(smooth(9, 9)[..., 0]))
    )
    faults |= broken_layer(layered(codec, smooth(20, 30, 4), 0))
    entries = []
    for name, (what, data, *errors) in faults.items():
        try:
            codec.decompress_array(data)
        except AecError as exc:
            if type(exc).__name__ not in errors:
                raise RuntimeError(f"{name}: {exc!r}, expected one of {errors}") from exc
        else:
            raise RuntimeError(f"{name} decodes")
        (KIT / f"invalid/{name}.aec").write_bytes(data)
        entries.append({"file": f"invalid/{name}.aec", "what": what, "errors": errors})
    return entries


def clear(tune: Tune, manifest: dict[str, list[Entry]]) -> None:
    """Removes the files and entries of a tuning's model, and with those of PSNR all faults."""

    def is_old(entry: Entry) -> bool:
        tuned = [each for each in TUNES if entry["file"].startswith(f"valid/{each}-")]
        return tuned == ([] if tune == FIRST else [tune])

    old = [entry for entry in manifest["valid"] if is_old(entry)]
    manifest["valid"] = [entry for entry in manifest["valid"] if not is_old(entry)]
    if tune == FIRST:
        old += manifest["invalid"]
        manifest["invalid"] = []
    for name in [each[key] for each in old for key in ("file", "pixels") if key in each]:
        (KIT / name).unlink(missing_ok=True)


def main() -> None:
    """Writes the files of one model into the kit."""
    parser = argparse.ArgumentParser(description="Writes the conformance kit.")
    parser.add_argument("-f", "--force", action="store_true", help="replace what exists")
    parser.add_argument("--tune", choices=TUNES, default=FIRST, help="whose model makes the files")
    arguments = parser.parse_args()
    tune: Tune = arguments.tune
    path = KIT / "manifest.json"
    manifest: dict[str, Any] = {"valid": [], "invalid": []}
    if path.exists():
        manifest = json.loads(path.read_text(encoding="utf-8"))
    model = tuned_model(tune)
    if model.name in manifest.get("made_with", []) and not arguments.force:
        sys.exit(f"the kit has files of {model.name}; -f replaces them")
    for folder in ("valid", "invalid"):
        (KIT / folder).mkdir(exist_ok=True)
    clear(tune, manifest)
    codec = Codec(model.name)
    entries = write_valid(tune, codec)
    valid = [*entries, *manifest["valid"]] if tune == FIRST else [*manifest["valid"], *entries]
    about = "See check_decoder.py for the meaning of the fields."
    ids = dict.fromkeys(bytes.fromhex(entry["model"]) for entry in valid)
    made_with = [found.name for found in map(find_model, ids) if found]
    written = {"about": about, "format_version": 1, "made_with": made_with, "valid": valid}
    written["invalid"] = write_invalid(codec) if tune == FIRST else manifest["invalid"]
    text = json.dumps(written, indent=1, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

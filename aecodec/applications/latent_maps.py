"""The latents of a picture as a map, from its pixels or straight from its .aec file.

Pixels are analyzed and rounded as the default effort of the encoder does it, so that a picture and
its file of the same quality give the same map but for what the encoder decides otherwise. A file's
latents are decoded without the synthesis. Tiles that a file stores losslessly have no latents:
their pixels are decoded and analyzed, each tile for itself.
"""

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from aecodec.coding.dead_zone import DeadZone
from aecodec.coding.lossless import decode_pixels
from aecodec.coding.map_words import split_map
from aecodec.decoder.code_lengths import PlaceBits
from aecodec.decoder.latents import Floats, Grid, decode_latents, hyper_numbers, without_map
from aecodec.decoder.networks import Levels, Prior, Symbols, YHat
from aecodec.encoder.effort import EFFORTS
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.picture_quality import PictureQuality
from aecodec.encoder.tile import TileEncoder
from aecodec.errors import InputError, LimitError
from aecodec.format.chunks import Buffer, Header, LosslessTile, PixelFormat, Tile
from aecodec.format.constants import (
    ACTIVATION_MAX,
    GROUP,
    MEAN_FRACTION,
    NORM_FRACTION,
    NORM_OFFSET,
)
from aecodec.format.container import SIGNATURE, parse, parse_header
from aecodec.format.quality import quality_index
from aecodec.format.quality_map import Quality
from aecodec.format.tiling import Box, latent_grid, tile_box, tile_sides
from aecodec.options import DEFAULT_EFFORT, DEFAULT_QUALITY, TILE_EXPONENT
from aecodec.picture.picture import Picture, decode_picture, to_picture
from aecodec.picture.pixels import Pixels
from aecodec.storage.sources import read_all

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from aecodec.codec import Codec
    from aecodec.encoder.networks import EncoderModel

    PictureSource = (
        str | os.PathLike[str] | Buffer | Image.Image | npt.NDArray[Any] | Tensor | Picture
    )
    """The bytes, path or URL of a picture or of an .aec file, or what `Codec.compress` takes."""


@dataclass(frozen=True, eq=False)
class LatentMap:
    """The latents of one picture; a place is a square of 16x16 pixels.

    Attributes:
        model_id: 4 bytes, of the model that made them.
        quality_index: row of the quality grid, of the picture; a file's quality map may change it.
        height: of the picture in pixels.
        width: likewise.
        y: `(ceil(height / 16), ceil(width / 16), M)`, latents over their norms: of order one.
        z: `(ceil(height / 64), ceil(width / 64), Z)`, hyper-latents, whole numbers.
        bits: `(ceil(height / 16), ceil(width / 16))`, what each place costs under the model.
    """

    model_id: bytes
    quality_index: int
    height: int
    width: int
    y: Floats
    z: Floats
    bits: Floats


class LatentReader:
    """Reads latent maps with one codec; safe to use from several threads."""

    def __init__(self, codec: "Codec", quality: float = DEFAULT_QUALITY) -> None:
        """Loads nothing yet.

        Args:
            codec: its model, or else that for PSNR, analyzes pixels, and its limits hold.
            quality: 0 to 100, at which pixels are analyzed; files keep their own.

        Raises:
            InputError: the quality is no number from 0 to 100.
        """
        self.codec, self._index = codec, quality_index(quality)

    def read(self, source: "PictureSource") -> LatentMap:
        """The map of a picture or of an .aec file.

        Alpha is left out, and gray has three equal channels. A file of another model than that of
        pixels is decoded and analyzed, so that all maps can be compared.

        Raises:
            InputError: no picture, or a damaged one.
            FormatError: the file is damaged.
            UnsupportedError: the file needs a newer version or an unknown model.
            LimitError: the picture exceeds the codec's limits.
            OSError: it cannot be read.
        """
        if not isinstance(source, (str, os.PathLike, *_BUFFERS)):
            return self.of_pixels(to_picture(source, limits=self.codec.limits).pixels)
        data = bytes(read_all(source, self.codec.limits))
        if data.startswith(SIGNATURE):
            return self._of_any_file(data)
        try:
            return self.of_pixels(decode_picture(data, limits=self.codec.limits).pixels)
        except (InputError, LimitError) as exc:
            if isinstance(source, _BUFFERS):
                raise
            raise type(exc)(f"{os.fspath(source)}: {exc}") from exc

    def of_pixels(self, pixels: Pixels) -> LatentMap:
        """The map of pixels, `(H, W, 3)` or `(H, W)`, uint8 or uint16."""
        self.codec.limits.check_pixels(pixels.shape[1], pixels.shape[0])
        encoder = self.codec.encoder_for("psnr")
        header = Header(
            pixels.shape[1], pixels.shape[0], PixelFormat.RGB8, TILE_EXPONENT, self._index,
            encoder.decoder.model_id,
        )  # fmt: skip
        canvas = _Canvas(header, encoder.decoder.prior)
        for number in range(header.tile_count):
            box = tile_box(header, number)
            canvas.put(box, self._index, *_analyzed(encoder, pixels, box, self._index))
        return canvas.map()

    def _of_any_file(self, data: Buffer) -> LatentMap:
        own = self.codec.encoder_for("psnr").decoder.model_id
        if parse_header(data).model_id == own:
            return self.of_file(data)
        return self.of_pixels(self.codec.decompress_picture(data).pixels)

    def of_file(self, data: Buffer) -> LatentMap:
        """The map of an .aec file at its own qualities; a residual layer is left out."""
        stream = parse(data, self.codec.limits)
        header = stream.header
        prior = self.codec.decoder(header.model_id).prior
        canvas = _Canvas(header, prior)
        for number, tile in enumerate(stream.tiles):
            box = tile_box(header, number)
            if isinstance(tile, Tile):
                canvas.put(box, *_decoded(prior, tile, box, header))
            else:
                pixels = _stored(header, number, tile)
                whole = latent_grid(*pixels.shape[:2])
                encoder = self.codec.encoder_of(header.model_id)
                index = header.quality_index
                canvas.put(box, index, *_analyzed(encoder, pixels, whole, index))
        return canvas.map()


def channel_order(prior: Prior) -> npt.NDArray[np.intp]:
    """Channels of the latents by falling norm at the default quality: colours and shades first."""
    norms = prior.tables.base[quality_index(DEFAULT_QUALITY)]
    return np.argsort(-norms, kind="stable")


_BUFFERS = (bytes, bytearray, memoryview)


class _Canvas:
    """Puts the tiles of one picture together."""

    def __init__(self, header: Header, prior: Prior) -> None:
        tables = prior.tables
        self._header, self._tables = header, tables
        grid = latent_grid(header.height, header.width)
        rows, columns = -(-grid.height // GROUP), -(-grid.width // GROUP)
        self._y = np.empty((grid.height, grid.width, tables.latent_channels), np.float32)
        self._z = np.empty((rows, columns, len(tables.hyper_tables)), np.float32)
        self._bits = np.empty((grid.height, grid.width), np.float32)

    def put(self, box: Box, quality: Quality, y_hat: YHat, z_hat: Symbols, bits: Floats) -> None:
        places = self._tables.base[quality] - NORM_OFFSET
        norms = self._tables.norms[places].astype(np.float32) / NORM_FRACTION
        self._y[box.slices()] = y_hat * (1 / (norms * MEAN_FRACTION))
        rows, columns = z_hat.shape[:2]
        self._z[box.top // GROUP :, box.left // GROUP :][:rows, :columns] = z_hat
        self._bits[box.slices()] = bits

    def map(self) -> LatentMap:
        header = self._header
        return LatentMap(
            header.model_id, header.quality_index, header.height, header.width,
            self._y, self._z, self._bits,
        )  # fmt: skip


def _analyzed(
    encoder: "EncoderModel", pixels: Pixels, box: Box, index: int
) -> tuple[YHat, Symbols, Floats]:
    """Latents in 1/16 step, hyper-latents and bits of one tile of a picture."""
    prior, effort = encoder.decoder.prior, EFFORTS[DEFAULT_EFFORT]
    grid = latent_grid(*pixels.shape[:2])
    learned = np.zeros((grid.height, grid.width), np.bool_)
    y = TileEncoder(encoder, PictureQuality(index), effort).view(pixels, box, learned).latents()
    z = encoder.analysis.hyper(y, index)
    zone = DeadZone(encoder.symbol_costs, encoder.search.plain_weight)
    places = PlaceBits(prior.tables, Grid(*y.shape[:2]))
    _, y_hat = encode_latents(prior, y, z, index, dead_zone=zone, observe=places.add_pass)
    z_hat = np.floor(z + np.float32(0.5)).clip(-ACTIVATION_MAX, ACTIVATION_MAX - 1)
    symbols = z_hat.astype(np.int32)
    places.add_hyper(symbols.reshape(-1), hyper_numbers(z.shape[2], Grid(*y.shape[:2])))
    return y_hat, symbols, places.bits


def _decoded(
    prior: Prior, tile: Tile, box: Box, header: Header
) -> tuple[Quality, YHat, Symbols, Floats]:
    """The same of one tile of a file, after the quality of its latents."""
    grid = Grid(box.height, box.width)
    places = PlaceBits(prior.tables, grid)
    plain, quality = without_map(tile, grid, header)
    if header.has_quality_map:
        places.add_map(split_map(tile.words, grid.hyper)[0])
    hyper: list[Symbols] = []

    def observe(symbols: Symbols, numbers: Levels) -> None:
        if hyper:
            places.add_pass(symbols, numbers)
        else:
            hyper.append(symbols.reshape(*grid.hyper, -1))
            places.add_hyper(symbols, numbers)

    y_hat = decode_latents(prior, plain, grid, quality, observe=observe)
    return quality, y_hat, hyper[0], places.bits


def _stored(header: Header, number: int, tile: LosslessTile) -> Pixels:
    """Pixels of a lossless tile."""
    form = header.pixel_format
    height, width = tile_sides(header, number)
    return decode_pixels(tile, height, width, gray=form.is_gray, sixteen_bit=form.is_sixteen_bit)

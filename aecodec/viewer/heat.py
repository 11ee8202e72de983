"""Heat maps over a picture: what each place costs, and how far each pixel is from its original."""

import base64
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import Image

from aecodec.codec import Codec
from aecodec.coding.map_words import split_map
from aecodec.decoder.code_lengths import PlaceBits
from aecodec.decoder.latents import Grid, decode_latents, without_map
from aecodec.decoder.networks import Levels, Prior, Symbols
from aecodec.format.chunks import Header, Tile
from aecodec.format.constants import STRIDE
from aecodec.format.container import Stream, parse
from aecodec.format.tiling import latent_grid, tile_box
from aecodec.picture.metadata import metadata_in, turned
from aecodec.picture.orientation import orientation_in

ERROR_PEAK = 32.0
"""The error that has the last colour, in steps of 255, so that qualities can be compared."""
_HIGHEST = 99.5
"""The percentile of places that has the last colour; a few that cost more hide no others."""
_COLOURS = (
    (0, 0, 4), (31, 12, 72), (85, 15, 109), (136, 34, 106), (186, 54, 85), (227, 89, 51),
    (249, 140, 10), (249, 201, 50), (252, 255, 164),
)  # fmt: skip
"""From nothing to the peak, dark to light, evenly spaced."""

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class HeatMap:
    """Values of each pixel, as they are shown.

    Attributes:
        values: `(H, W)`, from 0 on.
        peak: the value that has the last colour.
        unit: what is counted.
    """

    values: Floats
    peak: float
    unit: str

    def fields(self) -> dict[str, object]:
        """For JSON, with a PNG of colours as a data URL."""
        image = Image.fromarray((self.values * (255 / self.peak)).clip(0, 255).astype(np.uint8))
        image.putpalette(_palette())
        file = BytesIO()
        image.save(file, "PNG", compress_level=1)
        png = base64.b64encode(file.getvalue()).decode("ascii")
        return {"peak": self.peak, "unit": self.unit, "png": f"data:image/png;base64,{png}"}


def error_map(differences: npt.NDArray[np.int32]) -> HeatMap:
    """The largest of each pixel's absolute differences, `(H, W, c)` in steps of 255."""
    return HeatMap(differences.max(2).astype(np.float32), ERROR_PEAK, "steps of 255")


def bit_map(codec: Codec, data: bytes) -> HeatMap:
    """Bits per pixel of each place of 16x16 pixels, turned as the picture is shown.

    What no place is known for, such as alpha and residuals, is spread evenly over its tile.
    """
    stream = parse(data, codec.limits)
    header = stream.header
    grid = latent_grid(header.height, header.width)
    bits = np.zeros((grid.height, grid.width), np.float64)
    residuals = iter(() if stream.layer is None else stream.layer.residuals)
    for number, tile in enumerate(stream.tiles):
        place = bits[tile_box(header, number).slices()]
        spread = stream.alphas[number].size if stream.alphas else 0
        if isinstance(tile, Tile):
            prior = codec.decoder(header.model_id).prior
            place += _latent_bits(prior, tile, Grid(*place.shape), header)
            residual = next(residuals, None)
            spread += 0 if residual is None else residual.size
        else:
            spread += tile.size
        place += 8 * spread / place.size
    density = _density(bits, stream)
    peak = max(float(np.percentile(density, _HIGHEST)), 0.01)
    height, width = header.height, header.width
    large = density.repeat(STRIDE, 0)[:height].repeat(STRIDE, 1)[:, :width]
    upright = turned(large, orientation_in(metadata_in(stream)))
    return HeatMap(np.ascontiguousarray(upright, np.float32), peak, "bits per pixel")


def _density(bits: npt.NDArray[np.float64], stream: Stream) -> npt.NDArray[np.float64]:
    """Bits of places to bits per pixel; those at the right and lower sides hold fewer pixels."""
    header = stream.header
    sides = [
        np.minimum(STRIDE, side - STRIDE * np.arange(count))
        for side, count in zip((header.height, header.width), bits.shape, strict=True)
    ]
    density: npt.NDArray[np.float64] = bits / np.outer(*sides)
    return density


def _latent_bits(prior: Prior, tile: Tile, grid: Grid, header: Header) -> Floats:
    """Ideal bits of each place of a learned tile, `(h, w)`."""
    groups: list[tuple[Symbols, Levels]] = []
    plain, quality = without_map(tile, grid, header)
    decode_latents(prior, plain, grid, quality, observe=lambda s, n: groups.append((s, n)))
    places = PlaceBits(prior.tables, grid)
    if header.has_quality_map:
        places.add_map(split_map(tile.words, grid.hyper)[0])
    places.add_hyper(*groups[0])
    for group in groups[1:]:
        places.add_pass(*group)
    return places.bits


def _palette() -> list[int]:
    steps = np.linspace(0, len(_COLOURS) - 1, 256)
    channels = [
        np.interp(steps, np.arange(len(_COLOURS)), each) for each in zip(*_COLOURS, strict=True)
    ]
    return [round(value) for value in np.stack(channels, 1).ravel()]

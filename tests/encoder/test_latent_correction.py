"""Corrections: what a second look at the decoded tile may change, and what it must not."""

from dataclasses import replace

import numpy as np
import pytest
from conftest import make_picture, make_sixteen_bit

from aecodec.coding.dead_zone import DeadZone, Floats
from aecodec.decoder.latents import MEAN_STEP
from aecodec.decoder.networks import YHat
from aecodec.encoder.effort import EFFORTS
from aecodec.encoder.latent_correction import Correction
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.networks import EncoderModel
from aecodec.encoder.picture_quality import PictureQuality
from aecodec.encoder.tile import TileEncoder
from aecodec.encoder.tile_view import TileView
from aecodec.format.constants import STRIDE
from aecodec.format.quality_map import Quality
from aecodec.format.tiling import Box, latent_grid
from aecodec.picture.pixels import Pixels

INDEX = 300
BOX = Box(4, 4, 8, 8)
"""A tile with neighbours on all sides."""


class Pretended:
    """A synthesis that decodes to given pixels."""

    def __init__(self, pixels: Pixels) -> None:
        self._decoded = pixels

    def pixels(
        self, y_hat: YHat, quality: Quality, *, scale: int, inside: tuple[int, int],
        sixteen_bit: bool, gray: bool,
    ) -> Pixels:  # fmt: skip
        """Those, whatever the latents are."""
        return self._decoded


def view_of(model: EncoderModel, pixels: Pixels, box: Box) -> TileView:
    grid = latent_grid(*pixels.shape[:2])
    lossless = np.zeros((grid.height, grid.width), np.bool_)
    return TileEncoder(model, PictureQuality(INDEX), EFFORTS[2]).view(pixels, box, lossless)


def decoding_to(model: EncoderModel, pixels: Pixels) -> EncoderModel:
    return replace(model, decoder=replace(model.decoder, synthesis=Pretended(pixels)))


def corrected(model: EncoderModel, view: TileView) -> tuple[Floats, Floats]:
    """What is to be rounded after a correction, and what was rounded before it."""
    zone = DeadZone(model.symbol_costs, model.search.correction_weight)
    y = view.latents()
    z = model.analysis.hyper(y, view.tile_quality)
    _, y_hat = encode_latents(model.decoder.prior, y, z, view.tile_quality, dead_zone=zone)
    return Correction(model, view)(y, z, zone), y_hat * MEAN_STEP


@pytest.mark.parametrize(
    "pixels",
    [make_picture(200, 180), make_picture(200, 180)[:, :, 0].copy(), make_sixteen_bit(200, 180, 3)],
    ids=["rgb", "gray", "16 bits"],
)
def test_what_is_decoded_without_error_needs_none(pixels: Pixels, tiny_coder: EncoderModel) -> None:
    view = view_of(tiny_coder, pixels, BOX)
    found, rounded = corrected(decoding_to(tiny_coder, view.pixels), view)
    np.testing.assert_array_equal(found, rounded)


def test_only_the_tiles_own_pixels_are_compared(tiny_coder: EncoderModel) -> None:
    """Around the tile, and beyond the picture, decoded pixels are no one's fault."""
    for box, size in ((BOX, (200, 180)), (Box(4, 4, 8, 9), (120, 135))):
        view = view_of(tiny_coder, make_picture(*size), box)
        decoded = np.full_like(view.pixels, 255)
        top, left = view.rows.start * STRIDE, view.columns.start * STRIDE
        inside = (
            slice(top, min(view.rows.stop * STRIDE, view.size[0])),
            slice(left, min(view.columns.stop * STRIDE, view.size[1])),
        )
        decoded[inside] = view.pixels[inside]
        found, rounded = corrected(decoding_to(tiny_coder, decoded), view)
        np.testing.assert_array_equal(found, rounded)
        decoded[top, left] += 60
        found, _ = corrected(decoding_to(tiny_coder, decoded), view)
        assert not np.array_equal(found, rounded)


def test_an_error_is_answered_by_its_own_latents(tiny_coder: EncoderModel) -> None:
    view = view_of(tiny_coder, make_picture(200, 180), BOX)
    decoded = np.clip(view.pixels.astype(int) - 20, 0, 255).astype(np.uint8)
    found, rounded = corrected(decoding_to(tiny_coder, decoded), view)
    shown = view.pixels.copy()
    place = (
        slice(view.rows.start * STRIDE, view.rows.stop * STRIDE),
        slice(view.columns.start * STRIDE, view.columns.stop * STRIDE),
    )
    shown[place] = decoded[place]
    expected = view.y - tiny_coder.analyze(shown, view.quality)
    np.testing.assert_array_equal(found - rounded, expected[view.rows, view.columns])

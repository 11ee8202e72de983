"""Errors of rounding, made up for by the latents beside them; the decoder does not know of it.

Channels and neighbours overlap in the picture, so that some of what rounding did to one latent
others can still mend. A tile is coded, decoded, and analyzed again: where the second look differs
from the first, the difference is added to what is rounded next. With the analysis as the inverse of
the synthesis, nearly, this is a Gauss-Newton step down the squared error. All of it runs on the
exact networks, so that machines agree about the bytes.

Source of the idea: Irani, Peleg, "Improving resolution by image registration", 1991, section 3
(iterative back-projection).
"""

from typing import TYPE_CHECKING

import numpy as np

from aecodec.coding.dead_zone import DeadZone, Floats
from aecodec.decoder.latents import MEAN_STEP
from aecodec.decoder.networks import YHat
from aecodec.encoder.latents import encode_latents, in_sixteenths
from aecodec.format.constants import STRIDE
from aecodec.picture.pixels import Pixels

if TYPE_CHECKING:
    from aecodec.encoder.networks import EncoderModel
    from aecodec.encoder.tile_view import TileView


class Correction:
    """The corrections of one tile in its window."""

    def __init__(self, model: "EncoderModel", view: "TileView") -> None:
        """Takes what stays the same.

        Args:
            model: the encoder.
            view: the tile. Around it the picture is taken as it is.
        """
        self._model, self._view = model, view
        self._window = in_sixteenths(view.y)
        self._place = view.rows, view.columns
        top, left = view.rows.start * STRIDE, view.columns.start * STRIDE
        bottom = min(view.rows.stop * STRIDE, view.size[0])
        right = min(view.columns.stop * STRIDE, view.size[1])
        self._pixels = slice(top, bottom), slice(left, right)

    def __call__(self, target: Floats, z: Floats, zone: DeadZone) -> Floats:
        """What is to be rounded instead.

        Args:
            target: `(h, w, M)`, real latents.
            z: `(h/4, w/4, Z)`, real hyper-latents.
            zone: rounds them.
        """
        model, view = self._model, self._view
        _, y_hat = encode_latents(model.decoder.prior, target, z, view.tile_quality, dead_zone=zone)
        again = model.analyze(self._shown(y_hat), view.quality)
        error = (view.seen - again)[self._place]
        corrected: Floats = y_hat * MEAN_STEP + error
        return corrected

    def _shown(self, y_hat: YHat) -> Pixels:
        """The window's pixels, with those of the tile that belong to the picture as decoded."""
        self._window[self._place] = y_hat
        shown = self._view.pixels.copy()
        decoded = self._model.decoder.synthesis.pixels(
            self._window, self._view.quality, scale=1, inside=(shown.shape[0], shown.shape[1]),
            sixteen_bit=shown.dtype == np.uint16, gray=shown.ndim == 2,
        )  # fmt: skip
        shown[self._pixels] = decoded[self._pixels]
        return shown

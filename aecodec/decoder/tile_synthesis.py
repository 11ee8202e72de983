"""Latents of tiles to pixels of a part of one tile, with what it sees of its neighbours."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from aecodec.decoder.networks import DecoderModel, YHat
from aecodec.format.chunks import Header
from aecodec.format.constants import STRIDE
from aecodec.format.quality_map import Quality
from aecodec.format.tiling import Box, latent_grid, tile_box, tiles_around, with_halo
from aecodec.picture.pixels import Pixels

Mask = npt.NDArray[np.bool_]
"""`(h, w)` of the grid of latents, whether each is marked."""


class TileSynthesis:
    """Pixels of learned tiles; SPECIFICATION.md, section 7.3."""

    def __init__(
        self, model: DecoderModel, header: Header, lossless: Mask,
        latents: Callable[[int], YHat | None], *, sixteen_bit: bool,
        qualities: Callable[[int], Quality] | None = None,
    ) -> None:  # fmt: skip
        """Takes what stays the same for all tiles.

        Args:
            model: of the file.
            header: of the file.
            lossless: `(h, w)` of the grid, whether a latent's tile is stored losslessly.
            latents: gives those of a tile by its number, `(h, w, M)`; None for a lossless one.
            sixteen_bit: samples up to 65535 rather than 255.
            qualities: gives those of a learned tile's latents, `(h, w)` or one for all; None where
                all tiles have that of the header.
        """
        self._model, self._header, self._lossless = model, header, lossless
        self._latents, self._sixteen_bit = latents, sixteen_bit
        self._qualities = qualities
        self._grid = latent_grid(header.height, header.width)

    def pixels(self, tile: Box, box: Box, scale: int = 1) -> Pixels:
        """Pixels of a box within a learned tile, and beyond the border up to whole latents.

        Args:
            tile: the whole tile.
            box: the part of it.
            scale: pixels a side that become one.
        """
        header, halo = self._header, self._model.config.synthesis_halo
        # The tile's own window ends at lossless neighbours, which a part of it need not touch.
        whole = with_halo(tile, self._grid, halo, self._lossless)
        window = with_halo(box, self._grid, halo).overlap(whole) or box
        samples = self._model.synthesis.pixels(
            self._window(window),
            self._quality(window),
            scale=scale,
            inside=(header.height - window.top * STRIDE, header.width - window.left * STRIDE),
            sixteen_bit=self._sixteen_bit,
            gray=header.pixel_format.is_gray,
        )
        return samples[box.relative_to(window).slices(STRIDE // scale)]

    def _window(self, window: Box) -> YHat:
        """`(h, w, M)` latents, 0 in lossless tiles."""
        channels = self._model.config.latent_channels
        y_hat = np.zeros((window.height, window.width, channels), np.int16)
        for number in tiles_around(self._header, window, 0):
            part, box = self._latents(number), tile_box(self._header, number)
            shared = box.overlap(window)
            if part is not None and shared is not None:
                inner = part[shared.relative_to(box).slices()]
                y_hat[shared.relative_to(window).slices()] = inner
        return y_hat

    def _quality(self, window: Box) -> Quality:
        """Of `(h, w)` latents, that of the picture in lossless tiles; one where all are equal."""
        index = self._header.quality_index
        if self._qualities is None:
            return index
        quality = np.full((window.height, window.width), index, np.int16)
        for number in tiles_around(self._header, window, 0):
            box = tile_box(self._header, number)
            shared = box.overlap(window)
            if shared is not None and not self._lossless[box.top, box.left]:
                own = np.broadcast_to(self._qualities(number), (box.height, box.width))
                place = shared.relative_to(window).slices()
                quality[place] = own[shared.relative_to(box).slices()]
        first = int(quality[0, 0])
        return first if (quality == first).all() else quality

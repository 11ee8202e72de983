"""The steps from pixels to rows of tiles.

Four steps make a row: learned tiles; the choice between learned and lossless ones; learned tiles
made again beside lossless ones, since these are outside the picture to them; residuals. Each looks
at the rows around it in the step before, so that a row is ready a few rows behind the newest one
that was read.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from aecodec.coding.lossless import encode_pixels
from aecodec.decoder.networks import YHat
from aecodec.decoder.tile_synthesis import Mask, TileSynthesis
from aecodec.encoder.effort import EFFORTS
from aecodec.encoder.lone_tile import LoneTile
from aecodec.encoder.mode_selection import choose_tile, without_hidden_colours
from aecodec.encoder.picture_quality import PictureQuality, lambda_of
from aecodec.encoder.shrinkage import Shrinkage
from aecodec.encoder.tile import TileEncoder
from aecodec.encoder.tile_view import BegunTiles
from aecodec.format.chunks import (
    AnyTile,
    Chunk,
    Header,
    Layer,
    LayerHead,
    LosslessTile,
    ResidualTile,
    Tile,
    tile_chunk,
)
from aecodec.format.constants import STRIDE
from aecodec.format.container import Stream
from aecodec.format.quality_map import Quality
from aecodec.format.tiling import Box, latent_grid, tile_box, touches
from aecodec.options import EncodeOptions
from aecodec.picture.pixels import Pixels
from aecodec.picture.row_readers import RowSource

if TYPE_CHECKING:
    from aecodec.encoder.networks import EncoderModel


@dataclass(frozen=True, eq=False)
class Row:
    """A row of tiles.

    Attributes:
        tiles: learned or lossless.
        alphas: of each tile, in a picture with alpha.
        expected: about how many bytes lossless coding takes.
        residuals: of the learned tiles, with a residual layer.
    """

    tiles: tuple[AnyTile, ...]
    alphas: tuple[LosslessTile, ...] = ()
    expected: int = 0
    residuals: tuple[ResidualTile, ...] = ()

    def chunks(self) -> Iterator[bytes]:
        """The chunks of each tile together."""
        for number, tile in enumerate(self.tiles):
            yield tile_chunk(tile, self.alphas[number] if self.alphas else None)


class RowEncoder:
    """The steps from pixels to rows of tiles; each row of each step is made once."""

    def __init__(
        self,
        model: "EncoderModel",
        source: RowSource,
        header: Header,
        options: EncodeOptions,
        quality: PictureQuality,
        progress: Callable[[float], None] | None = None,
        begun: BegunTiles | None = None,
    ) -> None:
        """Takes what `rows.encode_rows` takes; `denoise` is a level above 0 or None."""
        self._model, self._source, self._header = model, source, header
        self._options, self._quality = options, quality
        self._exact, self._bound = options.bound is not None, options.bound or 0
        self._stored_only = self._exact and header.pixel_format.is_sixteen_bit
        effort = EFFORTS[options.effort]
        steps = 0 if self._stored_only else effort.steps
        self._step = Steps(header.tile_count * (steps + self._exact), progress)
        shrinkage = None
        if options.denoise is not None:
            shrinkage = Shrinkage(model, float(options.denoise))
        self._coder = TileEncoder(model, quality, effort, self._step, begun, shrinkage)
        self._grid = latent_grid(header.height, header.width)
        self._lossless: Mask = np.zeros((self._grid.height, self._grid.width), np.bool_)
        self._changed: Mask = self._lossless.copy()
        config = model.decoder.config
        side = header.tile_side // STRIDE
        self._halo = max(config.analysis_halo, config.synthesis_halo)
        self._reach = -(-self._halo // side)
        """Rows of tiles that a window reaches into on each side."""
        self._made: dict[tuple[str, int], list[_TileState]] = {}

    @property
    def layer_head(self) -> LayerHead | None:
        """What the file says of its residual layer, if it has one."""
        bound = self._options.bound
        if bound is None or self._stored_only:
            return None
        from aecodec.coding.residual_tables import newest_tables

        return LayerHead(newest_tables().tables_id, bound)

    @property
    def may_be_larger(self) -> bool:
        """Whether fewer, larger lossless tiles may replace all."""
        return self._options.lossless_tiles and not self._exact

    def rows(self) -> Iterator[Row]:
        """All rows, from top to bottom."""
        for number in range(self._header.tile_rows):
            states = self._finished(number)
            yield Row(
                tuple(state.tile for state in states),
                self._alphas(number),
                sum(state.expected for state in states),
                tuple(state.residual for state in states if state.residual is not None),
            )
            self._forget(number)

    def collected(self, optional: tuple[Chunk, ...]) -> tuple[Stream, int]:
        """The whole file, and about how many bytes lossless coding of all takes."""
        rows = list(self.rows())
        tiles = tuple(tile for row in rows for tile in row.tiles)
        alphas = tuple(alpha for row in rows for alpha in row.alphas)
        residuals = tuple(residual for row in rows for residual in row.residuals)
        layer = None if self.layer_head is None else Layer(self.layer_head, residuals)
        stream = Stream(self._header, tiles, optional, alphas, layer)
        return stream, sum(row.expected for row in rows)

    def _learned(self, row: int) -> "list[_TileState]":
        """The first coding of each tile, all neighbours being learned."""
        return self._once("learned", row, self._learn)

    def _learn(self, row: int) -> "list[_TileState]":
        none = np.zeros_like(self._lossless)
        return [self._coded(box, none, quiet=False) for box in self._boxes(row)]

    def _chosen(self, row: int) -> "list[_TileState]":
        """Learned or lossless tiles, before neighbours have looked at each other."""
        return self._once("chosen", row, self._choose)

    def _choose(self, row: int) -> "list[_TileState]":
        if self._stored_only:
            states = [self._store(box) for box in self._boxes(row)]
        else:
            choose = self._choose_exactly if self._exact else self._choose_tile
            states = [choose(*each) for each in self._with_boxes(self._learned(row), row)]
        for box, state in zip(self._boxes(row), states, strict=True):
            self._lossless[box.slices()] = isinstance(state.tile, LosslessTile)
        return states

    def _store(self, box: Box) -> "_TileState":
        """A tile of a picture that is stored exactly without a layer."""
        tile = encode_pixels(self._pixels(box)[0])
        self._step()
        return _TileState(tile)

    def _choose_tile(self, box: Box, state: "_TileState") -> "_TileState":
        """The learned tile, or a lossless one where that costs less."""
        if not isinstance(state.tile, Tile) or state.y_hat is None:
            return state
        quality = self._quality.of(box)
        part, alpha = self._pixels(box)
        tile, expected = choose_tile(
            self._header, state.tile, part, without_hidden_colours(part, alpha),
            lambda_of(self._quality.asked_of(box)),
            LoneTile(
                self._model.decoder, self._header, part.shape[:2], state.y_hat, quality
            ).pixels,
        )  # fmt: skip
        return _TileState(tile, tile.size if isinstance(tile, LosslessTile) else expected)

    def _choose_exactly(self, box: Box, state: "_TileState") -> "_TileState":
        """The learned tile with a residual, or a lossless one where that is smaller."""
        if not isinstance(state.tile, Tile):
            return state
        self._prepare(self._learned, box)
        x_hat = self._decoded("learned", box, np.zeros_like(self._lossless))
        from aecodec.encoder.residual_layer import refine_tile

        tile, residual = refine_tile(self._pixels(box)[0], x_hat, state.tile, self._bound)
        self._step()
        return replace(state, tile=tile, residual=residual)

    def _settled(self, row: int) -> "list[_TileState]":
        """The tiles as the file has them: learned ones beside lossless ones are made again."""
        return self._once("settled", row, self._settle)

    def _settle(self, row: int) -> "list[_TileState]":
        settled = []
        for box, state in self._with_boxes(self._chosen(row), row):
            self._prepare(self._chosen, box)
            again = isinstance(state.tile, Tile) and self._touches(box, self._lossless)
            if again:
                made = self._coded(box, self._lossless, quiet=True)
                state = replace(made, expected=state.expected, residual=state.residual)
            self._changed[box.slices()] = again
            settled.append(state)
        return settled

    def _finished(self, row: int) -> "list[_TileState]":
        """The tiles with the residuals of what decoders see at last."""
        return [self._finish(*each) for each in self._with_boxes(self._settled(row), row)]

    def _finish(self, box: Box, state: "_TileState") -> "_TileState":
        if state.residual is None:
            return state
        self._prepare(self._settled, box)
        if not self._touches(box, self._lossless | self._changed):
            return state
        x_hat = self._decoded("settled", box, self._lossless)
        pixels = self._pixels(box)[0]
        from aecodec.coding.residual_tables import newest_tables
        from aecodec.encoder.residual_fit import encode_residual

        residual = encode_residual(pixels, x_hat, newest_tables(), bound=self._bound)
        return replace(state, residual=residual)

    def _prepare(self, step: "Callable[[int], list[_TileState]]", box: Box) -> None:
        """Makes what a step leaves of all rows that the window of a tile reaches into."""
        row = box.top * STRIDE // self._header.tile_side
        last = min(row + self._reach, self._header.tile_rows - 1)
        for around in range(max(row - self._reach, 0), last + 1):
            step(around)

    def _touches(self, box: Box, marked: Mask) -> bool:
        return touches(box, self._grid, self._halo, marked)

    def _coded(self, box: Box, lossless: Mask, *, quiet: bool) -> "_TileState":
        """A learned tile in its surroundings."""
        top = max(box.top - self._halo, 0)
        bottom = min(box.bottom + self._halo, self._grid.bottom)
        pixels = self._source.rows(top * STRIDE, min(bottom * STRIDE, self._header.height))
        rows = Box(top, 0, bottom, self._grid.right)
        tile, y_hat = self._coder.encode(
            pixels, box.relative_to(rows), lossless[rows.slices()], top=top, quiet=quiet
        )
        wanted = self._exact or self._options.lossless_tiles
        return _TileState(tile, y_hat=y_hat if wanted else None)

    def _decoded(self, step: str, box: Box, lossless: Mask) -> Pixels:
        """Pixels of a learned tile as decoders see them, of the latents that a step left."""
        columns = self._header.tile_columns

        def latents(number: int) -> YHat | None:
            state = self._made[step, number // columns][number % columns]
            return None if isinstance(state.tile, LosslessTile) else state.y_hat

        def quality(number: int) -> Quality:
            return self._quality.of(tile_box(self._header, number))

        synthesis = TileSynthesis(
            self._model.decoder, self._header, lossless, latents, sixteen_bit=False,
            qualities=quality if self._header.has_quality_map else None,
        )  # fmt: skip
        height = min(box.bottom * STRIDE, self._header.height) - box.top * STRIDE
        width = min(box.right * STRIDE, self._header.width) - box.left * STRIDE
        return np.ascontiguousarray(synthesis.pixels(box, box)[:height, :width])

    def _pixels(self, box: Box) -> tuple[Pixels, Pixels | None]:
        """A tile's own pixels, and its alpha if the picture has it."""
        top, bottom = box.top * STRIDE, min(box.bottom * STRIDE, self._header.height)
        columns = slice(box.left * STRIDE, box.right * STRIDE)
        alpha = self._source.alpha(top, bottom)
        part = np.ascontiguousarray(self._source.rows(top, bottom)[:, columns])
        return part, None if alpha is None else alpha[:, columns]

    def _alphas(self, row: int) -> tuple[LosslessTile, ...]:
        if not self._header.pixel_format.has_alpha:
            return ()
        alphas = (self._pixels(box)[1] for box in self._boxes(row))
        return tuple(encode_pixels(alpha) for alpha in alphas if alpha is not None)

    def _boxes(self, row: int) -> list[Box]:
        columns = self._header.tile_columns
        return [tile_box(self._header, row * columns + column) for column in range(columns)]

    def _with_boxes(
        self, states: "list[_TileState]", row: int
    ) -> "Iterator[tuple[Box, _TileState]]":
        return zip(self._boxes(row), states, strict=True)

    def _once(
        self, step: str, row: int, make: "Callable[[int], list[_TileState]]"
    ) -> "list[_TileState]":
        if (step, row) not in self._made:
            self._made[step, row] = make(row)
        return self._made[step, row]

    def _forget(self, row: int) -> None:
        """Drops what no row after this one looks at."""
        first = row + 1 - self._reach
        for step, made in [key for key in self._made if key[1] < first]:
            del self._made[step, made]
        top = (row + 1) * self._header.tile_side - self._halo * STRIDE
        self._source.forget(max(top, 0))


@dataclass(frozen=True, eq=False)
class _TileState:
    """A tile between two steps.

    Attributes:
        tile: what stands in the file so far.
        expected: about how many bytes lossless coding takes.
        y_hat: latents of a learned tile, kept for whoever decodes them.
        residual: what the learned tile lacks.
    """

    tile: AnyTile
    expected: int = 0
    y_hat: YHat | None = None
    residual: ResidualTile | None = None


class Steps:
    """Counts steps of known number and tells what part of them is done."""

    def __init__(self, total: int, report: Callable[[float], None] | None) -> None:
        """Takes the number of steps, and whom to tell."""
        self._total, self._done, self._report = total, 0, report

    def __call__(self) -> None:
        """One more step is done; raises what whoever is told raises."""
        self._done += 1
        if self._report is not None:
            self._report(min(self._done / self._total, 1.0))

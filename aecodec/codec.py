"""Pictures to `.aec` bytes and back: the only place where all rooms meet."""

import threading
from contextlib import contextmanager
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from aecodec.decoder.latents import MEAN_STEP, Grid, decode_prefix
from aecodec.decoder.rows import Bands
from aecodec.encoder.latent_refinement import EFFORTS, Effort
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.mode_selection import store_unusual_tiles
from aecodec.encoder.networks import CodecModel, load_weights
from aecodec.encoder.rate_control import search_quality
from aecodec.encoder.residual_layer import add_layer
from aecodec.encoder.rows import pack
from aecodec.encoder.tile import BegunTiles, encode_alpha, encode_picture_tile
from aecodec.errors import InputError, UnsupportedError, WeightsError
from aecodec.format.chunks import (
    TILE_EXPONENT_MAX,
    TILE_EXPONENT_MIN,
    Buffer,
    Header,
    Limits,
    PixelFormat,
    Tile,
)
from aecodec.format.container import Stream, parse, serialize
from aecodec.format.digest import check_digest, pixel_digest, with_digest
from aecodec.format.quality import quality_index
from aecodec.format.reader import PartialFile, StreamTiles, Tiles, TileState
from aecodec.format.recovery import Rescued, rescue
from aecodec.format.tiling import Region, boxes_of, tile_boxes
from aecodec.models import registry
from aecodec.options import (
    DEFAULT_EFFORT,
    DEFAULT_QUALITY,
    LAYER_QUALITY,
    TILE_EXPONENT,
    Found,
    Target,
    View,
    _check_effort,
    _largest_error,
    scale_of,
    view_of,
)
from aecodec.picture.alpha import EXACT
from aecodec.picture.metadata import KINDS, Ancillary, Metadata, metadata_in
from aecodec.picture.metrics import measure as measure_fidelity
from aecodec.picture.picture import Picture, to_picture, to_pil
from aecodec.picture.pixels import Pixels, split
from aecodec.picture.row_readers import ScanlinePicture, StripPicture
from aecodec.storage.sources import Source, can_seek, opened, read_all

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterator, Sequence
    from numbers import Rational

KEPT_BYTES = 2**28
"""Of what a search for a quality may keep between its tries: enough for 33 megapixels."""


class Codec:
    """Keeps models loaded for many pictures; safe to use from several threads.

    Example:
        >>> codec = Codec()
        >>> data = codec.compress(np.zeros((20, 30, 3), np.uint8), quality=60)
        >>> codec.decompress_array(data).shape
        (20, 30, 3)
    """

    def __init__(
        self, model: "str | os.PathLike[str] | None" = None, *, limits: Limits | None = None
    ) -> None:
        """Prepares a codec; models are loaded on first use.

        Args:
            model: a weights file, as `aecodec export` makes it; by default the newest released
                model for compression, and for each file the model that made it.
            limits: what decoding may use; by default `Limits()`.
        """
        self._path = None if model is None else Path(model)
        self._limits = limits or Limits()
        self._lock = threading.Lock()
        self._own: CodecModel | None = None
        self._others: dict[bytes, CodecModel] = {}

    @property
    def model(self) -> CodecModel:
        """The model that compresses.

        Raises:
            WeightsError: its weights are missing or damaged.
        """
        with self._lock:
            if self._own is None:
                if self._path is not None:
                    self._own = load_weights(self._path)
                else:
                    self._own = _load_released(registry.MODELS[-1])
            return self._own

    def compress(  # noqa: PLR0913  # wishes of one call, all but the quality by name
        self,
        image: "str | os.PathLike[str] | Image.Image | npt.NDArray[Any] | Tensor | Picture",
        quality: float | None = None,
        *,
        effort: int = DEFAULT_EFFORT,
        tile_exponent: int = TILE_EXPONENT,
        progress: "Callable[[float], None] | None" = None,
        lossless_tiles: bool = True,
        keep: "Collection[str]" = KINDS,
        alpha_quality: float = EXACT,
        lossless: bool = False,
        max_error: int | None = None,
    ) -> bytes:
        """Compresses a picture.

        Args:
            image: a path, a PIL image (see `modes.py`), a NumPy array `(H, W)`, `(H, W, 3)` or with
                alpha `(H, W, 2)` or `(H, W, 4)`, or a torch tensor `(c, H, W)` of 1 to 4 channels.
                Arrays and tensors are uint8, uint16, or floating in [0, 1], which are coded as
                16 bits. Alpha that is opaque everywhere is left out.
            quality: 0 to 100, rounded to quarters; lambda = 0.001 * 200**(quality / 100). By
                default 75, or with `max_error`, where it only says how good the lossy part of the
                file is, 25.
            effort: 0 to 9, see `search.EFFORTS`: 0 rounds plainly, 1 by rate and distortion, more
                searches for cheaper latents. Decoding does not depend on it.
            tile_exponent: side of the entropy tiles, 2**6 to 2**14 pixels; a picture that is
                smaller as a single lossless tile becomes one.
            lossless_tiles: whether tiles are stored losslessly where that costs less.
            keep: metadata of files and PIL images to keep: "icc", "exif", "xmp"; without "exif" the
                EXIF orientation is applied to the pixels, with it they stay as they are.
            alpha_quality: 0 to 100; below 100 alpha has fewer levels, see
                `alpha.with_fewer_levels`, and is exact otherwise. Colours where alpha is 0 are
                replaced by what costs least, and so are lost at any quality.
            lossless: adds a residual layer that makes visible pixels exact, as a `max_error` of 0.
            max_error: adds a residual layer that brings each sample within so many 8-bit steps of
                the original, 0 to 255. 16-bit pictures are stored losslessly instead.
            progress: called with the part of the work that is done, rising to 1.

        Returns:
            A complete `.aec` file.

        Raises:
            InputError: an argument is not acceptable; the message says why.
            LimitError: the picture has more pixels than `Limits.pixels`.
            OSError: `image` is a path that cannot be read.
        """
        max_error = _largest_error(lossless, max_error)
        if quality is None:
            quality = DEFAULT_QUALITY if max_error is None else LAYER_QUALITY
        index = quality_index(quality)
        _check_effort(effort)
        if not TILE_EXPONENT_MIN <= tile_exponent <= TILE_EXPONENT_MAX:
            raise InputError(f"tile exponent must lie in 6 to 14, not {tile_exponent}")
        picture = to_picture(image, keep, alpha_quality)
        return self._compress(
            picture,
            index,
            EFFORTS[effort],
            tile_exponent=tile_exponent,
            progress=progress,
            lossless_tiles=lossless_tiles,
            max_error=max_error,
        )

    def _compress(  # noqa: PLR0913  # what `compress` takes, checked
        self,
        picture: Picture,
        index: int,
        effort: Effort,
        *,
        tile_exponent: int = TILE_EXPONENT,
        progress: "Callable[[float], None] | None" = None,
        lossless_tiles: bool = True,
        max_error: int | None = None,
        begun: BegunTiles | None = None,
    ) -> bytes:
        """See `compress`; `begun` is of the same picture, coded before at another quality."""
        pixels, alpha = picture.pixels, picture.alpha
        model = self.model
        height, width = pixels.shape[:2]
        header = Header(
            width=width,
            height=height,
            pixel_format=PixelFormat.of(
                rgb=pixels.ndim == 3, deep=pixels.dtype == np.uint16, alpha=alpha is not None
            ),
            tile_exponent=tile_exponent,
            quality_index=index,
            model_id=model.model_id,
        )
        self._limits.check_pixels(width, height)
        boxes = list(tile_boxes(height, width, header.tile_side))
        steps = effort.rounds + (1 if max_error is None else 2)
        step = _Steps(len(boxes) * steps, progress)
        with torch.inference_mode():
            tiles = tuple(
                encode_picture_tile(model, pixels, box, index, effort, step, begun=begun)
                for box in boxes
            )
            alphas = encode_alpha(header, alpha)
            stream = Stream(header, tiles, picture.metadata.chunks(), alphas)
            if max_error is not None:
                stream = add_layer(model, pixels, stream, max_error, effort, step=step)
            elif lossless_tiles:
                stream = store_unusual_tiles(model, pixels, stream, effort, alpha, begun)
        return serialize(stream)

    def compress_strips(
        self,
        picture: StripPicture | ScanlinePicture,
        quality: float | None = None,
        *,
        effort: int = DEFAULT_EFFORT,
        tile_exponent: int = TILE_EXPONENT,
        progress: "Callable[[float], None] | None" = None,
    ) -> "Iterator[bytes]":
        """Compresses by rows of tiles, in memory that does not grow with the height.

        Args:
            picture: see `strips.open_strips` and `scanlines.open_scanlines`.
            quality: see `compress`.
            effort: see `compress`.
            tile_exponent: see `compress`.
            progress: see `compress`; tiles beside lossless ones are made twice and counted once.

        Yields:
            The pieces of an `.aec` file.

        Raises what `compress` raises.
        """
        index = quality_index(DEFAULT_QUALITY if quality is None else quality)
        _check_effort(effort)
        self._limits.check_pixels(picture.width, picture.height)
        model = self.model
        form = PixelFormat.of(rgb=not picture.gray, deep=picture.deep, alpha=False)
        header = Header(picture.width, picture.height, form, tile_exponent, index, model.model_id)
        step = _Steps(header.tile_count * (EFFORTS[effort].rounds + 1), progress)
        optional = picture.metadata.chunks() if isinstance(picture, ScanlinePicture) else ()
        yield from pack(model, picture, header, EFFORTS[effort], step=step, optional=optional)

    def compress_to(
        self,
        image: "str | os.PathLike[str] | Image.Image | npt.NDArray[Any] | Tensor | Picture",
        target: Target,
        *,
        effort: int = DEFAULT_EFFORT,
        keep: "Collection[str]" = KINDS,
        alpha_quality: float = EXACT,
    ) -> tuple[bytes, Found]:
        """Compresses a picture to a size or a fidelity, by search for the quality.

        Args:
            image: see `compress`.
            target: what to reach.
            effort: see `compress`.
            keep: see `compress`.
            alpha_quality: see `compress`.

        Returns:
            The file, and what was found; `Found.met` is False where no quality reaches the target,
            and the file is the nearest.

        Raises:
            InputError: see `compress`; or the picture is too small for MS-SSIM.
            LimitError: see `compress`.
            OSError: see `compress`.
        """
        _check_effort(effort)
        picture = to_picture(image, keep, alpha_quality)
        files: dict[float, bytes] = {}
        begun = BegunTiles(KEPT_BYTES)

        def measure(quality: float) -> float:
            files[quality] = data = self._compress(
                picture, quality_index(quality), EFFORTS[effort], begun=begun
            )
            if target.kind == "size":
                return float(len(data))
            decoded, _ = split(self.decompress_array(data))
            return measure_fidelity(target.kind, picture.pixels, decoded, picture.alpha)

        found = search_quality(target, measure)
        return files[found.quality], found

    def decompress_array(
        self,
        source: Source,
        *,
        region: Region | None = None,
        scale: "int | float | Rational" = 1,
        allow_truncated: bool = False,
        depth: int | None = None,
        lossy: bool = False,
    ) -> Pixels:
        """Decompresses to an array.

        Args:
            source: a complete `.aec` file: its bytes, a path, a URL that fsspec knows (extra
                `remote`), or a binary file object.
            region: the part of the picture to decode; only the tiles that it needs are decoded,
                and where the source is no bytes but can seek, only they are read and checked.
            scale: 2, 4 or 8, or 1/2, 1/4 or 1/8: each pixel is the mean of a square of so many
                pixels a side; sides are rounded up. A region grows to whole squares.
            allow_truncated: decodes what is left of a file that was cut off or damaged, see
                `rescue.rescue`, which also tells what is lost. A tile that was cut off is as good
                as its complete passes, and one that is lost is what the model expects of nothing.
                A residual layer counts only if all of the file is there.
            depth: 8 rounds 16-bit pictures to 8 bits; by default they stay.
            lossy: leaves a residual layer out.

        Returns:
            `(H, W)` gray, `(H, W, 2)` gray and alpha, `(H, W, 3)` RGB or `(H, W, 4)` RGB and alpha;
            uint16 for 16-bit pictures, else uint8. Colours where alpha is 0 mean nothing.

        Raises:
            FormatError: the bytes are damaged or not an .aec file.
            UnsupportedError: the file needs a newer version or an unknown model.
            LimitError: the picture exceeds the limits.
            InputError: the region does not lie within the picture, the scale or depth is none of
                these, or the source cannot be opened.
            OSError: it cannot be read.
        """
        with self._opened(source, region, allow_truncated) as (tiles, states, _):
            return self._decode(
                tiles, states, _view(tiles.header, region, scale, depth), lossy=lossy
            )

    def decompress(
        self,
        source: Source,
        *,
        region: Region | None = None,
        scale: "int | float | Rational" = 1,
        allow_truncated: bool = False,
        depth: int | None = None,
        lossy: bool = False,
    ) -> Image.Image:
        """Decompresses to a PIL image of mode L, LA, RGB or RGBA; see `decompress_array`.

        16-bit gray has mode I;16; for other 16-bit pictures Pillow has no mode, so that they need
        `depth=8` here, or an array (InputError).

        Metadata stand in its `info`; `metadata.metadata_of(image).save_options(format)` gives the
        arguments with which Pillow's `save` keeps them.
        """
        picture = self.decompress_picture(
            source,
            region=region,
            scale=scale,
            allow_truncated=allow_truncated,
            depth=depth,
            lossy=lossy,
        )
        image = to_pil(picture.whole)
        picture.metadata.attach(image)
        return image

    def decompress_picture(
        self,
        source: Source,
        *,
        region: Region | None = None,
        scale: "int | float | Rational" = 1,
        allow_truncated: bool = False,
        depth: int | None = None,
        lossy: bool = False,
    ) -> Picture:
        """Decompresses to arrays and metadata; see `decompress_array`."""
        with self._opened(source, region, allow_truncated) as (tiles, states, ancillary):
            view = _view(tiles.header, region, scale, depth)
            whole = self._decode(tiles, states, view, lossy=lossy)
            metadata = metadata_in(ancillary)
        if not tiles.header.pixel_format.has_alpha:
            return Picture(whole, metadata)
        colour = whole[:, :, 0] if whole.shape[2] == 2 else whole[:, :, :3]
        return Picture(colour, metadata, alpha=whole[:, :, -1])

    @contextmanager
    def _opened(
        self, source: Source, region: Region | None, allow_truncated: bool
    ) -> "Iterator[tuple[Tiles, Sequence[TileState] | None, Ancillary]]":
        """What a picture needs of a file; with permission to be incomplete, also what is left."""
        if allow_truncated:
            left = rescue(read_all(source, self._limits), self._limits)
            yield StreamTiles(left.stream), left.states, left.stream
        elif region is None or isinstance(source, Buffer):
            stream = parse(read_all(source, self._limits), self._limits)
            yield StreamTiles(stream), None, stream
        else:
            with opened(source) as file:
                if can_seek(file):
                    partial = PartialFile(file, self._limits)
                    yield partial, None, partial
                else:
                    stream = parse(read_all(file, self._limits), self._limits)
                    yield StreamTiles(stream), None, stream

    def _decode(
        self, tiles: Tiles, states: "Sequence[TileState] | None", view: View, *, lossy: bool
    ) -> Pixels:
        model = tiles.header.model_id
        return Bands(lambda: self._model_for(model), tiles, view, states, lossy=lossy).whole()

    @contextmanager
    def open_bands(
        self,
        source: Source,
        *,
        region: Region | None = None,
        scale: "int | float | Rational" = 1,
        depth: int | None = None,
        lossy: bool = False,
    ) -> "Iterator[tuple[Bands, Metadata]]":
        """Decompresses from top to bottom, in memory that does not grow with the height.

        Iterate over the bands, once, before the block ends. A file is read as they ask for it, so
        that damage may be found late.

        Args:
            source: see `decompress_array`; one that can seek is not held in memory.
            region: see `decompress_array`.
            scale: see `decompress_array`.
            depth: see `decompress_array`.
            lossy: see `decompress_array`.

        Raises what `decompress_array` raises, here or while the bands are read.
        """
        with opened(source) as file:
            if not can_seek(file):
                file = BytesIO(read_all(file, self._limits))
            tiles = PartialFile(file, self._limits)
            if region is None:
                tiles.table()
            view, model = _view(tiles.header, region, scale, depth), tiles.header.model_id
            bands = Bands(lambda: self._model_for(model), tiles, view, lossy=lossy)
            yield bands, metadata_in(tiles)

    def with_checksum(self, data: Buffer) -> bytes:
        """The same file with a checksum of its pixels, which `verify` compares.

        Raises what `decompress_array` raises.
        """
        stream = parse(data, self._limits)
        return serialize(with_digest(stream, pixel_digest(self._whole(stream))))

    def verify(self, data: Buffer) -> Stream:
        """Checks everything in a file, and decodes it.

        Raises what `decompress_array` raises, and ChecksumError where the file has a checksum of
        other pixels.
        """
        stream = parse(data, self._limits)
        check_digest(stream, self._whole(stream))
        return stream

    def _whole(self, stream: Stream) -> Pixels:
        return self._decode(StreamTiles(stream), None, view_of(stream.header), lossy=False)

    def repair(self, data: "bytes | bytearray | memoryview") -> tuple[bytes, Rescued]:
        """Makes a valid file of what is left of one that was cut off or damaged.

        Optional chunks behind damage are lost; whole tiles are copied as they are.

        Returns:
            A file that decodes to what `decompress_array(data, allow_truncated=True)` gives, and
            what was found.

        Raises:
            FormatError: signature or header are damaged or cut off.
            UnsupportedError: the file needs a newer version or an unknown model.
            LimitError: the picture exceeds the limits.
        """
        left = rescue(data, self._limits)
        header, tiles = left.stream.header, list(left.stream.tiles)
        model = self._model_for(header.model_id)
        index = header.quality_index
        with torch.inference_mode():
            for number, box in enumerate(boxes_of(header)):
                tile = tiles[number]
                if left.states[number] is TileState.WHOLE or not isinstance(tile, Tile):
                    continue
                grid = Grid(box.height, box.width)
                y_hat, z = decode_prefix(model.prior, tile.words, grid, index)
                tiles[number], _ = encode_latents(model.prior, y_hat * MEAN_STEP, z, index)
        repaired = replace(left.stream, tiles=tuple(tiles))
        if any(state is not TileState.WHOLE for state in left.states):
            repaired = with_digest(repaired, None)  # which was of the undamaged picture
        return serialize(repaired), left

    def _model_for(self, model_id: bytes) -> CodecModel:
        released = registry.find_model(model_id)
        if self._path is not None or released == registry.MODELS[-1]:
            own = self.model
            if own.model_id == model_id:
                return own
        if released is None:
            raise UnsupportedError(
                f"the file needs model {model_id.hex()}, which this version does not know; "
                "upgrade aecodec, or pass the weights that made the file"
            )
        with self._lock:
            if model_id not in self._others:
                self._others[model_id] = _load_released(released)
            return self._others[model_id]


def compress(
    image: "str | os.PathLike[str] | Image.Image | npt.NDArray[Any] | Tensor",
    quality: float | None = None,
    *,
    effort: int = DEFAULT_EFFORT,
    lossless: bool = False,
    max_error: int | None = None,
) -> bytes:
    """Compresses a picture with the newest released model; see `Codec.compress`."""
    return DEFAULT_CODEC.compress(
        image, quality, effort=effort, lossless=lossless, max_error=max_error
    )


def decompress(
    source: Source, *, region: Region | None = None, scale: "int | float | Rational" = 1
) -> Image.Image:
    """Decompresses a file, or a part of the picture, to a PIL image; see `Codec.decompress`."""
    return DEFAULT_CODEC.decompress(source, region=region, scale=scale)


def decompress_array(
    source: Source, *, region: Region | None = None, scale: "int | float | Rational" = 1
) -> Pixels:
    """Decompresses to an array `(H, W)` to `(H, W, 4)`; see `Codec.decompress_array`."""
    return DEFAULT_CODEC.decompress_array(source, region=region, scale=scale)


def _load_released(released: registry.ReleasedModel) -> CodecModel:
    with registry.weights_path(released) as path:
        model = load_weights(path)
    if model.model_id != released.model_id:
        raise WeightsError(
            f"the weights of {released.name} are damaged: "
            f"model {model.model_id.hex()}, not {released.model_id.hex()}"
        )
    return model


def _view(
    header: Header,
    region: Region | None,
    scale: "int | float | Rational",
    depth: int | None,
) -> View:
    if depth not in (None, 8):
        raise InputError(f"depth must be 8, or None for the picture's own, not {depth}")
    return view_of(header, region, scale_of(scale), shallow=depth == 8)


class _Steps:
    """Counts steps of known number and tells what part of them is done."""

    def __init__(self, total: int, report: "Callable[[float], None] | None") -> None:
        self._total, self._done, self._report = total, 0, report

    def __call__(self) -> None:
        self._done += 1
        if self._report is not None:
            self._report(min(self._done / self._total, 1.0))


DEFAULT_CODEC = Codec()

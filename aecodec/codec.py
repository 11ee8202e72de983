"""Pictures to `.aec` bytes and back: the facade over encoder and decoder, with models on demand."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self, Unpack

from aecodec.decoder.networks import DecoderModel
from aecodec.decoder.opening import OpenFile, open_file, open_rows
from aecodec.decoder.rows import TileRows
from aecodec.encoder.model_store import CodingStore
from aecodec.errors import InputError
from aecodec.format.chunks import DEFAULT_LIMITS, Buffer, Chunk, Header, Limits, PixelFormat
from aecodec.format.container import Stream, check_optional, parse, serialize
from aecodec.format.digest import TYPE as DIGEST
from aecodec.format.digest import PixelDigest, check_digest
from aecodec.format.reader import StreamTiles
from aecodec.models.registry import DEFAULT_TUNE, Tune
from aecodec.options import (
    DecodeOptions,
    DecodeWishes,
    EncodeOptions,
    EncodeWishes,
    Found,
    Target,
)
from aecodec.picture.metadata import Metadata
from aecodec.picture.picture import Picture, to_picture, to_pil
from aecodec.picture.pixels import Pixels
from aecodec.storage.sources import Source, read_all

if TYPE_CHECKING:
    import os

    import numpy.typing as npt
    from PIL import Image
    from torch import Tensor

    from aecodec.encoder.networks import EncoderModel
    from aecodec.encoder.tile_view import BegunTiles
    from aecodec.format.recovery import Rescued
    from aecodec.picture.row_readers import RowSource


class Codec:
    """Keeps models loaded for many pictures; safe to use from several threads.

    Models are freed by `close`, or at the end of a `with` block; a codec that is used again loads
    them again.

    Example:
        >>> import numpy as np
        >>> with Codec() as codec:
        ...     data = codec.compress(np.zeros((20, 30, 3), np.uint8), quality=60)
        ...     codec.decompress_array(data).shape
        (20, 30, 3)
    """

    def __init__(
        self, model: "str | os.PathLike[str] | None" = None, *, limits: Limits = DEFAULT_LIMITS,
        threads: int | None = None,
    ) -> None:  # fmt: skip
        """Prepares a codec; models are loaded on first use.

        Args:
            model: the name of a released model, or a weights file as `aecodec export` makes it,
                that compresses whatever comes; by default the released model of each tuning. A
                file is decoded by the model that made it.
            limits: what decoding may use.
            threads: how many decode a picture together, 1 or more (else InputError), see
                `decoder/threads.py`.
        """
        self.limits = limits
        self._models = CodingStore(model, threads)

    def __enter__(self) -> Self:
        """Does nothing more."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Frees the models."""
        self.close()

    def close(self) -> None:
        """Frees the models."""
        self._models.clear()

    @property
    def encoder(self) -> "EncoderModel":
        """The model that compresses where no tuning is asked for; see `encoder_for`."""
        return self.encoder_for(DEFAULT_TUNE)

    def encoder_for(self, tune: Tune) -> "EncoderModel":
        """The model that compresses for a tuning; the codec's own, if it was given one.

        Raises:
            WeightsError: its weights are missing or damaged, or there are none for this tuning.
        """
        return self._models.encoder(tune)

    def encoder_of(self, model_id: bytes) -> "EncoderModel":
        """The model that compresses files with this id; raises what `decoder` raises."""
        return self._models.encoder_of(model_id)

    def decoder(self, model_id: bytes) -> DecoderModel:
        """The model that decodes files with this id.

        Raises:
            UnsupportedError: it is neither released nor this codec's own.
            WeightsError: its weights are missing or damaged.
        """
        return self._models.decoder(model_id)

    def compress(
        self,
        image: "str | os.PathLike[str] | Image.Image | npt.NDArray[Any] | Tensor | Picture",
        quality: float | None = None,
        *,
        options: EncodeOptions | None = None,
        progress: Callable[[float], None] | None = None,
        **wishes: Unpack[EncodeWishes],
    ) -> bytes:
        """Compresses a picture.

        Args:
            image: a path, a PIL image, a NumPy array `(H, W)`, `(H, W, 3)` or with alpha
                `(H, W, 2)` or `(H, W, 4)`, or a torch tensor `(c, H, W)` of 1 to 4 channels.
                Arrays and tensors are uint8, uint16, or floating in [0, 1], which are coded as
                16 bits. Alpha that is opaque everywhere is left out.
            quality: 0 to 100, 75 by default; see `EncodeOptions`.
            options: how to compress.
            progress: called with the part of the work that is done, rising to 1.
            wishes: fields of `EncodeOptions`, in place of those of `options`.

        Returns:
            A complete `.aec` file. With a target that no quality reaches it is the nearest.

        Raises:
            InputError: an argument is not acceptable; the message says why.
            WeightsError: weights are missing or damaged, or there are none for the tuning.
            LimitError: the picture has more pixels or metadata than `Limits` allow, so that what
                was written could not be read.
            OSError: `image` is a path that cannot be read.
        """
        chosen = replace(options or EncodeOptions(), **wishes)
        if quality is not None:
            chosen = replace(chosen, quality=quality)
        picture = to_picture(image, chosen.keep, chosen.alpha_quality, self.limits)
        if chosen.target is not None:
            return self._search(picture, chosen.target, chosen)[0]
        from aecodec.picture.row_readers import PictureRows

        return b"".join(self.compress_rows(PictureRows(picture), chosen, progress=progress))

    def compress_to(
        self,
        image: "str | os.PathLike[str] | Image.Image | npt.NDArray[Any] | Tensor | Picture",
        target: Target,
        *,
        options: EncodeOptions | None = None, **wishes: Unpack[EncodeWishes],
    ) -> tuple[bytes, Found]:  # fmt: skip
        """Compresses a picture to a size or a fidelity, by search for the quality.

        Args:
            image: see `compress`.
            target: what to reach.
            options: see `compress`.
            wishes: see `compress`.

        Returns:
            The file, and what was found; `Found.met` is False where no quality reaches the target,
            and the file is the nearest.

        Raises what `compress` raises, and InputError where the picture is too small for MS-SSIM.
        """
        chosen = replace(options or EncodeOptions(), target=target, **wishes)
        picture = to_picture(image, chosen.keep, chosen.alpha_quality, self.limits)
        return self._search(picture, target, chosen)

    def compress_rows(
        self, source: "RowSource", options: EncodeOptions, *,
        progress: Callable[[float], None] | None = None, begun: "BegunTiles | None" = None,
    ) -> Iterator[bytes]:  # fmt: skip
        """Compresses by rows of tiles, in memory that does not grow with the picture's height.

        Args:
            source: the picture, see `row_readers.open_rows`.
            options: how, without a target.
            progress: see `compress`.
            begun: what was kept of the same picture at other qualities.

        Returns:
            The pieces of an `.aec` file.

        Raises what `compress` raises, here or while the pieces are made.
        """
        from aecodec.encoder.rows import encode_rows

        if options.target is not None:
            raise InputError("a target needs the whole picture: use compress_to")
        if options.tune is not None and self._models.has_own:
            raise InputError("a tuning and a model that the codec was given exclude each other")
        self.limits.check_pixels(source.width, source.height)
        optional = source.metadata.chunks()
        digest = (Chunk(DIGEST, PixelDigest().result()),) if options.checksum else ()
        check_optional((*optional, *digest), self.limits)
        encoder = self.encoder_for(options.model_tune)
        form = PixelFormat.of(
            rgb=not source.gray, sixteen_bit=source.sixteen_bit,
            alpha=source.alpha(0, 1) is not None,
        )  # fmt: skip
        header = Header(
            source.width, source.height, form, options.tile_exponent, options.quality_index,
            encoder.decoder.model_id,
        )  # fmt: skip
        return encode_rows(
            encoder, source, header, options, optional=optional, progress=progress, begun=begun
        )

    def decompress_array(
        self, source: Source, *, options: DecodeOptions | None = None,
        **wishes: Unpack[DecodeWishes],
    ) -> Pixels:  # fmt: skip
        """Decompresses to an array.

        Args:
            source: a complete `.aec` file: its bytes, a path, a URL that fsspec knows (extra
                `remote`), or a binary file object.
            options: what of it to decode.
            wishes: fields of `DecodeOptions`, in place of those of `options`.

        Returns:
            `(H, W)` gray, `(H, W, 2)` gray and alpha, `(H, W, 3)` RGB or `(H, W, 4)` RGB and alpha;
            uint16 for 16-bit pictures, else uint8. Colours where alpha is 0 mean nothing.

        Raises:
            FormatError: the bytes are damaged or not an .aec file.
            UnsupportedError: the file needs a newer version or an unknown model.
            LimitError: the picture exceeds the limits.
            InputError: an option is not acceptable, the region does not lie within the picture, or
                the source cannot be opened.
            OSError: it cannot be read.
        """
        return self.decompress_picture(source, options=options, **wishes).whole

    def decompress(
        self, source: Source, *, options: DecodeOptions | None = None,
        **wishes: Unpack[DecodeWishes],
    ) -> "Image.Image":  # fmt: skip
        """Decompresses to a PIL image of mode L, LA, RGB or RGBA; see `decompress_array`.

        16-bit gray has mode I;16; for other 16-bit pictures Pillow has no mode, so that they need
        `depth=8` here, or an array (InputError).

        Metadata stand in its `info`; `metadata.metadata_of(image).save_options(format)` gives the
        arguments with which Pillow's `save` keeps them.
        """
        picture = self.decompress_picture(source, options=options, **wishes)
        image = to_pil(picture.whole)
        picture.metadata.attach(image)
        return image

    def decompress_picture(
        self, source: Source, *, options: DecodeOptions | None = None,
        **wishes: Unpack[DecodeWishes],
    ) -> Picture:  # fmt: skip
        """Decompresses to arrays and metadata; see `decompress_array`."""
        chosen = replace(options or DecodeOptions(), **wishes)
        with open_file(source, chosen, self.limits) as file:
            return self.decode(file, chosen)

    def decode(self, file: OpenFile, options: DecodeOptions) -> Picture:
        """Decodes a file that was opened with the same options."""
        header = file.tiles.header
        rows = TileRows(
            lambda: self.decoder(header.model_id), file.tiles, options.view(header), file.states,
            lossy=options.lossy,
        )  # fmt: skip
        whole, (metadata, losses) = rows.whole(), file.described(options)
        if not header.pixel_format.has_alpha:
            return Picture(whole, metadata, losses=losses)
        colour = whole[:, :, 0] if whole.shape[2] == 2 else whole[:, :, :3]
        return Picture(colour, metadata, alpha=whole[:, :, -1], losses=losses)

    @contextmanager
    def open_rows(
        self, source: Source, *, options: DecodeOptions | None = None,
        **wishes: Unpack[DecodeWishes],
    ) -> Iterator[tuple[TileRows, Metadata]]:  # fmt: skip
        """Decompresses from top to bottom, in memory that does not grow with the height.

        Iterate over the rows, once, before the block ends. A file is read as they ask for it, so
        that damage may be found late.

        Args:
            source: see `decompress_array`; one that can seek is not held in memory.
            options: see `decompress_array`; a file that was cut off cannot be read so.
            wishes: see `decompress_array`.

        Raises what `decompress_array` raises, here or while the rows are read.
        """
        chosen = replace(options or DecodeOptions(), **wishes)
        if chosen.allow_truncated:
            raise InputError("a file that was cut off is not decoded by rows")
        with open_rows(source, chosen, self.limits) as file:
            model_id = file.tiles.header.model_id
            rows = TileRows(
                lambda: self.decoder(model_id), file.tiles, chosen.view(file.tiles.header),
                lossy=chosen.lossy,
            )  # fmt: skip
            yield rows, file.described(chosen)[0]

    def verify(self, data: Buffer) -> Stream:
        """Checks everything in a file, and decodes it.

        Raises what `decompress_array` raises, and ChecksumError where the file has a checksum of
        other pixels.
        """
        stream = parse(data, self.limits)
        rows = TileRows(
            lambda: self.decoder(stream.header.model_id), StreamTiles(stream),
            DecodeOptions().view(stream.header),
        )  # fmt: skip
        digest = PixelDigest()
        for row in rows:
            digest.update(row)
        check_digest(stream, digest.result())
        return stream

    def repair(self, source: Source) -> "tuple[bytes, Rescued]":
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
        from aecodec.encoder.repair import repaired
        from aecodec.format.recovery import rescue

        left = rescue(read_all(source, self.limits), self.limits)
        prior = self.decoder(left.stream.header.model_id).prior
        return serialize(repaired(left, prior)), left

    def _search(self, picture: Picture, target: Target, how: EncodeOptions) -> tuple[bytes, Found]:
        from aecodec.encoder.rate_control import search_file

        if not self._models.has_own:
            how = replace(how, tune=how.model_tune)
        return search_file(target, picture, how, self.compress_rows, self.decompress_array)


_shared: Codec | None = None
_shared_lock = threading.Lock()


def shared_codec() -> Codec:
    """The codec that the functions below use, made when it is first needed."""
    global _shared
    with _shared_lock:
        if _shared is None:
            _shared = Codec()
        return _shared


def close() -> None:
    """Frees the models that the functions below have loaded."""
    global _shared
    with _shared_lock:
        if _shared is not None:
            _shared.close()
        _shared = None


def compress(
    image: "str | os.PathLike[str] | Image.Image | npt.NDArray[Any] | Tensor",
    quality: float | None = None,
    **wishes: Unpack[EncodeWishes],
) -> bytes:
    """Compresses a picture with a released model; see `Codec.compress`."""
    return shared_codec().compress(image, quality, **wishes)


def decompress(source: Source, **wishes: Unpack[DecodeWishes]) -> "Image.Image":
    """Decompresses a file, or a part of the picture, to a PIL image; see `Codec.decompress`."""
    return shared_codec().decompress(source, **wishes)


def decompress_array(source: Source, **wishes: Unpack[DecodeWishes]) -> Pixels:
    """Decompresses to an array `(H, W)` to `(H, W, 4)`; see `Codec.decompress_array`."""
    return shared_codec().decompress_array(source, **wishes)

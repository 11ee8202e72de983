"""`.aec` files in imageio, from version 2.31 on: `imageio.v3.imread` and its kin.

Source: imageio's "Developer guide", and its class `PluginV3`.
"""

from collections.abc import Iterator
from types import EllipsisType
from typing import Any, BinaryIO, Unpack

import numpy as np
import numpy.typing as npt
from imageio.core.request import URI_BYTES, InitializationError, IOMode, Request
from imageio.core.v3_plugin_api import ImageProperties, PluginV3
from PIL import Image

from aecodec.errors import AecError, InputError
from aecodec.format.chunks import DEFAULT_LIMITS, Header
from aecodec.format.reader import FileReader
from aecodec.info import read_info
from aecodec.options import DecodeOptions, DecodeWishes, EncodeOptions
from aecodec.picture.metadata import metadata_in
from aecodec.picture.pixels import Pixels
from aecodec.plugins.codecs import plugin_codec
from aecodec.plugins.names import SUFFIX


class AecPlugin(PluginV3):
    """Reads and writes one .aec file, which holds one picture.

    Arrays are `(H, W)`, `(H, W, 2)`, `(H, W, 3)` or `(H, W, 4)`, uint8 or uint16. EXIF is not
    applied to them, as `Codec.decompress_array` says.
    """

    def __init__(self, request: Request) -> None:
        """Takes a request.

        Raises:
            InitializationError: it is not for a file of this kind.
        """
        super().__init__(request)
        if request.mode.io_mode == IOMode.write:
            if request.extension != SUFFIX:
                raise InitializationError(f"aecodec writes {SUFFIX}, not {request.extension}")
            return
        try:
            self._header = read_info(self._file)
        except AecError as exc:
            raise InitializationError(str(exc)) from exc

    @property
    def _file(self) -> BinaryIO:
        file: BinaryIO = self.request.get_file()
        return file

    def read(
        self, *, index: int | EllipsisType | None = None, **wishes: Unpack[DecodeWishes]
    ) -> Pixels:
        """Decodes the picture.

        Args:
            index: 0 or None; `...` puts an axis of one picture before the others.
            wishes: fields of `DecodeOptions`, such as `scale` and `region`.

        Raises what `Codec.decompress_array` raises, and ValueError for any other index.
        """
        _check(index)
        pixels = plugin_codec().decompress_array(self._file, **wishes)
        return pixels[None] if index is ... else pixels

    def iter(self, **wishes: Unpack[DecodeWishes]) -> Iterator[Pixels]:
        """Yields the picture."""
        yield self.read(**wishes)

    def write(
        self, ndimage: "npt.ArrayLike | list[npt.ArrayLike]", *, is_batch: bool = False,
        **wishes: Any,  # noqa: ANN401  # `EncodeOptions` checks them
    ) -> bytes | None:  # fmt: skip
        """Encodes a picture.

        Args:
            ndimage: see `Codec.compress`; a list or a batch may hold one.
            is_batch: whether the first axis counts pictures.
            wishes: fields of `EncodeOptions`, such as `quality`, `effort` and `lossless`.

        Returns:
            The file, where the request is for "<bytes>".

        Raises:
            InputError: see `Codec.compress`; or there are several pictures.
            TypeError: there is no such wish.
        """
        pictures = list(ndimage) if is_batch or isinstance(ndimage, list) else [ndimage]  # type: ignore[arg-type]  # an array has rows
        if len(pictures) != 1:
            raise InputError(f"an .aec file holds one picture, not {len(pictures)}")
        options = EncodeOptions(**wishes)
        data = plugin_codec().compress(np.asarray(pictures[0]), options=options)
        self._file.write(data)
        return data if self.request._uri_type == URI_BYTES else None

    def properties(self, index: int | EllipsisType | None = None) -> ImageProperties:
        """Shape and type of what `read` gives; no pixels are decoded."""
        _check(index)
        shape, kind = _shape(self._header), self._header.pixel_format
        dtype = np.dtype(np.uint16 if kind.is_sixteen_bit else np.uint8)
        if index is ...:
            return ImageProperties(shape=(1, *shape), dtype=dtype, n_images=1, is_batch=True)
        return ImageProperties(shape=shape, dtype=dtype)

    def metadata(
        self, index: int | EllipsisType | None = None, exclude_applied: bool = True
    ) -> dict[str, Any]:
        """What the file says of its picture, under Pillow's names, such as "icc_profile".

        Nothing of it is applied to the pixels, so that `exclude_applied` means nothing.
        """
        _check(index)
        holder = Image.new("1", (1, 1))
        metadata_in(FileReader(self._file, DEFAULT_LIMITS)).attach(holder)
        return {str(key): value for key, value in holder.info.items()}


def _check(index: int | EllipsisType | None) -> None:
    if index not in (0, None, ...):
        raise ValueError(f"an .aec file holds one picture: the index is 0 or ..., not {index}")


def _shape(header: Header) -> tuple[int, ...]:
    height, width = DecodeOptions().view(header).size
    channels = header.pixel_format.channels
    return (height, width) if channels == 1 else (height, width, channels)

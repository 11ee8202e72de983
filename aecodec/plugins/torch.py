"""`.aec` files as PyTorch tensors: one picture, or a folder of them for a `DataLoader`.

The function follows `torchvision.io.decode_image`, and takes its modes by name.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np
import torch
from torch.utils.data import Dataset

from aecodec.codec import Codec
from aecodec.errors import AecError, InputError
from aecodec.options import DecodeOptions, DecodeWishes
from aecodec.picture.metadata import turned
from aecodec.picture.orientation import orientation_in
from aecodec.picture.pixels import Pixels, peak
from aecodec.plugins.codecs import plugin_codec
from aecodec.plugins.names import SUFFIX

if TYPE_CHECKING:
    from aecodec.storage.sources import Source

_CHANNELS = {"UNCHANGED": None, "GRAY": 1, "GRAY_ALPHA": 2, "RGB": 3, "RGB_ALPHA": 4, "RGBA": 4}
_LUMA = (19595, 38470, 7471)
"""Shares of red, green and blue in gray of 65536, as Pillow and libjpeg have them; ITU-R BT.601."""


def decode_image(
    source: "torch.Tensor | Source", mode: object = "UNCHANGED", *,
    apply_exif_orientation: bool = False, codec: Codec | None = None,
    **wishes: Unpack[DecodeWishes],
) -> torch.Tensor:  # fmt: skip
    """Decodes a picture to a tensor.

    Args:
        source: a one-dimensional uint8 tensor of a file's bytes, or what
            `Codec.decompress_array` takes.
        mode: the channels that are wanted: "UNCHANGED", "GRAY", "GRAY_ALPHA", "RGB" or
            "RGB_ALPHA", or that member of `torchvision.io.ImageReadMode`. Alpha that is not
            wanted is dropped, and alpha that is not there is opaque.
        apply_exif_orientation: turns the picture as EXIF says.
        codec: which codec decodes; by default the one of `codecs.use_codec`.
        wishes: fields of `DecodeOptions`, such as `scale` and `region`.

    Returns:
        `(c, H, W)`, uint8, or uint16 for 16-bit pictures, for which `depth=8` asks for uint8.

    Raises:
        InputError: the mode is none of these, or the tensor holds no bytes.
        AecError: what else `Codec.decompress_array` raises.
        OSError: the source cannot be read.

    Example:
        >>> import aecodec
        >>> data = aecodec.compress(torch.zeros(3, 20, 30, dtype=torch.uint8))
        >>> decode_image(data, "GRAY").shape
        torch.Size([1, 20, 30])
    """
    channels = _channels(mode)
    if isinstance(source, torch.Tensor):
        source = _bytes(source)
    picture = (codec or plugin_codec()).decompress_picture(source, options=DecodeOptions(**wishes))
    whole = picture.whole
    if apply_exif_orientation:
        whole = turned(whole, orientation_in(picture.metadata))
    planes = _planes(whole, channels)
    return torch.from_numpy(np.ascontiguousarray(planes.transpose(2, 0, 1)))


class AecFolder(Dataset[Any]):
    """The .aec files of a folder and its subfolders, in the order of their paths.

    A worker of a `DataLoader` loads its model when it decodes its first picture.

    Attributes:
        paths: the files.

    Example:
        >>> from tempfile import TemporaryDirectory
        >>> import aecodec
        >>> with TemporaryDirectory() as folder:
        ...     data = aecodec.compress(np.zeros((20, 30), np.uint8))
        ...     _ = (Path(folder) / "a.aec").write_bytes(data)
        ...     AecFolder(folder, scale=2)[0].shape
        torch.Size([3, 10, 15])
    """

    def __init__(
        self, folder: "str | os.PathLike[str]", *, mode: object = "RGB",
        transform: Callable[[torch.Tensor], Any] | None = None,
        label: Callable[[Path], Any] | None = None, model: "str | os.PathLike[str] | None" = None,
        **wishes: Unpack[DecodeWishes],
    ) -> None:  # fmt: skip
        """Lists a folder.

        Args:
            folder: the folder.
            mode: see `decode_image`.
            transform: applied to each tensor `(c, H, W)`.
            label: gives what stands beside the picture of a path, such as its class; without it
                an item is the picture alone.
            model: see `Codec`; by default, and if no codec is given to `codecs.use_codec`, the
                model that made each file.
            wishes: fields of `DecodeOptions`, such as `scale=4`, which decodes smaller pictures.

        Raises:
            InputError: an argument is not acceptable, or the folder has no such files.
        """
        _channels(mode)
        DecodeOptions(**wishes)
        self.paths = sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() == SUFFIX)
        if not self.paths:
            raise InputError(f"{os.fspath(folder)}: no {SUFFIX} files")
        self._mode, self._wishes = str(getattr(mode, "name", mode)), wishes
        self._transform, self._label = transform, label
        self._model, self._codec = model, (0, Codec(model) if model is not None else None)

    def __len__(self) -> int:
        """The number of files."""
        return len(self.paths)

    def __getitem__(self, index: int) -> Any:  # noqa: ANN401  # what `transform` makes of it
        """The picture, or picture and label.

        Raises:
            InputError: the file is damaged, or needs a model that is unknown.
            OSError: it cannot be read.
        """
        path = self.paths[index]
        try:
            picture: Any = decode_image(path, self._mode, codec=self._own(), **self._wishes)
        except AecError as exc:
            raise InputError(f"{path}: {exc}") from exc
        if self._transform is not None:
            picture = self._transform(picture)
        return picture if self._label is None else (picture, self._label(path))

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the codec, which each process makes for itself."""
        return {**self.__dict__, "_codec": (0, None)}

    def _own(self) -> Codec | None:
        """The codec of this process, if there is a model of one's own."""
        if self._model is None:
            return None
        process, codec = self._codec
        if codec is None or process != os.getpid():
            codec = Codec(self._model)
            self._codec = (os.getpid(), codec)
        return codec


def _channels(mode: object) -> int | None:
    name = str(getattr(mode, "name", mode))
    if name not in _CHANNELS:
        raise InputError(f"mode must be one of {', '.join(_CHANNELS)}, not {name!r}")
    return _CHANNELS[name]


def _bytes(tensor: torch.Tensor) -> bytes:
    if tensor.dtype != torch.uint8 or tensor.ndim != 1:
        kind = f"{tuple(tensor.shape)} {tensor.dtype}"
        raise InputError(f"the bytes of a file are a one-dimensional uint8 tensor, not {kind}")
    return tensor.cpu().numpy().tobytes()


def _planes(whole: Pixels, channels: int | None) -> Pixels:
    """Pixels `(H, W)` to `(H, W, 4)` as `(H, W, c)` of the channels that are wanted."""
    planes = whole if whole.ndim == 3 else whole[:, :, None]
    if channels is None or channels == planes.shape[2]:
        return planes
    has_alpha = planes.shape[2] in (2, 4)
    colour = planes[:, :, :-1] if has_alpha else planes
    if channels >= 3 and colour.shape[2] == 1:
        colour = colour.repeat(3, axis=2)
    if channels <= 2 and colour.shape[2] == 3:
        colour = _gray(colour)
    if channels in (1, 3):
        return colour
    alpha = planes[:, :, -1:] if has_alpha else np.full_like(colour[:, :, :1], peak(whole))
    return np.concatenate((colour, alpha), axis=2)


def _gray(colour: Pixels) -> Pixels:
    wide = colour.astype(np.uint32)
    luma = (wide @ np.array(_LUMA, np.uint32) + np.uint32(2**15)) >> np.uint32(16)
    return luma.astype(colour.dtype)[:, :, None]

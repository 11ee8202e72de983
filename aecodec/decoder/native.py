"""The decoder on the kernel: what `networks.py` asks for, in calls of compiled code."""

import ctypes
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.decoder.native_library import (
    LEVELS,
    MEMORY,
    OK,
    PAYLOAD,
    LibraryError,
    library,
    wish,
)
from aecodec.decoder.networks import Levels, Means, Symbols, YHat
from aecodec.decoder.prior_tables import Ints
from aecodec.errors import PayloadError
from aecodec.format.constants import GROUP, PASSES, STRIDE
from aecodec.models.weights import Array, TensorTree, Weights
from aecodec.picture.pixels import Pixels

PLACES_PER_THREAD = 64
"""Latents that keep a thread busy for longer than it takes to start."""


class NativeModel:
    """A model in the kernel, ready for decoding; safe to use from several threads."""

    def __init__(self, weights: Weights, threads: int) -> None:
        """Hands the weights over.

        Args:
            weights: of the model.
            threads: that share the work of one call.

        Raises:
            LibraryError: there is no kernel, or it does not take these weights.
        """
        self.library = library()
        self.config = config = weights.config
        self.threads = threads
        handle = self.library.aec_create(
            wish().level, config.channels, config.latent_channels, config.hyper_channels,
            config.context_channels, config.synthesis_blocks,
        )  # fmt: skip
        if not handle:
            raise LibraryError("the kernel has no such level, or takes no model of these sizes")
        self.handle = handle
        self._finalizer = weakref.finalize(self, self.library.aec_free, handle)
        self._give(weights)

    @property
    def level(self) -> str:
        """Name of the instructions that it uses."""
        return LEVELS[self.library.aec_level(self.handle)]

    def workers(self, size: tuple[int, int]) -> int:
        """How many threads pay for so many rows and columns of latents."""
        height, width = size
        return max(1, min(self.threads, height * width // PLACES_PER_THREAD))

    def _give(self, weights: Weights) -> None:
        kept = [
            tensor
            for part in ("prior", "synthesis")
            for tensor in _flat(weights.tensors[part], f"{part}.")
        ]
        statuses = [self._tensor(name, array) for name, array in kept]
        if any(statuses) or self.library.aec_ready(self.handle) != OK:
            raise LibraryError(self.library.aec_message(self.handle).decode())

    def _tensor(self, name: str, array: Array) -> int:
        shape = (ctypes.c_uint32 * array.ndim)(*array.shape)
        status: int = self.library.aec_tensor(
            self.handle, name.encode(), array.ctypes.data, 8 * array.itemsize, array.ndim, shape
        )
        return status


class NativePrior:
    """`networks.PriorNetworks` on the kernel."""

    def __init__(self, model: NativeModel) -> None:
        """Takes a model."""
        self._model = model

    def begin(self, z_hat: Ints, size: tuple[int, int], quality_index: int) -> "NativePasses":
        """See `networks.PriorNetworks`."""
        return NativePasses(self._model, z_hat, size, quality_index)

    def decode(self, words: bytes, size: tuple[int, int], quality_index: int) -> YHat:
        """See `networks.PriorNetworks`."""
        model = self._model
        if len(words) % 4:
            raise PayloadError(f"{len(words)} bytes of words are not a multiple of 4")
        y_hat = np.empty((*size, model.config.latent_channels), np.int16)
        status = model.library.aec_decode_latents(
            model.handle, bytes(words), len(words) // 4, *size, quality_index,
            model.workers(size), y_hat.ctypes.data,
        )  # fmt: skip
        if status == PAYLOAD:
            raise PayloadError("the words do not fit the tile")
        _check(status)
        return y_hat


class NativePasses:
    """`networks.TilePasses` on the kernel."""

    def __init__(
        self, model: NativeModel, z_hat: Ints, size: tuple[int, int], quality_index: int
    ) -> None:
        """Begins the passes; see `networks.PriorNetworks.begin`."""
        self._library, self._size = model.library, size
        self._channels = model.config.latent_channels
        hyper = np.ascontiguousarray(z_hat, np.int32)
        self._handle = self._library.aec_begin(
            model.handle, hyper.ctypes.data, *size, quality_index, model.workers(size)
        )
        if not self._handle:
            raise MemoryError
        self._finalizer = weakref.finalize(self, self._library.aec_end, self._handle)

    def predict(self) -> tuple[Levels, Means]:
        """See `networks.TilePasses`."""
        rows, columns = (-(-side // GROUP) * GROUP // 2 for side in self._size)
        shape = PASSES, rows, columns, self._channels // PASSES
        levels, means = np.empty(shape, np.uint8), np.empty(shape, np.int32)
        _check(self._library.aec_predict(self._handle, levels.ctypes.data, means.ctypes.data))
        return levels, means

    def put(self, symbols: Symbols) -> None:
        """See `networks.TilePasses`."""
        contiguous = np.ascontiguousarray(symbols, np.int32)
        _check(self._library.aec_put(self._handle, contiguous.ctypes.data))

    def latents(self) -> YHat:
        """See `networks.TilePasses`."""
        y_hat = np.empty((*self._size, self._channels), np.int16)
        _check(self._library.aec_latents(self._handle, y_hat.ctypes.data))
        return y_hat

    def words(self) -> bytes:
        """See `networks.TilePasses`."""
        count = ctypes.c_size_t()
        place = self._library.aec_words(self._handle, ctypes.byref(count))
        if not place:
            raise MemoryError
        return ctypes.string_at(place, 4 * count.value)


class NativeSynthesis:
    """`networks.SynthesisNetwork` on the kernel."""

    def __init__(self, model: NativeModel) -> None:
        """Takes a model."""
        self._model = model

    def pixels(
        self, y_hat: YHat, quality_index: int, *, scale: int, inside: tuple[int, int],
        sixteen_bit: bool, gray: bool,
    ) -> Pixels:  # fmt: skip
        """See `networks.SynthesisNetwork`."""
        model, y = self._model, np.ascontiguousarray(y_hat)
        height, width = y.shape[:2]
        rows, columns = (side * STRIDE // scale for side in (height, width))
        kind: npt.DTypeLike = np.uint16 if sixteen_bit else np.uint8
        samples: npt.NDArray[Any] = np.empty((rows, columns) if gray else (rows, columns, 3), kind)
        status = model.library.aec_synthesize(
            model.handle, y.ctypes.data, height, width, quality_index, scale, *inside,
            sixteen_bit, gray, model.workers((height, width)), samples.ctypes.data,
        )  # fmt: skip
        _check(status)
        return samples


def _check(status: int) -> None:
    """Raises MemoryError; any other fault of arguments is one of this module."""
    if status == MEMORY:
        raise MemoryError
    assert status == OK, status


def _flat(tree: TensorTree, prefix: str) -> Iterator[tuple[str, Array]]:
    """Contiguous tensors with their whole names."""
    for name, array in tree.arrays.items():
        yield prefix + name, array if array.flags.c_contiguous else array.copy()
    for name, part in tree.parts.items():
        yield from _flat(part, f"{prefix}{name}.")

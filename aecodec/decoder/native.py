"""The decoder on the kernel: what `networks.py` asks for, in calls of compiled code."""

import ctypes
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from aecodec.decoder.native_library import MEMORY, OK, PAYLOAD, library
from aecodec.decoder.networks import Levels, Means, Symbols, YHat
from aecodec.decoder.prior_tables import Ints
from aecodec.decoder.runtime_choice import LEVELS, LibraryError, wish
from aecodec.errors import PayloadError
from aecodec.format.constants import GROUP, PASSES, STRIDE
from aecodec.format.quality_map import Quality
from aecodec.models.weights import Array, TensorTree, Weights
from aecodec.picture.pixels import Pixels

Floats = npt.NDArray[np.float32]

PLACES_PER_THREAD = 64
"""Latents that keep a thread busy for longer than it takes to start."""


class NativeHandle:
    """Weights in the kernel, ready to compute; safe to use from several threads."""

    def __init__(self, handle: int | None, tensors: Mapping[str, Array], threads: int) -> None:
        """Hands the weights over.

        Args:
            handle: what the kernel made for models of these sizes.
            tensors: all that it asks for, by their names in the file.
            threads: that share the work of one call.

        Raises:
            LibraryError: the kernel does not take these weights.
        """
        self.library = library()
        self.threads = threads
        if not handle:
            raise LibraryError("the kernel has no such level, or takes no model of these sizes")
        self.handle = handle
        self._finalizer = weakref.finalize(self, self.library.aec_free, handle)
        kept = {name: np.require(array, requirements="C") for name, array in tensors.items()}
        statuses = [self._tensor(name, array) for name, array in kept.items()]
        if any(statuses) or self.library.aec_ready(handle) != OK:
            raise LibraryError(self.library.aec_message(handle).decode())

    @property
    def level(self) -> str:
        """Name of the instructions that it uses."""
        return LEVELS[self.library.aec_level(self.handle)]

    def workers(self, size: tuple[int, int]) -> int:
        """How many threads pay for so many rows and columns of latents."""
        height, width = size
        return max(1, min(self.threads, height * width // PLACES_PER_THREAD))

    def _tensor(self, name: str, array: Array) -> int:
        shape = (ctypes.c_uint32 * array.ndim)(*array.shape)
        status: int = self.library.aec_tensor(
            self.handle, name.encode(), array.ctypes.data, 8 * array.itemsize, array.ndim, shape
        )
        return status


class NativeModel(NativeHandle):
    """A model that decodes."""

    def __init__(self, weights: Weights, threads: int) -> None:
        """Takes a whole model.

        Raises:
            LibraryError: there is no kernel, or it does not take these weights.
        """
        self.config = c = weights.config
        handle = library().aec_create(
            wish().level, c.channels, c.latent_channels, c.hyper_channels, c.context_channels,
            c.synthesis_blocks, c.synthesis_coarse_blocks,
        )  # fmt: skip
        parts = {name: weights.tensors[name] for name in ("prior", "synthesis")}
        super().__init__(handle, dict(_flat(TensorTree({}, parts))), threads)


class GivenQuality:
    """The two arguments by which the kernel takes a quality: an index, and a map or NULL."""

    def __init__(self, quality: Quality, size: tuple[int, int]) -> None:
        """Takes a quality of `(h, w)` latents; it must live while the kernel reads it."""
        self._map: npt.NDArray[np.int16] | None = None
        self.arguments: tuple[int, int | None]
        if isinstance(quality, int):
            self.arguments = quality, None
        else:
            self._map = np.ascontiguousarray(quality, np.int16)
            assert self._map.shape == size, self._map.shape
            self.arguments = 0, self._map.ctypes.data


class NativePrior:
    """`networks.PriorNetworks` on the kernel."""

    def __init__(self, model: NativeModel) -> None:
        """Takes a model."""
        self._model = model

    def begin(self, z_hat: Ints, size: tuple[int, int], quality: Quality) -> "NativePasses":
        """See `networks.PriorNetworks`."""
        return NativePasses(self._model, z_hat, size, quality)

    def decode(self, words: bytes, size: tuple[int, int], quality: Quality) -> YHat:
        """See `networks.PriorNetworks`."""
        model = self._model
        if len(words) % 4:
            raise PayloadError(f"{len(words)} bytes of words are not a multiple of 4")
        y_hat = np.empty((*size, model.config.latent_channels), np.int16)
        given = GivenQuality(quality, size)
        status = model.library.aec_decode_latents(
            model.handle, bytes(words), len(words) // 4, *size, *given.arguments,
            model.workers(size), y_hat.ctypes.data,
        )  # fmt: skip
        if status == PAYLOAD:
            raise PayloadError("the words do not fit the tile")
        _check(status)
        return y_hat

    def encode(
        self, y: Floats, z_hat: Ints, quality: Quality, edges: Floats | None
    ) -> tuple[bytes, YHat]:
        """See `networks.PriorNetworks`."""
        passes = NativePasses(self._model, z_hat, (y.shape[0], y.shape[1]), quality)
        for _ in range(PASSES):
            passes.round(y, edges)
        return passes.words(), passes.latents()


class NativePasses:
    """`networks.TilePasses` on the kernel."""

    def __init__(
        self, model: NativeModel, z_hat: Ints, size: tuple[int, int], quality: Quality
    ) -> None:
        """Begins the passes; see `networks.PriorNetworks.begin`."""
        self._library, self._size = model.library, size
        self._channels = model.config.latent_channels
        hyper, given = np.ascontiguousarray(z_hat, np.int32), GivenQuality(quality, size)
        self._handle = self._library.aec_begin(
            model.handle, hyper.ctypes.data, *size, *given.arguments, model.workers(size)
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

    def round(self, y: Floats, edges: Floats | None) -> None:
        """Predicts a pass and puts what latents `(h, w, M)` round to; see `encode`."""
        latents = np.ascontiguousarray(y, np.float32)
        kept = None if edges is None else np.ascontiguousarray(edges, np.float32)
        place = None if kept is None else kept.ctypes.data
        _check(self._library.aec_round(self._handle, latents.ctypes.data, place))

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
        self, y_hat: YHat, quality: Quality, *, scale: int, inside: tuple[int, int],
        sixteen_bit: bool, gray: bool,
    ) -> Pixels:  # fmt: skip
        """See `networks.SynthesisNetwork`."""
        model, y = self._model, np.ascontiguousarray(y_hat)
        height, width = y.shape[:2]
        given = GivenQuality(quality, (height, width))
        rows, columns = (side * STRIDE // scale for side in (height, width))
        kind: npt.DTypeLike = np.uint16 if sixteen_bit else np.uint8
        samples: npt.NDArray[Any] = np.empty((rows, columns) if gray else (rows, columns, 3), kind)
        status = model.library.aec_synthesize(
            model.handle, y.ctypes.data, height, width, *given.arguments, scale, *inside,
            sixteen_bit, gray, model.workers((height, width)), samples.ctypes.data,
        )  # fmt: skip
        _check(status)
        return samples


class NativeAnalysis(NativeHandle):
    """What encoders ask of a model, SPECIFICATION.md, section 19.

    It satisfies `AnalysisNetworks` of the encoder.
    """

    def __init__(self, weights: Weights, threads: int) -> None:
        """Takes a whole model.

        Raises:
            LibraryError: there is no kernel, or it does not take these weights.
        """
        self.config = c = weights.config
        handle = library().aec_create_analysis(
            wish().level, c.channels, c.latent_channels, c.hyper_channels, c.context_channels,
            c.analysis_blocks, c.analysis_coarse_blocks,
        )  # fmt: skip
        parts = {name: weights.tensors[name] for name in ("analysis", "hyper_analysis")}
        tables = weights.tensors["prior"]["tables"]
        tensors = dict(_flat(TensorTree({}, parts)))
        tensors |= {f"prior.tables.{n}": tables.array(n) for n in ("base", "reciprocals")}
        super().__init__(handle, tensors, threads)

    def begin(self, pixels: Pixels) -> Array:
        """`(16h, 16w, 3)` or `(16h, 16w)` uint8 or uint16 to `(2h, 2w, C)`."""
        contiguous = np.ascontiguousarray(pixels)
        size = height, width = pixels.shape[0] // STRIDE, pixels.shape[1] // STRIDE
        begun = np.empty((2 * height, 2 * width, self.config.channels), np.int32)
        status = self.library.aec_analyze_begin(
            self.handle, contiguous.ctypes.data, *size, pixels.dtype == np.uint16,
            pixels.ndim == 2, self.workers(size), begun.ctypes.data,
        )  # fmt: skip
        _check(status)
        return begun

    def finish(self, begun: Array, quality: Quality) -> Floats:
        """What `begin` gave to latents `(h, w, M)` in steps, multiples of 1/1024."""
        contiguous = np.ascontiguousarray(begun, np.int32)
        size = height, width = begun.shape[0] // 2, begun.shape[1] // 2
        given = GivenQuality(quality, size)
        y = np.empty((height, width, self.config.latent_channels), np.float32)
        status = self.library.aec_analyze_finish(
            self.handle, contiguous.ctypes.data, *size, *given.arguments, self.workers(size),
            y.ctypes.data,
        )  # fmt: skip
        _check(status)
        return y

    def hyper(self, y: Floats, quality: Quality) -> Floats:
        """Latents `(h, w, M)` in steps to `(ceil(h/4), ceil(w/4), Z)`, multiples of 2**-14."""
        contiguous = np.ascontiguousarray(y, np.float32)
        size = height, width = y.shape[0], y.shape[1]
        given = GivenQuality(quality, size)
        rows, columns = (-(-side // GROUP) for side in (height, width))
        z = np.empty((rows, columns, self.config.hyper_channels), np.float32)
        status = self.library.aec_analyze_hyper(
            self.handle, contiguous.ctypes.data, *size, *given.arguments, self.workers(size),
            z.ctypes.data,
        )  # fmt: skip
        _check(status)
        return z


def _check(status: int) -> None:
    """Raises MemoryError; any other fault of arguments is one of this module."""
    if status == MEMORY:
        raise MemoryError
    assert status == OK, status


def _flat(tree: TensorTree, prefix: str = "") -> Iterator[tuple[str, Array]]:
    """Tensors with their whole names."""
    for name, array in tree.arrays.items():
        yield prefix + name, array
    for name, part in tree.parts.items():
        yield from _flat(part, f"{prefix}{name}.")

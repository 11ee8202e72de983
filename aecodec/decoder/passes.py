"""The passes of a tile, step by step, on networks in NumPy; SPECIFICATION.md, section 9.4."""

from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from aecodec.decoder.networks import Floats, Levels, Means, Symbols, TilePasses, YHat
from aecodec.decoder.prior_tables import Ints, PriorTables
from aecodec.format.constants import GROUP, MEAN_FRACTION, PASS_POSITION, PASSES
from aecodec.format.quality_map import Quality, whole_cells

Y_HAT_MIN = -(2**15)
Y_HAT_MAX = 2**15 - 1

Known = npt.NDArray[np.float32]
Features = TypeVar("Features")
Scalar = TypeVar("Scalar", bound=np.generic)


class PassNetworks(Protocol[Features]):
    """The exact networks of the prior; SPECIFICATION.md, section 10. All arrays hold integers."""

    def features(self, z_hat: Ints, quality: Quality) -> Features:
        """`(h/4, w/4, Z)` hyper-latents to what the other methods take, of `(h, w)` places.

        The quality is one of all places, or `(h, w)` of each.
        """

    def first(self, features: Features) -> Known:
        """Offsets and normed means of pass 1, `(h, w, 2M)`, for the caller to keep."""

    def corrections(self, number: int, known: Known, features: Features) -> Known:
        """What pass `number`, 1 to 3 counted from 0, adds to them where it codes.

        Args:
            number: of the pass.
            known: `(h, w, M)`, the latents known so far, in the networks' unit.
            features: see `features`.

        Returns:
            `(4, h/2, w/2, M/2)`: each quarter of the channels at its place.
        """


class SteppedPrior(Generic[Features]):
    """`networks.PriorNetworks` on networks that are called for each step."""

    def __init__(self, tables: PriorTables, networks: PassNetworks[Features]) -> None:
        """Takes the tables and the networks of one prior."""
        self._tables, self._networks = tables, networks

    def begin(self, z_hat: Ints, size: tuple[int, int], quality: Quality) -> TilePasses:
        """See `networks.PriorNetworks`."""
        return SteppedPasses(self._tables, self._networks, z_hat, size, quality)

    def decode(self, _words: bytes, _size: tuple[int, int], _quality: Quality) -> None:
        """There is no shorter way."""

    def encode(self, _y: Floats, _z_hat: Ints, _quality: Quality, _edges: Floats | None) -> None:
        """There is no shorter way."""


class SteppedPasses:
    """`networks.TilePasses` on the same."""

    def __init__(
        self, tables: PriorTables, networks: PassNetworks[Any], z_hat: Ints,
        size: tuple[int, int], quality: Quality,
    ) -> None:  # fmt: skip
        """Begins the passes; see `networks.PriorNetworks.begin`."""
        self._tables, self._networks, self._size = tables, networks, size
        self._number = 0
        if not isinstance(quality, int):
            quality = whole_cells(quality)
        self._base = tables.base[quality]
        self._features = networks.features(z_hat, quality)
        self._first = networks.first(self._features)  # (h, w, 2M)
        height, width = (-(-side // GROUP) * GROUP for side in size)
        self._decoded = np.zeros((height, width, tables.latent_channels), np.int16)
        self._known = np.zeros(self._decoded.shape, np.float32)
        self._means: Ints | None = None

    def predict(self) -> tuple[Levels, Means]:
        """See `networks.TilePasses`."""
        tables, number, base = self._tables, self._number, self._pass_base()
        channels, quarter = tables.latent_channels, tables.latent_channels // PASSES
        offsets, normed = (  # of two heads, below 2**25
            take_quarter(part, number).astype(np.int32)
            for part in (self._first[..., :channels], self._first[..., channels:])
        )
        if number:
            corrections = self._networks.corrections(number, self._known, self._features)
            offsets += corrections[..., :quarter].astype(np.int32)
            normed += corrections[..., quarter:].astype(np.int32)
        self._means = tables.means(normed, base)
        return tables.levels(offsets, base), self._means

    def put(self, symbols: Symbols) -> None:
        """See `networks.TilePasses`."""
        assert self._means is not None
        scaled = MEAN_FRACTION * symbols.astype(np.int64) + self._means
        y_hat = np.clip(scaled, Y_HAT_MIN, Y_HAT_MAX)
        put_quarter(self._decoded, self._number, y_hat)
        if self._number < PASSES - 1:
            known = self._tables.known(y_hat, self._pass_base())
            put_quarter(self._known, self._number, known)
        self._number += 1

    def _pass_base(self) -> Ints:
        """Base scales of what the pass codes, `(4, h/2, w/2, M/4)` or one for all places."""
        if self._base.ndim == 1:
            return self._base.reshape(PASSES, 1, 1, -1)
        return take_quarter(self._base, self._number)

    def latents(self) -> YHat:
        """See `networks.TilePasses`."""
        height, width = self._size
        return np.ascontiguousarray(self._decoded[:height, :width])

    def words(self) -> None:
        """The caller codes the symbols."""


def take_quarter(array: npt.NDArray[Scalar], number: int) -> npt.NDArray[Scalar]:
    """The latents `(h, w, C)` that a pass codes, as `(4, h/2, w/2, C/4)`."""
    cells = _cells(array)
    return np.stack(
        [cells[:, p >> 1, :, p & 1, quarter] for quarter, p in enumerate(PASS_POSITION[number])]
    )


def put_quarter(
    array: npt.NDArray[np.generic], number: int, values: npt.NDArray[np.generic]
) -> None:
    """Writes what `take_quarter` reads, in place; `array` must be contiguous."""
    cells = _cells(array)
    for quarter, p in enumerate(PASS_POSITION[number]):
        cells[:, p >> 1, :, p & 1, quarter] = values[quarter]


def _cells(array: npt.NDArray[Scalar]) -> npt.NDArray[Scalar]:
    height, width, channels = array.shape
    return array.reshape(height // 2, 2, width // 2, 2, PASSES, channels // PASSES)

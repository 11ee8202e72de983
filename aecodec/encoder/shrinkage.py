"""Noise out of latents: each is multiplied by the part of its energy that is not noise.

White noise in pixels is nearly white noise in each channel of latents, of a variance v that the
analysis tells of seeded noise on gray. The signal's energy S around a place is that of the latents
less v; once these are multiplied by S / (S + v), their own energy, closer around the place, says
more of S. This is a Wiener filter whose spectrum is local. Where nothing but noise is expected,
latents become 0, which costs next to no bits.
"""

from typing import TYPE_CHECKING

import numpy as np

from aecodec.coding.dead_zone import Floats
from aecodec.encoder.latents import in_sixteenths
from aecodec.format.quality_map import Quality
from aecodec.picture.pixels import SIXTEEN_BIT_PEAK, SIXTEEN_BIT_STEP, Pixels

if TYPE_CHECKING:
    from aecodec.encoder.networks import EncoderModel
    from aecodec.models.weights import Array

SIDE = 512
"""Of the square of noise from which variances are taken, in pixels."""
WIDE, NEAR = 2.0, 0.7
"""Deviations in places of the Gaussian weights with which energy is averaged, first and again."""
_TINY = np.float32(1e-6)


class Shrinkage:
    """What noise of one level does to latents, undone as far as it can be told."""

    def __init__(self, model: "EncoderModel", level: float) -> None:
        """Takes the noise.

        Args:
            model: whose latents are meant.
            level: standard deviation of the noise in 8-bit steps, above 0.
        """
        self._model, self._level = model, level
        self._begun: dict[bool, Array] = {}
        self._variances: dict[tuple[int, bool], Floats] = {}

    def __call__(self, y: Floats, quality: Quality, *, gray: bool) -> Floats:
        """Latents of a noisy picture as those of a clean one, about.

        Args:
            y: `(h, w, M)`.
            quality: row of the quality grid, or `(h, w)` rows.
            gray: whether all three channels of colour have the same noise.
        """
        noise = self._noise_of(quality, gray=gray)
        energy = averaged(np.square(y), WIDE)
        signal = np.maximum(energy - noise, 0)
        once = y * (signal / (energy + _TINY))
        signal = (signal + averaged(np.square(once), NEAR)) / 2
        found: Floats = y * (signal / (signal + noise + _TINY))
        return found

    def _noise_of(self, quality: Quality, *, gray: bool) -> Floats:
        """Variances of the noise, `(M,)` or `(h, w, M)`."""
        if isinstance(quality, int):
            return self.variances(quality, gray=gray)
        indices, places = np.unique(quality, return_inverse=True)
        table = np.stack([self.variances(index, gray=gray) for index in indices.tolist()])
        found: Floats = table[places.reshape(quality.shape)]
        return found

    def pixels(self, y: Floats, quality: Quality, like: Pixels) -> Pixels:
        """What latents of a window decode to without being coded.

        Args:
            y: `(h, w, M)`.
            quality: row of the quality grid, or `(h, w)` rows.
            like: `(16h, 16w)` or `(16h, 16w, 3)`, pixels of the same kind.
        """
        return self._model.decoder.synthesis.pixels(
            in_sixteenths(y), quality, scale=1, inside=(like.shape[0], like.shape[1]),
            sixteen_bit=like.dtype == np.uint16, gray=like.ndim == 2,
        )  # fmt: skip

    def variances(self, quality_index: int, *, gray: bool) -> Floats:
        """Variance of the noise in each channel, `(M,)`, in squared quantization steps."""
        key = quality_index, gray
        if key not in self._variances:
            if gray not in self._begun:
                self._begun[gray] = self._model.analysis.begin(self._noise(gray=gray))
            y = self._model.analysis.finish(self._begun[gray], quality_index)
            self._variances[key] = y.var((0, 1), dtype=np.float64).astype(np.float32)
        return self._variances[key]

    def _noise(self, *, gray: bool) -> Pixels:
        """Gray with noise."""
        shape = (SIDE, SIDE) if gray else (SIDE, SIDE, 3)
        noise = np.random.default_rng(0).normal(0, self._level * SIXTEEN_BIT_STEP, shape)
        samples = np.rint(noise + SIXTEEN_BIT_PEAK / 2).clip(0, SIXTEEN_BIT_PEAK)
        return samples.astype(np.uint16)


def averaged(x: Floats, deviation: float) -> Floats:
    """Means of `(h, w, M)` with Gaussian weights in places; edges repeat."""
    reach = int(3 * deviation + 0.5)
    weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    weights /= weights.sum()
    for axis in (0, 1):
        margins = [(reach, reach) if each == axis else (0, 0) for each in range(3)]
        padded = np.pad(x, margins, mode="edge")
        total = np.zeros_like(x)
        for start, weight in enumerate(weights):
            part = (slice(None),) * axis + (slice(start, start + x.shape[axis]),)
            total += padded[part] * np.float32(weight)
        x = total
    return x

"""Anomaly scores: how far a picture is from normal ones, by the latents and what they cost.

A profile holds what normal pictures are like for one model and quality. Its parts each give a
distance of every place, see `anomaly_parts.py`. Each part's distances are brought to one scale by
normal pictures that were held out: 0 is the median of places, 1 the largest place of a usual
picture. A place is as far as its farthest part, a picture as its farthest place.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from aecodec.applications import anomaly_parts as parts
from aecodec.applications.anomaly_parts import Arrays, Channels, Distances, Fit, Measure
from aecodec.applications.latent_maps import LatentMap
from aecodec.errors import InputError
from aecodec.format.constants import STRIDE

Layout = Literal["fixed", "free"]
"""Whether normal pictures have the same thing at the same place."""
LAYOUTS: tuple[Layout, ...] = ("fixed", "free")
PICTURES_MIN = 4
"""Fewer leave too little to hold out."""
QUANTILE = 0.95
"""Part of the held-out normal pictures whose score lies below the threshold."""
_FOLDS = 4
_REACH_MIN, _THRESHOLD_MIN = 0.05, 0.1
"""What keeps rounding errors from being anomalies where all normal pictures are equal."""
_FIXED = 0.8
"""Normal pictures have a fixed layout if their shades vary at a place by less than this part of
what they vary by anywhere."""


class _Part(NamedTuple):
    name: str
    fit: Fit
    measure: Measure


_PARTS: dict[Layout, tuple[_Part, ...]] = {
    "fixed": (
        _Part("shades", parts.fit_placed_shades, parts.measure_placed_shades),
        _Part("bits", parts.fit_placed_bits, parts.measure_bits),
    ),
    "free": (
        _Part("shades", parts.fit_free_shades, parts.measure_free_shades),
        _Part("bits", parts.fit_free_bits, parts.measure_bits),
        _Part("latents", parts.fit_free_latents, parts.measure_free_latents),
    ),
}


class Scale(NamedTuple):
    """What brings the distances of a part to the scale of all."""

    median: float
    reach: float


@dataclass(frozen=True, eq=False)
class Anomaly:
    """What a profile says of one picture.

    Attributes:
        score: of the picture, that of its farthest place; normal ones lie around 1.
        threshold: of the profile, beyond which a picture counts as an anomaly.
        heat: `(ceil(height / 16), ceil(width / 16))`, the score of each place of 16x16 pixels.
    """

    score: float
    threshold: float
    heat: Distances

    @property
    def is_anomalous(self) -> bool:
        """Whether the score lies beyond the threshold."""
        return self.score > self.threshold

    @property
    def peak(self) -> tuple[int, int]:
        """Column and row of the pixel in the middle of the farthest place."""
        row, column = np.unravel_index(int(np.argmax(self.heat)), self.heat.shape)
        return int(column) * STRIDE + STRIDE // 2, int(row) * STRIDE + STRIDE // 2


@dataclass(frozen=True, eq=False)
class AnomalyProfile:
    """What normal pictures are like.

    Attributes:
        model_id: 4 bytes, of the model whose latents were looked at.
        quality_index: row of the quality grid.
        layout: "fixed" or "free".
        channels: numbers of those that hold colours and shades.
        arrays: what each part has learned, by its name.
        scales: of each part, by its name.
        threshold: a score.
        pictures: how many it was made of.
    """

    model_id: bytes
    quality_index: int
    layout: Layout
    channels: Channels
    arrays: Mapping[str, Arrays]
    scales: Mapping[str, Scale]
    threshold: float
    pictures: int

    @classmethod
    def fit(
        cls, maps: Sequence[LatentMap], channels: Channels, *,
        layout: Layout | None = None, quantile: float = QUANTILE,
    ) -> "AnomalyProfile":  # fmt: skip
        """Learns from normal pictures.

        Args:
            maps: of at least `PICTURES_MIN` pictures, of one model and quality; see `LatentReader`.
            channels: all of the model, those of the largest norms first; see `channel_order`.
            layout: "fixed", which needs pictures of one size, or "free"; None finds out.
            quantile: 0 to 1, the part of held-out normal pictures below the threshold.

        Raises:
            InputError: an argument is not acceptable; the message says why.
        """
        _check(maps, quantile)
        shades = channels[: parts.SHADES]
        chosen = layout or _layout_of(maps, shades)
        if chosen == "fixed":
            _check_sizes(maps)
        scales, held_out = _calibrated(maps, shades, chosen)
        arrays = {part.name: part.fit(maps, shades) for part in _PARTS[chosen]}
        threshold = max(float(np.quantile(held_out, quantile)), _THRESHOLD_MIN)
        first = maps[0]
        return cls(
            first.model_id, first.quality_index, chosen, shades, arrays, scales, threshold,
            len(maps),
        )  # fmt: skip

    def score(self, latents: LatentMap) -> Anomaly:
        """Looks at one picture.

        Raises:
            InputError: its latents are of another model, quality or size than the profile's.
        """
        self._check(latents)
        heat = _heat(latents, self.channels, self.layout, self.arrays, self.scales)
        return Anomaly(float(heat.max()), self.threshold, heat)

    def _check(self, latents: LatentMap) -> None:
        if latents.model_id != self.model_id:
            raise InputError(
                f"the profile is of model {self.model_id.hex()}, "
                f"but these latents are of {latents.model_id.hex()}"
            )
        if latents.quality_index != self.quality_index:
            raise InputError(
                f"the profile is of quality {self.quality_index / 4:g}, "
                f"but these latents are of {latents.quality_index / 4:g}"
            )
        if latents.y.shape[2] <= self.channels.max() or not self._has_channels(latents):
            raise InputError("the profile has another number of channels than its model")
        if self.layout == "fixed":
            places = self.arrays["bits"]["mean"].shape
            if latents.bits.shape != places:
                raise InputError(
                    f"the normal pictures have {_places(places)} places of 16x16 pixels, "
                    f"this one has {_places(latents.bits.shape)}"
                )

    def _has_channels(self, latents: LatentMap) -> bool:
        return (
            "latents" not in self.arrays
            or len(self.arrays["latents"]["mean"]) == (latents.y.shape[2])
        )


def _check(maps: Sequence[LatentMap], quantile: float) -> None:
    if len(maps) < PICTURES_MIN:
        raise InputError(f"{len(maps)} normal pictures are too few: {PICTURES_MIN} at least")
    if not 0 < quantile <= 1:
        raise InputError(f"the quantile must lie in (0, 1], not {quantile:g}")
    if len({each.model_id for each in maps}) > 1:
        raise InputError("the normal pictures have latents of different models")
    qualities = sorted({each.quality_index / 4 for each in maps})
    if len(qualities) > 1:
        listed = ", ".join(f"{each:g}" for each in qualities)
        raise InputError(f"the normal pictures have latents of different qualities: {listed}")


def _check_sizes(maps: Sequence[LatentMap]) -> None:
    sizes = sorted({each.bits.shape for each in maps})
    if len(sizes) > 1:
        listed = " and ".join(_places(each) for each in sizes[:2])
        raise InputError(f"a fixed layout needs pictures of one size, not {listed} places")


def _layout_of(maps: Sequence[LatentMap], shades: Channels) -> Layout:
    """Whether the shades of a place say more than those of all places."""
    if len({each.bits.shape for each in maps}) > 1:
        return "free"
    y = np.stack([each.y[:, :, shades] for each in maps])
    within = y.var(0, ddof=1).mean((0, 1))
    everywhere = y.var((0, 1, 2)) + 1e-6
    return "fixed" if float((within / everywhere).mean()) < _FIXED else "free"


def _calibrated(
    maps: Sequence[LatentMap], shades: Channels, layout: Layout
) -> tuple[dict[str, Scale], list[float]]:
    """The scale of each part, and the scores of pictures that the parts have not seen."""
    folds = [_distances(maps, shades, layout, fold) for fold in range(_FOLDS)]
    names = [part.name for part in _PARTS[layout]]
    scales = {name: _scale([d[name] for fold in folds for d in fold]) for name in names}
    scores = [
        max(float(_scaled(distances[name], scales[name]).max()) for name in names)
        for fold in folds
        for distances in fold
    ]
    return scales, scores


def _distances(
    maps: Sequence[LatentMap], shades: Channels, layout: Layout, fold: int
) -> list[dict[str, Distances]]:
    """Distances by part, of the pictures of one fold, from those of the other folds."""
    seen = [each for number, each in enumerate(maps) if number % _FOLDS != fold]
    arrays = {part.name: part.fit(seen, shades) for part in _PARTS[layout]}
    return [
        {part.name: part.measure(each, shades, arrays[part.name]) for part in _PARTS[layout]}
        for each in maps[fold::_FOLDS]
    ]


def _scale(found: Sequence[Distances]) -> Scale:
    median = float(np.median(np.concatenate([each.reshape(-1) for each in found])))
    reach = float(np.median([each.max() for each in found])) - median
    return Scale(median, max(reach, _REACH_MIN))


def _scaled(distances: Distances, scale: Scale) -> Distances:
    return (distances - scale.median) / scale.reach


def _heat(
    latents: LatentMap, channels: Channels, layout: Layout,
    arrays: Mapping[str, Arrays], scales: Mapping[str, Scale],
) -> Distances:  # fmt: skip
    """The score of each place."""
    each: list[npt.NDArray[np.float64]] = [
        _scaled(part.measure(latents, channels, arrays[part.name]), scales[part.name])
        for part in _PARTS[layout]
    ]
    heat: Distances = np.maximum.reduce(each)
    return heat


def _places(shape: tuple[int, ...]) -> str:
    return f"{shape[1]}x{shape[0]}"


PART_NAMES: Mapping[Layout, tuple[str, ...]] = {
    layout: tuple(part.name for part in found) for layout, found in _PARTS.items()
}
"""The parts of each layout."""

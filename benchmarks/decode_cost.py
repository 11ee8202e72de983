"""BD-rate beside what decoding costs: multiplications a pixel, and time.

Measured codecs and published ones stand in one list, each marked. Published figures are compared
with the reference of a run only if it covers the same pictures, the 24 of Kodak.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from benchmarks.codecs import REFERENCE, is_ours
from benchmarks.comparison import Measurements, compare, measurements
from benchmarks.curves import Curve, bd_rate, mean_curve
from benchmarks.published import Published, is_kodak, published
from benchmarks.results import Results, speeds_of

DECODER_PARTS = ("prior", "synthesis")


@dataclass(frozen=True)
class Standing:
    """A codec's bits and what its decoding costs.

    Attributes:
        name: of the codec.
        percent: BD-rate of mean curves against the reference, RGB PSNR; None if not comparable.
        kmac_per_pixel: thousands of multiplications a pixel of decoding; None for codecs without
            networks, or where it is unknown.
        ms_per_megapixel: median time of decoding; None where it is unknown.
        entry: what was published; None for a measured codec.
    """

    name: str
    percent: float | None
    kmac_per_pixel: float | None
    ms_per_megapixel: float | None
    entry: Published | None = None


def standings(results: Results, ours_kmac: float | None) -> list[Standing]:
    """Measured codecs in the order of the run, then the published ones if it covers Kodak.

    Args:
        results: of a run; without the reference no codec has a BD-rate.
        ours_kmac: of decoding by our model, thousands of multiplications a pixel.
    """
    found = measurements(results)
    measured = [
        Standing(
            name=name,
            percent=_percent(found, name),
            kmac_per_pixel=ours_kmac if is_ours(name) else None,
            ms_per_megapixel=1000 / median(speeds_of(results, name, "decode")),
        )
        for name in found.curves
    ]
    if not is_kodak(found.sizes) or not found.curves.get(REFERENCE):
        return measured
    reference = mean_curve(list(found.curves[REFERENCE].values()))
    return measured + [
        Standing(
            name=name,
            percent=against_reference(entry, reference, published()),
            kmac_per_pixel=entry.decode_kmac_per_pixel,
            ms_per_megapixel=entry.decode_ms_per_megapixel,
            entry=entry,
        )
        for name, entry in published().items()
    ]


def against_reference(
    entry: Published, reference: Curve, others: Mapping[str, Published]
) -> float | None:
    """The BD-rate of a published codec against the measured reference, RGB PSNR.

    A published BD-rate is carried over by the published curve that stands for its anchor: the
    ratios of bits are multiplied, which is right to one or two per cent.

    Args:
        entry: what was published.
        reference: the mean curve of the reference on the same pictures.
        others: all published entries, by name.

    Returns:
        None if no curve stands for its anchor, or none overlaps the reference.
    """
    rate = entry.bd_rate
    if rate is not None:
        if rate.carried_over_by is None:
            return None
        anchor = against_reference(others[rate.carried_over_by], reference, others)
        return None if anchor is None else 100 * ((1 + anchor / 100) * (1 + rate.percent / 100) - 1)
    result = bd_rate(reference, entry.curve("psnr"))
    return None if result is None else result.percent


def decoding_kmac(model: str | None) -> float:
    """Thousands of multiplications a pixel of decoding with a model, convolutions alone.

    Raises:
        AecError: the model cannot be loaded.
    """
    from aecodec import Codec
    from aecodec.autoencoder.model import HyperpriorModel
    from benchmarks.parts import kmacs

    counts = kmacs(HyperpriorModel(Codec(model).encoder.decoder.config))
    return sum(counts[part] for part in DECODER_PARTS)


def _percent(found: Measurements, name: str) -> float | None:
    if name == REFERENCE:
        return 0.0
    if not found.curves.get(REFERENCE) or not found.curves[name]:
        return None
    means = compare(found, name, REFERENCE).of_means
    return means.percent if means else None

"""The distortion after SSIMULACRA2 orders pictures as the `ssimulacra2` package does."""

from pathlib import Path

import pytest

from aecodec.autoencoder.mixture_text import DISTORTIONS
from aecodec.picture.perceptual import SSIMULACRA2_SIDE
from benchmarks.codecs import jpeg420
from benchmarks.perceptual import (
    Sample,
    distorted,
    format_table,
    measure,
    rank_correlation,
    step_seconds,
)
from benchmarks.pictures import load_picture

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.mark.slow
def test_rank_correlation_with_the_package() -> None:
    pytest.importorskip("ssimulacra2")
    samples: list[Sample] = []
    for seed, name in enumerate(("astronaut", "coffee")):
        image = load_picture(SAMPLES / f"{name}.png", SSIMULACRA2_SIDE)
        samples += measure(name, image, list(distorted(image, [jpeg420()], seed))[seed::2])
    ours = rank_correlation(samples, "structure_xyb")
    assert ours >= 0.98
    assert ours > max(rank_correlation(samples, name) for name in ("mse", "ms_ssim"))
    text = format_table(samples, dict.fromkeys(DISTORTIONS, 0.01))
    assert "colour blocks" in text
    assert f"{ours:.3f}" in text


def test_rank_correlation_of_known_orders() -> None:
    def of(values: list[float]) -> float:
        pairs = zip([90.0, 80.0, 70.0, 60.0], values, strict=True)
        samples = [Sample("a", "blur", score, {"mse": value}) for score, value in pairs]
        return rank_correlation(samples, "mse")

    assert of([1, 2, 30, 400]) == pytest.approx(1)
    assert of([4, 3, 2, 1]) == pytest.approx(-1)
    assert of([1, 2, 2, 3]) == pytest.approx(0.9**0.5)  # ranks 0, 1.5, 1.5, 3
    assert of([2, 1, 4, 3]) == pytest.approx(0.6)


def test_the_cost_of_a_step_is_measured() -> None:
    assert step_seconds(DISTORTIONS["mse"]()) > 0

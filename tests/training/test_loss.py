"""Lambda, rate plus weighted distortion, and the texts that name a loss."""

import math

import pytest
import torch

from aecodec.autoencoder.distortion import Mse
from aecodec.autoencoder.mixture_text import DISTORTIONS, parse_mixture
from aecodec.autoencoder.model import ForwardOutput
from aecodec.errors import TrainingError
from aecodec.format import quality
from aecodec.training.loss import LOSS_SCALE, RateDistortionLoss, calibrate, lagrangian, lmbda


def test_lambda_is_that_of_the_format() -> None:
    q = torch.tensor([0.0, 0.25, 0.5, 1.0])
    assert lmbda(q).tolist() == pytest.approx([quality.lmbda(each) for each in q.tolist()])


def test_the_loss_weighs_the_squared_error_by_lambda() -> None:
    x = torch.zeros(2, 3, 4, 4)
    x_hat = torch.stack([torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.02)])
    output = ForwardOutput(x_hat, torch.tensor([0.5, 2.0]), torch.zeros(2))
    q = torch.tensor([0.0, 1.0])
    terms = RateDistortionLoss(Mse())(output, x, q)
    assert terms.mse.tolist() == pytest.approx([0.01, 0.0004])
    assert terms.distortion.tolist() == pytest.approx([255**2 * 0.01, 255**2 * 0.0004])
    low = (0.5 + 0.001 * 255**2 * 0.01) / math.sqrt(0.001)
    high = (2.0 + 0.2 * 255**2 * 0.0004) / math.sqrt(0.2)
    assert terms.loss.item() == pytest.approx(LOSS_SCALE * (low + high) / 2, rel=1e-5)
    by_mse = lagrangian(output.bpp, 255**2 * terms.mse, q)
    assert by_mse.mean().item() == pytest.approx(terms.loss.item(), rel=1e-5)


def test_other_distortions_keep_the_squared_error_for_logs() -> None:
    x, x_hat, bpp = torch.rand(2, 3, 64, 64), torch.rand(2, 3, 64, 64), torch.ones(2)
    output = ForwardOutput(x_hat.requires_grad_(), bpp.requires_grad_(), torch.zeros(2))
    terms = RateDistortionLoss(DISTORTIONS["structure_xyb"]())(output, x, torch.tensor([0.2, 0.8]))
    assert terms.mse.tolist() == pytest.approx((x_hat - x).square().mean((1, 2, 3)).tolist())
    assert not terms.mse.requires_grad
    terms.loss.backward()  # type: ignore[no-untyped-call]  # torch
    for each in (x_hat, bpp):
        assert each.grad is not None
        assert each.grad.isfinite().all()
        assert each.grad.any()


@pytest.mark.parametrize(
    "text",
    [
        "mse",
        "ms_ssim",
        "0.55 mse + 0.45 ms_ssim",
        "0.5 mse+0.2 ms_ssim  + .2 structure_xyb + 0.1 ms_ssim_chroma",
        "0.55 mse@1 + 0.45 ms_ssim@0.831552",
        "0.999 mse@1000000 + 0.001 ms_ssim@0.000001",
    ],
)
def test_a_mixture_is_read_back_from_its_text(text: str) -> None:
    mixture = parse_mixture(text)
    again = parse_mixture(mixture.text)
    assert [(p.name, p.share, p.factor) for p in again.parts] == [
        (p.name, p.share, p.factor) for p in mixture.parts
    ]
    assert again.text == mixture.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "not of the form"),
        ("0.5 mse +", "not of the form"),
        ("0.5*mse", "not of the form"),
        ("-1 mse", "not of the form"),
        ("0.5 mse + 0.5 lpips", 'no distortion "lpips"'),
        ("0.5 mse + 0.6 ms_ssim", "add up to 1, not to 1.1"),
        ("mse + ms_ssim", "add up to 1, not to 2"),
        ("0.5 mse + 0.5 mse", "twice"),
        ("0 mse + 1 ms_ssim", "positive"),
        ("1 mse@0", "positive"),
    ],
)
def test_texts_that_name_no_loss_are_refused(text: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        parse_mixture(text)


def test_factors_of_one_give_the_formula_of_the_design() -> None:
    x, x_hat = torch.rand(1, 3, 192, 192), torch.rand(1, 3, 192, 192)
    mixture = parse_mixture("0.55 mse@1 + 0.45 ms_ssim@1")
    parts = 0.55 * Mse()(x_hat, x) + 0.45 * DISTORTIONS["ms_ssim"]()(x_hat, x)
    assert mixture(x_hat, x).tolist() == pytest.approx(parts.tolist())


def test_calibration_gives_each_part_its_share_of_the_gradient() -> None:
    generator = torch.Generator().manual_seed(3)
    x = torch.nn.functional.interpolate(
        torch.rand(3, 3, 24, 24, generator=generator), size=(192, 192), mode="bicubic"
    ).clamp(0, 1)
    q = torch.tensor([0.1, 0.5, 0.9])
    error = torch.randn(x.shape, generator=generator) / lmbda(q).sqrt().view(3, 1, 1, 1)
    output = ForwardOutput(x + 3e-3 * error, torch.ones(3), torch.zeros(3))
    shares = {"mse": 0.4, "ms_ssim": 0.3, "structure_xyb": 0.2, "ms_ssim_chroma": 0.1}
    mixture = parse_mixture(" + ".join(f"{share} {name}" for name, share in shares.items()))
    assert not mixture.calibrated
    with pytest.raises(TrainingError, match="must be calibrated"):
        mixture(output.x_hat, x)
    mixture = calibrate(mixture, output.x_hat, x, q)
    assert mixture.calibrated
    assert mixture.text == calibrate(mixture, output.x_hat, x, q).text
    stored = parse_mixture(mixture.text)
    assert torch.equal(stored(output.x_hat, x), mixture(output.x_hat, x))

    def length(scaled: float, name: str) -> float:
        at = output.x_hat.clone().requires_grad_()
        loss = RateDistortionLoss(DISTORTIONS[name]())
        zero_rate = ForwardOutput(at, torch.zeros(3), torch.zeros(3))
        (gradient,) = torch.autograd.grad(loss(zero_rate, x, q).loss, at)
        return scaled * float(gradient.norm())

    lengths = {
        part.name: length(part.share * (part.factor or 0.0), part.name) for part in stored.parts
    }
    for name, share in shares.items():
        assert lengths[name] / sum(lengths.values()) == pytest.approx(share, rel=0.01)
    assert sum(p.share * (p.factor or 0) for p in stored.parts) == pytest.approx(1, abs=1e-5)


def test_equal_pictures_cannot_calibrate() -> None:
    x = torch.rand(1, 3, 64, 64)
    mixture = parse_mixture("0.5 mse + 0.5 structure_xyb")
    with pytest.raises(TrainingError, match="cannot be calibrated"):
        calibrate(mixture, x.clone(), x, torch.tensor([0.5]))

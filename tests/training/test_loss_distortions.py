"""Each distortion: its values, its gradients and its limits."""

from collections.abc import Callable

import pytest
import torch
from pytorch_msssim import ms_ssim as published_ms_ssim
from torch import Tensor
from torch.nn import functional

from aecodec.autoencoder.mixture_text import DISTORTIONS
from aecodec.autoencoder.ms_ssim import chroma, luma, ms_ssim
from aecodec.autoencoder.structure_xyb import to_linear, to_xyb
from aecodec.errors import TrainingError
from aecodec.picture.ms_ssim import MS_SSIM_SIDE, WEIGHTS

every_distortion = pytest.mark.parametrize("name", list(DISTORTIONS))
sees_luma = pytest.mark.parametrize("name", ["mse", "ms_ssim", "structure_xyb"])
sees_chroma = pytest.mark.parametrize("name", ["mse", "ms_ssim_chroma", "structure_xyb"])


def picture(side: int = 176, count: int = 1, seed: int = 0) -> Tensor:
    """`(count, 3, side, side)`, smooth shapes, some grain, colours all over the cube."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(count, 3, 12, 12, generator=generator)
    grain = 0.05 * torch.randn(count, 3, side, side, generator=generator)
    smooth = functional.interpolate(coarse, size=(side, side), mode="bicubic")
    return (smooth + grain).clamp(0, 1)


def noise_like(x: Tensor, seed: int = 1) -> Tensor:
    return torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)


def gradient(name: str, x_hat: Tensor, x: Tensor) -> Tensor:
    at = x_hat.detach().clone().requires_grad_()
    (found,) = torch.autograd.grad(DISTORTIONS[name]()(at, x).sum(), at)
    return found


@every_distortion
@pytest.mark.parametrize("strength", [0.002, 0.05, 0.4])
def test_gradients_are_those_of_finite_differences(name: str, strength: float) -> None:
    """Also outside [0, 1], where strong errors lead."""
    x = picture().double()
    x_hat = x + strength * noise_like(x)
    found = gradient(name, x_hat, x)
    distortion = DISTORTIONS[name]()
    for seed in range(2, 5):
        # Along the gradient too, so that the derivative is not small by chance.
        direction = noise_like(x, seed) / x.numel() ** 0.5 + found / found.norm()
        step = 1e-6
        ahead, behind = (distortion(x_hat + s * direction, x).item() for s in (step, -step))
        expected = (found * direction).sum().item()
        assert (ahead - behind) / (2 * step) == pytest.approx(expected, rel=1e-4)


@every_distortion
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_pictures_have_none_and_a_finite_gradient(name: str, dtype: torch.dtype) -> None:
    pictures = [picture(), torch.zeros(1, 3, 176, 176), torch.ones(1, 3, 176, 176)]
    x = torch.cat(pictures).to(dtype)
    assert DISTORTIONS[name]()(x, x).abs().max().item() < 1e-3
    assert gradient(name, x, x).abs().max().item() < 1e-4


@every_distortion
def test_gradients_are_finite_far_from_the_original(name: str) -> None:
    """Anticorrelated, constant, far outside [0, 1], a single wrong pixel."""
    x = picture()
    dot = x.clone()
    dot[..., 80, 80] = 1 - dot[..., 80, 80]
    for x_hat in (1 - x, torch.zeros_like(x), x - 3, 4 * x, dot, x + 1e-6 * noise_like(x)):
        assert DISTORTIONS[name]()(x_hat, x).isfinite().all()
        assert gradient(name, x_hat, x).isfinite().all()


@every_distortion
def test_stronger_distortions_count_more(name: str) -> None:
    x = picture(192)
    distortion = DISTORTIONS[name]()
    noisy = [distortion(x + s * noise_like(x), x).item() for s in (0.01, 0.02, 0.05, 0.1, 0.2)]
    assert noisy == sorted(noisy)

    def blurred(side: int) -> Tensor:
        return functional.interpolate(functional.avg_pool2d(x, side), scale_factor=side)

    blocky = [distortion(blurred(side), x).item() for side in (1, 2, 4, 8, 16)]
    assert blocky == sorted(blocky)


@sees_luma
def test_gray_pictures(name: str) -> None:
    gray = picture()[:, :1].expand(-1, 3, -1, -1)
    worse = gray + 0.05 * noise_like(gray[:, :1])
    assert DISTORTIONS[name]()(worse, gray).item() > 1
    assert gradient(name, worse, gray).isfinite().all()


def test_gray_pictures_have_no_chroma() -> None:
    gray = picture()[:, :1].expand(-1, 3, -1, -1)
    worse = gray + 0.05 * noise_like(gray[:, :1])
    assert DISTORTIONS["ms_ssim_chroma"]()(worse, gray).item() == pytest.approx(0, abs=1e-2)
    assert (to_xyb(to_linear(gray))[:, 0]).abs().max() < 1e-5


@sees_chroma
def test_blocks_of_chroma_count(name: str) -> None:
    """The fault of a loss on luma alone: blocks of colour under unharmed luma."""
    x = picture()
    blocks = functional.interpolate(functional.avg_pool2d(x, 16), scale_factor=16)
    x_hat = blocks + luma(x) - luma(blocks)
    assert DISTORTIONS["ms_ssim"]()(x_hat, x).item() == pytest.approx(0, abs=1e-2)
    assert DISTORTIONS[name]()(x_hat, x).item() > 10
    assert gradient(name, x_hat, x).norm() > 0


def test_each_picture_has_its_own_value() -> None:
    x = picture(176, 3)
    x_hat = x + torch.tensor([0.01, 0.1, 0.03]).view(3, 1, 1, 1) * noise_like(x)
    for make in DISTORTIONS.values():
        alone = [make()(x_hat[n : n + 1], x[n : n + 1]).item() for n in range(3)]
        assert make()(x_hat, x).tolist() == pytest.approx(alone, rel=1e-3)


@every_distortion
def test_values_under_autocast_are_those_without(name: str) -> None:
    x = picture()
    x_hat = x + 0.02 * noise_like(x)
    expected = DISTORTIONS[name]()(x_hat, x)
    with torch.autocast("cpu", torch.bfloat16):
        found = DISTORTIONS[name]()(x_hat, x)
    assert found.dtype == torch.float32
    assert torch.equal(found, expected)
    assert DISTORTIONS[name]()(x_hat.bfloat16(), x).dtype == torch.float32


@pytest.mark.parametrize("side", [176, 256])
@pytest.mark.parametrize("planes", [luma, chroma])
def test_ms_ssim_is_that_of_the_package(side: int, planes: Callable[[Tensor], Tensor]) -> None:
    x = picture(side, 2)
    x_hat = x + 0.1 * noise_like(x)
    ours = ms_ssim(planes(x_hat), planes(x), WEIGHTS).mean(1)
    theirs = published_ms_ssim(planes(x_hat), planes(x), data_range=1, size_average=False)
    assert ours.tolist() == pytest.approx(theirs.tolist(), abs=1e-5)


@pytest.mark.parametrize("name", ["ms_ssim", "ms_ssim_chroma"])
def test_ms_ssim_refuses_small_crops(name: str) -> None:
    x = picture(MS_SSIM_SIDE)
    assert DISTORTIONS[name]()(x, x).isfinite().all()
    message = f"{name} needs pictures of at least 161 pixels a side, not 128x128"
    with pytest.raises(TrainingError, match=message):
        DISTORTIONS[name]()(x[..., :128, :128], x[..., :128, :128])


def test_structure_takes_crops_of_any_size_from_8() -> None:
    distortion = DISTORTIONS["structure_xyb"]()
    for side in (8, 9, 64, 101):
        x = picture(side)
        assert distortion(x + 0.05 * noise_like(x), x).item() > 0
    with pytest.raises(TrainingError, match="structure_xyb needs pictures of at least 8"):
        distortion(picture(7), picture(7))


def test_xyb_of_black_white_and_red() -> None:
    """Against a computation by hand from the constants of libjxl."""
    rgb = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0]]).T.view(1, 3, 1, 3).double()
    xyb = to_xyb(to_linear(rgb))[0, :, 0].T
    bias = 0.0037930732552754493
    long, medium, short = (
        (a + bias) ** (1 / 3) - bias ** (1 / 3) for a in (0.3, 0.23, 0.243422689)
    )
    white = (1 + bias) ** (1 / 3) - bias ** (1 / 3)
    assert xyb[0].tolist() == pytest.approx([0, 0, 0])
    assert xyb[1].tolist() == pytest.approx([0, white, 0], abs=1e-8)
    y = (long + medium) / 2
    assert xyb[2].tolist() == pytest.approx([7 * (long - medium), y, short - y], abs=1e-7)

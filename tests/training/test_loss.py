"""Lambda, and rate plus weighted distortion."""

import math

import pytest
import torch

from aecodec.autoencoder.model import ForwardOutput
from aecodec.format import quality
from aecodec.training.loss import LOSS_SCALE, MseLoss, lmbda


def test_lambda_is_that_of_the_format() -> None:
    q = torch.tensor([0.0, 0.25, 0.5, 1.0])
    assert lmbda(q).tolist() == pytest.approx([quality.lmbda(each) for each in q.tolist()])


def test_the_loss_weighs_the_squared_error_by_lambda() -> None:
    x = torch.zeros(2, 3, 4, 4)
    x_hat = torch.stack([torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.02)])
    output = ForwardOutput(x_hat, torch.tensor([0.5, 2.0]), torch.zeros(2))
    terms = MseLoss()(output, x, torch.tensor([0.0, 1.0]))
    assert terms.mse.tolist() == pytest.approx([0.01, 0.0004])
    low = (0.5 + 0.001 * 255**2 * 0.01) / math.sqrt(0.001)
    high = (2.0 + 0.2 * 255**2 * 0.0004) / math.sqrt(0.2)
    assert terms.loss.item() == pytest.approx(LOSS_SCALE * (low + high) / 2, rel=1e-5)

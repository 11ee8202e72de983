"""The exact form of a synthesis, and the statistics that its weights are rounded for."""

import numpy as np
import pytest
import torch
from conftest import COARSE, TINY, make_tiny_model
from torch import Tensor

from aecodec.autoencoder.model import HyperpriorModel
from aecodec.autoencoder.quantization import quantize
from aecodec.decoder.numpy_synthesis import NumpySynthesis
from aecodec.decoder.work_sharing import Crew
from aecodec.errors import WeightsError
from aecodec.export.input_statistics import InputStatistics, picture_statistics
from aecodec.export.synthesis import export_synthesis
from aecodec.models.config import ModelConfig
from aecodec.models.weights import TensorTree


def busy_model(config: ModelConfig = TINY) -> HyperpriorModel:
    """A tiny model whose branches weigh as much as those of a trained one."""
    model = make_tiny_model(config)
    torch.manual_seed(1)
    for name, weight in model.synthesis.named_parameters():
        if name.endswith(("mix_out.weight", "contract.weight")):
            torch.nn.init.normal_(weight, std=0.2)
    return model


def error(model: HyperpriorModel, statistics: InputStatistics, x: Tensor) -> float:
    """Mean squared difference of exact and real synthesis at the highest quality."""
    q = torch.ones(len(x))
    part = statistics.of_part("synthesis")
    tensors = TensorTree.of(export_synthesis(model.synthesis, part))
    exact = NumpySynthesis(tensors, Crew(1))
    with torch.no_grad():
        y = quantize(model.estimate(model.analysis(x, q), q).y_hat * 16)
        expected = (model.synthesis(y / 16, q).clamp(0, 1) * 65535).permute(0, 2, 3, 1)
    latents = y.permute(0, 2, 3, 1).numpy().astype(np.int16)
    inside = expected.shape[1], expected.shape[2]
    decoded = np.stack(
        [
            exact.pixels(each, 400, scale=1, inside=inside, sixteen_bit=True, gray=False)
            for each in latents
        ]
    )
    return float(np.square(decoded - expected.numpy()).mean())


def test_statistics_cover_what_was_seen() -> None:
    model = make_tiny_model()
    torch.manual_seed(0)
    found = picture_statistics(model, torch.rand(2, 3, 64, 64))
    assert all(value.dtype == torch.int8 for value in found.reaches.values())
    assert {name.rsplit(".", 1)[1] for name in found.reaches} == {
        "mix_in", "depthwise", "mix_out", "expand", "contract", "inner", "outer",
    }  # fmt: skip
    assert {name.rsplit(".", 1)[1] for name in found.moments} == {
        "mix_in", "mix_out", "expand", "contract",
    }  # fmt: skip
    for moments in found.moments.values():
        assert moments[-1, -1] == 1.0
        assert float(torch.linalg.eigvalsh(moments).min()) > -1e-9


def test_statistics_of_a_part_bear_no_name() -> None:
    one = torch.ones(1)
    whole = InputStatistics(
        {"first.mix_in": one, "blocks.1.mix_in": one, "blocks.10.mix_in": one},
        {"blocks.1.expand": one},
    )
    part = whole.of_part("blocks.1")
    assert (list(part.reaches), list(part.moments)) == (["mix_in"], ["expand"])


@pytest.mark.parametrize("config", [TINY, COARSE])
def test_the_exact_synthesis_is_near_the_real_one(config: ModelConfig) -> None:
    model = busy_model(config)
    torch.manual_seed(2)
    x = torch.rand(4, 3, 64, 64)
    assert error(model, picture_statistics(model, x), x) < (0.01 * 65535) ** 2


def test_dependences_of_inputs_make_the_exact_synthesis_closer() -> None:
    model = busy_model()
    torch.manual_seed(2)
    x = torch.rand(4, 3, 64, 64)
    found = picture_statistics(model, x)
    alone = {name: torch.diag(moments.diagonal()) for name, moments in found.moments.items()}
    assert error(model, found, x) < 0.98 * error(model, InputStatistics(found.reaches, alone), x)


@pytest.mark.parametrize("name", ["up", "exit"])
def test_linear_layers_that_are_too_large_are_refused(name: str) -> None:
    model = make_tiny_model()
    statistics = picture_statistics(model, torch.rand(1, 3, 64, 64))
    with torch.no_grad():
        model.get_parameter(f"synthesis.{name}.weight").mul_(1e6)
    with pytest.raises(WeightsError, match="too large"):
        export_synthesis(model.synthesis, statistics.of_part("synthesis"))

"""The exact form of an encoder's transforms, and back."""

import numpy as np
import pytest
import torch
from conftest import COARSE, TINY, make_tiny_model
from torch import Tensor

from aecodec.autoencoder.dequantize import import_analysis, import_hyper_analysis
from aecodec.autoencoder.model import HyperpriorModel
from aecodec.autoencoder.transforms import AnalysisTransform, HyperAnalysis
from aecodec.encoder.networks import load_encoder
from aecodec.errors import WeightsError
from aecodec.export.analysis import export_analysis, export_hyper_analysis
from aecodec.export.input_statistics import InputStatistics, picture_statistics
from aecodec.export.weights import export_in_memory
from aecodec.format.constants import LINEAR_BIAS_MAX, LINEAR_SHIFTS, LINEAR_SUM_MAX
from aecodec.models.config import ModelConfig
from aecodec.models.weights import TensorTree


def busy_model(config: ModelConfig = TINY) -> HyperpriorModel:
    """A tiny model whose branches weigh as much as those of a trained one."""
    model = make_tiny_model(config)
    torch.manual_seed(1)
    for part in (model.analysis, model.hyper_analysis):
        for name, weight in part.named_parameters():
            if name.endswith(("mix_out.weight", "contract.weight")):
                torch.nn.init.normal_(weight, std=0.2)
    return model


def pictures() -> Tensor:
    torch.manual_seed(2)
    return torch.rand(4, 3, 64, 64)


def relative_errors(model: HyperpriorModel, statistics: InputStatistics) -> tuple[float, float]:
    """Of exact latents and hyper-latents at the highest quality, against real ones."""
    encoder = load_encoder(export_in_memory(model, statistics))
    q, errors = torch.ones(1), []
    for x in pictures():
        pixels = x.mul(65535).round().permute(1, 2, 0).contiguous().numpy().astype(np.uint16)
        with torch.no_grad():
            y = model.analysis(x[None], q)
            z = model.hyper_analysis(y / model.prior.norm(model.prior.base_index(q)))
        found = encoder.analyze(pixels, 400)
        for real, exact in ((y, found), (z, encoder.analysis.hyper(found, 400))):
            difference = real[0].permute(1, 2, 0).numpy() - exact
            errors.append(float(np.square(difference).mean() / real.square().mean()) ** 0.5)
    return max(errors[::2]), max(errors[1::2])


@pytest.mark.parametrize("config", [TINY, COARSE])
def test_the_exact_transforms_are_near_the_real_ones(config: ModelConfig) -> None:
    model = busy_model(config)
    for error in relative_errors(model, picture_statistics(model, pictures())):
        assert error < 0.01


def test_linear_layers_come_back_as_they_were() -> None:
    model = busy_model()
    found = picture_statistics(model, pictures())
    arrays = export_analysis(model.analysis, found.of_part("analysis"))
    hyper = export_hyper_analysis(model.hyper_analysis, found.of_part("hyper_analysis"))
    analysis = AnalysisTransform(TINY.channels, TINY.latent_channels, TINY.analysis_blocks)
    hyper_analysis = HyperAnalysis(TINY.latent_channels, TINY.context_channels, TINY.hyper_channels)
    import_analysis(analysis, TensorTree.of(arrays))
    import_hyper_analysis(hyper_analysis, TensorTree.of(hyper))
    for before, after in ((model.analysis, analysis), (model.hyper_analysis, hyper_analysis)):
        for name, real in before.named_parameters():
            if "." in name and name.partition(".")[0] in ("entry", "down", "exit"):
                step = 2.0 ** (1 - LINEAR_SHIFTS[0])
                torch.testing.assert_close(after.get_parameter(name), real, atol=step, rtol=1e-3)
    for name in ("inner_gain", "outer_gain"):
        gain = f"{name}.log_gain"
        torch.testing.assert_close(
            analysis.get_parameter(gain), model.analysis.get_parameter(gain), atol=1e-4, rtol=0
        )


def test_linear_layers_keep_their_bounds() -> None:
    model = make_tiny_model()
    with torch.no_grad():
        model.analysis.down.weight.mul_(5)
        model.hyper_analysis.exit.bias.fill_(60)  # type: ignore[union-attr]  # it has one
    found = picture_statistics(model, pictures())
    arrays = {
        **export_analysis(model.analysis, found.of_part("analysis")),
        **export_hyper_analysis(model.hyper_analysis, found.of_part("hyper_analysis")),
    }
    for name in ("entry", "down", "exit"):
        assert np.abs(arrays[f"{name}.weight"].astype(np.int64)).sum(0).max() <= LINEAR_SUM_MAX
        assert np.abs(arrays[f"{name}.bias"].astype(np.int64)).max() <= LINEAR_BIAS_MAX
        assert set(arrays[f"{name}.shift"].tolist()) <= set(LINEAR_SHIFTS)


@pytest.mark.parametrize("name", ["analysis.entry", "analysis.down", "hyper_analysis.exit"])
def test_linear_layers_that_are_too_large_are_refused(name: str) -> None:
    model = make_tiny_model()
    statistics = picture_statistics(model, pictures())
    with torch.no_grad():
        model.get_parameter(f"{name}.weight").mul_(1e7)
    with pytest.raises(WeightsError, match="too large"):
        export_in_memory(model, statistics)

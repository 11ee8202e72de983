"""Shapes of the transforms, and that only rates at hand take part."""

import pytest
import torch

from aecodec.autoencoder.transforms import AnalysisTransform, HyperAnalysis, SynthesisTransform
from aecodec.format.constants import PATCH_CHANNELS, STRIDE


@pytest.mark.parametrize(("height", "width"), [(16, 16), (32, 80)])
def test_analysis_and_synthesis_change_the_size_by_their_stride(height: int, width: int) -> None:
    torch.manual_seed(0)
    x, q = torch.rand(2, 3, height, width), torch.tensor([0.0, 1.0])
    y = AnalysisTransform(8, 12, 2)(x, q)
    assert y.shape == (2, 12, height // STRIDE, width // STRIDE)
    assert SynthesisTransform(8, 12, 2)(y, q).shape == x.shape


def test_hyper_analysis_reaches_the_hyper_stride() -> None:
    torch.manual_seed(0)
    y = torch.randn(2, 12, 8, 4)
    z = HyperAnalysis(12, 8, 5)(y)
    assert z.shape == (2, 5, 2, 1)


def test_gains_act_on_each_picture_by_its_own_rate() -> None:
    torch.manual_seed(0)
    analysis = AnalysisTransform(8, 12, 1)
    with torch.no_grad():
        analysis.outer_gain.log_gain.copy_(torch.linspace(0, 7, 8)[:, None].expand(-1, 12))
    x = torch.rand(1, 3, 32, 32).expand(2, -1, -1, -1)
    low, high = analysis(x, torch.tensor([0.0, 1.0]))
    torch.testing.assert_close(high, low * torch.e**7)


def test_the_first_and_last_layer_see_centred_patches() -> None:
    """Mid-gray is zero for the analysis, and a zero is mid-gray for the synthesis."""
    torch.manual_seed(0)
    analysis, synthesis = AnalysisTransform(8, 12, 1), SynthesisTransform(8, 12, 1)
    for conv in (analysis.entry, analysis.down, synthesis.up, synthesis.exit):
        assert conv.bias is not None
        torch.nn.init.zeros_(conv.bias)
    q = torch.tensor([0.5])
    assert analysis.entry.in_channels == synthesis.exit.out_channels == PATCH_CHANNELS
    assert not analysis(torch.full((1, 3, 32, 32), 0.5), q).any()
    assert torch.equal(synthesis(torch.zeros(1, 12, 2, 2), q), torch.full((1, 3, 32, 32), 0.5))


def test_mixed_precision_keeps_the_residual_stream_in_float32() -> None:
    torch.manual_seed(0)
    x, q = torch.rand(1, 3, 32, 32), torch.tensor([0.5])
    y = AnalysisTransform(8, 12, 2)(x, q, mixed=True)
    x_hat = SynthesisTransform(8, 12, 2)(y, q, mixed=True)
    z = HyperAnalysis(12, 8, 5)(torch.randn(1, 12, 4, 4), mixed=True)
    assert {t.dtype for t in (y, x_hat, z)} == {torch.float32}


def test_an_analysis_may_begin_once_for_many_qualities() -> None:
    torch.manual_seed(0)
    analysis = AnalysisTransform(12, 16, 2).eval()
    x = torch.rand(1, 3, 32, 48)
    with torch.inference_mode():
        expected = [analysis(x, torch.tensor([q])) for q in (0.2, 0.7)]
        begun = analysis.begin(x)
        found = [analysis.finish(begun, torch.tensor([q])) for q in (0.2, 0.7)]
    assert all(map(torch.equal, expected, found))

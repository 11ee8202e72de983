"""Size and cost of the default model."""

import torch

from aecodec.autoencoder.model import HyperpriorModel
from benchmarks.parts import kmacs

PARAMETERS_MAX = 5e6
DECODER_KMACS_MAX = 16.0
CODEC_KMACS_MAX = 26.0


@torch.no_grad()
def test_size_and_cost_of_the_default_model() -> None:
    torch.manual_seed(0)
    model = HyperpriorModel()
    counts = kmacs(model)
    parameters = sum(p.numel() for p in model.parameters())
    decoder = counts["synthesis"] + counts["prior"]
    encoder = counts["analysis"] + counts["hyper_analysis"]
    report = ", ".join(f"{part} {kmacs:.2f}" for part, kmacs in counts.items())
    report = f"{parameters} parameters; kMAC/pixel: {report}; decoder {decoder:.2f}"
    assert counts["synthesis"] > 0, report
    assert counts["prior"] > 0, report
    assert parameters <= PARAMETERS_MAX, report
    assert decoder <= DECODER_KMACS_MAX, report
    assert encoder + decoder <= CODEC_KMACS_MAX, report

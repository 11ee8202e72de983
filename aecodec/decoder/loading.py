"""Builds the decoder of a model with the one runtime that there is so far, torch's."""

from aecodec.decoder.carriers import undisturbed
from aecodec.decoder.integer_prior import TorchPrior
from aecodec.decoder.integer_synthesis import TorchSynthesis
from aecodec.decoder.networks import DecoderModel, Prior
from aecodec.decoder.prior_tables import PriorTables
from aecodec.models.weights import Weights


def load_decoder(weights: Weights) -> DecoderModel:
    """Builds the decoder of a model.

    Raises:
        WeightsError: the weights would not decode exactly.
    """
    tensors = weights.tensors
    with undisturbed(inference=False):
        prior = Prior(PriorTables(tensors["prior"]["tables"]), TorchPrior(tensors["prior"]))
        synthesis = TorchSynthesis(tensors["synthesis"])
    return DecoderModel(weights.model_id, weights.config, prior, synthesis)

"""Builds the decoder of a model: the one place that knows which runtimes there are."""

from aecodec.decoder.networks import DecoderModel, Prior
from aecodec.decoder.numpy_prior import NumpyPrior
from aecodec.decoder.numpy_synthesis import NumpySynthesis
from aecodec.decoder.prior_tables import PriorTables
from aecodec.decoder.work_sharing import Crew
from aecodec.models.weights import Weights


def load_decoder(weights: Weights, threads: int | None = None) -> DecoderModel:
    """Builds the decoder of a model.

    Args:
        weights: of the model.
        threads: how many share the work of one computation; by default `default_threads()`.

    Raises:
        WeightsError: the weights would not decode exactly.
    """
    tensors, crew = weights.tensors, Crew(threads)
    prior = Prior(PriorTables(tensors["prior"]["tables"]), NumpyPrior(tensors["prior"], crew))
    synthesis = NumpySynthesis(tensors["synthesis"], crew)
    return DecoderModel(weights.model_id, weights.config, prior, synthesis, crew)

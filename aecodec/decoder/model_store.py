"""Models that are loaded once, each when a file first needs it."""

import os
import threading

from aecodec.decoder.networks import DecoderModel
from aecodec.decoder.threads import check_threads
from aecodec.errors import UnsupportedError
from aecodec.models.registry import (
    DEFAULT_TUNE,
    Tune,
    find_model,
    load_model,
    named_model,
    released_weights,
    tuned_model,
)
from aecodec.models.weights import Weights


class ModelStore:
    """Weights and decoders of released models and of one model of a caller's choice, by model id.

    It is safe to use from several threads.
    """

    def __init__(
        self, own: "str | os.PathLike[str] | None" = None, threads: int | None = None
    ) -> None:
        """Loads nothing yet.

        Args:
            own: what `load_model` takes: the one model that compresses; by default the released
                models do, each for its tuning.
            threads: see `load_decoder`.

        Raises:
            InputError: `threads` is no whole number from 1 on.
        """
        check_threads(threads)
        self._name = own
        self._threads = threads
        self._lock = threading.RLock()
        self._weights: dict[bytes, Weights] = {}
        self._decoders: dict[bytes, DecoderModel] = {}
        self._own_id: bytes | None = None

    @property
    def has_own(self) -> bool:
        """Whether one model was chosen that compresses."""
        return self._name is not None

    def clear(self) -> None:
        """Frees what was loaded."""
        with self._lock:
            self._weights.clear()
            self._decoders.clear()
            self._own_id = None

    def weights(self, tune: Tune = DEFAULT_TUNE) -> Weights:
        """The weights that compress for a tuning; those of one's own model, if there is one.

        Raises:
            WeightsError: they are missing or damaged, or there are none for this tuning.
        """
        with self._lock:
            if self._name is None:
                return self._weights_of(tuned_model(tune).model_id)
            if self._own_id is None:
                weights = load_model(self._name)
                self._weights[weights.model_id] = weights
                self._own_id = weights.model_id
            return self._weights[self._own_id]

    def decoder(self, model_id: bytes) -> DecoderModel:
        """The model that decodes files with this id.

        Raises:
            UnsupportedError: it is neither released nor one's own.
            WeightsError: its weights are missing or damaged.
        """
        with self._lock:
            if model_id not in self._decoders:
                weights = self._weights_of(model_id)
                from aecodec.decoder.loading import load_decoder  # late: `info` needs it not

                self._decoders[model_id] = load_decoder(weights, self._threads)
            return self._decoders[model_id]

    def _weights_of(self, model_id: bytes) -> Weights:
        is_file = self._name is not None and named_model(os.fspath(self._name)) is None
        if is_file and model_id not in self._weights:
            self.weights()  # only reading a file tells its id
        if model_id not in self._weights:
            released = find_model(model_id)
            if released is None:
                raise UnsupportedError(
                    f"the file needs model {model_id.hex()}, which this version does not know; "
                    "upgrade aecodec, or pass the weights that made the file"
                )
            self._weights[model_id] = released_weights(released)
        return self._weights[model_id]

"""Models that compress, each loaded once, when a picture first needs it."""

from typing import TYPE_CHECKING

from aecodec.decoder.model_store import ModelStore
from aecodec.models.registry import DEFAULT_TUNE, Tune

if TYPE_CHECKING:
    import os

    from aecodec.encoder.networks import EncoderModel


class CodingStore(ModelStore):
    """Weights, decoders and encoders by model id; safe to use from several threads."""

    def __init__(
        self, own: "str | os.PathLike[str] | None" = None, threads: int | None = None
    ) -> None:
        """Loads nothing yet; see `ModelStore`."""
        super().__init__(own, threads)
        self._encoders: dict[bytes, EncoderModel] = {}

    def clear(self) -> None:
        """Frees what was loaded."""
        with self._lock:
            super().clear()
            self._encoders.clear()

    def encoder(self, tune: Tune = DEFAULT_TUNE) -> "EncoderModel":
        """The model that compresses for a tuning; one's own, if there is one.

        Raises:
            WeightsError: its weights are missing or damaged, or there are none for this tuning.
        """
        return self.encoder_of(self.weights(tune).model_id)

    def encoder_of(self, model_id: bytes) -> "EncoderModel":
        """The model that compresses files with this id.

        Raises:
            UnsupportedError: it is neither released nor one's own.
            WeightsError: its weights are missing or damaged.
        """
        with self._lock:
            if model_id not in self._encoders:
                from aecodec.encoder.networks import load_encoder  # late: decoding needs it not

                decoder = self.decoder(model_id)
                self._encoders[model_id] = load_encoder(self._weights_of(model_id), decoder)
            return self._encoders[model_id]

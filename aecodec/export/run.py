"""Makes the released form of a run: what the command `export` does."""

from dataclasses import dataclass
from pathlib import Path

from aecodec.autoencoder.mixture_text import parse_mixture
from aecodec.autoencoder.model import HyperpriorModel
from aecodec.errors import TrainingError
from aecodec.export.statistics import observe_inputs, observe_symbols
from aecodec.export.weights import export_weights
from aecodec.models.config import SearchSettings
from aecodec.training.checkpoint import load_average, load_state
from aecodec.training.config import CHECKPOINT, SETTINGS, TrainConfig
from aecodec.training.data import TILES, open_tiles


@dataclass(frozen=True)
class ExportReport:
    """What an export made.

    Attributes:
        model_id: 4 bytes.
        size: bytes of the weights file.
    """

    model_id: bytes
    size: int


def export_run(run: Path, output: Path) -> ExportReport:
    """Makes the released form of a run's averaged weights.

    Tables are fitted to what the model makes of the run's tiles, and weights rounded for it.

    Args:
        run: folder of the run.
        output: the weights file to write.

    Raises:
        TrainingError: the run's checkpoint, settings or tiles are missing or damaged.
        WeightsError: the model cannot be made exact.
        OSError: the file cannot be written.
    """
    average = load_average(run / CHECKPOINT)
    for name in (SETTINGS, TILES):
        if not (run / name).exists():
            raise TrainingError(f"{run / name}: missing; export needs it")
    config = TrainConfig.load(run / SETTINGS)
    model = HyperpriorModel(config.model)
    load_state(model, average, run / CHECKPOINT)
    tiles = open_tiles(run / TILES)
    statistics = observe_inputs(model, tiles)
    observed = observe_symbols(model, tiles, statistics)
    model_id = export_weights(model, output, statistics, observed, search_of(config.loss))
    return ExportReport(model_id, output.stat().st_size)


def search_of(loss: str) -> SearchSettings:
    """A search that lowers what a run lowered: by its loss, as the settings of a run have it.

    One without factors, of a run that never found them, leaves the search to the squared error.
    """
    mixture = parse_mixture(loss)
    if [part.name for part in mixture.parts] == ["mse"] or not mixture.calibrated:
        return SearchSettings()
    return SearchSettings.for_distortion(mixture.text)

"""From a run to released weights, with tables fitted to its tiles."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from conftest import FAST_RUN, TINY, make_picture, make_tiny_model

from aecodec.cli.train import export
from aecodec.coding.dead_zone import DeadZone
from aecodec.decoder.loading import load_decoder
from aecodec.encoder.latents import encode_latents
from aecodec.encoder.networks import EncoderModel, load_encoder
from aecodec.errors import TrainingError
from aecodec.export.run import export_run, search_of
from aecodec.export.statistics import observe_inputs, observe_symbols
from aecodec.export.weights import export_weights
from aecodec.models.config import SearchSettings
from aecodec.models.registry import load_model
from aecodec.models.weights import read_weights
from aecodec.picture.pixels import Pixels
from aecodec.training.config import SETTINGS
from aecodec.training.data import TILES
from aecodec.training.loop import Trainer


def saved_run(folder: Path, run: Path, **sizes: int) -> Path:
    """A run of one step."""
    config = replace(FAST_RUN, model=replace(TINY, **sizes))
    trainer = Trainer.prepare([folder], run, config)
    trainer.step()
    assert trainer.collect() is not None
    trainer.save()
    return run


def coded_bytes(encoder: EncoderModel, pixels: Pixels, index: int) -> int:
    """What the latents of a picture take."""
    y = encoder.analyze(pixels, index)
    z = encoder.analysis.hyper(y, index)
    zone = DeadZone(encoder.symbol_costs, encoder.search.plain_weight)
    tile, _ = encode_latents(encoder.decoder.prior, y, z, index, dead_zone=zone)
    return len(tile.words)


def test_a_model_of_other_sizes_trains_is_exported_and_loads(
    picture_folder: Path, tmp_path: Path
) -> None:
    sizes = {"synthesis_blocks": 7, "analysis_coarse_blocks": 3, "synthesis_coarse_blocks": 2}
    run = saved_run(picture_folder, tmp_path / "run", **sizes)
    report = export_run(run, tmp_path / "w.safetensors")
    weights = read_weights(tmp_path / "w.safetensors")
    assert weights.config == replace(TINY, **sizes)
    assert load_decoder(weights).model_id == report.model_id
    assert report.size == (tmp_path / "w.safetensors").stat().st_size


def test_the_search_lowers_what_the_run_lowered(picture_folder: Path, tmp_path: Path) -> None:
    mixture = "0.6 mse@1.5 + 0.4 structure_xyb@0.5"
    config = replace(FAST_RUN, loss=mixture)
    trainer = Trainer.prepare([picture_folder], tmp_path / "run", config)
    trainer.save()
    export_run(tmp_path / "run", tmp_path / "w.safetensors")
    search = read_weights(tmp_path / "w.safetensors").search
    assert search == SearchSettings.for_distortion(mixture)
    assert search.distortion == mixture


def test_the_settings_for_mixtures_are_those_of_the_model_for_the_eye() -> None:
    for name in ("aec-1", "aec-1-visual"):
        released = load_model(name).search
        assert SearchSettings.for_distortion(released.distortion) == released


@pytest.mark.parametrize("loss", ["mse", "mse@2", "0.6 mse + 0.4 structure_xyb"])
def test_other_losses_leave_the_search_to_the_squared_error(loss: str) -> None:
    assert search_of(loss) == SearchSettings()


def test_a_single_distortion_is_searched_for() -> None:
    assert search_of("ms_ssim").distortion == "1 ms_ssim@1"


def test_the_command_tells_the_model_id(picture_folder: Path, tmp_path: Path) -> None:
    run, output = saved_run(picture_folder, tmp_path / "run"), tmp_path / "w.safetensors"
    result = CliRunner().invoke(export, [str(run), "-o", str(output)])
    assert result.exit_code == 0, result.exception
    assert f"model {read_weights(output).model_id.hex()}" in result.output


@pytest.mark.parametrize("name", [SETTINGS, TILES])
def test_export_needs_all_of_a_run(name: str, picture_folder: Path, tmp_path: Path) -> None:
    run = saved_run(picture_folder, tmp_path / "run")
    (run / name).unlink()
    with pytest.raises(TrainingError, match=f"{name}: missing"):
        export_run(run, tmp_path / "w.safetensors")
    with pytest.raises(TrainingError, match="no checkpoint to read"):
        export_run(tmp_path / "none", tmp_path / "w.safetensors")


def test_settings_of_another_model_are_noticed(picture_folder: Path, tmp_path: Path) -> None:
    run = saved_run(picture_folder, tmp_path / "run")
    replace(FAST_RUN, model=replace(TINY, channels=16)).save(run / SETTINGS)
    with pytest.raises(TrainingError, match="another model"):
        export_run(run, tmp_path / "w.safetensors")


def test_fitted_tables_cost_less(tmp_path: Path) -> None:
    model = make_tiny_model()
    tiles = np.stack([make_picture(512, 512, seed=seed) for seed in range(3)])
    statistics = observe_inputs(model, tiles, patches=3)
    observed = observe_symbols(model, tiles, statistics, patches=2)
    again = observe_symbols(model, tiles, statistics, patches=2)
    np.testing.assert_array_equal(observed, again)
    sizes = []
    for name, counts in (("gaussian", None), ("fitted", observed)):
        path = tmp_path / name
        export_weights(model, path, statistics, counts)
        sizes.append(coded_bytes(load_encoder(read_weights(path)), tiles[1, :256, :256], 280))
    assert sizes[1] < 0.9 * sizes[0]

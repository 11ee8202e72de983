"""Pictures to tiles to batches."""

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aecodec.errors import TrainingError
from aecodec.training import data


def test_damaged_tiles_are_named(tmp_path: Path) -> None:
    path = tmp_path / "tiles.npy"
    path.write_bytes(b"no tiles")
    with pytest.raises(TrainingError, match=r"tiles\.npy: damaged"):
        data.open_tiles(path)
    np.save(path, np.zeros((2, 3)))
    with pytest.raises(TrainingError, match=r"tiles\.npy: holds no tiles"):
        data.open_tiles(path)


def test_every_fiftieth_picture_is_held_out() -> None:
    pictures = [Path(f"{n:03}.png") for n in range(120)]
    training, held_out = data.hold_out(pictures)
    assert held_out == [pictures[0], pictures[50], pictures[100]]
    assert sorted(training + held_out) == pictures


def test_unreadable_pictures_are_left_out_with_a_warning(
    picture_folder: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (picture_folder / "bad.png").write_text("no picture")
    Image.fromarray(np.zeros((10, 10, 3), np.uint8)).save(picture_folder / "small.png")
    with caplog.at_level(logging.WARNING):
        tiles = data.load_tiles(
            data.find_pictures([picture_folder]), tmp_path / "t.npy", per_picture=1, seed=0
        )
    assert len(tiles) == 4
    assert {"bad.png", "small.png"} == {Path(r.args[0]).name for r in caplog.records}  # type: ignore[index, arg-type]  # logging's args are loosely typed
    with pytest.raises(TrainingError, match="none of 1 pictures"):
        data.load_tiles([picture_folder / "bad.png"], tmp_path / "u.npy", per_picture=1, seed=0)


def test_no_pictures(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no pictures"):
        data.find_pictures([tmp_path])
    with pytest.raises(TrainingError, match="not a folder"):
        data.find_pictures([tmp_path / "none"])


def test_tiles_are_decoded_once_and_wherever_the_pictures_lie(
    picture_folder: Path, tmp_path: Path
) -> None:
    run, moved = tmp_path / "run", tmp_path / "moved"
    first = data.prepare_tiles([picture_folder], run, 0)
    before = (run / data.TILES).stat().st_mtime_ns
    picture_folder.rename(moved)
    second = data.prepare_tiles([moved], run, 0)
    assert (run / data.TILES).stat().st_mtime_ns == before
    np.testing.assert_array_equal(first.training, second.training)
    assert len(second.training) == 3
    assert len(second.held_out) == 1


@pytest.mark.parametrize("change", ["added", "changed", "unknown"])
def test_tiles_of_other_pictures_are_refused(
    change: str, picture_folder: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "t.npy"
    data.load_tiles(data.find_pictures([picture_folder]), cache, per_picture=1, seed=0)
    if change == "unknown":
        cache.with_suffix(".pictures.json").unlink()
    else:
        name = "9.png" if change == "added" else "0.png"
        Image.new("RGB", (100, 100)).save(picture_folder / name)
    with pytest.raises(TrainingError, match=r"t\.npy: made from other pictures"):
        data.load_tiles(data.find_pictures([picture_folder]), cache, per_picture=1, seed=0)
    cache.unlink()
    data.load_tiles(data.find_pictures([picture_folder]), cache, per_picture=1, seed=0)

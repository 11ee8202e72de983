"""Tasks of the anomaly benchmark: seeded, with defects where the masks say."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.anomaly import Learn, areas, by_forest, by_patch_pca, by_whole_pca
from benchmarks.defects import DEFECTS, OBJECT, TEXTURE, TILE, Task, make_tasks


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("tiles")
    found = []
    for seed in range(4):
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((TILE, TILE), Image.Resampling.BICUBIC)
        image.save(folder / f"{seed}.png")
        found.append(folder / f"{seed}.png")
    Image.new("RGB", (100, 100)).save(folder / "small.png")
    return [*found, folder / "small.png"]


@pytest.fixture(scope="module")
def tasks(files: list[Path]) -> list[Task]:
    return make_tasks(files, objects=2, textures=1, seed=5)


@pytest.mark.slow
def test_tasks_are_the_same_for_the_same_seed(files: list[Path], tasks: list[Task]) -> None:
    again = make_tasks(files, objects=2, textures=1, seed=5)
    assert [task.name for task in tasks] == [task.name for task in again]
    for first, second in zip(tasks, again, strict=True):
        for a, b in zip(first.examples, second.examples, strict=True):
            assert np.array_equal(a.pixels, b.pixels)
            assert np.array_equal(a.mask, b.mask)


def test_tasks_have_every_defect(tasks: list[Task]) -> None:
    assert [task.kind for task in tasks] == ["object", "object", "texture"]
    for task in tasks:
        side = OBJECT if task.kind == "object" else TEXTURE
        assert all(pixels.shape == (side, side, 3) for pixels in task.normal)
        assert {example.defect for example in task.examples} == {"", *DEFECTS}
        for example in task.examples:
            assert example.mask.any() == bool(example.defect)
            assert example.mask.all() == (example.defect == "other")


def test_too_few_tiles_are_refused(files: list[Path]) -> None:
    with pytest.raises(ValueError, match="4 tiles of 512x512 pixels are too few"):
        make_tasks(files, objects=5, textures=0, seed=0)


def test_areas_tell_guesses_from_knowledge(tasks: list[Task]) -> None:
    masks = {id(example.pixels): example.mask for example in tasks[0].examples}
    known = areas(tasks[0], lambda pixels: masks[id(pixels)].astype(np.float64))
    assert all(area > 0.99 for area in known.values())
    blind = areas(tasks[0], lambda pixels: np.zeros(pixels.shape[:2]))
    assert set(blind.values()) == {0.5}


@pytest.mark.parametrize("learn", [by_whole_pca, by_patch_pca, by_forest])
def test_rivals_are_hotter_where_noise_is(learn: Learn, tasks: list[Task]) -> None:
    detect = learn(tasks[0])
    usual = tasks[0].examples[0].pixels
    odd = usual.copy()
    odd[:64, :64] = np.random.default_rng(0).integers(0, 256, (64, 64, 3))
    heat = detect(odd)
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    assert heat.max() > detect(usual).max()
    assert max(row, column) < len(heat) // 4 + 1

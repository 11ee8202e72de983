"""Parts of the features benchmark."""

import json
from pathlib import Path

import numpy as np
from conftest import make_picture
from PIL import Image

from benchmarks.features import (
    changed,
    found_first,
    found_first_by_hash,
    gradients,
    labelled_tiles,
    thumbnails,
)


def test_copies_are_of_every_kind_and_seeded() -> None:
    picture = make_picture(256, 256)
    first, second = (changed(picture, np.random.default_rng(1)) for _ in range(2))
    assert list(first) == ["crop", "rescale", "JPEG 20", "brighter", "mirrored"]
    assert all(np.array_equal(first[kind], second[kind]) for kind in first)
    assert 179 <= len(first["crop"]) < 256
    assert first["JPEG 20"].shape == picture.shape
    assert np.array_equal(first["mirrored"][:, ::-1], picture)


def test_the_nearest_is_found_by_direction() -> None:
    stored = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
    assert found_first(stored, stored * 3, [0, 1, 2]) == 1
    assert found_first(stored, stored[[1, 0, 2]], [0, 1, 2]) == 1 / 3


def test_rivals_know_pictures_again() -> None:
    rng = np.random.default_rng(0)
    pictures = []
    for _ in range(4):
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        pictures.append(np.asarray(Image.fromarray(coarse).resize((256, 256))))
    for method in (thumbnails, gradients):
        vectors = method(pictures)
        assert len(vectors) == 4
        assert found_first(vectors, vectors, range(4)) == 1
    assert found_first_by_hash(pictures, pictures, range(4)) == 1


def test_tiles_are_labelled_by_their_source(tmp_path: Path) -> None:
    rows = [
        ("a.png", "ronaldl29/public-domain-recipes", "photo"),
        ("b.png", "sb/unknown", "photo"),
        ("c.png", "microsoft/pxt-microbit", "nonphoto"),
        ("d.png", "microsoft/pxt-microbit", "photo"),
    ]
    for name, _, _ in rows:
        Image.fromarray(make_picture(512, 512)).save(tmp_path / name)
    lines = [json.dumps({"file": f"x/{n}", "source": s, "cls": c}) for n, s, c in rows]
    index = tmp_path / "index.jsonl"
    index.write_text("\n".join(lines), encoding="utf-8")
    pictures, labels, half = labelled_tiles(tmp_path, index)
    assert [each.shape for each in pictures] == [(256, 256, 3)] * 2
    assert labels.tolist() == ["food", "screens"]
    assert half.tolist() == [True, False]

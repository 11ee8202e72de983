"""Anomaly scores: what is found where, profiles as files, and bad input."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from conftest import make_picture
from safetensors.numpy import load, save

from aecodec.applications.anomaly import AnomalyProfile, Layout
from aecodec.applications.heat_maps import overlay
from aecodec.applications.latent_maps import LatentMap, LatentReader, channel_order
from aecodec.applications.profile_files import profile_bytes, profile_from, read_profile
from aecodec.codec import Codec
from aecodec.errors import InputError

Picture = npt.NDArray[np.uint8]


def normal_picture(seed: int, height: int = 96, width: int = 128) -> Picture:
    """The same thing at the same place, with other noise."""
    noise = np.random.default_rng(seed).normal(0, 3, (height, width, 3))
    return np.clip(make_picture(height, width) + noise, 0, 255).astype(np.uint8)


def texture(seed: int, height: int = 96, width: int = 128) -> Picture:
    """Waves of a random phase."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width] + rng.uniform(0, 40, 2)[:, None, None]
    waves = 128 + 50 * np.sin(rows / 4) + 30 * np.cos(columns / 9)
    noisy = waves[:, :, None] + rng.normal(0, 3, (height, width, 3))
    clipped: Picture = np.clip(noisy, 0, 255).astype(np.uint8)
    return clipped


def stained(pixels: Picture) -> Picture:
    odd = pixels.copy()
    odd[32:64, 80:112] = (200, 20, 20)
    return odd


def fit(
    codec: Codec, make: Callable[[int], Picture], layout: Layout | None = None, count: int = 8
) -> AnomalyProfile:
    reader = LatentReader(codec)
    order = channel_order(codec.encoder.decoder.prior)
    maps = [reader.read(make(seed)) for seed in range(count)]
    return AnomalyProfile.fit(maps, order, layout=layout)


@pytest.fixture(scope="module")
def fixed(tiny_codec: Codec) -> AnomalyProfile:
    return fit(tiny_codec, normal_picture)


@pytest.fixture(scope="module")
def free(tiny_codec: Codec) -> AnomalyProfile:
    return fit(tiny_codec, texture)


def test_the_layout_is_found_out(fixed: AnomalyProfile, free: AnomalyProfile) -> None:
    assert (fixed.layout, free.layout) == ("fixed", "free")
    assert fixed.pictures == 8


@pytest.mark.parametrize("make", [normal_picture, texture])
def test_a_stain_is_found_where_it_is(
    tiny_codec: Codec, fixed: AnomalyProfile, free: AnomalyProfile, make: Callable[[int], Picture]
) -> None:
    profile = fixed if make is normal_picture else free
    reader = LatentReader(tiny_codec)
    usual = profile.score(reader.read(make(100)))
    odd = profile.score(reader.read(stained(make(100))))
    assert odd.is_anomalous
    assert odd.score > 2 * usual.score
    assert odd.heat.shape == (6, 8)
    column, row = odd.peak
    assert 64 <= column < 128
    assert 16 <= row < 80


def test_files_score_as_their_pictures_do(tiny_codec: Codec, fixed: AnomalyProfile) -> None:
    reader, pixels = LatentReader(tiny_codec), stained(normal_picture(50))
    data = tiny_codec.compress(pixels, 75, lossless_tiles=False)
    assert fixed.score(reader.read(data)).score == fixed.score(reader.read(pixels)).score


def test_most_held_out_pictures_lie_below_the_threshold(tiny_codec: Codec) -> None:
    reader = LatentReader(tiny_codec)
    order = channel_order(tiny_codec.encoder.decoder.prior)
    maps = [reader.read(normal_picture(seed)) for seed in range(16)]
    low, high = (AnomalyProfile.fit(maps, order, quantile=q).threshold for q in (0.5, 1.0))
    assert 0 < low < high
    beyond = [
        AnomalyProfile.fit(maps, order).score(reader.read(normal_picture(seed))).is_anomalous
        for seed in range(40, 48)
    ]
    assert sum(beyond) <= 2


def test_free_layouts_take_pictures_of_any_size(tiny_codec: Codec) -> None:
    reader = LatentReader(tiny_codec)
    order = channel_order(tiny_codec.encoder.decoder.prior)
    maps = [reader.read(texture(seed, 64 + 16 * seed, 96)) for seed in range(6)]
    profile = AnomalyProfile.fit(maps, order)
    assert profile.layout == "free"
    assert profile.score(reader.read(texture(20, 48, 200))).heat.shape == (3, 13)
    with pytest.raises(InputError, match="pictures of one size, not 6x4 and 6x5 places"):
        AnomalyProfile.fit(maps, order, layout="fixed")


def test_fixed_layouts_refuse_other_sizes(tiny_codec: Codec, fixed: AnomalyProfile) -> None:
    with pytest.raises(InputError, match="8x6 places of 16x16 pixels, this one has 4x2"):
        fixed.score(LatentReader(tiny_codec).read(make_picture(32, 64)))


def test_too_few_pictures_are_refused(tiny_codec: Codec) -> None:
    with pytest.raises(InputError, match="1 normal pictures are too few: 4 at least"):
        fit(tiny_codec, normal_picture, count=1)


def test_latents_that_do_not_fit_are_refused(tiny_codec: Codec, fixed: AnomalyProfile) -> None:
    found = LatentReader(tiny_codec).read(normal_picture(1))
    order = channel_order(tiny_codec.encoder.decoder.prior)
    other = replace(found, model_id=b"abcd")
    low = replace(found, quality_index=200)
    with pytest.raises(InputError, match="these latents are of 61626364"):
        fixed.score(other)
    with pytest.raises(InputError, match="of quality 75, but these latents are of 50"):
        fixed.score(low)
    with pytest.raises(InputError, match="different models"):
        AnomalyProfile.fit([found, found, found, other], order)
    with pytest.raises(InputError, match="different qualities: 50, 75"):
        AnomalyProfile.fit([found, found, found, low], order)
    with pytest.raises(InputError, match="quantile"):
        AnomalyProfile.fit([found] * 4, order, quantile=0)


def test_equal_pictures_make_a_profile(tiny_codec: Codec) -> None:
    reader, pixels = LatentReader(tiny_codec), make_picture(96, 128)
    profile = fit(tiny_codec, lambda _seed: pixels)
    assert not profile.score(reader.read(pixels)).is_anomalous
    assert profile.score(reader.read(stained(pixels))).is_anomalous


@pytest.mark.parametrize("layout", ["fixed", "free"])
def test_profiles_keep_their_scores_as_files(
    tiny_codec: Codec, fixed: AnomalyProfile, free: AnomalyProfile, layout: Layout, tmp_path: Path
) -> None:
    profile, make = (fixed, normal_picture) if layout == "fixed" else (free, texture)
    path = tmp_path / "p.safetensors"
    path.write_bytes(profile_bytes(profile))
    again = read_profile(str(path))
    latents: LatentMap = LatentReader(tiny_codec).read(stained(make(3)))
    assert again.layout == layout
    assert (again.model_id, again.threshold) == (profile.model_id, profile.threshold)
    assert again.score(latents).score == pytest.approx(profile.score(latents).score, rel=1e-4)


def changed(data: bytes, **about: object) -> bytes:
    """A profile with other metadata."""
    length = int.from_bytes(data[:8], "little")
    metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    told = {**json.loads(metadata["profile"]), **about}
    return save(load(data), {**metadata, "profile": json.dumps(told)})


@pytest.mark.parametrize(
    "about",
    [
        {"layout": "loose"}, {"layout": "free"}, {"model_id": "12"}, {"model_id": None},
        {"threshold": float("nan")}, {"threshold": "x"}, {"quality_index": 500},
        {"quality_index": 1.5}, {"channels": []}, {"channels": [-1]}, {"scales": {}},
        {"scales": {"shades": [0, 0], "bits": [0, 1]}}, {"pictures": 0}, {"channels": [1, 2]},
    ],
    ids=str,
)  # fmt: skip
def test_profiles_with_wrong_metadata_are_refused(
    fixed: AnomalyProfile, about: dict[str, object]
) -> None:
    with pytest.raises(InputError, match="damaged anomaly profile"):
        profile_from(changed(profile_bytes(fixed), **about))


def test_profiles_with_wrong_arrays_are_refused(
    fixed: AnomalyProfile, free: AnomalyProfile
) -> None:
    for profile in (fixed, free):
        data = profile_bytes(profile)
        metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        arrays = load(data)
        for name, array in arrays.items():
            for wrong in (
                {key: value for key, value in arrays.items() if key != name},
                {**arrays, name: array[..., :-1]},
                {**arrays, name: np.full_like(array, np.nan)},
                {**arrays, name: array.astype(np.float64)},
            ):
                with pytest.raises(InputError, match="damaged anomaly profile"):
                    profile_from(save(wrong, metadata))
        spread = "bits.deviation"
        with pytest.raises(InputError, match="not positive"):
            profile_from(save({**arrays, spread: 0 * arrays[spread]}, metadata))


def test_no_damage_goes_unseen(fixed: AnomalyProfile) -> None:
    """Whatever bytes are cut or changed, reading gives a profile or one clear error."""
    data = profile_bytes(fixed)
    rng = np.random.default_rng(0)
    for length in (0, 4, 8, 9, 100, len(data) // 2, len(data) - 1):
        with pytest.raises(InputError):
            profile_from(data[:length])
    for _ in range(200):
        broken = bytearray(data)
        broken[int(rng.integers(0, 1500))] ^= 1 << int(rng.integers(0, 8))
        try:
            profile_from(bytes(broken))
        except InputError:
            continue


@pytest.mark.parametrize("header", [b"[" * 5000, b'{"__metadata__": 3}', b"[]", b"{}", b"\xff"])
def test_headers_that_are_none_are_refused(header: bytes) -> None:
    with pytest.raises(InputError, match="anomaly profile"):
        profile_from(len(header).to_bytes(8, "little") + header)


def test_heat_covers_the_picture(tiny_codec: Codec, fixed: AnomalyProfile) -> None:
    pixels = stained(normal_picture(9))
    found = fixed.score(LatentReader(tiny_codec).read(pixels))
    hot = overlay(pixels, found)
    assert hot.shape == (96, 128, 3)
    column, row = found.peak
    assert hot[row, column, 0] > 120 > hot[row, column, 2]
    calm = replace(found, heat=np.zeros_like(found.heat))
    gray = overlay(pixels[:, :, 0], calm)
    assert gray.shape == (96, 128, 3)
    assert np.array_equal(gray[:, :, 0], pixels[:, :, 0])

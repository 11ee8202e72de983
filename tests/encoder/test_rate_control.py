"""The search for a quality that meets a target: on smooth relations and on real files."""

import math
from typing import get_args

import numpy as np
import pytest
from conftest import make_picture
from hypothesis import given
from hypothesis import strategies as st

from aecodec.codec import Codec
from aecodec.encoder.effort import Effort
from aecodec.encoder.networks import EncoderModel
from aecodec.encoder.picture_quality import PictureQuality
from aecodec.encoder.rate_control import EVALUATIONS, search_quality
from aecodec.encoder.tile import TileEncoder
from aecodec.encoder.tile_view import BegunTiles
from aecodec.format.tiling import Box
from aecodec.models.weights import Array
from aecodec.options import EncodeOptions, Target, TargetKind
from aecodec.picture.metrics import measure
from aecodec.picture.pixels import Pixels


@given(st.floats(2, 100), st.floats(2, 4), st.floats(0.7, 1.4), st.floats(0, 0.002))
def test_sizes_are_met(quality: float, slope: float, bend: float, noise: float) -> None:
    def size(at: float) -> float:
        return math.exp(7 + slope * (at / 100) ** bend + noise * math.sin(37 * at))

    found = search_quality(Target("size", size(quality)), size)
    assert found.met
    assert found.evaluations <= EVALUATIONS
    assert found.measured == size(found.quality)
    assert (found.quality * 4).is_integer()


@given(st.floats(0, 100))
def test_psnrs_are_met(quality: float) -> None:
    found = search_quality(Target("psnr", 28 + 0.13 * quality), lambda at: 28 + 0.13 * at)
    assert found.met
    assert found.evaluations <= EVALUATIONS


@pytest.mark.parametrize(("wish", "quality"), [(1.0, 0.0), (1e9, 100.0)])
def test_what_is_out_of_reach_gives_the_nearest(wish: float, quality: float) -> None:
    found = search_quality(Target("size", wish), lambda at: 1000 + 100 * at)
    assert (found.quality, found.met) == (quality, False)


def test_where_values_jump_the_neighbours_are_tried() -> None:
    jumps = {40.0: 33.0, 40.25: 33.26, 40.5: 33.27}  # the bracket closes among these

    def psnr(at: float) -> float:
        return jumps.get(at, 28 + 0.13 * at)

    found = search_quality(Target("psnr", 33.2), psnr)
    assert found.met
    assert found.quality not in jumps
    assert found.evaluations <= EVALUATIONS


@given(st.floats(1, 99))
def test_similarities_are_met(quality: float) -> None:
    def ssim(at: float) -> float:
        return float(1 - 10 ** -(0.7 + 0.02 * at))

    found = search_quality(Target("ssim", ssim(quality)), ssim)
    assert found.met
    assert found.evaluations <= EVALUATIONS


@pytest.mark.parametrize("kind", get_args(TargetKind))
def test_real_files(tiny_codec: Codec, kind: TargetKind) -> None:
    pixels = make_picture(200, 220)

    def measured(data: bytes) -> float:
        if kind == "size":
            return len(data)
        if kind == "bpp":
            return 8 * len(data) / (200 * 220)
        return measure(kind, pixels, tiny_codec.decompress_array(data))

    target = Target(kind, measured(tiny_codec.compress(pixels, 60)))
    data, found = tiny_codec.compress_to(pixels, target)
    assert found.met
    assert measured(data) == found.measured
    assert target.is_met(found.measured)
    assert tiny_codec.compress(pixels, options=EncodeOptions(target=target)) == data


@pytest.mark.parametrize("room", [0, 2**28])
def test_the_analysis_begins_once_if_there_is_room(
    tiny_codec: Codec, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    pixels = make_picture(100, 90)
    monkeypatch.setattr("aecodec.encoder.rate_control.KEPT_BYTES", room)
    begin, begun = tiny_codec.encoder.analysis.begin, 0

    def count(pixels: Pixels) -> Array:
        nonlocal begun
        begun += 1
        return begin(pixels)

    monkeypatch.setattr(tiny_codec.encoder.analysis, "begin", count)
    data, found = tiny_codec.compress_to(pixels, Target("psnr", 31))
    assert found.evaluations > 2
    assert begun == 1 if room else begun >= found.evaluations
    assert data == tiny_codec.compress(pixels, found.quality)


def test_tiles_beside_lossless_ones_begin_anew(tiny_coder: EncoderModel) -> None:
    pixels = make_picture(128, 192)
    box = Box(0, 0, 4, 4)
    none, beside, corner = np.zeros((3, 8, 12), np.bool_)
    beside[:4, 4:8] = True
    corner[4:, 4:8] = True
    begun = BegunTiles(2**28)
    for lossless in (none, beside, corner, none, beside):
        for index in (100, 300):
            kept, plain = (
                TileEncoder(tiny_coder, PictureQuality(index), Effort(), begun=each).view(
                    pixels, box, lossless
                )
                for each in (begun, None)
            )
            np.testing.assert_array_equal(kept.y, plain.y)

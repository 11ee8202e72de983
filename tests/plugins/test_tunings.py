"""Every plugin that writes takes a tuning."""

from io import BytesIO

import pytest
from conftest import make_picture
from PIL import Image

import aecodec
from aecodec.models.registry import TUNES, ReleasedModel, Tune
from aecodec.plugins.chunks import ChunkOptions, encode_chunk

PIXELS = make_picture(20, 30)


def model_of(data: bytes) -> bytes:
    return aecodec.read_info(data).model_id


@pytest.mark.parametrize("tune", TUNES)
def test_pillow(tunings: dict[Tune, ReleasedModel], tune: Tune) -> None:
    file = BytesIO()
    Image.fromarray(PIXELS).save(file, "AEC", tune=tune)
    assert model_of(file.getvalue()) == tunings[tune].model_id
    with Image.open(file) as image:
        assert image.convert("RGB").size == (30, 20)


@pytest.mark.parametrize("tune", TUNES)
def test_imageio(tunings: dict[Tune, ReleasedModel], tune: Tune) -> None:
    imageio = pytest.importorskip("imageio.v3")
    data = imageio.imwrite("<bytes>", PIXELS, extension=".aec", tune=tune)
    assert model_of(data) == tunings[tune].model_id


@pytest.mark.parametrize("tune", TUNES)
def test_chunks(tunings: dict[Tune, ReleasedModel], tune: Tune) -> None:
    options = ChunkOptions(tune=tune)
    assert model_of(encode_chunk(PIXELS, options)) == tunings[tune].model_id
    assert options.configuration() == {"tune": tune}


def test_zarr_and_numcodecs_note_the_tuning() -> None:
    numcodecs = pytest.importorskip("numcodecs")
    from aecodec.plugins.numcodecs import AecNumcodec
    from aecodec.plugins.zarr import AecZarr

    codec = AecZarr(tune="visual")
    assert AecZarr.from_dict(codec.to_dict()) == codec
    twin = numcodecs.get_codec(AecNumcodec(tune="visual").get_config())
    assert twin.options.tune == "visual"
    with pytest.raises(aecodec.InputError, match="tune must be psnr or visual"):
        AecZarr.from_dict({"name": "aecodec", "configuration": {"tune": "eye"}})

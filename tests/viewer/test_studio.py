"""What the viewer says of pictures: figures, heat maps, other formats."""

import base64
import json
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from browsers import ROOT
from conftest import make_picture
from exif_bytes import make_exif, short
from PIL import Image

from aecodec.codec import Codec
from aecodec.errors import AecError
from aecodec.format.chunks import DEFAULT_LIMITS
from aecodec.format.container import parse
from aecodec.models.registry import TUNES, Tune, tuned_model
from aecodec.picture.metrics import pixels_psnr
from aecodec.viewer.exhibits import exhibit_of, load_exhibits
from aecodec.viewer.heat import bit_map
from aecodec.viewer.rivals import RIVALS, nearest
from aecodec.viewer.site import site_files
from aecodec.viewer.studio import Studio, UnknownError

SAMPLES = ROOT / "samples"
CODED = SAMPLES / "aec-1" / "chelsea.aec"


@pytest.fixture(scope="module")
def codec() -> Codec:
    return Codec()


@pytest.fixture(scope="module")
def studio(codec: Codec) -> Studio:
    names = [SAMPLES / "chelsea.png", SAMPLES / "aec-1" / "camera.aec", CODED]
    return Studio(codec, load_exhibits([str(name) for name in names], DEFAULT_LIMITS))


def fields(studio: Studio, address: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(studio.answer(address).data)
    return found


def png(pixels: np.ndarray[Any, Any], **options: Any) -> bytes:  # noqa: ANN401  # Pillow's
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG", **options)
    return file.getvalue()


def map_of(fields: dict[str, Any]) -> np.ndarray[Any, Any]:
    data = base64.b64decode(fields["png"].removeprefix("data:image/png;base64,"))
    with Image.open(BytesIO(data)) as image:
        return np.asarray(image)


@pytest.mark.usefixtures("tunings")
@pytest.mark.parametrize("tune", TUNES)
def test_a_studio_encodes_for_its_tuning_and_a_site_holds_the_models_of_its_files(
    tune: Tune,
) -> None:
    exhibit = exhibit_of("a.png", png(make_picture(70, 90)), DEFAULT_LIMITS)
    studio = Studio(Codec(), [exhibit], tune=tune)
    key = tuned_model(tune).model_id
    assert parse(studio.answer("0/q100/picture.aec").data).header.model_id == key
    found = dict(site_files(studio, [25.0]))
    assert json.loads(found["resources.json"])["models"].keys() == {key.hex()}
    assert "index.html" in found


def test_pairs_are_found_by_their_stems(studio: Studio) -> None:
    first, second = fields(studio, "pictures.json")["pictures"]
    assert (first["name"], first["original"], first["given"]) == ("chelsea.png", True, True)
    assert (second["name"], second["original"], second["given"]) == ("camera.aec", False, True)
    assert first["quality"] == 75


def test_figures_are_those_of_the_files(studio: Studio, codec: Codec) -> None:
    original = np.asarray(Image.open(SAMPLES / "chelsea.png").convert("RGB"))
    for key in ("given", "q120"):
        found = fields(studio, f"0/{key}/figures.json")
        data = studio.answer(f"0/{key}/picture.aec").data
        assert found["bytes"] == len(data)
        assert found["bpp"] == pytest.approx(8 * len(data) / (451 * 300))
        assert found["psnr"] == pytest.approx(pixels_psnr(original, codec.decompress_array(data)))
    assert studio.answer("0/given/picture.aec").data == CODED.read_bytes()
    assert data == codec.compress(original, 30, effort=1)
    assert "psnr" not in fields(studio, "1/given/figures.json")


def test_what_has_no_original_is_not_compared(studio: Studio) -> None:
    for address in ("1/original.png", "1/q100/figures.json", "1/given/error.json", "1/given/avif"):
        with pytest.raises(UnknownError):
            studio.answer(address)


@pytest.mark.parametrize("name", ["chelsea", "camera", "coffee"])
def test_bits_of_places_are_those_of_the_file(codec: Codec, name: str) -> None:
    data = (SAMPLES / "aec-1" / f"{name}.aec").read_bytes()
    total = bit_map(codec, data).values.sum() / 8
    assert total == pytest.approx(len(data), rel=0.02)


def test_bits_of_stored_tiles_are_counted(codec: Codec) -> None:
    pixels = make_picture(70, 90)
    pixels[:, 45:] = 7
    for options in ({"lossless": True}, {"max_error": 3}):
        data = codec.compress(pixels, **options)
        total = bit_map(codec, data).values.sum() / 8
        assert total == pytest.approx(len(data), rel=0.2)


def test_errors_lie_where_pixels_differ(studio: Studio, codec: Codec) -> None:
    pixels = make_picture(40, 60)
    data = png(pixels, exif=b"Exif\0\0" + make_exif({274: short(6)}))
    number = studio.add(exhibit_of("turned.png", data, DEFAULT_LIMITS))
    found = studio.described(number)
    assert (found["width"], found["height"]) == (40, 60)
    heat = fields(studio, f"{number}/q40/error.json")
    shown = np.asarray(Image.open(BytesIO(studio.answer(f"{number}/original.png").data)))
    decoded = codec.decompress_array(studio.answer(f"{number}/q40/picture.aec").data)
    worst = np.abs(shown.astype(int) - decoded).max(2)
    expected = (worst * 255 / heat["peak"]).clip(0, 255).astype(np.uint8)
    assert np.array_equal(map_of(heat), expected)
    assert map_of(fields(studio, f"{number}/q40/bits.json")).shape == (60, 40)


@pytest.mark.parametrize("name", list(RIVALS))
def test_other_formats_have_the_nearest_size(studio: Studio, name: str) -> None:
    rival = RIVALS[name]
    picture = studio.exhibit(0).eight_bit
    match = nearest(rival, picture, 9000)
    for quality in (match.quality - 1, match.quality + 1):
        file = BytesIO()
        Image.fromarray(picture.pixels).save(file, rival.kind, quality=quality, **rival.options)
        assert abs(len(file.getvalue()) - 9000) >= abs(len(match.data) - 9000)
    found = fields(studio, f"0/q200/{name}.json")
    data = studio.answer(f"0/q200/{name}").data
    assert (found["bytes"], found["quality"] > 0) == (len(data), True)
    assert 20 < found["psnr"] < 50


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_gray_and_transparent_pictures_are_measured(studio: Studio, channels: int) -> None:
    pixels = make_picture(32, 48)
    alpha = np.full((32, 48, 1), 255, np.uint8)
    alpha[:8] = 0
    kinds = {1: pixels[:, :, 0], 2: np.dstack((pixels[:, :, :1], alpha)),
             4: np.dstack((pixels, alpha))}  # fmt: skip
    number = studio.add(exhibit_of("x.png", png(kinds[channels]), DEFAULT_LIMITS))
    assert fields(studio, f"{number}/q300/figures.json")["psnr"] > 20
    score = fields(studio, f"{number}/q300/ssimulacra2.json")
    assert score["ssimulacra2"] is None
    assert "256" in score["reason"]
    lacking = studio.described(number)["lacking"]
    assert list(lacking) == ([] if channels == 1 else ["jpeg"])
    for name in RIVALS:
        if name in lacking:
            with pytest.raises(AecError, match="transparency"):
                studio.answer(f"{number}/q300/{name}.json")
        else:
            assert fields(studio, f"{number}/q300/{name}.json")["psnr"] > 15


def test_sixteen_bits_are_shown_as_eight(studio: Studio) -> None:
    pixels = make_picture(32, 48).astype(np.uint16)[:, :, 0] * 257
    number = studio.add(exhibit_of("deep.png", png(pixels), DEFAULT_LIMITS))
    assert fields(studio, f"{number}/q360/figures.json")["psnr"] > 30


def test_old_pictures_make_room_but_those_of_the_command_stay(codec: Codec) -> None:
    one = exhibit_of("x.png", png(make_picture(16, 16)), DEFAULT_LIMITS)
    small = Studio(codec, [one], most=2)
    assert [small.add(one) for _ in range(4)] == [1, 2, 3, 4]
    assert small.numbers == [0, 3, 4]
    with pytest.raises(UnknownError):
        small.answer("1/original.png")

"""AVIF with each tuning is a codec of its own, and one that is not obeyed is not measured."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image, features

from benchmarks import codecs, rd
from benchmarks.codecs import AVIF_TUNES, FACTORIES, CodecUnavailableError, ImageCodec, open_rgb
from benchmarks.curves import psnr

Encode = Callable[..., bytes]


@pytest.fixture(autouse=True)
def probe_afresh() -> Iterator[None]:
    codecs._probe.cache_clear()
    yield
    codecs._probe.cache_clear()


def picture() -> Image.Image:
    noise = np.random.default_rng(3).integers(0, 256, (12, 16, 3), np.uint8)
    return Image.fromarray(noise).resize((128, 96), Image.Resampling.BICUBIC)


def made(tune: str) -> ImageCodec:
    try:
        return FACTORIES[f"avif-{tune}"](None)
    except CodecUnavailableError as exc:
        pytest.skip(str(exc))


def test_each_tuning_gives_bytes_of_its_own() -> None:
    found = [made(tune) for tune in AVIF_TUNES]
    image = picture()
    assert len({codec.encode(image, 60) for codec in found}) == len(AVIF_TUNES)
    for codec, tune in zip(found, AVIF_TUNES, strict=True):
        assert codec.name == f"avif-{tune}"
        assert f"tune={tune}" in codec.settings
        assert f"libavif {features.version('avif')}, aom " in codec.details


@pytest.mark.parametrize("tune", AVIF_TUNES)
def test_more_quality_is_more_bytes_and_fewer_errors(tune: str) -> None:
    codec, image = made(tune), picture()
    files = [codec.encode(image, q) for q in (codec.qualities[0], codec.qualities[-1])]
    assert len(files[0]) < len(files[1])
    assert psnr(image, open_rgb(files[0])) < psnr(image, open_rgb(files[1]))


def test_a_tuning_that_is_ignored_is_not_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encoder that takes the option and makes the same file all the same."""
    real = codecs.save_avif
    made("psnr")
    codecs._probe.cache_clear()

    def deaf(image: Image.Image, quality: float, *, tune: str) -> bytes:
        return real(image, quality, tune="iq" if tune == "iq" else "psnr")

    monkeypatch.setattr(codecs, "save_avif", deaf)
    for tune, other in (("psnr", "ssim"), ("ssim", "psnr")):
        with pytest.raises(CodecUnavailableError, match=f"not honour tune={tune}: .* tune={other}"):
            FACTORIES[f"avif-{tune}"](None)
    assert FACTORIES["avif-iq"](None).name == "avif-iq"
    picture().save(tmp_path / "a.png")
    arguments = [str(tmp_path), "--codecs", "jpeg420,avif-psnr", "--points", "2"]
    result = CliRunner().invoke(rd.main, arguments)
    assert result.exit_code == 0, result.output
    assert "left out: avif-psnr: Pillow " in result.output
    assert "jpeg420: Pillow " in result.output


def test_a_tuning_that_is_refused_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    made("psnr")
    codecs._probe.cache_clear()
    real = codecs.save_avif

    def old(image: Image.Image, quality: float, *, tune: str) -> bytes:
        if tune == "iq":
            raise ValueError("Failed to encode image:\nInvalid codec-specific option")
        return real(image, quality, tune=tune)

    monkeypatch.setattr(codecs, "save_avif", old)
    with pytest.raises(CodecUnavailableError, match="refuses tune=iq: ValueError: Failed to enc"):
        FACTORIES["avif-iq"](None)
    assert FACTORIES["avif-psnr"](None).name == "avif-psnr"


def test_an_unknown_tuning_is_refused_by_the_library_itself() -> None:
    """So that a name that libaom does not know cannot mean the default."""
    made("psnr")
    with pytest.raises(ValueError, match="Invalid codec-specific option"):
        codecs.save_avif(picture(), 60, tune="beauty")


def test_without_libaom_there_is_no_tuned_avif(monkeypatch: pytest.MonkeyPatch) -> None:
    made("psnr")
    from PIL import _avif

    monkeypatch.setattr(_avif, "codec_versions", lambda: "dav1d [dec]:1.5, rav1e [enc]:0.8")
    with pytest.raises(CodecUnavailableError, match="no libaom here"):
        FACTORIES["avif-psnr"](None)


def test_the_tuning_of_heic_is_libheifs_default() -> None:
    """Named in its row, so that it must be set: the same bytes as without any option."""
    try:
        codec = FACTORIES["heic"](None)
    except CodecUnavailableError as exc:
        pytest.skip(str(exc))
    image = picture()
    assert codec.encode(image, 60) == codecs.save(image, "HEIF", quality=60, chroma=444)
    assert "tune=ssim" in codec.details


def test_every_codec_says_how_it_is_set() -> None:
    for name, make in FACTORIES.items():
        if "-e" in name:
            continue
        try:
            codec = make(None)
        except CodecUnavailableError:
            continue
        assert codec.version, name
        assert codec.settings, name

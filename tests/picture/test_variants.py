"""Every variant of TIFF and PNM gives the samples that were written, and what libvips reads."""

import numpy as np
import pytest
from variants import HEIGHT, WIDTH, Samples, TiffForm, tiff_forms, write_tiff

from aecodec.picture.decoding import read_picture
from aecodec.picture.pixels import Pixels
from aecodec.picture.reading import Reading, Wishes

FORMS = {name: (samples, form) for name, samples, form in tiff_forms()}


def read(data: bytes) -> Reading:
    return read_picture(data, Wishes())


def meant(samples: Samples, form: TiffForm) -> Pixels:
    """The pixels that samples mean, by the words of TIFF 6.0."""
    if form.form == 3:
        samples = np.floor(samples.astype(np.float64) * 65535 + 0.5).astype(np.uint16)
    elif form.bits < 8:
        samples = samples * (255 // (2**form.bits - 1))
    peak = np.iinfo(samples.dtype).max
    count = 1 if form.photometric < 2 else 3
    colours, extra = samples[:, :, :count].copy(), samples[:, :, count : count + 1]
    if form.photometric == 0:
        colours = peak - colours
    if form.extra[:1] == (1,):
        factors = np.float32(peak) / np.maximum(extra, 1).astype(np.float32)
        divided = np.minimum(np.floor(colours * factors), peak)
        colours = np.where(extra > 0, divided, 0).astype(samples.dtype)
    whole = np.dstack((colours, extra)) if form.extra[:1] in ((1,), (2,)) else colours
    return whole[:, :, 0] if whole.shape[2] == 1 else whole


@pytest.mark.parametrize("name", FORMS)
def test_tiff(name: str) -> None:
    samples, form = FORMS[name]
    reading = read(write_tiff(samples, form))
    expected = meant(samples, form)
    assert reading.pixels.dtype == expected.dtype
    np.testing.assert_array_equal(reading.pixels, expected)
    left_out = [line for line in reading.losses if line.startswith("left out")]
    assert len(left_out) == (form.extra[:1] == (0,) or len(form.extra) > 1)


def test_there_are_enough_variants() -> None:
    assert len(FORMS) >= 300


def is_misread_by_libvips(form: TiffForm) -> bool:
    """Whether libvips 8.18 refuses a form or gives other samples, by each form's reason."""
    planes_of_tiles = form.planes and form.tiled  # refused
    planes_of_gray = form.planes and form.photometric < 2  # scrambled
    floating_multiplied = form.extra[:1] == (1,) and form.form == 3  # divided as if up to 255
    negative_alpha = form.photometric == 0 and bool(form.extra)  # inverted like the colours
    return planes_of_tiles or planes_of_gray or floating_multiplied or negative_alpha


def test_tiff_as_libvips_reads_it() -> None:
    pyvips = pytest.importorskip("pyvips", exc_type=ImportError)
    wrong, compared = [], 0
    for name, (samples, form) in FORMS.items():
        if is_misread_by_libvips(form):
            continue
        data = write_tiff(samples, form)
        theirs = pyvips.Image.new_from_buffer(data, "", fail_on="error").numpy()
        if theirs.dtype.kind == "f":
            theirs = np.floor(theirs.astype(np.float64) * 65535 + 0.5).astype(np.uint16)
        ours = read(data).pixels
        channels = 1 if ours.ndim == 2 else ours.shape[2]
        theirs = theirs.reshape(HEIGHT, WIDTH, -1)[:, :, :channels]
        ours = ours.reshape(HEIGHT, WIDTH, -1)
        compared += 1
        if not np.array_equal(ours, theirs):
            wrong.append((name, int(np.abs(ours.astype(int) - theirs).max())))
    assert wrong == []
    assert compared >= 300

"""Pictures written by rows are those that are written at once."""

from io import BytesIO

import numpy as np
import pytest
from conftest import make_picture
from PIL import Image

from aecodec.picture.metadata import Metadata, metadata_of
from aecodec.picture.writers import STREAMED, write_rows

FULL = Metadata(icc=b"profile", xmp=b"<x/>", resolution=(72.0, 72.0), text=(("Comment", b"hi"),))


@pytest.mark.parametrize("kind", STREAMED)
@pytest.mark.parametrize("gray", [False, True])
@pytest.mark.parametrize("cuts", [[], [1, 70, 199]])
def test_rows_become_a_picture(kind: str, gray: bool, cuts: list[int]) -> None:
    pixels = make_picture(200, 90)
    pixels = pixels[:, :, 0] if gray else pixels
    file = BytesIO()
    write_rows(file, kind, (200, 90), np.split(pixels, cuts), FULL)
    with Image.open(file) as image:
        image.load()
        assert image.format == kind
        np.testing.assert_array_equal(np.asarray(image), pixels)
        if kind == "PNG":
            assert metadata_of(image).icc == FULL.icc
            assert metadata_of(image).xmp == FULL.xmp

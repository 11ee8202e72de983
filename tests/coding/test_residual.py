"""Residuals of tiles: exact or bounded, whatever the picture; a second decoder; hostile words."""

import numpy as np
import numpy.typing as npt
import pytest
from ans_reference import ReferenceWords
from conftest import make_picture
from hypothesis import given, settings
from hypothesis import strategies as st

from aecodec.coding.residual import decode_residual
from aecodec.coding.residual_tables import ResidualTables, newest_tables
from aecodec.encoder.residual_fit import encode_residual
from aecodec.errors import AecError, ChecksumError
from aecodec.format.chunks import ResidualTile

Pixels = npt.NDArray[np.uint8]
Place = tuple[int, int]

steady = settings(deadline=None, derandomize=True, max_examples=12)


@pytest.fixture(scope="module")
def tables() -> ResidualTables:
    return newest_tables()


def lossy(pixels: Pixels, seed: int) -> Pixels:
    """Something like a decoded lossy picture."""
    noise = np.random.default_rng(seed).normal(0, 4, pixels.shape)
    return np.clip(pixels + noise, 0, 255).astype(np.uint8)


@st.composite
def draw_pixels(draw: st.DrawFn) -> Pixels:
    height, width = draw(st.integers(1, 23)), draw(st.integers(1, 23))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["smooth", "noise", "extreme", "flat", "stripes"]))
    if kind == "smooth":
        picture = make_picture(height, width, seed=draw(st.integers(0, 9)))
    elif kind == "noise":
        picture = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    elif kind == "extreme":
        picture = (255 * rng.integers(0, 2, (height, width, 3))).astype(np.uint8)
    else:
        picture = np.full((height, width, 3), draw(st.integers(0, 255)), np.uint8)
        if kind == "stripes":
            picture[::2] = 255 - picture[::2]
    return np.ascontiguousarray(picture[:, :, 0]) if draw(st.booleans()) else picture


@steady
@given(draw_pixels(), st.sampled_from([0, 0, 1, 2, 7, 100, 255]), st.booleans(), st.integers(0, 99))
def test_every_sample_is_within_the_bound(
    pixels: Pixels, bound: int, unlike: bool, seed: int
) -> None:
    x_hat = 255 - pixels if unlike else lossy(pixels, seed)
    tile = encode_residual(pixels, x_hat, newest_tables(), bound=bound)
    decoded = decode_residual(tile, x_hat, newest_tables(), bound=bound)
    assert decoded.shape == pixels.shape
    assert np.abs(decoded.astype(int) - pixels).max() <= bound


class ResidualReference(ReferenceWords):
    """Decodes a RESI as SPECIFICATION.md, section 13, says, sample by sample."""

    PASSES = ((2, 0, 0), (2, 1, 1), (2, 0, 1), (2, 1, 0), (1, 1, 1), (1, 0, 1), (1, 1, 0))

    def __init__(self, words: bytes, x_hat: Pixels, tables: ResidualTables, bound: int) -> None:
        super().__init__(words)
        self.shape = x_hat.shape
        self.x = x_hat[:, :, None] if x_hat.ndim == 2 else x_hat
        self.t = np.zeros(self.x.shape, np.int64)
        self.m = np.zeros(self.x.shape, np.int64)
        self.step = 2 * bound + 1
        self.priors = tables.priors
        self.guess_errors: dict[tuple[int, int, int, int], int] = {}
        self.thresholds = tables.thresholds.tolist()
        self.counts = [(table.minimum, table.counts.tolist()) for table in tables.symbols]
        self.channels = [0] if self.x.shape[2] == 1 else [1, 0, 2]

    def at(self, plane: npt.NDArray[np.int64], place: Place, offset: Place, channel: int) -> int:
        """A value of a plane, 0 beyond the tile."""
        row, column = place[0] + offset[0], place[1] + offset[1]
        inside = 0 <= row < self.x.shape[0] and 0 <= column < self.x.shape[1]
        return int(plane[row, column, channel]) if inside else 0

    def lossy(self, place: Place, offset: Place, channel: int) -> int:
        """A value of x_hat, whose border repeats."""
        row = min(max(place[0] + offset[0], 0), self.x.shape[0] - 1)
        column = min(max(place[1] + offset[1], 0), self.x.shape[1] - 1)
        return int(self.x[row, column, channel])

    def value(self, place: Place, offset: Place, channel: int) -> int:
        """The best known value of a sample."""
        return self.lossy(place, offset, channel) + self.step * self.at(
            self.t, place, offset, channel
        )

    def offsets(self, number: int, own: bool) -> list[Place]:
        """All of near, or of around."""
        unit, a, b = self.PASSES[number]
        known = [(p, q) for u, p, q in self.PASSES[:number] if u == unit]
        known += [(0, 0)] if unit == 1 else []
        known += [(a, b)] if own else []
        pairs = [(i, j) for i in range(-4, 5) for j in range(-4, 5)]
        pairs = [(i, j) for i, j in pairs if ((a + i) % 2, (b + j) % 2) in known]
        pairs.sort(key=lambda p: (p[0] ** 2 + p[1] ** 2, p[0], p[1]))
        return [(unit * i, unit * j) for i, j in pairs]

    def features(self, number: int, order: int, place: Place) -> list[int]:
        """In their order."""
        c = self.channels[order]
        near, around = self.offsets(number, False), self.offsets(number, True)
        here = self.lossy(place, (0, 0), c)
        found = [self.value(place, d, c) - here for d in near[:16]]
        cross = [(-1, 0), (1, 0), (0, -1), (0, 1), (-1, -1), (-1, 1), (1, -1), (1, 1)]
        found += [self.lossy(place, d, c) - here for d in cross]
        for other, channel in enumerate(self.channels):
            if other != order:
                chosen = around[:13] if other < order else near[:4]
                found += [self.value(place, d, channel) - here for d in chosen]
                cross = [(0, 0), (-1, 0), (1, 0), (0, -1), (0, 1)]
                found += [self.lossy(place, d, channel) - here for d in cross]
        found += [self.at(self.m, place, (0, 0), channel) for channel in self.channels[:order]]
        found += [self.at(self.m, place, d, c) for d in near[:4]]
        if near:
            found.append(self.mean_guess(number, order, place) - 4 * here)
        return [*found, 1]

    def guesses(self, number: int, order: int, place: Place) -> list[int]:
        """In their order."""
        n, w, o, s = self.offsets(number, False)[:4]
        c = self.channels[order]
        sides = [self.value(place, d, c) for d in (n, s, w, o)]
        steps = sum(self.at(self.t, place, d, c) for d in (n, s, w, o))
        found = [4 * self.lossy(place, (0, 0), c) + self.step * steps]
        found += [2 * (sides[0] + sides[1]), 2 * (sides[2] + sides[3])]
        for k in self.channels[:order]:
            here = 4 * self.value(place, (0, 0), k)
            other = [self.value(place, d, k) for d in (n, s, w, o)]
            found.append(here + 2 * (sides[0] + sides[1] - other[0] - other[1]))
            found.append(here + 2 * (sides[2] + sides[3] - other[2] - other[3]))
        return found

    def mean_guess(self, number: int, order: int, place: Place) -> int:
        """Weighted by the errors around."""
        guesses = self.guesses(number, order, place)
        near = self.offsets(number, False)[:8]
        sums = [
            sum(self.guess_error(place, d, order, i) for d in near) for i in range(len(guesses))
        ]
        weights = [2**32 // (r + 8) ** 2 + 1 for r in sums]
        return sum(f * g for f, g in zip(weights, guesses, strict=True)) // sum(weights)

    def guess_error(self, place: Place, offset: Place, order: int, number: int) -> int:
        """Of a sample nearby."""
        row, column = place[0] + offset[0], place[1] + offset[1]
        return self.guess_errors.get((row, column, order, number), 0)

    def activities(self, number: int, order: int, place: Place) -> list[int]:
        """In their order."""
        c = self.channels[order]
        near, around = self.offsets(number, False), self.offsets(number, True)
        here = self.lossy(place, (0, 0), c)
        found = [abs(self.at(self.m, place, d, c)) for d in near[:12]]
        if near:
            four = [self.at(self.t, place, d, c) for d in near[:4]]
            found.append(sum(abs(4 * t - sum(four)) for t in four))
        u = self.PASSES[number][0]
        for channel in self.channels[: order + 1]:
            for d in ((0, u), (u, 0)):
                opposite = self.value(place, (-d[0], -d[1]), channel)
                found.append(4 * abs(self.value(place, d, channel) - opposite))
        groups = [(0, -1), (0, 1)], [(-1, 0), (1, 0)], [(-3, 0), (3, 0), (0, -3), (0, 3)]
        found += [4 * sum(abs(self.lossy(place, d, c) - here) for d in group) for group in groups]
        for other, channel in enumerate(self.channels):
            if other < order:
                found.append(abs(self.at(self.m, place, (0, 0), channel)))
                found.append(sum(abs(self.at(self.m, place, d, channel)) for d in around[1:5]))
            elif other > order and near:
                found.append(sum(abs(self.at(self.m, place, d, channel)) for d in near[:4]))
        return [*found, 4]

    def codes(self, count: int) -> list[int]:
        """A group under the uniform table."""
        uniform = (0, [2**18] * 63 + [2**18 - 1, 1])
        return [int(v) for v in self.group(np.zeros(count, np.int64), [uniform])]

    def under(self, numbers: list[int]) -> list[int]:
        """A group under the stored tables."""
        return [int(v) for v in self.group(np.array(numbers, np.int64), self.counts)]

    def weights(self, base: list[int], levels: list[int], shift: int) -> list[int]:
        """Weights from the ones before them."""
        symbols = self.under([4 * min(max(level - 5 * shift, 0), 47) for level in levels])
        return [b + (symbol << shift) for b, symbol in zip(base, symbols, strict=True)]

    def plane(self, number: int, order: int) -> None:
        """Decodes one plane."""
        unit, a, b = self.PASSES[number]
        rows = range(unit * a, self.x.shape[0], 2 * unit)
        columns = range(unit * b, self.x.shape[1], 2 * unit)
        places = [(row, column) for row in rows for column in columns]
        if not places:
            return
        prior = self.priors[number if len(self.channels) == 1 else 7 + 3 * number + order]
        more, first, length = self.codes(3)
        cuts, shifts = self.codes(more), self.codes(more + 1)
        v = self.weights(prior.activity.tolist(), prior.activity_levels.tolist(), 0)
        w = [prior.features.tolist()]
        for k, shift in enumerate(shifts):
            levels = prior.step_levels if k else prior.feature_levels
            w.append(self.weights(w[-1], levels.tolist(), shift))
        w.pop(0)
        used = range(first, first + length + 1)
        scales = dict(zip(used, self.under([48] * len(used)), strict=True))
        predictions, numbers = [], []
        for place in places:
            s = sum(x * y for x, y in zip(v, self.activities(number, order, place), strict=True))
            level = sum(threshold <= s for threshold in self.thresholds)
            own = w[sum(cut <= level for cut in cuts)]
            total = sum(
                x * y for x, y in zip(own, self.features(number, order, place), strict=True)
            )
            quarters = (total + 512 * self.step) // (1024 * self.step)
            predictions.append(min(max(quarters, -4096), 4095))
            numbers.append(4 * (level + scales[level]) + (predictions[-1] & 3))
        symbols = self.under(numbers)
        channel = self.channels[order]
        for (row, column), p, symbol in zip(places, predictions, symbols, strict=True):
            t = symbol + (p >> 2)
            self.t[row, column, channel] = t
            self.m[row, column, channel] = min(max(4 * t - p, -4095), 4095)
            if number:
                for i, guess in enumerate(self.guesses(number, order, (row, column))):
                    error = abs(4 * self.value((row, column), (0, 0), channel) - guess)
                    self.guess_errors[row, column, order, i] = error

    def pixels(self) -> Pixels:
        """Decodes all planes."""
        for number in range(7):
            for order in range(len(self.channels)):
                self.plane(number, order)
        assert (self.words, self.state) == ([], 0)
        whole = (self.x + self.step * self.t).clip(0, 255).astype(np.uint8)
        return whole.reshape(self.shape)


@pytest.mark.parametrize(
    ("gray", "bound", "height", "width"), [(False, 0, 13, 10), (True, 2, 9, 14), (False, 1, 2, 5)]
)
def test_a_second_decoder_agrees(
    tables: ResidualTables, gray: bool, bound: int, height: int, width: int
) -> None:
    pixels = make_picture(height, width, seed=3)
    pixels = np.ascontiguousarray(pixels[:, :, 1]) if gray else pixels
    x_hat = lossy(pixels, 5)
    tile = encode_residual(pixels, x_hat, tables, bound=bound)
    expected = decode_residual(tile, x_hat, tables, bound=bound)
    actual = ResidualReference(tile.words, x_hat, tables, bound).pixels()
    np.testing.assert_array_equal(actual, expected)


def test_several_classes_agree_with_the_second_decoder(
    tables: ResidualTables, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aecodec.encoder.residual_fit.CLASS_SAMPLES", 12)
    pixels = make_picture(16, 18, seed=4)
    x_hat = lossy(pixels, 6)
    tile = encode_residual(pixels, x_hat, tables)
    np.testing.assert_array_equal(ResidualReference(tile.words, x_hat, tables, 0).pixels(), pixels)


@steady
@given(st.data())
def test_hostile_words_raise_only_our_errors(data: st.DataObject) -> None:
    pixels = make_picture(12, 11)
    x_hat = lossy(pixels, 1)
    words = bytearray(encode_residual(pixels, x_hat, newest_tables()).words)
    if data.draw(st.booleans()):
        words = bytearray(data.draw(st.binary(max_size=400)))
        words = words[: len(words) // 4 * 4]
    else:
        words[data.draw(st.integers(0, len(words) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(AecError):
        decode_residual(ResidualTile(0, bytes(words)), x_hat, newest_tables())


def test_words_that_were_made_for_other_pixels_are_noticed(tables: ResidualTables) -> None:
    pixels = make_picture(20, 20)
    x_hat = lossy(pixels, 1)
    tile = encode_residual(pixels, x_hat, tables)
    other = x_hat.copy()
    other[3, 4, 0] ^= 1
    with pytest.raises(AecError):
        decode_residual(tile, other, tables)
    with pytest.raises(ChecksumError, match="pixels"):
        decode_residual(ResidualTile(tile.checksum ^ 1, tile.words), x_hat, tables)

"""Mutated files: a few here, millions by `mutate_files.py`, and whatever those found."""

import argparse
import random
import resource
from pathlib import Path

import mutate_files
import pytest
from conftest import make_picture
from mutation import LIMITS, Mutator, exercise, join, repaired_checksum, seeds, split, with_model

from aecodec.codec import Codec
from aecodec.errors import AecError, ChecksumError
from aecodec.format.container import chunk_table, parse

HERE = Path(__file__).parent
CORPUS = sorted((HERE / "data" / "mutated").glob("*.aec"))


@pytest.fixture(scope="module")
def codec(tiny_weights: Path) -> Codec:
    return Codec(tiny_weights, limits=LIMITS)


@pytest.fixture(scope="module")
def files(codec: Codec) -> list[bytes]:
    return seeds(codec)


def test_the_seeds_hold_everything(codec: Codec, files: list[bytes]) -> None:
    kinds = {kind for data in files for kind, _, _ in chunk_table(data)}
    assert kinds == {
        "HEAD", "TILE", "PIXL", "ALPH", "LAYR", "RESI", "DONE",
        "iccp", "exif", "xmpd", "phys", "text", "csum",
    }  # fmt: skip
    assert {parse(data).header.has_quality_map for data in files} == {False, True}
    for data in files:
        assert join(split(data)) == data
        assert exercise(codec, data, random.Random(0)) == "decoded"


def test_inputs_repeat_and_differ(codec: Codec, files: list[bytes]) -> None:
    first, again = (Mutator(codec, files, 3) for _ in range(2))
    assert [first.input(n) for n in range(40)] == [again.input(n) for n in range(40)]
    assert len({first.input(n) for n in range(200)}) > 150
    assert first.input(0) != Mutator(codec, files, 4).input(0)


def test_a_few_inputs_of_every_kind_come_to_good(codec: Codec, files: list[bytes]) -> None:
    mutator = Mutator(codec, files, 0)
    outcomes = {exercise(codec, mutator.input(n), random.Random(n)) for n in range(150)}
    assert outcomes >= {"decoded", "HeaderError", "TruncatedError", "PayloadError", "ChecksumError"}


def test_a_wrong_result_would_be_noticed(
    codec: Codec, files: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The checks of `exercise` are no empty words."""

    def broken(_self: Codec, data: bytes, **options: object) -> object:
        if options.get("allow_truncated"):
            return make_picture(3, 4)
        return make_picture(5, 4)

    monkeypatch.setattr(Codec, "decompress_array", broken)
    tolerant = next(n for n in range(500) if _choice_of(n) == 0)
    with pytest.raises(AssertionError, match="tolerant reading differs"):
        exercise(codec, files[0], random.Random(tolerant))


def _choice_of(number: int) -> int:
    """What `exercise` reads besides, for a complete file."""
    draw = random.Random(number)
    draw.randrange(4)
    return draw.randrange(12)


def test_checksums_of_tiles_can_be_repaired(codec: Codec, files: list[bytes]) -> None:
    head, (kind, payload), *rest = split(files[0])
    wrong = join([head, (kind, bytes([payload[0] ^ 1]) + payload[1:]), *rest])
    with pytest.raises(ChecksumError, match="decoded latents"):
        codec.decompress_array(wrong)
    assert repaired_checksum(codec, wrong) == files[0]
    assert repaired_checksum(codec, files[0]) is None


def test_files_can_be_given_to_another_model(files: list[bytes]) -> None:
    changed = with_model(files[0], b"abcd")
    assert parse(changed).header.model_id == b"abcd"
    assert parse(changed).tiles == parse(files[0]).tiles
    assert with_model(b"short", b"abcd") == b"short"
    damaged = bytearray(files[0])
    damaged[20] ^= 1
    with pytest.raises(ChecksumError):
        parse(with_model(bytes(damaged), b"abcd"))


def test_the_corpus_is_there_and_small() -> None:
    assert len(CORPUS) >= 10
    assert sum(path.stat().st_size for path in CORPUS) < 2**16


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_inputs_that_are_kept(codec: Codec, path: Path) -> None:
    """Read in all ways they raise `AecError` at most; x_ says that they must be refused."""
    data = with_model(path.read_bytes(), codec.encoder.decoder.model_id)
    for number in range(4):
        exercise(codec, data, random.Random(number))
    if path.name.startswith("x_"):
        with pytest.raises(AecError):
            codec.decompress_array(data)


def test_the_driver_finds_keeps_and_reports(
    codec: Codec, files: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits: list[int] = []
    monkeypatch.setattr(resource, "setrlimit", lambda kind, _: limits.append(kind))
    wish = argparse.Namespace(
        seed=5, start=0, count=30, seconds_each=60.0, megabytes=512, most=2, keep=str(tmp_path)
    )
    report = mutate_files.run(Mutator(codec, files, 5), wish)
    assert (report["inputs"], report["findings"]) == (30, [])
    assert limits == [resource.RLIMIT_AS]

    def broken(*_arguments: object) -> str:
        raise RuntimeError("no error of ours")

    good = Mutator(codec, [], 5)
    monkeypatch.setattr(mutate_files, "exercise", broken)
    monkeypatch.setattr(Mutator, "input", lambda _self, number: bytes([number]))
    report = mutate_files.run(good, wish)
    assert report["inputs"] == 2
    assert len(list(tmp_path.glob("*.aec"))) == 2
    assert "RuntimeError: no error of ours" in str(report["findings"])

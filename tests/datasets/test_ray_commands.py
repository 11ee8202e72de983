"""The commands over Ray, as users run them: same bytes, manifest, reruns, shards, object store."""

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from cluster import Cluster
from conftest import make_picture
from data_kit import GOOD, files_below, make_kit
from object_store import ACCESS, Bucket, S3Server
from PIL import Image
from shell import ENVIRONMENT

from aecodec.datasets.manifest import read_manifest

pytestmark = pytest.mark.slow
SECONDS = 300
"""What a busy machine may need for a run of a few pictures."""


@dataclass(frozen=True)
class Run:
    """What a command left: exit code, both streams."""

    code: int
    out: str
    err: str


class Runner:
    """Runs commands in a folder, with the tiny model, over Ray or without it."""

    def __init__(self, folder: Path, weights: Path, cluster: Cluster) -> None:
        self.folder, self._weights, self._cluster = folder, weights, cluster

    def plain(self, *arguments: str, environment: Mapping[str, str] = ENVIRONMENT) -> Run:
        """Runs `aecodec` with these arguments and the tiny model."""
        done = subprocess.run(
            [sys.executable, "-m", "aecodec", *arguments, "--model", str(self._weights)],
            cwd=self.folder, env=environment, capture_output=True, text=True, timeout=SECONDS,
            check=False,
        )  # fmt: skip
        return Run(done.returncode, done.stdout, done.stderr)

    def ray(self, *arguments: str) -> Run:
        """The same over the cluster."""
        engine = ("--engine", "ray", "--address", self._cluster.address)
        return self.plain(*arguments, *engine, environment=self._cluster.environment)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster(1, ENVIRONMENT) as started:
        yield started


@pytest.fixture
def runner(tmp_path: Path, tiny_weights: Path, cluster: Cluster) -> Runner:
    make_kit(tmp_path / "in")
    return Runner(tmp_path, tiny_weights, cluster)


def rows_of(folder: Path | str) -> dict[str, dict[str, object]]:
    return {row["path"]: row for row in read_manifest(str(folder)).to_pylist()}


def test_the_same_pictures_give_the_same_files(runner: Runner) -> None:
    options = ("-q", "40", "--keep", "exif,icc,text", "--alpha-quality", "60")
    one = runner.plain("compress", "-r", "in", "-o", "one", *options)
    two = runner.plain("compress", "-r", "in", "-o", "two", "-j", "2", *options)
    ray = runner.ray("compress", "in", "-o", "ray", *options, "--psnr-column", "--json")
    assert (one.code, two.code, ray.code) == (1, 1, 1)
    expected = files_below(runner.folder / "one")
    assert sorted(expected) == sorted(str(Path(name).with_suffix(".aec")) for name in GOOD)
    assert files_below(runner.folder / "two") == expected
    assert files_below(runner.folder / "ray") == expected
    assert [line for line in ray.err.splitlines() if "broken.png" in line] == [
        line for line in one.err.splitlines() if "broken.png" in line
    ]
    told = {each["source"]: each for each in map(json.loads, ray.out.splitlines())}
    assert sorted(told) == sorted(f"in/{name}" for name in (*GOOD, "broken.png"))
    rows = rows_of(runner.folder / "ray")
    assert sorted(rows) == sorted((*GOOD, "broken.png"))
    assert rows["broken.png"]["state"] == "failed"
    photo = rows["photo.jpg"]
    assert (photo["width"], photo["height"], photo["output"]) == (90, 70, "photo.aec")
    assert photo["bytes"] == len(expected["photo.aec"])
    assert photo["bpp"] == pytest.approx(8 * len(expected["photo.aec"]) / 6300)
    psnr = photo["psnr"]
    assert isinstance(psnr, float)
    assert 10 < psnr < 60


def test_a_rerun_goes_on(runner: Runner) -> None:
    first = runner.ray("compress", "in", "-o", "out", "--lossless")
    plain = runner.plain("compress", "-r", "in", "-o", "plain", "--lossless")
    assert (first.code, plain.code) == (1, 1)
    assert files_below(runner.folder / "out") == files_below(runner.folder / "plain")
    Image.fromarray(make_picture(17, 23, seed=1)).save(runner.folder / "in/broken.png")
    Image.fromarray(make_picture(5, 6)).save(runner.folder / "in/odd.png")
    dry = runner.ray("compress", "in", "-o", "out", "--lossless", "-n")
    assert dry.out.splitlines()[-1] == (
        "11 files: 2 to do, 9 skipped as done; passed over 1 other file, 1 hidden one"
    )
    second = runner.ray("compress", "in", "-o", "out", "--lossless")
    assert (second.code, second.err) == (0, "")
    assert "11 files: 2 done, 9 skipped as done" in second.out
    assert len(files_below(runner.folder / "out")) == 11
    assert {row["error"] for row in rows_of(runner.folder / "out").values()} == {None}
    back = runner.ray("decompress", "out", "-o", "back", "--format", "tif")
    again = runner.plain("decompress", "-r", "out", "-o", "again", "--format", "tif")
    assert (back.code, again.code) == (0, 0)
    assert files_below(runner.folder / "back") == files_below(runner.folder / "again")


def test_shards_and_tables(runner: Runner) -> None:
    folder = runner.folder / "shards"
    folder.mkdir()
    with tarfile.open(folder / "a.tar", "w") as tar:
        for name in ("odd.png", "broken.png", "photo.jpg"):
            tar.add(runner.folder / "in" / name, name)
        tar.addfile(tarfile.TarInfo("odd.cls"), BytesIO(b""))
    done = runner.ray("compress", "shards", "-o", "out", "-q", "30")
    assert done.code == 1
    assert "aecodec: shards/a.tar/broken.png: " in done.err
    assert "3 files: 2 done, 1 failed" in done.out
    plain = runner.plain("compress", "in/odd.png", "-o", "odd.aec", "-q", "30")
    assert plain.code == 0
    with tarfile.open(runner.folder / "out/a.tar") as tar:
        assert tar.getnames() == ["odd.aec", "photo.aec", "odd.cls"]
        member = tar.extractfile("odd.aec")
        assert member is not None
        assert member.read() == (runner.folder / "odd.aec").read_bytes()
    found = runner.ray("features", "shards", "-o", "table")
    assert found.code == 1
    table = pq.read_table(runner.folder / "table").to_pylist()
    vectors = {row["member"]: row["features"] for row in table}
    assert vectors["broken.png"] is None
    assert len(vectors["odd.png"]) == len(vectors["photo.jpg"]) > 10


def test_scores(runner: Runner) -> None:
    (runner.folder / "normal").mkdir()
    for number in range(4):
        picture = Image.fromarray(make_picture(64, 64, seed=number))
        picture.save(runner.folder / "normal" / f"{number}.png")
    fitted = runner.plain("anomaly", "fit", "normal", "-o", "normal.safetensors")
    assert fitted.code == 0, fitted.err
    scored = runner.ray("anomaly", "score", "normal.safetensors", "normal", "-o", "s", "--json")
    assert scored.code == 0, scored.err
    plain = runner.plain("anomaly", "score", "normal.safetensors", "normal", "--json")
    assert sorted(scored.out.splitlines()) == sorted(plain.out.splitlines())
    assert pq.read_table(runner.folder / "s").column("anomaly").to_pylist() == [False] * 4


def test_an_object_store(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a Ray of its own, which starts and ends with the command."""
    with S3Server() as server, closing(Bucket(server, "pictures")) as bucket:
        access = {**ACCESS, "AWS_ENDPOINT_URL": f"http://{server.server}"}
        names = (*GOOD, "broken.png")
        source = bucket.put({n: (runner.folder / "in" / n).read_bytes() for n in names}, "in")
        target = source.removesuffix("in") + "out"
        done = runner.plain(
            "compress", source, "-o", target, "--engine", "ray", "--workers", "2",
            environment={**ENVIRONMENT, **access},
        )  # fmt: skip
        assert done.code == 1
        assert f"aecodec: {source}/broken.png: " in done.err
        plain = runner.plain("compress", "-r", "in", "-o", "out")
        assert plain.code == 1
        objects = bucket.objects("out")
        files = {name: data for name, data in objects.items() if "_manifest" not in name}
        assert files == files_below(runner.folder / "out")
        assert not any("begun" in name for name in objects)
        for name, value in access.items():
            monkeypatch.setenv(name, value)
        assert sorted(rows_of(target)) == sorted(names)

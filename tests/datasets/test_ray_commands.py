"""The commands over Ray, as users run them: same bytes, manifest, reruns, shards, object store."""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from conftest import make_picture
from data_kit import GOOD, files_below, make_kit
from PIL import Image
from test_stores import bucket

from aecodec.datasets.manifest import read_manifest

pytestmark = pytest.mark.slow
ROOT = Path(__file__).resolve().parents[2]
SECONDS = 300
"""What a busy machine may need for Ray to start, or for a run of a few pictures."""
STORE_BYTES = 128 * 2**20


@dataclass(frozen=True)
class Run:
    """What a command left: exit code, both streams."""

    code: int
    out: str
    err: str


class Runner:
    """Runs commands in a folder, with the tiny model, over Ray or without it."""

    def __init__(self, folder: Path, weights: Path, address: str) -> None:
        self.folder, self._weights, self._address = folder, weights, address

    def plain(self, *arguments: str, variables: Mapping[str, str] | None = None) -> Run:
        """Runs `aecodec` with these arguments and the tiny model."""
        done = subprocess.run(
            [sys.executable, "-m", "aecodec", *arguments, "--model", str(self._weights)],
            cwd=self.folder, env={**_environment(), **(variables or {})}, capture_output=True,
            text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        return Run(done.returncode, done.stdout, done.stderr)

    def ray(self, *arguments: str, variables: Mapping[str, str] | None = None) -> Run:
        """The same over the cluster."""
        engine = ("--engine", "ray", "--address", self._address)
        return self.plain(*arguments, *engine, variables=variables)


def _environment() -> dict[str, str]:
    return {
        **os.environ, "RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_worker_niceness": "0", "RAY_raylet_start_wait_time_s": "240",
        "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT),
    }  # fmt: skip


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    """The address of a cluster with two CPUs."""
    folder = Path(tempfile.mkdtemp(prefix="aec"))  # short, for names of sockets
    port = 20000 + os.getpid() % 10000
    command = [
        sys.executable, "-m", "ray.scripts.scripts", "start", "--head", "--block",
        f"--port={port}", "--node-ip-address=127.0.0.1", "--num-cpus=2",
        f"--object-store-memory={STORE_BYTES}", "--include-dashboard=false",
        "--disable-usage-stats", f"--temp-dir={folder}", "--min-worker-port=0",
        "--max-worker-port=0", f"--ray-client-server-port={port + 10000}",
        "--dashboard-agent-listen-port=0",
    ]  # fmt: skip
    log = folder / "head.log"
    with log.open("wb") as out:
        head = subprocess.Popen(command, env=_environment(), stdout=out, stderr=out)
    try:
        deadline = time.monotonic() + SECONDS
        while "Ray runtime started" not in log.read_text(errors="replace"):
            assert head.poll() is None, log.read_text(errors="replace")
            assert time.monotonic() < deadline, log.read_text(errors="replace")
            time.sleep(0.1)
        yield f"127.0.0.1:{port}"
    finally:
        head.terminate()
        head.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def runner(tmp_path: Path, tiny_weights: Path, ray_address: str) -> Runner:
    make_kit(tmp_path / "in")
    return Runner(tmp_path, tiny_weights, ray_address)


def rows_of(folder: Path | str, **about: str) -> dict[str, dict[str, object]]:
    return {row["path"]: row for row in read_manifest(str(folder), **about).to_pylist()}


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
    with bucket(monkeypatch) as name:
        variables = {key: value for key, value in os.environ.items() if key.startswith("AWS_")}
        import boto3

        client = boto3.client("s3")
        for picture in (*GOOD, "broken.png"):
            client.upload_file(str(runner.folder / "in" / picture), name, f"in/{picture}")
        arguments = ("compress", f"s3://{name}/in", "-o", f"s3://{name}/out")
        # A Ray of its own: the workers of a cluster have the variables of their node.
        done = runner.plain(
            *arguments, "--engine", "ray", "--workers", "2", variables={**variables, **_TOKEN}
        )
        assert done.code == 1
        assert f"aecodec: s3://{name}/in/broken.png: " in done.err
        plain = runner.plain("compress", "-r", "in", "-o", "out")
        assert plain.code == 1
        keys = [each["Key"] for each in client.list_objects_v2(Bucket=name)["Contents"]]
        files = {
            key.removeprefix("out/"): client.get_object(Bucket=name, Key=key)["Body"].read()
            for key in keys if key.startswith("out/") and "_manifest" not in key
        }  # fmt: skip
        assert files == files_below(runner.folder / "out")
        assert not any("begun" in key for key in keys)
        assert sorted(rows_of(f"s3://{name}/out")) == sorted((*GOOD, "broken.png"))


_TOKEN = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}

"""Nothing lost, nothing doubled, errors listed: runs on two nodes against storage that fails.

A node dies, a picture takes all memory, files are poisoned, storage errs and stalls, a run is
interrupted or killed. After each every good picture has the bytes that one machine makes of it, the
manifest has each once, and nothing else is left.
"""

import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cluster import Cluster, MemoryKiller
from dataset_runs import OPTIONS, Run, Site, assert_whole, output_of
from fault_proxy import Fault, FaultProxy, Request, anything, gets, puts
from object_store import ACCESS, Bucket, S3Server
from picture_kits import make_pictures, make_poisoned
from PIL import Image
from shell import ENVIRONMENT

from aecodec.datasets.retrying import TRIES

pytestmark = pytest.mark.slow

KIT = make_pictures(30, largest=160)
SMALL_BLOCKS = ("--block-size", "4")
STALL_SECONDS = 30.0
GIANT_SIDE, MEMORY_LIMIT = 6000, 450 << 20
"""A picture whose file is tiny takes some 700 MB, and others 110."""


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the command makes of the pictures on one machine, by the pictures' names."""
    folder = tmp_path_factory.mktemp("one-machine")
    write_all(KIT, folder / "in")
    command = ["compress", "-r", str(folder / "in"), "-o", str(folder / "out"), *OPTIONS]
    subprocess.run(
        [sys.executable, "-m", "aecodec", *command], env=ENVIRONMENT, check=True,
        capture_output=True, timeout=300,
    )  # fmt: skip
    return {name: (folder / "out" / output_of(name)).read_bytes() for name in KIT}


@pytest.fixture(scope="module")
def nodes() -> Iterator[tuple[S3Server, FaultProxy, Cluster]]:
    with S3Server() as server, FaultProxy(server.server) as proxy:
        environment = {**ACCESS, "AWS_ENDPOINT_URL": proxy.url}
        with Cluster(2, environment) as cluster:
            yield server, proxy, cluster


@pytest.fixture
def site(nodes: tuple[S3Server, FaultProxy, Cluster], tmp_path: Path) -> Iterator[Site]:
    """Two nodes, and a bucket with the pictures in `in`."""
    server, proxy, cluster = nodes
    with closing(Bucket(server, f"data-{secrets.token_hex(8)}")) as bucket:
        bucket.put(KIT, "in")
        proxy.clear()
        yield Site(bucket, proxy, cluster, tmp_path)
        proxy.clear()


def write_all(files: dict[str, bytes], folder: Path) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def urls(site: Site) -> tuple[str, str]:
    return f"s3://{site.bucket.name}/in", f"s3://{site.bucket.name}/out"


def put_counts(site: Site) -> Counter[str]:
    """How often the server took each output."""
    names = [each.path for each in site.proxy.log if puts(".aec")(each) and each.fate == "200"]
    return Counter(names)


def slow_pictures(request: Request) -> bool:
    return request.method == "GET" and "/in/" in request.path


def test_a_node_is_lost(site: Site, expected: dict[str, bytes]) -> None:
    site.proxy.add(Fault(slow_pictures, kind="delay", seconds=0.2))
    with site.start(*urls(site), *SMALL_BLOCKS) as run:
        site.proxy.wait_for(puts(".aec"), 8)
        node = site.cluster.nodes.pop()
        assert list(node.workers()), "the lost node has nothing to do"
        node.kill()
        ended = run.wait()
    site.cluster.add_node().wait()
    assert (ended.code, ended.errors()) == (0, [])
    assert_whole(site.bucket.objects("out"), expected)
    assert sum(put_counts(site).values()) <= len(KIT) + 4  # of the block in the lost hands


@pytest.mark.cluster
@pytest.mark.parametrize("whole_workers", [False, True])
def test_a_picture_takes_all_memory(
    site: Site, expected: dict[str, bytes], whole_workers: bool, tmp_path: Path
) -> None:
    giant = tmp_path / "giant.webp"
    Image.new("RGB", (GIANT_SIDE, GIANT_SIDE), "teal").save(giant, lossless=True, method=0)
    site.bucket.put({"1/giant.webp": giant.read_bytes()}, "in")
    with MemoryKiller(site.cluster, MEMORY_LIMIT, whole_workers=whole_workers) as killer:
        ended = site.run(*urls(site), seconds=300)
    assert ended.code == 1
    assert killer.killed >= 2
    assert len(ended.errors()) == 1
    assert "1/giant.webp" in ended.errors()[0]
    left = assert_whole(site.bucket.objects("out"), expected, failed=["1/giant.webp"])
    assert "memory" in left.failed()["1/giant.webp"]


def test_poisoned_files_and_a_run_again(site: Site, expected: dict[str, bytes]) -> None:
    """The second run does what is mended or still poisoned, and touches nothing else."""
    poisoned = make_poisoned()
    site.bucket.put(poisoned, "in")
    ended = site.run(*urls(site))
    assert ended.code == 1
    assert sorted(each.split(": ")[1] for each in ended.errors()) == sorted(
        f"{urls(site)[0]}/{name}" for name in poisoned
    )
    assert_whole(site.bucket.objects("out"), expected, failed=poisoned)
    assert put_counts(site) == Counter({f"/{site.bucket.name}/out/{output_of(n)}": 1 for n in KIT})
    site.proxy.clear()
    site.bucket.put({"2/empty.png": KIT["0/000.png"]}, "in")
    again = site.run(*urls(site))
    assert (again.code, len(again.errors())) == (1, len(poisoned) - 1)
    assert [name.rpartition("/")[2] for name in put_counts(site)] == ["empty.aec"]
    assert site.proxy.count(slow_pictures) <= len(poisoned) + 1  # of which the listing is one
    mended = {**expected, "2/empty.png": expected["0/000.png"]}
    assert_whole(site.bucket.objects("out"), mended, failed=poisoned.keys() - {"2/empty.png"})


def test_storage_errs(site: Site, expected: dict[str, bytes]) -> None:
    """Each kind of request fails for a while; one output can never be written.

    All faults together are less than the tries of one file, which may meet them all.
    """
    hopeless = output_of("2/020.jpg")
    never = site.proxy.add(Fault(puts(hopeless), kind="error", status=500))
    faults = [
        Fault(gets(""), kind="error", times=2),
        Fault(gets(".png"), kind="cut", times=2),
        Fault(puts(".aec"), kind="error", times=2),
        Fault(puts(".aec"), kind="cut", times=2),
        Fault(puts(".parquet"), kind="error", times=2, status=500),
        Fault(puts(".parquet"), kind="cut", times=1),
    ]
    for fault in faults:
        site.proxy.add(fault)
    ended = site.run(*urls(site))
    assert [fault.touched for fault in faults] == [fault.times for fault in faults]
    assert ended.code == 1
    assert len(ended.errors()) == 1
    assert hopeless in ended.errors()[0]
    rest = {name: data for name, data in expected.items() if output_of(name) != hopeless}
    assert_whole(site.bucket.objects("out"), rest, failed=["2/020.jpg"])
    assert never.touched == TRIES
    site.proxy.clear()
    again = site.run(*urls(site))
    assert (again.code, again.errors()) == (0, [])
    assert_whole(site.bucket.objects("out"), expected)
    assert len(put_counts(site)) == 1


def test_storage_stalls(site: Site, expected: dict[str, bytes]) -> None:
    with site.start(*urls(site), *SMALL_BLOCKS) as run:
        site.proxy.wait_for(puts(".aec"), 8)
        stall = site.proxy.add(Fault(anything, kind="stall", seconds=STALL_SECONDS))
        ended = run.wait()
    assert stall.touched > 0
    assert (ended.code, ended.errors()) == (0, [])
    assert ended.seconds > STALL_SECONDS
    assert_whole(site.bucket.objects("out"), expected)


def test_interrupted_and_killed_and_run_again(site: Site, expected: dict[str, bytes]) -> None:
    """First over a Ray of its own is interrupted, then over the cluster; the third is killed."""
    site.proxy.add(Fault(slow_pictures, kind="delay", seconds=0.5))
    with site.start(*urls(site), *SMALL_BLOCKS, joins=False) as run:
        site.proxy.wait_for(puts(".parquet"), 2)
        assert len(run.processes()) > 2
        assert_interrupted(run)
        wait_until(lambda: not run.processes(), "processes of Ray are left")
    with site.start(*urls(site), *SMALL_BLOCKS) as run:
        site.proxy.wait_for(puts(".parquet"), site.proxy.count(puts(".parquet")) + 2)
        assert_interrupted(run)
    with site.start(*urls(site), *SMALL_BLOCKS) as run:
        site.proxy.wait_for(puts(".parquet"), site.proxy.count(puts(".parquet")) + 2)
        run.signal(signal.SIGKILL)
        run.wait()
    assert 0 < len(put_counts(site)) < len(KIT)
    again = site.run(*urls(site))
    assert (again.code, again.errors()) == (0, [])
    assert_whole(site.bucket.objects("out"), expected)
    assert sum(put_counts(site).values()) <= len(KIT) + 3 * 2 * 4  # of the blocks in hand


def assert_interrupted(run: Run) -> None:
    """Ctrl-C ends a run soon, with one line about it."""
    run.signal(signal.SIGINT)
    sent = time.monotonic()
    ended = run.wait()
    assert (ended.code, len(ended.errors())) == (130, 1), ended
    assert "interrupted" in ended.errors()[0]
    assert time.monotonic() - sent < 60


@pytest.mark.cluster
def test_folders_of_this_machine_are_left_clean(
    site: Site, expected: dict[str, bytes], tmp_path: Path
) -> None:
    """Without storage between: a node is lost, then the command is killed, then it ends."""
    source, target = tmp_path / "in", tmp_path / "out"
    write_all(KIT, source)
    with site.start(str(source), str(target), *SMALL_BLOCKS) as run:
        wait_for_outputs(target, 6)
        site.cluster.nodes.pop().kill()
        wait_for_outputs(target, 12)
        run.signal(signal.SIGKILL)
        run.wait()
    site.cluster.add_node().wait()
    again = site.run(str(source), str(target))
    assert (again.code, again.errors()) == (0, [])
    files = {
        str(path.relative_to(target)): path.read_bytes()
        for path in target.rglob("*") if path.is_file()
    }  # fmt: skip
    assert_whole(files, expected)
    shutil.rmtree(source)


def wait_for_outputs(folder: Path, count: int) -> None:
    wait_until(lambda: sum(1 for _ in folder.rglob("*.aec")) >= count, "no outputs")


def wait_until(holds: Callable[[], bool], otherwise: str, seconds: float = 240) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, otherwise
        time.sleep(0.01)

"""Threads that share work, and how they leave BLAS."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from aecodec.codec import Codec
from aecodec.decoder import threads as thread_numbers
from aecodec.decoder import work_sharing
from aecodec.decoder.threads import DEFAULT_MOST, default_threads
from aecodec.decoder.work_sharing import Crew, Scratch, blas_on_one_thread


def blas_threads() -> list[int]:
    """How many threads each BLAS library has."""
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_each_item_is_worked_on_once(threads: int, count: int) -> None:
    done: list[int] = []
    Crew(threads).share(done.append, range(count))
    assert sorted(done) == [*range(count)]


def test_threads_work_at_the_same_time() -> None:
    meet = threading.Barrier(3, timeout=20)
    Crew(3).share(lambda _: meet.wait(), range(3))


def test_who_finds_no_help_works_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both helpers are busy with the first caller, until the second one is done."""
    monkeypatch.setattr(work_sharing, "usable_cores", lambda: 2)
    crew, busy, second_is_done = Crew(3), threading.Barrier(4, timeout=20), threading.Event()

    def wait(_: int) -> None:
        busy.wait()
        assert second_is_done.wait(20)

    first = threading.Thread(target=lambda: crew.share(wait, range(3)))
    first.start()
    busy.wait()
    names: list[str] = []
    crew.share(lambda _: names.append(threading.current_thread().name), range(8))
    assert names == [threading.current_thread().name] * 8
    second_is_done.set()
    first.join(20)
    assert not first.is_alive()


def test_several_callers_have_helpers_of_their_own_where_cores_suffice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(work_sharing, "usable_cores", lambda: 6)
    crew, meet = Crew(3), threading.Barrier(6, timeout=20)
    with ThreadPoolExecutor(2) as callers:
        calls = [callers.submit(crew.share, lambda _: meet.wait(), range(3)) for _ in range(2)]
    assert [call.result() for call in calls] == [None, None]


@pytest.mark.parametrize("threads", [1, 3])
def test_a_failure_ends_the_work(threads: int) -> None:
    crew, done = Crew(threads), []

    def work(item: int) -> None:
        if item == 5:
            raise IndexError("as the end of the items would, too")
        time.sleep(0.001)
        done.append(item)

    with pytest.raises(IndexError, match="as the end"):
        crew.share(work, range(1000))
    assert len(done) < 500
    crew.share(done.append, [-1])
    assert done[-1] == -1


def test_a_failure_of_a_helper_is_told() -> None:
    caller, meet = threading.current_thread(), threading.Barrier(2, timeout=20)

    def work(_: int) -> None:
        meet.wait()
        if threading.current_thread() is not caller:
            raise ArithmeticError("of a helper")

    with pytest.raises(ArithmeticError, match="of a helper"):
        Crew(2).share(work, range(2))


def test_blas_has_one_thread_meanwhile_and_its_own_again() -> None:
    found: list[int] = []
    with threadpool_limits(2, "blas"):
        before = blas_threads()
        Crew(2).share(lambda _: found.extend(blas_threads()), range(3))
        with pytest.raises(ZeroDivisionError):
            Crew(1).share(lambda n: 1 // n, [0])
        assert blas_threads() == before
    assert set(found) == {1}


def test_overlapping_computations_leave_blas_as_it_was() -> None:
    """The first to begin is the first to end, and the last one gives back."""
    with threadpool_limits(2, "blas"):
        before = blas_threads()
        first, second = blas_on_one_thread(), blas_on_one_thread()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        assert set(blas_threads()) == {1}
        second.__exit__(None, None, None)
        assert blas_threads() == before


@pytest.mark.parametrize("refused", ["threadpoolctl", "ctypes"])
def test_without_ctypes_blas_stays_as_it_is(refused: str) -> None:
    code = (
        f"import sys, numpy; sys.modules[{refused!r}] = None\n"
        "from aecodec.decoder.work_sharing import Crew\n"
        "done = []; Crew(2).share(done.append, range(5)); print(sorted(done), end='')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[0, 1, 2, 3, 4]"


def test_scratch_is_used_again_by_its_own_thread_alone() -> None:
    scratch = Scratch()
    a = scratch.floats("a", 4, 6)
    assert a.shape == (4, 6)
    assert a.ctypes.data % 64 == 0
    assert np.shares_memory(a, scratch.floats("a", 2, 3))
    assert not np.shares_memory(a, scratch.floats("b", 4, 6))
    assert scratch.floats("a", 100, 100).size == 10000
    assert scratch.doubles("a", 3).dtype == np.float64
    mine = scratch.floats("c", 5)
    with ThreadPoolExecutor(1) as pool:
        assert not np.shares_memory(mine, pool.submit(scratch.floats, "c", 5).result())


@pytest.mark.parametrize(
    ("choice", "expected"), [("3", 3), ("5,2", 5), (" 1 ", 1), ("0", 64), ("many", 64), ("", 64)]
)
def test_the_environment_tells_how_many_threads(
    monkeypatch: pytest.MonkeyPatch, choice: str, expected: int
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", choice)
    monkeypatch.setattr(thread_numbers, "usable_cores", lambda: 64)
    assert default_threads() == min(expected, DEFAULT_MOST)
    assert Crew().threads == default_threads()
    monkeypatch.setattr(thread_numbers, "usable_cores", lambda: 2)
    assert default_threads() == (2 if expected == 64 else expected)


def test_many_callers_at_once(tiny_codec: Codec, tiny_weights: os.PathLike[str]) -> None:
    """They share one crew, and BLAS has its threads again at the end."""
    rng = np.random.default_rng(0)
    pictures = [rng.integers(0, 256, (40 + 8 * n, 70, 3)).astype(np.uint8) for n in range(6)]
    files = [tiny_codec.compress(picture, 80, lossless_tiles=False) for picture in pictures]
    expected = [tiny_codec.decompress_array(data) for data in files]
    with threadpool_limits(2, "blas"):
        before = blas_threads()
        codec = Codec(tiny_weights, threads=3)
        with ThreadPoolExecutor(6) as pool:
            decoded = list(pool.map(codec.decompress_array, 4 * files))
        assert blas_threads() == before
    for found, wish in zip(decoded, 4 * expected, strict=True):
        np.testing.assert_array_equal(found, wish)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="only there")
def test_a_forked_process_decodes_though_it_has_no_helpers(
    tiny_weights: os.PathLike[str], compressed: bytes, tmp_path: "os.PathLike[str]"
) -> None:
    path = os.path.join(tmp_path, "a.aec")
    with open(path, "wb") as file:
        file.write(compressed)
    code = (
        "import os, sys, warnings\nfrom aecodec.codec import Codec\n"
        "warnings.simplefilter('ignore')\n"
        "codec = Codec(sys.argv[1], threads=2)\n"
        "codec.decoder(codec._models.weights().model_id).crew.share(lambda _: None, range(9))\n"
        "before = codec.decompress_array(sys.argv[2])\n"
        "child = os.fork()\n"
        "if not child:\n"
        "    os._exit(not (codec.decompress_array(sys.argv[2]) == before).all())\n"
        "sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
    )
    command = [sys.executable, "-c", code, os.fspath(tiny_weights), path]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0

"""Every name of a pipe or descriptor is known, and links that lead in a circle are OS errors."""

import errno
import os
from pathlib import Path

import pytest

from aecodec.errors import InputError
from aecodec.storage.files import check_output, replacing, write_bytes
from aecodec.storage.names import (
    check_name,
    descriptor_of,
    identities,
    is_pipe,
    is_standard_output,
    status,
)

needs_descriptors = pytest.mark.skipif(not Path("/dev/fd").exists(), reason="needs /dev/fd")


@needs_descriptors
@pytest.mark.parametrize(
    ("name", "descriptor"),
    [
        ("/dev/stdin", 0), ("/dev/stdout", 1), ("/dev/stderr", 2), ("/dev/fd/1", 1),
        ("//dev/./stdout", 1), ("/dev/../dev/fd/7", 7), ("/proc/self/fd/1", 1),
        (f"/proc/{os.getpid()}/fd/3", 3), ("/proc/thread-self/fd/1", 1), ("/dev/null", None),
        ("/proc/1/fd/1", None), ("/dev/fd/x", None), ("a.png", None), ("", None), ("-", None),
    ],
)  # fmt: skip
def test_names_of_descriptors(name: str, descriptor: int | None) -> None:
    assert descriptor_of(name) == descriptor


@needs_descriptors
def test_links_to_descriptors(tmp_path: Path) -> None:
    (tmp_path / "out.png").symlink_to("again")
    (tmp_path / "again").symlink_to("/dev/stdout")
    (tmp_path / "devices").symlink_to("/dev")
    assert descriptor_of(tmp_path / "out.png") == 1
    assert descriptor_of(tmp_path / "devices" / "stdout") == 1
    assert is_standard_output(str(tmp_path / "out.png"))
    (tmp_path / "file").write_bytes(b"x")
    assert not is_pipe(tmp_path / "file")
    assert not is_standard_output(str(tmp_path / "file"))


@needs_descriptors
def test_an_open_descriptor_is_written_on_and_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before ")
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    number = path.stat().st_ino
    try:
        check_output(f"/dev/fd/{descriptor}", force=False)
        write_bytes(f"/dev/fd/{descriptor}", b"new ")
        with replacing(f"/proc/self/fd/{descriptor}") as file:
            file.write(b"more")
    finally:
        os.close(descriptor)
    assert (path.read_bytes(), path.stat().st_ino) == (b"before new more", number)


@needs_descriptors
def test_a_descriptor_that_is_closed_is_an_os_error() -> None:
    with pytest.raises(OSError, match="Bad file descriptor"):
        write_bytes("/dev/fd/987", b"x")


def test_links_in_a_circle_are_os_errors(tmp_path: Path) -> None:
    loop, other = tmp_path / "loop", tmp_path / "other"
    loop.symlink_to("loop")
    other.symlink_to(tmp_path / "loop" / "below")
    for name in (loop, other, loop / "x"):
        with pytest.raises(OSError, match="circle") as caught:
            status(name)
        assert caught.value.errno == errno.ELOOP
        with pytest.raises(OSError, match="circle"):
            write_bytes(name, b"data")
        with pytest.raises(OSError, match="circle"):
            check_output(str(name), force=True)
    assert descriptor_of(loop) is None
    assert sorted(tmp_path.iterdir()) == [loop, other]


def test_names_that_no_file_can_have() -> None:
    with pytest.raises(InputError, match="NUL"):
        check_name("a\0b")


def test_inputs_are_never_replaced(tmp_path: Path) -> None:
    source, link, hard = (tmp_path / name for name in ("a.png", "b.png", "c.png"))
    source.write_bytes(b"data")
    link.symlink_to(source)
    hard.hardlink_to(source)
    inputs = identities([str(link), "none", "-", "http://x/y", "a\0b"])
    for name in (source, link, hard, tmp_path / "." / "a.png"):
        with pytest.raises(InputError, match="is an input"):
            check_output(str(name), force=True, inputs=inputs)
    check_output(str(tmp_path / "d.png"), force=False, inputs=inputs)


def test_times_and_permissions_of_another_file(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_bytes(b"x")
    os.utime(source, ns=(10**18 + 1, 10**18 + 3))
    source.chmod(0o640)
    target.write_bytes(b"old")
    target.chmod(0o604)
    write_bytes(target, b"new", like=source.stat())
    found = target.stat()
    assert (found.st_mtime_ns, found.st_mode & 0o777) == (10**18 + 3, 0o640)

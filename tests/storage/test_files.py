"""Outputs exist complete or not at all."""

import errno
import os
import stat
from collections.abc import Iterator
from io import BytesIO, TextIOWrapper
from pathlib import Path

import pytest

from aecodec.errors import InputError
from aecodec.storage.files import (
    check_output,
    read_bytes,
    replacing,
    replacing_path,
    write_bytes,
)
from aecodec.storage.names import STANDARD


@pytest.fixture
def umask() -> Iterator[None]:
    """A umask that differs from the usual one."""
    before = os.umask(0o027)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_files_come_back(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    write_bytes(str(path), b"\x00\xffdata")
    assert read_bytes(str(path)) == b"\x00\xffdata"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("umask")
def test_permissions_follow_the_umask(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    write_bytes(str(path), b"data")
    assert mode(path) == 0o640
    assert os.umask(0o027) == 0o027


def test_the_umask_of_the_process_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other threads may make files at any time."""

    def fail(_mask: int) -> int:
        raise AssertionError("the umask was touched")

    monkeypatch.setattr(os, "umask", fail)
    path, usual = tmp_path / "file.bin", tmp_path / "usual"
    usual.write_bytes(b"data")
    for data in (b"data", b"more"):
        write_bytes(str(path), data)
        assert (path.read_bytes(), mode(path)) == (data, mode(usual))


@pytest.mark.skipif(os.name != "posix", reason="needs permissions")
@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("permissions", [0o600, 0o666, 0o444, 0o755])
def test_an_overwritten_file_keeps_its_permissions(tmp_path: Path, permissions: int) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    path.chmod(permissions)
    write_bytes(str(path), b"new")
    assert (path.read_bytes(), mode(path)) == (b"new", permissions)


def test_file_systems_without_permissions_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: Path, _mode: int) -> None:
        raise PermissionError(errno.EPERM, "not permitted")

    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    monkeypatch.setattr(Path, "chmod", refuse)
    write_bytes(str(path), b"new")
    assert path.read_bytes() == b"new"


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("existing", [False, True])
def test_a_failure_leaves_everything_as_it_was(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    call: str,
    existing: bool,
) -> None:
    path = tmp_path / "file.bin"
    if existing:
        path.write_bytes(b"old")

    def fail(*_: object) -> None:
        raise error

    owner = os if call == "fsync" else Path
    monkeypatch.setattr(owner, call, fail)
    with pytest.raises(type(error)) as caught:
        write_bytes(str(path), b"new")
    if isinstance(caught.value, OSError):
        assert caught.value.filename == str(path)
    assert [p.name for p in tmp_path.iterdir()] == (["file.bin"] if existing else [])
    assert not existing or path.read_bytes() == b"old"


def test_the_target_is_replaced_only_when_all_is_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    seen = []
    real = os.fsync

    def look(descriptor: int) -> None:
        real(descriptor)
        (partial,) = (p for p in tmp_path.iterdir() if p != path)
        seen.append((path.read_bytes(), partial.read_bytes(), mode(partial) & 0o077))

    monkeypatch.setattr(os, "fsync", look)
    write_bytes(str(path), b"new")
    assert seen == [(b"old", b"new", 0)]
    assert path.read_bytes() == b"new"


def test_readers_of_the_old_file_keep_it(tmp_path: Path) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        write_bytes(str(path), b"new")
        assert reader.read() == b"old"


def test_long_names_and_dashes_are_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("x" * 255, "-x", " ", "ä.png"):
        write_bytes(name, b"data")
        assert (tmp_path / name).read_bytes() == b"data"


def test_links_are_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_bytes(b"old")
    link.symlink_to(target)
    write_bytes(str(link), b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"


def test_devices_are_written_to_and_never_replaced() -> None:
    check_output(os.devnull, force=False)
    write_bytes(os.devnull, b"data")
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


def test_a_full_device_is_an_os_error() -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    with pytest.raises(OSError, match="No space left") as caught:
        write_bytes("/dev/full", b"data")
    assert caught.value.filename == "/dev/full"


def test_missing_folders_are_os_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_bytes(str(tmp_path / "none" / "file"), b"data")
    with pytest.raises(FileNotFoundError):
        read_bytes(str(tmp_path / "none"))
    with pytest.raises(IsADirectoryError):
        read_bytes(str(tmp_path))


def test_a_dash_is_standard_input_and_output(monkeypatch: pytest.MonkeyPatch) -> None:
    out = BytesIO()
    monkeypatch.setattr("sys.stdin", TextIOWrapper(BytesIO(b"\r\n\xff")))
    monkeypatch.setattr("sys.stdout", TextIOWrapper(out))
    check_output(STANDARD, force=False)
    write_bytes(STANDARD, read_bytes(STANDARD))
    assert out.getvalue() == b"\r\n\xff"


def test_outputs_are_checked_before_work(tmp_path: Path) -> None:
    existing = tmp_path / "existing.png"
    existing.write_bytes(b"old")
    check_output(str(tmp_path / "new.png"), force=False)
    check_output(str(existing), force=True)
    for name, message in (
        (str(existing), "existing.png exists; -f overwrites"),
        (str(tmp_path), "is a folder"),
        (str(tmp_path / "none" / "new.png"), "none does not exist"),
        (f"{tmp_path}/none/", "none/ does not exist"),
    ):
        with pytest.raises(InputError, match=message):
            check_output(name, force=False)
    for name in (str(tmp_path), str(tmp_path / "none" / "new.png"), f"{tmp_path}/none/"):
        with pytest.raises(InputError):
            check_output(name, force=True)
    assert list(tmp_path.iterdir()) == [existing]


def test_a_file_that_fails_on_the_way_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(KeyError), replacing(str(path)) as file:  # noqa: PT012  # what is tested
        file.write(b"half")
        raise KeyError
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == {"a": b"old"}
    with replacing(str(path)) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"


def test_pieces_go_to_standard_output_as_they_come(monkeypatch: pytest.MonkeyPatch) -> None:
    out = BytesIO()
    monkeypatch.setattr("sys.stdout", TextIOWrapper(out))
    with replacing(STANDARD) as file:
        file.write(b"\r\n")
        assert out.getvalue() == b"\r\n"
        file.write(b"\xff")
    assert out.getvalue() == b"\r\n\xff"
    assert not out.closed


def test_devices_are_written_to_piece_by_piece() -> None:
    with replacing(os.devnull) as file:
        file.write(b"data")
    with replacing_path(Path(os.devnull)) as path:
        assert path == Path(os.devnull)
    assert stat.S_ISCHR(Path(os.devnull).stat().st_mode)


@pytest.mark.usefixtures("umask")
@pytest.mark.parametrize("old", [None, 0o604])
def test_others_may_write_to_the_temporary_path(tmp_path: Path, old: int | None) -> None:
    """Some of them replace the file that lies there by one of their own, such as safetensors."""
    target = tmp_path / "file.bin"
    if old is not None:
        target.write_bytes(b"old")
        target.chmod(old)
    with replacing_path(target) as path:
        assert path.parent == tmp_path
        assert path.read_bytes() == b""
        own = tmp_path / "own"
        own.write_bytes(b"new")
        own.chmod(0o600)
        own.replace(path)
    assert (target.read_bytes(), mode(target)) == (b"new", old or 0o640)
    assert list(tmp_path.iterdir()) == [target]


def test_errors_name_the_target_and_not_the_temporary_path(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as caught, replacing(tmp_path / "none" / "file"):
        pass
    assert caught.value.filename == str(tmp_path / "none" / "file")
    (tmp_path / "file").write_bytes(b"data")
    with pytest.raises(NotADirectoryError), replacing(tmp_path / "file" / "below"):
        pass
    with (
        pytest.raises(FileNotFoundError) as other,
        replacing(tmp_path / "new"),
        (tmp_path / "source").open("rb"),
    ):
        pass
    assert other.value.filename == str(tmp_path / "source")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]

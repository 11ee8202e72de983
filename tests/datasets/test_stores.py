"""Stores: a folder, an object store, a server of pages, and what names mean."""

import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from aecodec.datasets import listing
from aecodec.datasets.items import Item, Tally
from aecodec.datasets.listing import Selection, list_items, shares_of
from aecodec.datasets.stores import LocalStore, RemoteStore, Store, store_of
from aecodec.errors import InputError

PNG = Selection(frozenset({".png"}), ".aec")


@pytest.fixture(params=["folder", "memory", "s3"])
def store(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Store]:
    """An empty folder of each kind."""
    if request.param == "folder":
        yield store_of(str(tmp_path / "store"))
    elif request.param == "memory":
        memory = store_of("memory://store/folder")
        yield memory
        assert isinstance(memory, RemoteStore)
        memory.system.store.clear()
    else:
        with bucket(monkeypatch) as name:
            yield store_of(f"s3://{name}/folder")


class bucket:  # it is used as a function
    """A bucket on loopback, for the time of a block."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from moto.server import ThreadedMotoServer

        self._server: Any = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._monkeypatch = monkeypatch

    def __enter__(self) -> str:
        import boto3

        self._server.start()
        host, port = self._server.get_host_and_port()
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://{host}:{port}", "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1",
        }.items():  # fmt: skip
            self._monkeypatch.setenv(name, value)
        boto3.client("s3").create_bucket(Bucket="pictures")
        return "pictures"

    def __exit__(self, *_exception: object) -> None:
        self._server.stop()


def listed(store: Store, tally: Tally | None = None) -> list[Item]:
    counted = tally or Tally()
    return [
        item for share in shares_of(store) for item in list_items(store, share, PNG, counted)
    ]  # fmt: skip


@pytest.mark.slow
def test_files_come_and_go(store: Store, tmp_path: Path) -> None:
    assert store.read("a/b.png") is None
    assert not store.exists("a/b.png")
    store.write("a/b.png", b"small")
    assert store.read("a/b.png") == b"small"
    assert store.exists("a/b.png")
    made = tmp_path / "made"
    made.write_bytes(b"whole" * 1000)
    store.put(made, "a/b.png")
    got = tmp_path / "got"
    store.get("a/b.png", got)
    assert got.read_bytes() == b"whole" * 1000
    assert store.names("a") == ["b.png"]
    assert store.names("none") == []
    assert store.is_folder()
    store.delete("a/b.png")
    store.delete("a/b.png")
    assert not store.exists("a/b.png")
    with pytest.raises(FileNotFoundError):
        store.get("a/b.png", got)


@pytest.mark.slow
def test_listings(store: Store) -> None:
    for name in ("top.png", "x/1.png", "x/y/2.png", "z/3.png", "z/.4.png", "notes.txt"):
        store.write(name, name.encode())
    tally = Tally()
    items = listed(store, tally)
    assert [item.path for item in items] == ["top.png", "x/1.png", "x/y/2.png", "z/3.png"]
    assert (tally.others, tally.hidden) == (1, 1)
    assert [item.size for item in items] == [7, 7, 9, 7]
    before = {item.path: item.mark for item in items}
    assert all(before.values())
    store.write("x/1.png", b"another")
    changed = {item.path for item in listed(store) if item.mark != before[item.path]}
    assert changed == {"x/1.png"}


@pytest.mark.slow
def test_pages_of_s3(monkeypatch: pytest.MonkeyPatch) -> None:
    with bucket(monkeypatch) as name:
        import boto3

        monkeypatch.setattr(listing, "PAGE_KEYS", 3)
        client = boto3.client("s3")
        for number in range(7):
            client.put_object(Bucket=name, Key=f"in/{number:04}.png", Body=b"x")
        client.put_object(Bucket=name, Key="in/sub/../../evil.png", Body=b"x")
        client.put_object(Bucket=name, Key="in/sub//evil.png", Body=b"x")
        tally = Tally()
        items = listed(store_of(f"s3://{name}/in"), tally)
        assert [item.path for item in items if item.refused] == ["sub//evil.png"]
        assert len(items) == 8
        assert tally.hidden == 1


@pytest.mark.slow
def test_pages_of_links(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("a.png", "sub/b.png", "c.txt"):
        (tmp_path / name).write_bytes(b"x")

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            store = store_of(f"http://127.0.0.1:{server.server_port}")
            assert [item.path for item in listed(store)] == ["a.png", "sub/b.png"]
            assert store.read("a.png") == b"x"
            assert store.read("none.png") is None
            with pytest.raises(InputError, match="http is for inputs"):
                store.write("a.png", b"y")
        finally:
            server.shutdown()
            thread.join()


def test_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = store_of("pictures")
    assert here.name("a/b.png") == "pictures/a/b.png"
    assert here.local("a/b.png") == tmp_path / "pictures/a/b.png"
    assert isinstance(store_of(f"file://{tmp_path}"), LocalStore)
    assert store_of("s3://b/c/").name("d") == "s3://b/c/d"
    for name, reason in (
        ("zip://x::s3://b/a.zip", "chained URLs"), ("nothing://b", "nothing://b"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=reason):
            store_of(name).exists("a")


def test_an_output_replaces_another_whole(tmp_path: Path) -> None:
    store = LocalStore(str(tmp_path))
    (tmp_path / "a").write_bytes(b"old")
    made = tmp_path / "made"
    made.write_bytes(b"new")
    store.put(made, "a")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a"]

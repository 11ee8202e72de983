"""Finds the files of an input, as a stream in shares that several workers list at a time.

No list of all files is ever held: a share is walked folder by folder, in S3 page by page, and what
is found is handed on in small blocks. Files that would become one output lie next to each other in
that order, so that they are noticed with the memory of a few names.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from aecodec.datasets.items import Item, Kind, Tally
from aecodec.datasets.retrying import patiently
from aecodec.datasets.stores import S3, LocalStore, RemoteStore, Store
from aecodec.errors import InputError
from aecodec.jobs.runner import reason_of

SHARES_MAX = 64
"""Top folders are dealt out to so many shares."""
_PAGES_MAX = 20
"""Pages that the search for top folders in S3 looks at."""
PAGE_KEYS = 1000
"""Names on a page of S3, the most that it gives."""


@dataclass(frozen=True)
class Found:
    """A file as storage lists it."""

    path: str
    size: int
    mark: str
    regular: bool = True
    error: str = ""


@dataclass(frozen=True)
class Share:
    """A part of the listing.

    Attributes:
        number: from 0 on.
        folders: below the root; all that is below them is listed.
        top: whether the files right inside the root belong to it.
    """

    number: int
    folders: tuple[str, ...]
    top: bool = False


@dataclass(frozen=True)
class Selection:
    """Which files are taken, and what they become.

    Attributes:
        kinds: extensions of pictures, in small letters.
        suffix: of outputs; empty if there are none.
        full_names: whether an output keeps its input's extension before its own.
        column: the column of pictures in Parquet files; None passes those files over.
        avoid: the folder of outputs below the root of inputs, which is passed over; None if it is
            elsewhere, and empty if it is the same folder.
    """

    kinds: frozenset[str]
    suffix: str
    full_names: bool = False
    column: str | None = None
    avoid: str | None = None

    def item(self, found: Found, *, named: bool = False) -> Item | None:
        """What is to be done with a file; None if it is passed over, as no `named` one is."""
        stem, suffix = os.path.splitext(found.path)
        kind: Kind = "file"
        if suffix.lower() == ".tar":
            kind = "tar"
        elif suffix.lower() == ".parquet" and self.column is not None:
            kind = "parquet"
        elif suffix.lower() not in self.kinds and not named:
            return None
        output = ""
        if self.suffix:
            name = found.path if self.full_names else stem
            output = found.path if kind != "file" else name + self.suffix
        refused = ""
        if output == found.path and self.avoid == "":
            refused = "its output would replace it: inputs and outputs need different folders"
        return Item(found.path, found.size, found.mark, output, kind, refused)

    def avoids(self, path: str) -> bool:
        """Whether a folder is that of outputs, or of their manifest."""
        if self.avoid == "":
            return path == "_manifest"
        return self.avoid is not None and path == self.avoid


def avoided(source: Store, target: Store) -> str | None:
    """Where outputs lie among the inputs, see `Selection.avoid`."""
    if isinstance(source, LocalStore) and isinstance(target, LocalStore):
        inside, outer = (
            Path(os.path.realpath(target.local(""))),
            Path(os.path.realpath(source.local(""))),
        )
        if not inside.is_relative_to(outer):
            return None
        below = inside.relative_to(outer).as_posix()
        return "" if below == "." else below
    if target.root == source.root:
        return ""
    return target.root.removeprefix(f"{source.root}/") if _is_below(target, source) else None


def _is_below(target: Store, source: Store) -> bool:
    return target.root.startswith(f"{source.root}/")


def shares_of(store: Store) -> list[Share]:
    """Deals the folders right below the root out to shares.

    Raises:
        InputError: the input is no folder.
        OSError: it cannot be read.
    """
    folders = _top_folders(store)
    if folders is None:
        return [Share(0, ("",))]
    count = min(SHARES_MAX, len(folders))
    dealt = [Share(n + 1, tuple(folders[n::count])) for n in range(count)]
    return [Share(0, (), top=True), *dealt]


def _top_folders(store: Store) -> list[str] | None:
    """Names of the folders right below the root; None if that takes too long to find out."""
    if isinstance(store, LocalStore):
        with os.scandir(store.local("")) as entries:
            return sorted(each.name for each in entries if _is_own_folder(each))
    assert isinstance(store, RemoteStore)
    if store.protocol not in S3:
        return sorted(
            each["name"].rstrip("/").rpartition("/")[2]
            for each in _listed(store, "") if each["type"] == "directory"
        )  # fmt: skip
    folders = []
    for number, page in enumerate(_pages(store, "", delimiter="/")):
        if number >= _PAGES_MAX:
            return None
        start = len(_key_of(store, ""))
        folders += [each["Prefix"][start:].rstrip("/") for each in page.get("CommonPrefixes", ())]
    return folders


def list_items(store: Store, share: Share, selection: Selection, tally: Tally) -> Iterator[Item]:
    """All items of a share; what is passed over is counted.

    A folder that cannot be read becomes an item that is refused.
    """
    apart = _Apart()
    try:
        for found in _walk(store, share, selection, tally):
            item = selection.item(found) if found.regular else None
            if found.error:
                yield Item(found.path, refused=found.error)
            elif item is None:
                tally.others += 1
            elif "" in found.path.split("/"):
                yield replace(item, refused="its name has an empty part, which folders cannot have")
            else:
                yield apart.checked(item)
    except OSError as exc:
        where = "the top folder" if share.top else ", ".join(share.folders)
        yield Item("", refused=f"cannot list {where}: {reason_of(store.root, exc)}")


class _Apart:
    """Refuses the second of two files that would become one output.

    Names that share a stem follow each other wherever names are sorted: all between them begin with
    that stem and a dot. So only stems that the last name begins with are kept.
    """

    def __init__(self) -> None:
        self._open: list[tuple[str, str, str]] = []

    def checked(self, item: Item) -> Item:
        """The same item, refused if an earlier one has its output."""
        if not item.output:
            return item
        while self._open and not item.path.startswith(self._open[-1][0]):
            self._open.pop()
        for _, output, path in self._open:
            if output == item.output:
                reason = f"would become {output} as {path} does; --full-names keeps them apart"
                return replace(item, refused=reason)
        stem = os.path.splitext(item.path)[0] + "."
        self._open.append((stem, item.output, item.path))
        return item


def _walk(store: Store, share: Share, selection: Selection, tally: Tally) -> Iterator[Found]:
    if isinstance(store, LocalStore):
        yield from _local(store, share, selection, tally)
    elif isinstance(store, RemoteStore) and store.protocol in S3:
        yield from _objects(store, share, selection, tally)
    else:
        assert isinstance(store, RemoteStore)
        yield from _remote(store, share, selection, tally)


def _local(store: LocalStore, share: Share, selection: Selection, tally: Tally) -> Iterator[Found]:
    """Files below folders of this machine: first those of a folder, then what is below it."""
    waiting = [("", False)] if share.top else []
    waiting += [(folder, True) for folder in reversed(share.folders)]
    while waiting:
        folder, deep = waiting.pop()
        if folder and (selection.avoids(folder) or folder.startswith(".")):
            tally.hidden += folder.startswith(".")
            continue
        try:
            with os.scandir(store.local(folder)) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as exc:
            yield Found(folder, 0, "", error=exc.strerror or str(exc))
            continue
        below = []
        for entry in found:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if _is_own_folder(entry):
                if entry.name.startswith("."):
                    tally.hidden += deep
                elif deep and not selection.avoids(path):
                    below.append((path, True))
            elif entry.name.startswith("."):
                tally.hidden += 1
            elif entry.is_symlink() and not os.path.isfile(entry.path):
                tally.links += 1
            else:
                yield _found(path, entry)
        waiting += reversed(below)


def _is_own_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether an entry is a folder itself, and no link to one, which may go in circles."""
    return entry.is_dir(follow_symlinks=False)


def _found(path: str, entry: "os.DirEntry[str]") -> Found:
    try:
        about = entry.stat()
        return Found(path, about.st_size, f"{about.st_size}-{about.st_mtime_ns}", entry.is_file())
    except OSError:  # it is gone, which the work will tell
        return Found(path, 0, "")


def _objects(
    store: RemoteStore, share: Share, selection: Selection, tally: Tally
) -> Iterator[Found]:
    """Objects of S3, a thousand a page, in the order of their keys."""
    places = [("", "/")] if share.top else []
    places += [(f"{folder}/" if folder else "", "") for folder in share.folders]
    start = len(_key_of(store, ""))
    for prefix, delimiter in places:
        for page in _pages(store, prefix, delimiter=delimiter):
            for each in page.get("Contents", ()):
                path = each["Key"][start:]
                if path.endswith("/") or not path:  # what some tools make for a folder
                    continue
                if is_hidden(path):
                    tally.hidden += 1
                elif not _is_avoided(path, selection):
                    mark = str(each.get("ETag", "")).strip('"') or str(each["LastModified"])
                    yield Found(path, int(each["Size"]), mark)


def is_hidden(path: str) -> bool:
    """Whether a name or that of a folder above it begins with a dot."""
    return any(part.startswith(".") for part in path.split("/"))


def _is_avoided(path: str, selection: Selection) -> bool:
    avoided = "_manifest" if selection.avoid == "" else selection.avoid
    return avoided is not None and path.startswith(f"{avoided}/")


def _key_of(store: RemoteStore, path: str) -> str:
    """The key of an object, which is what follows the bucket."""
    below = store.base.partition("/")[2]
    return f"{below}/{path}" if below else path


def _pages(store: RemoteStore, prefix: str, *, delimiter: str) -> Iterator[dict[str, Any]]:
    more: dict[str, Any] = {"Delimiter": delimiter} if delimiter else {}
    bucket = store.base.partition("/")[0]
    while True:
        ask = {"Bucket": bucket, "Prefix": _key_of(store, prefix), "MaxKeys": PAGE_KEYS, **more}
        page: dict[str, Any] = patiently(
            store.name(prefix), partial(store.system.call_s3, "list_objects_v2", **ask)
        )
        yield page
        if not page.get("IsTruncated"):
            return
        more["ContinuationToken"] = page["NextContinuationToken"]


def _remote(
    store: RemoteStore, share: Share, selection: Selection, tally: Tally
) -> Iterator[Found]:
    """Files behind other URLs, a folder at a time."""
    waiting = [("", False)] if share.top else []
    waiting += [(folder, True) for folder in reversed(share.folders)]
    while waiting:
        folder, deep = waiting.pop()
        below = []
        for each in sorted(_listed(store, folder), key=lambda each: str(each["name"])):
            name = str(each["name"]).rstrip("/").rpartition("/")[2]
            path = f"{folder}/{name}" if folder else name
            if each["type"] == "directory":
                if deep and not name.startswith(".") and not selection.avoids(path):
                    below.append((path, True))
            elif name.startswith("."):
                tally.hidden += 1
            else:
                yield Found(path, int(each.get("size") or 0), mark_of(each), True)
        waiting += reversed(below)


def mark_of(about: dict[str, Any]) -> str:
    """What a listing of fsspec says of a file's content."""
    for name in ("ETag", "etag", "md5Hash", "content_md5"):
        if about.get(name):
            return str(about[name]).strip('"')
    times = [about[name] for name in ("mtime", "last_modified", "created") if about.get(name)]
    return f"{about.get('size')}-{times[0]}" if times else f"{about.get('size') or ''}"


def _listed(store: RemoteStore, folder: str) -> list[dict[str, Any]]:
    at = store.at(folder)
    found: list[dict[str, Any]] = patiently(
        store.name(folder), lambda: store.system.ls(at + "/", detail=True)
    )
    inside = f"{at.rstrip('/')}/"  # pages of http have links to elsewhere, too
    return [each for each in found if str(each["name"]).rstrip("/").startswith(inside)]


def single_item(name: str) -> tuple[str, str]:
    """The folder and the name of an input that is one file."""
    folder, _, base = name.replace(os.sep, "/").rstrip("/").rpartition("/")
    if not base:
        raise InputError(f"{name} is no file")
    return folder or ("." if not name.startswith("/") else "/"), base


def found_file(store: Store, path: str) -> Found:
    """One file that is named itself.

    Raises:
        OSError: it is not there.
    """
    if isinstance(store, LocalStore):
        status = os.stat(store.local(path))
        return Found(path, status.st_size, f"{status.st_size}-{status.st_mtime_ns}")
    assert isinstance(store, RemoteStore)
    about = store.info(path)
    return Found(path, int(about.get("size") or 0), mark_of(about))

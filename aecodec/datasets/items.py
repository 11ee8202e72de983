"""What travels between the driver and workers: items of work, and what has been counted."""

import json
from dataclasses import asdict, dataclass
from typing import Literal

Kind = Literal["file", "tar", "parquet"]
"""One picture; a WebDataset shard; a Parquet file with a column of bytes."""


@dataclass(frozen=True, slots=True)
class Item:
    """A file of the input.

    Attributes:
        path: below the root of inputs, with slashes.
        size: bytes, as far as they are known.
        mark: what storage says of its content without reading it: an etag, or size and time.
        output: the output's path below the root of outputs; empty if results go to a table.
        kind: see `Kind`.
        refused: why the work cannot even begin; empty if it can.
        own: whether the output, if it is there, comes from an earlier run.
    """

    path: str
    size: int = 0
    mark: str = ""
    output: str = ""
    kind: Kind = "file"
    refused: str = ""
    own: bool = False


@dataclass
class Tally:
    """What one share of the listing has counted.

    Attributes:
        share: its number.
        listed: items that were handed out.
        skipped: items that the manifest knows.
        others: files that have no extension of a picture, or are no regular files.
        hidden: files and folders whose names begin with a dot.
        links: links to folders, which are not followed, and links that lead nowhere.
    """

    share: int = 0
    listed: int = 0
    skipped: int = 0
    others: int = 0
    hidden: int = 0
    links: int = 0


@dataclass(frozen=True)
class Block:
    """Items that one worker takes together, and at the end of a share what it has counted."""

    items: tuple[Item, ...]
    tally: Tally | None = None

    def dumps(self) -> bytes:
        """As JSON, which takes names of every kind."""
        return json.dumps(asdict(self)).encode()

    @staticmethod
    def loads(data: bytes) -> "Block":
        """The inverse of `dumps`."""
        found = json.loads(data)
        tally = found["tally"]
        items = tuple(Item(**each) for each in found["items"])
        return Block(items, None if tally is None else Tally(**tally))

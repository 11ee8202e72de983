"""What an argument of a command names: a file, a URL, or standard input by `-`."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

from aecodec.format.reader import Seekable
from aecodec.storage.files import read_bytes
from aecodec.storage.names import STANDARD, check_name
from aecodec.storage.sources import can_seek, is_url, opened, read_all


def load(name: str) -> bytes:
    """The bytes of what an argument names.

    Raises what `sources.read_all` raises.
    """
    if is_url(name):
        return bytes(read_all(name))
    check_name(name)
    return read_bytes(name)


@contextmanager
def opened_for_parts(name: str) -> Iterator[Seekable]:
    """What an argument names, as a file object that can seek.

    Raises what `sources.read_all` raises.
    """
    if name == STANDARD:
        yield BytesIO(read_bytes(name))
        return
    check_name(name)
    with opened(name) as file:
        yield file if can_seek(file) else BytesIO(read_all(file))

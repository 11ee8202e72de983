"""Cuts the listing into blocks of work, and leaves out what the manifest knows."""

from collections.abc import Iterator

from aecodec.datasets.items import Block, Item, Tally
from aecodec.datasets.job import BLOCK_BYTES, Job
from aecodec.datasets.ledger import Ledger
from aecodec.datasets.listing import Share, found_file, list_items, shares_of
from aecodec.errors import InputError
from aecodec.jobs.runner import R

_RAMP = 8
"""Blocks grow to their full size as so many times as many items are listed.

A few files are dealt out one by one so, and many in large blocks.
"""


def shares(job: Job[R]) -> list[Share]:
    """The shares of a run's listing.

    Raises:
        InputError: the input is not there.
        OSError: it cannot be read.
    """
    if job.single is not None:
        found_file(job.source, job.single)
        return [Share(0, ())]
    if not job.source.is_folder():
        raise InputError(f"there is no folder {job.source.root}")
    return shares_of(job.source)


def items_of(job: Job[R], share: Share, ledger: Ledger, tally: Tally) -> Iterator[Item]:
    """The items of a share that are left to do; all are counted."""
    if job.single is None:
        found = list_items(job.source, share, job.selection, tally)
    else:
        one = job.selection.item(found_file(job.source, job.single), named=True)
        found = iter(() if one is None else (one,))
    for item in found:
        left = item if item.refused else ledger.known(item, job.options)
        if left is None:
            tally.skipped += 1
        else:
            tally.listed += 1
            yield left


def blocks_of(job: Job[R], share: Share, ledger: Ledger, most: int) -> Iterator[Block]:
    """The blocks of a share; the last one has its tally.

    Args:
        job: the run.
        share: what to list.
        ledger: what is known.
        most: items of a block.
    """
    tally, block, size = Tally(share.number), list[Item](), 0
    for item in items_of(job, share, ledger, tally):
        alone = item.kind != "file"
        if block and (alone or size + item.size > BLOCK_BYTES):
            yield Block(tuple(block))
            block, size = [], 0
        block.append(item)
        size += item.size
        if alone or len(block) >= min(most, max(1, tally.listed // _RAMP)):
            yield Block(tuple(block))
            block, size = [], 0
    yield Block(tuple(block), tally)

"""All that a worker must know of a run; it travels to each of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from aecodec.datasets.listing import Selection
from aecodec.datasets.manifest import Manifest, Row
from aecodec.datasets.stores import Store
from aecodec.jobs.folders import FileTask
from aecodec.jobs.runner import R, Setup, Work

BLOCK_ITEMS = 16
"""Files that a worker takes together by default."""
BLOCK_BYTES = 64 * 2**20
"""A block is closed when its files have so many bytes."""


@dataclass(frozen=True)
class Job(Generic[R]):
    """A run.

    Attributes:
        work: what is done with each picture, of a kind that pickle takes.
        columns: what of its result goes into the manifest.
        source: where inputs are.
        target: where outputs are.
        manifest: where the manifest is.
        selection: which inputs are taken.
        setup: how processes that do the work are set up.
        options: a digest of all that outputs depend on beside their inputs.
        run: the name of this run, different from that of every other.
        force: whether outputs replace files that are there.
        block: files that a worker takes together.
        single: the one file to work on, below the root of inputs; None for all.
    """

    work: Work[FileTask, R]
    columns: Callable[[R], Row]
    source: Store
    target: Store
    manifest: Manifest
    selection: Selection
    setup: Setup
    options: str
    run: str
    force: bool = False
    block: int = BLOCK_ITEMS
    single: str | None = None

    @property
    def makes_files(self) -> bool:
        """Whether each input becomes a file, and not only a row."""
        return bool(self.selection.suffix)

    @property
    def scratch(self) -> str | None:
        """The folder for files that are being made; None for that of the system.

        It lies beside outputs where these are files here, so that they can be renamed.
        """
        folder = self.target.local(self.manifest.folder) if self.makes_files else None
        return None if folder is None else str(folder)

    @property
    def scratch_name(self) -> str:
        """With which names of temporary folders of this run begin."""
        return f".work-{self.run}-"

"""`aecodec features`: vectors of pictures and .aec files."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import click

from aecodec.cli.console import say
from aecodec.cli.options import (
    force_option,
    jobs_for,
    jobs_option,
    limits_of,
    max_pixels_option,
    model_option,
)
from aecodec.cli.startup import prepare_process
from aecodec.cli.worker_setup import worker_setup
from aecodec.format.chunks import Limits
from aecodec.jobs.runner import JobLog, Outcome, Task, Watch, for_each, tasks_of
from aecodec.storage.arguments import load
from aecodec.storage.files import check_output
from aecodec.storage.names import identities

if TYPE_CHECKING:
    from aecodec.applications.features import Vector, VectorMaker
    from aecodec.applications.latent_maps import LatentReader


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@click.option(
    "-o", "--output", required=True, metavar="OUTPUT", help="The table: a .npz or .parquet file."
)
@click.option(
    "-q", "--quality", type=click.FloatRange(0, 100), default=75.0, show_default=True, metavar="Q",
    help="Quality at which pictures are analyzed; .aec files keep their own.",
)  # fmt: skip
@jobs_option
@max_pixels_option
@force_option
@model_option
def features(
    images: tuple[str, ...], output: str, quality: float, jobs: int, max_pixels: int | None,
    force: bool, model: str | None,
) -> int:  # fmt: skip
    """Write feature vectors of pictures, .aec files and folders of them."""
    many = jobs_for(images, jobs, len(images))
    prepare_process()
    from aecodec.applications.feature_files import FeatureTable, check_table_name, write_table
    from aecodec.applications.inputs import named_pictures

    names = named_pictures(images)
    check_table_name(output)
    check_output(output, force=force, inputs=identities(names))
    work = _Featuring(model, limits_of(max_pixels), quality)
    rows = _Rows()
    code = for_each(tasks_of(names), work, many, say=say, watch=rows, setup=worker_setup())
    if rows.found:
        import numpy as np

        files, vectors = zip(*rows.found, strict=True)
        table = FeatureTable(
            files, np.stack([each.vector for each in vectors]),
            [each.quality for each in vectors], vectors[0].model_id,
        )  # fmt: skip
        write_table(output, table)
        say(f"{output}: {len(files)} pictures, {len(vectors[0].vector)} features each", err=False)
    return code


@dataclass(frozen=True)
class _Features:
    """What is known of one picture."""

    vector: "Vector"
    quality: float
    model_id: bytes


@dataclass
class _Featuring:
    """Makes vectors, with a codec that each process loads once."""

    model: str | None
    limits: Limits
    quality: float

    def __call__(self, task: Task, _log: JobLog, /) -> _Features:
        """Reads a picture or an .aec file."""
        reader, maker = self._tools
        latents = reader.read(load(task.source))
        return _Features(maker.vector(latents), latents.quality_index / 4, latents.model_id)

    @cached_property
    def _tools(self) -> "tuple[LatentReader, VectorMaker]":
        from aecodec.applications.features import VectorMaker
        from aecodec.applications.latent_maps import LatentReader
        from aecodec.codec import Codec

        codec = Codec(self.model, limits=self.limits)
        return LatentReader(codec, self.quality), VectorMaker(codec)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the codec, which each process has of its own."""
        return {name: value for name, value in self.__dict__.items() if name != "_tools"}


class _Rows(Watch[Task, _Features]):
    """Collects what is found, in the order of the pictures."""

    def __init__(self) -> None:
        self.found: list[tuple[str, _Features]] = []

    def report(self, task: Task, outcome: "Outcome[_Features]") -> None:
        """Errors have had their line."""
        if outcome.result is not None:
            self.found.append((task.source, outcome.result))

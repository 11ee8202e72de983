"""`aecodec features`: vectors of pictures and .aec files."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack

import click

from aecodec import __version__
from aecodec.cli.console import say
from aecodec.cli.datasets import (
    REFUSED_OF_TABLES,
    Engine,
    Wishes,
    engine_options,
    everywhere,
    refuse,
    run_dataset,
    uses_engine,
)
from aecodec.cli.options import (
    SUFFIX,
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
from aecodec.jobs.conversion import identity_of_model
from aecodec.jobs.folders import PICTURES
from aecodec.jobs.journal import fingerprint
from aecodec.jobs.runner import JobLog, Outcome, Task, Watch, for_each, tasks_of
from aecodec.storage.arguments import load
from aecodec.storage.files import check_output
from aecodec.storage.names import identities

if TYPE_CHECKING:
    from aecodec.applications.features import Vector, VectorMaker
    from aecodec.applications.latent_maps import LatentReader
    from aecodec.datasets.manifest import Row


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
@engine_options
def features(
    images: tuple[str, ...], output: str, quality: float, jobs: int, max_pixels: int | None,
    force: bool, model: str | None, **engine: Unpack[Engine],
) -> int:  # fmt: skip
    """Write feature vectors of pictures, .aec files and folders of them."""
    work = _Featuring(model, limits_of(max_pixels), quality)
    if uses_engine(engine):
        refuse(REFUSED_OF_TABLES)
        work = replace(work, model=everywhere(model))
        return run_dataset(images, output, _wishes(work), engine)
    many = jobs_for(images, jobs, len(images))
    prepare_process()
    from aecodec.applications.feature_files import FeatureTable, check_table_name, write_table
    from aecodec.applications.inputs import named_pictures

    names = named_pictures(images)
    check_table_name(output)
    check_output(output, force=force, inputs=identities(names))
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


def _wishes(work: _Featuring) -> Wishes:
    """What is asked of the engine."""
    model = identity_of_model(work.model)
    return Wishes(
        work, _columns, fingerprint(__version__, "features", model, work.limits, work.quality),
        PICTURES | {SUFFIX}, fields=_FIELDS, line=_line,
    )  # fmt: skip


_FIELDS = (("quality", "double"), ("model_id", "string"), ("features", "floats"))


def _columns(found: _Features) -> "Row":
    """The columns of a picture, as `write_table` names them."""
    return {
        "quality": found.quality, "model_id": found.model_id.hex(),
        "features": found.vector.tolist(),
    }  # fmt: skip


def _line(name: str, row: "Row") -> str:
    return f"{name}: features at quality {row['quality']:g}, {row['seconds']:.2f} s"


class _Rows(Watch[Task, _Features]):
    """Collects what is found, in the order of the pictures."""

    def __init__(self) -> None:
        self.found: list[tuple[str, _Features]] = []

    def report(self, task: Task, outcome: "Outcome[_Features]") -> None:
        """Errors have had their line."""
        if outcome.result is not None:
            self.found.append((task.source, outcome.result))

"""`aecodec features`: vectors of pictures and .aec files."""

from typing import TYPE_CHECKING

import click

from aecodec.cli.console import say
from aecodec.cli.options import (
    force_option,
    limits_of,
    max_pixels_option,
    model_option,
)
from aecodec.cli.startup import prepare_process
from aecodec.jobs.runner import JobLog, Task, for_each, tasks_of
from aecodec.storage.arguments import load
from aecodec.storage.files import check_output
from aecodec.storage.names import identities

if TYPE_CHECKING:
    from aecodec.applications.features import Vector


@click.command()
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@click.option(
    "-o", "--output", required=True, metavar="OUTPUT", help="The table: a .npz or .parquet file."
)
@click.option(
    "-q", "--quality", type=click.FloatRange(0, 100), default=75.0, show_default=True, metavar="Q",
    help="Quality at which pictures are analyzed; .aec files keep their own.",
)  # fmt: skip
@max_pixels_option
@force_option
@model_option
def features(
    images: tuple[str, ...], output: str, quality: float, max_pixels: int | None, force: bool,
    model: str | None,
) -> int:  # fmt: skip
    """Write feature vectors of pictures, .aec files and folders of them."""
    prepare_process()
    from aecodec.applications.feature_files import FeatureTable, check_table_name, write_table
    from aecodec.applications.features import VectorMaker
    from aecodec.applications.inputs import named_pictures
    from aecodec.applications.latent_maps import LatentReader
    from aecodec.codec import Codec

    names = named_pictures(images)
    check_table_name(output)
    check_output(output, force=force, inputs=identities(names))
    codec = Codec(model, limits=limits_of(max_pixels))
    reader, maker = LatentReader(codec, quality), VectorMaker(codec)
    found: list[tuple[str, Vector, float]] = []

    def work(task: Task, _log: JobLog) -> None:
        latents = reader.read(load(task.source))
        found.append((task.source, maker.vector(latents), latents.quality_index / 4))

    code = for_each(tasks_of(names), work, say=say)
    if found:
        import numpy as np

        files, vectors, qualities = zip(*found, strict=True)
        write_table(output, FeatureTable(files, np.stack(vectors), qualities, maker.model_id))
        say(f"{output}: {len(found)} pictures, {len(vectors[0])} features each", err=False)
    return code

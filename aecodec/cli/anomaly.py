"""`aecodec anomaly fit` and `score`: what normal pictures are like, and which are not."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypedDict, Unpack

import click

from aecodec.cli.console import say
from aecodec.cli.options import (
    force_option,
    limits_of,
    max_pixels_option,
    model_option,
    output_names,
)
from aecodec.cli.startup import prepare_process
from aecodec.errors import AecError, InputError
from aecodec.jobs.runner import JobLog, Task, for_each, tasks_of
from aecodec.models.registry import find_model
from aecodec.storage.arguments import load
from aecodec.storage.files import check_output, write_bytes
from aecodec.storage.names import identities, is_standard_output

if TYPE_CHECKING:
    from aecodec.applications.anomaly import Anomaly
    from aecodec.applications.latent_maps import LatentMap, LatentReader
    from aecodec.codec import Codec

HEAT_SUFFIX = "-heat.png"
_LAYOUTS: dict[str, Literal["fixed", "free"] | None] = {
    "auto": None,
    "fixed": "fixed",
    "free": "free",
}


class _Learning(TypedDict):
    """How to learn, as click parses it."""

    quality: float
    layout: str
    quantile: float


class _Telling(TypedDict):
    """What to tell of each picture, as click parses it."""

    as_json: bool
    heat_map: str | None


@click.group()
def anomaly() -> None:
    """Tell unusual pictures from normal ones, and where they are unusual."""


@anomaly.command()
@click.argument("normal", nargs=-1, required=True, metavar="NORMAL...")
@click.option("-o", "--output", required=True, metavar="PROFILE", help="The profile to write.")
@click.option(
    "-q", "--quality", type=click.FloatRange(0, 100), default=75.0, show_default=True, metavar="Q",
    help="Quality at which pictures are analyzed; .aec files must have it.",
)  # fmt: skip
@click.option(
    "--layout", type=click.Choice(list(_LAYOUTS)), default="auto", show_default=True,
    help="Whether normal pictures show the same thing at the same place.",
)  # fmt: skip
@click.option(
    "--quantile", type=click.FloatRange(0, 1, min_open=True), default=0.95, show_default=True,
    metavar="P", help="Part of held-out normal pictures below the threshold.",
)  # fmt: skip
@max_pixels_option
@force_option
@model_option
def fit(
    normal: tuple[str, ...], output: str, max_pixels: int | None, force: bool, model: str | None,
    **learning: Unpack[_Learning],
) -> int:  # fmt: skip
    """Learn what normal pictures are like, from folders, pictures and .aec files."""
    prepare_process()
    from aecodec.applications.inputs import named_pictures
    from aecodec.applications.latent_maps import LatentReader, channel_order
    from aecodec.codec import Codec

    def work(_task: Task, log: JobLog) -> None:
        from aecodec.applications.anomaly import AnomalyProfile
        from aecodec.applications.profile_files import write_profile

        names = named_pictures(normal)
        check_output(output, force=force, inputs=identities(names))
        codec = Codec(model, limits=limits_of(max_pixels))
        maps = _maps(LatentReader(codec, learning["quality"]), names)
        channels = channel_order(codec.decoder(maps[0].model_id).prior)
        profile = AnomalyProfile.fit(
            maps, channels, layout=_LAYOUTS[learning["layout"]], quantile=learning["quantile"]
        )
        write_profile(profile, output)
        log.say(
            f"{output}: {profile.pictures} normal pictures, layout {profile.layout}, "
            f"threshold {profile.threshold:.2f}",
            err=is_standard_output(output),
        )

    return for_each(tasks_of([output]), work, say=say)


def _maps(reader: "LatentReader", names: Sequence[str]) -> "list[LatentMap]":
    maps = []
    for name in names:
        try:
            maps.append(reader.read(load(name)))
        except AecError as exc:
            raise InputError(f"{name}: {exc}") from exc
    return maps


@anomaly.command()
@click.argument("profile", metavar="PROFILE")
@click.argument("images", nargs=-1, required=True, metavar="IMAGES...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option(
    "--heat-map", metavar="OUTPUT",
    help="Write the picture with its heat as PNG; a folder when there are several pictures.",
)  # fmt: skip
@max_pixels_option
@force_option
@model_option
def score(
    profile: str, images: tuple[str, ...], max_pixels: int | None, force: bool, model: str | None,
    **telling: Unpack[_Telling],
) -> int:  # fmt: skip
    """Score pictures and .aec files by a profile; beyond its threshold they are anomalies."""
    as_json, heat_map = telling["as_json"], telling["heat_map"]
    prepare_process()
    from aecodec.applications.inputs import named_pictures
    from aecodec.applications.latent_maps import LatentReader
    from aecodec.applications.profile_files import read_profile
    from aecodec.codec import Codec

    known = read_profile(profile)
    released = find_model(known.model_id)
    codec = Codec(model or (released.name if released else None), limits=limits_of(max_pixels))
    reader = LatentReader(codec, known.quality_index / 4)
    names = named_pictures(images)
    targets = names if heat_map is None else output_names(names, heat_map, HEAT_SUFFIX)
    never_replaced = identities([profile, *names])

    def work(task: Task, log: JobLog) -> None:
        name, target = task.source, task.target
        if heat_map is not None:
            check_output(target, force=force, inputs=never_replaced)
        data = load(name)
        found = known.score(reader.read(data))
        if heat_map is not None:
            write_bytes(target, _overlay(codec, data, found))
        err = heat_map is not None and is_standard_output(target)
        log.say(_json(name, found) if as_json else _line(name, found), err=err)

    return for_each(tasks_of(names, targets), work, say=say)


def _overlay(codec: "Codec", data: bytes, found: "Anomaly") -> bytes:
    """The picture with its heat; only here is an .aec file decoded to pixels."""
    from aecodec.applications.heat_maps import overlay_png
    from aecodec.format.container import SIGNATURE
    from aecodec.picture.picture import decode_picture

    if data.startswith(SIGNATURE):
        return overlay_png(codec.decompress_array(data), found)
    return overlay_png(decode_picture(data, limits=codec.limits).pixels, found)


def _line(name: str, found: "Anomaly") -> str:
    column, row = found.peak
    verdict = "anomaly" if found.is_anomalous else "normal"
    return (
        f"{name}: {verdict}, score {found.score:.2f}, threshold {found.threshold:.2f}, "
        f"farthest at {column},{row}"
    )


def _json(name: str, found: "Anomaly") -> str:
    return json.dumps(
        {
            "file": name,
            "score": found.score,
            "threshold": found.threshold,
            "anomaly": found.is_anomalous,
            "farthest": list(found.peak),
        }
    )

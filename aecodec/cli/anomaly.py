"""`aecodec anomaly fit` and `score`: what normal pictures are like, and which are not."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

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
    output_names,
)
from aecodec.cli.startup import prepare_process
from aecodec.cli.worker_setup import worker_setup
from aecodec.errors import AecError, InputError
from aecodec.format.chunks import Limits
from aecodec.jobs.conversion import identity_of_model
from aecodec.jobs.folders import PICTURES
from aecodec.jobs.journal import digest_of, fingerprint
from aecodec.jobs.runner import JobLog, Task, for_each, tasks_of
from aecodec.models.registry import find_model
from aecodec.storage.arguments import load
from aecodec.storage.files import check_output, write_bytes
from aecodec.storage.names import Identity, identities, is_standard_output

if TYPE_CHECKING:
    from aecodec.applications.anomaly import Anomaly, AnomalyProfile
    from aecodec.applications.latent_maps import LatentMap, LatentReader
    from aecodec.codec import Codec
    from aecodec.datasets.manifest import Row

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


class _Telling(Engine):
    """What to tell of each picture, as click parses it."""

    as_json: bool
    heat_map: str | None
    jobs: int
    output: str | None


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

    def work(task: Task, log: JobLog) -> None:
        from aecodec.applications.anomaly import AnomalyProfile
        from aecodec.applications.profile_files import write_profile

        names, target = named_pictures(normal), task.source
        check_output(target, force=force, inputs=identities(names))
        codec = Codec(model, limits=limits_of(max_pixels))
        maps = _maps(LatentReader(codec, learning["quality"]), names, log)
        channels = channel_order(codec.decoder(maps[0].model_id).prior)
        profile = AnomalyProfile.fit(
            maps, channels, layout=_LAYOUTS[learning["layout"]], quantile=learning["quantile"]
        )
        write_profile(profile, target)
        log.say(
            f"{target}: {profile.pictures} normal pictures, layout {profile.layout}, "
            f"threshold {profile.threshold:.2f}",
            err=is_standard_output(target),
        )

    return for_each(tasks_of([output]), work, say=say)


def _maps(reader: "LatentReader", names: Sequence[str], log: JobLog) -> "list[LatentMap]":
    maps = []
    for name in names:
        log.check()
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
@jobs_option
@max_pixels_option
@force_option
@model_option
@engine_options
@click.option(
    "-o", "--output", metavar="OUTPUT", help="Of the engine: the folder of a table of scores."
)
def score(
    profile: str, images: tuple[str, ...], max_pixels: int | None, force: bool, model: str | None,
    **telling: Unpack[_Telling],
) -> int:  # fmt: skip
    """Score pictures and .aec files by a profile; beyond its threshold they are anomalies."""
    as_json, heat_map = telling["as_json"], telling["heat_map"]
    engine = uses_engine(telling)
    if engine:
        refuse({**REFUSED_OF_TABLES, "heat_map": "is no part of a table"})
    elif telling["output"] is not None:
        raise click.UsageError("--output needs --engine ray")
    prepare_process()
    from aecodec.applications.profile_files import read_profile

    known = read_profile(profile)
    released = find_model(known.model_id)
    work = _Scoring(
        known, model or (released.name if released else None), limits_of(max_pixels), as_json,
        heat_map is not None, force, frozenset(),
    )  # fmt: skip
    if engine:
        work = replace(work, model=everywhere(work.model))
        wishes = _wishes(work, digest_of(profile), as_json=as_json)
        return run_dataset(images, telling["output"], wishes, telling)
    from aecodec.applications.inputs import named_pictures

    names = named_pictures(images)
    targets = names if heat_map is None else output_names(names, heat_map, HEAT_SUFFIX)
    work = replace(work, never_replaced=identities([profile, *names]))
    many = jobs_for(images, telling["jobs"], len(images))
    return for_each(tasks_of(names, targets), work, many, say=say, setup=worker_setup())


@dataclass
class _Scoring:
    """Scores pictures, with a codec that each process loads once.

    Attributes:
        profile: of normal pictures.
        model: name or path of its model.
        limits: what decoding may use.
        as_json: says results as JSON.
        heat: writes the picture with its heat to the target.
        force: whether existing files are replaced.
        never_replaced: files that no output may be.
    """

    profile: "AnomalyProfile"
    model: str | None
    limits: Limits
    as_json: bool
    heat: bool
    force: bool
    never_replaced: Collection[Identity]

    def __call__(self, task: Task, log: JobLog, /) -> "Anomaly":
        """Scores a picture or an .aec file."""
        name, target = task.source, task.target
        if self.heat:
            check_output(target, force=self.force, inputs=self.never_replaced)
        data = load(name)
        found = self.profile.score(self._reader.read(data))
        if self.heat:
            write_bytes(target, _overlay(self._reader.codec, data, found))
        err = self.heat and is_standard_output(target)
        row = _columns(found)
        log.say(_json(name, row) if self.as_json else _line(name, row), err=err)
        return found

    @cached_property
    def _reader(self) -> "LatentReader":
        from aecodec.applications.latent_maps import LatentReader
        from aecodec.codec import Codec

        codec = Codec(self.model, limits=self.limits)
        return LatentReader(codec, self.profile.quality_index / 4)

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the codec, which each process has of its own."""
        return {name: value for name, value in self.__dict__.items() if name != "_reader"}


def _overlay(codec: "Codec", data: bytes, found: "Anomaly") -> bytes:
    """The picture with its heat; only here is an .aec file decoded to pixels."""
    from aecodec.applications.heat_maps import overlay_png
    from aecodec.format.container import SIGNATURE
    from aecodec.picture.picture import decode_picture

    if data.startswith(SIGNATURE):
        return overlay_png(codec.decompress_array(data), found)
    return overlay_png(decode_picture(data, limits=codec.limits).pixels, found)


def _wishes(work: _Scoring, profile: str, *, as_json: bool) -> Wishes:
    """What is asked of the engine."""
    options = fingerprint(__version__, "score", identity_of_model(work.model), work.limits, profile)
    return Wishes(
        work, _columns, options, PICTURES | {SUFFIX},
        fields=_FIELDS, line=_json if as_json else _line, as_json=as_json,
    )  # fmt: skip


_FIELDS = (("score", "double"), ("threshold", "double"), ("anomaly", "bool"), ("farthest", "ints"))


def _columns(found: "Anomaly") -> "Row":
    return {
        "score": found.score, "threshold": found.threshold, "anomaly": found.is_anomalous,
        "farthest": list(found.peak),
    }  # fmt: skip


def _line(name: str, row: "Row") -> str:
    column, line = row["farthest"]
    verdict = "anomaly" if row["anomaly"] else "normal"
    return (
        f"{name}: {verdict}, score {row['score']:.2f}, threshold {row['threshold']:.2f}, "
        f"farthest at {column},{line}"
    )


def _json(name: str, row: "Row") -> str:
    return json.dumps({"file": name, **{each: row[each] for each, _ in _FIELDS}})

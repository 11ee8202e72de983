"""The command line: arguments, files, exit codes, messages; no logic.

Exit codes: 0 done; 1 an input failed, with one line each on standard error; 2 wrong usage; 130
interrupted. torch is imported only by the commands that compute.
"""

import json
import logging
import math
import sys
import threading
import time
import warnings
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from os import SEEK_END
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from aecodec import __version__
from aecodec.bench import bench
from aecodec.container import DEFAULT_LIMITS, Header, Limits, parse, parse_header
from aecodec.errors import AecError, InputError, TrainingError
from aecodec.facts import facts_of, facts_text
from aecodec.files import STANDARD, check_output, replacing, write_bytes
from aecodec.jobs import Voice, complain, for_each, share_threads
from aecodec.sources import Source, base_name, is_url, load, opened_for_parts, read_info

if TYPE_CHECKING:
    from aecodec.codec import Codec
    from aecodec.images import Picture
    from aecodec.targets import Found, Target
    from aecodec.windows import Region

SUFFIX = ".aec"
SCALES = {"1": 1, "1/2": 2, "1/4": 4, "1/8": 8}
INTERRUPTED = 130
PROGRESS_SECONDS = 1.0
PROGRESS_UNITS = 1000

_model_option = click.option(
    "--model",
    metavar="PATH",
    help="Weights made by `aecodec export`, instead of the released ones.",
)
_inputs = click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
_output_option = click.option(
    "-o", "--output", metavar="OUTPUT", help="Output file; a folder when there are several inputs."
)
_jobs_option = click.option(
    "-j", "--jobs", type=click.IntRange(1), default=1, show_default=True, metavar="N",
    help="Inputs to work on at a time.",
)  # fmt: skip
_max_pixels_option = click.option(
    "--max-pixels", type=click.IntRange(1), metavar="N",
    help=f"Refuse larger pictures; {DEFAULT_LIMITS.pixels} by default.",
)  # fmt: skip
_force_option = click.option("-f", "--force", is_flag=True, help="Overwrite existing outputs.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits the process."""
    # Pillow warns of odd metadata, and of large pictures, for which `Limits` are there.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    try:
        code = cli.main(arguments, prog_name="aecodec", standalone_mode=False)
    except click.ClickException as exc:
        _show(exc)
        sys.exit(exc.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("aecodec: interrupted", err=True)
        sys.exit(INTERRUPTED)
    except (AecError, OSError) as exc:
        complain(None, exc)
        sys.exit(1)
    sys.exit(code if isinstance(code, int) else 0)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__)
def cli() -> None:
    """Compress pictures with a learned codec that decodes the same on every machine."""


cli.add_command(bench)


@cli.command()
@_inputs
@_output_option
@click.option(
    "-q", "--quality", type=click.FloatRange(0, 100), metavar="Q",
    help="0 (smallest) to 100 (best), 75 by default; about JPEG's scale. With --lossless or "
    "--max-error that of the lossy part, 25 by default.",
)  # fmt: skip
@click.option(
    "-e", "--effort", type=click.IntRange(0, 9), default=1, show_default=True,
    help="0 (fastest) to 9 (fewest bytes); decoding takes the same time.",
)  # fmt: skip
@click.option("--size", metavar="SIZE", help="Instead of a quality: bytes, as in 120KB.")
@click.option("--bpp", type=float, metavar="BPP", help="Instead of a quality: bits per pixel.")
@click.option("--psnr", type=float, metavar="DB", help="Instead of a quality: PSNR in dB.")
@click.option("--ssim", type=float, metavar="X", help="Instead of a quality: MS-SSIM below 1.")
@click.option("--lossless", is_flag=True, help="Keep every visible pixel exactly.")
@click.option(
    "--max-error", type=click.IntRange(0, 255), metavar="E",
    help="Keep every sample within E of the original; 0 is lossless.",
)  # fmt: skip
@click.option("--checksum", is_flag=True, help="Add a checksum of the pixels, for verify.")
@click.option("--strip", is_flag=True, help="Drop all metadata.")
@click.option(
    "--keep",
    metavar="NAMES",
    help="Keep only these metadata, out of icc, exif, xmp, resolution, text.",
)
@click.option(
    "--alpha-quality", type=click.FloatRange(0, 100), default=100.0, show_default=True,
    help="Below 100, transparency gets fewer levels; at 100 it is exact.",
)  # fmt: skip
@_max_pixels_option
@_jobs_option
@_force_option
@_model_option
def compress(
    inputs: tuple[str, ...],
    output: str | None,
    effort: int,
    jobs: int,
    force: bool,
    model: str | None,
    quality: float | None,
    **wishes: Any,  # noqa: ANN401  # targets to max_pixels, alpha_quality, as click parses them
) -> int:
    """Compress pictures to .aec files beside them."""
    _check_wishes(quality, wishes)
    bound = 0 if wishes["lossless"] else wishes["max_error"]
    keep = _kept(wishes)
    outputs = _output_names(inputs, output, SUFFIX)
    limits = _limits(wishes["max_pixels"])
    codec = _Lazy(model, min(jobs, len(inputs)), limits)

    def at_once(name: str, target: str, voice: Voice) -> _Packed:
        original = load(name)
        picture = _picture(original, keep, wishes["alpha_quality"])
        if picture.frames > 1:
            only = f"warning: only the first of {picture.frames} frames is kept"
            voice.say(f"aecodec: {name}: {only}", err=True)
        wish = _target(wishes, picture.pixels.shape[0] * picture.pixels.shape[1])
        if wish is None:
            with _Progress(name, voice) as progress:
                data = codec.get().compress(
                    picture, quality, effort=effort, progress=progress, max_error=bound
                )
        else:
            data, found = codec.get().compress_to(picture, wish, effort=effort)
            if not found.met:
                voice.say(f"aecodec: {name}: {_nearest(wish, found)}", err=True)
        if wishes["checksum"]:
            data = codec.get().with_checksum(data)
        voice.check()
        write_bytes(target, data)
        header = parse_header(data, limits)
        return _Packed(len(original), len(data), header.width * header.height)

    def work(name: str, target: str, voice: Voice) -> None:
        check_output(target, force=force)
        start = time.perf_counter()
        done = None
        at_quality = bound is None and _target(wishes, 1) is None and not wishes["checksum"]
        if target != STANDARD and at_quality and Path(name).is_file():
            done = _pack_huge(codec, name, target, (quality, effort, keep), voice)
        done = done or at_once(name, target, voice)
        seconds = time.perf_counter() - start
        voice.say(
            f"{name} -> {target}: {done.before} -> {done.after} bytes, "
            f"{8 * done.after / done.pixels:.3f} bpp, "
            f"ratio {done.before / done.after:.1f}, {seconds:.2f} s",
            err=target == STANDARD,
        )

    return for_each(inputs, outputs, work, jobs)


@cli.command()
@_inputs
@_output_option
@click.option("--region", metavar="X,Y,W,H", help="Decode only this part of the picture.")
@click.option(
    "--scale", type=click.Choice(list(SCALES)), default="1",
    help="Make the picture smaller, which is faster.",
)  # fmt: skip
@_max_pixels_option
@click.option(
    "--background", metavar="COLOR",
    help="Show this colour where the picture is transparent, as in white or '#ff8000'.",
)  # fmt: skip
@click.option("--depth", type=click.Choice(["8"]), help="Round 16-bit pictures to 8 bits a sample.")
@click.option(
    "--allow-truncated", is_flag=True,
    help="Decode what is left of a file that was cut off or damaged.",
)  # fmt: skip
@click.option("--lossy", is_flag=True, help="Leave out what makes the picture exact; faster.")
@_jobs_option
@_force_option
@_model_option
def decompress(
    inputs: tuple[str, ...],
    output: str | None,
    allow_truncated: bool,
    jobs: int,
    force: bool,
    **options: Any,  # noqa: ANN401  # region, scale and model, as click parses them
) -> int:
    """Decompress .aec files; the output's extension gives the format, PNG by default."""
    limits = _limits(options["max_pixels"])
    wish = _Wish(
        _Lazy(options["model"], min(jobs, len(inputs)), limits),
        None if options["region"] is None else _region(options["region"]),
        SCALES[options["scale"]],
        limits,
        allow_truncated,
        None if options["background"] is None else _colour(options["background"]),
        None if options["depth"] is None else int(options["depth"]),
        options["lossy"],
    )
    outputs = _output_names(inputs, output, ".png")

    def work(name: str, target: str, voice: Voice) -> None:
        from aecodec import outputs
        from aecodec.metadata import turned

        check_output(target, force=force)
        kind = _picture_format(target)
        start = time.perf_counter()
        if target != STANDARD:
            size = wish.write_huge(name, target, kind, voice)
            if size is not None:
                seconds = time.perf_counter() - start
                voice.say(f"{name} -> {target}: {size[1]}x{size[0]}, {seconds:.2f} s")
                return
        picture = wish.picture(name, kind, voice)
        metadata = picture.metadata
        pixels = outputs.prepared(picture.whole, kind, wish.background)
        lost = outputs.lost_in(pixels, kind, metadata)
        if lost:
            voice.say(f"aecodec: {target}: warning: {kind} carries no {', '.join(lost)}", err=True)
        if "exif" in lost:
            pixels = turned(pixels, metadata.orientation)
        try:
            encoded = outputs.encode(pixels, kind, metadata)
        except InputError as exc:
            raise InputError(f"cannot write {target}: {exc}") from exc
        voice.check()
        write_bytes(target, encoded)
        seconds = time.perf_counter() - start
        height, width = pixels.shape[:2]
        voice.say(
            f"{name} -> {target}: {width}x{height}, {seconds:.2f} s",
            err=target == STANDARD,
        )

    return for_each(inputs, outputs, work, jobs)


@cli.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def info(files: tuple[str, ...], as_json: bool) -> int:
    """Show header, chunks and model of .aec files.

    Checksums of local files are checked. Behind a URL only the starts of chunks are read.
    """

    def work(name: str, _target: str, voice: Voice) -> None:
        facts = facts_of(name)
        voice.say(json.dumps(facts) if as_json else facts_text(facts))

    return for_each(files, files, work)


@cli.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@_jobs_option
@_model_option
def verify(files: tuple[str, ...], jobs: int, model: str | None) -> int:
    """Check every checksum of .aec files and decode them."""
    codec = _Lazy(model, min(jobs, len(files)))

    def work(name: str, _target: str, voice: Voice) -> None:
        data = load(name)
        stream = parse(data)  # a damaged file fails here, before torch is imported
        codec.get().verify(data)
        tiles = f"{len(stream.tiles)} tiles, {stream.lossless_count} lossless"
        voice.say(f"{name}: ok, {tiles}")

    return for_each(files, files, work, jobs)


@cli.command()
@click.argument("folders", nargs=-1, required=True, metavar="DIR...")
@click.option("-o", "--output", "run", required=True, metavar="RUN", help="Folder of the run.")
@click.option("--steps", type=click.IntRange(1), help="Length of the run.")
@click.option("--batch", type=click.IntRange(1), help="Patches a step.")
@click.option("--crop", type=click.IntRange(64), help="Side of a patch, a multiple of 64.")
@click.option("--learning-rate", type=float, help="Of AdamW; the others follow.")
@click.option("--seed", type=click.IntRange(0), help="Seed of every random draw.")
@click.option("--compile/--no-compile", "compiled", default=None, help="Use torch.compile.")
@click.option("--device", help="cpu, cuda or mps; the best one at hand by default.")
@click.option("--threads", type=click.IntRange(1), help="CPU threads.")
@click.option("--init", metavar="PATH", help="Start a new run from these weights.")
def train(
    folders: tuple[str, ...], run: str, device: str | None, threads: int | None,
    init: str | None, compiled: bool | None, **options: Any,  # noqa: ANN401  # fields of TrainConfig
) -> int:  # fmt: skip
    """Train a model on folders of pictures, or go on with the run in RUN."""
    from aecodec.training.config import TrainConfig

    stored = Path(run) / "config.json"
    config = TrainConfig.load(stored) if stored.exists() else TrainConfig()
    options["compile"] = compiled
    config = replace(config, **{k: v for k, v in options.items() if v is not None})
    missing = [name for name in folders if not Path(name).is_dir()]
    if missing:
        raise InputError(f"{missing[0]}: not a folder")

    import torch

    from aecodec.training.loop import CHECKPOINT, Trainer, check_device, default_device
    from aecodec.weights import trainable_state

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", force=True)
    if threads:
        torch.set_num_threads(threads)
    chosen = device or default_device()
    check_device(chosen)
    if init and (Path(run) / CHECKPOINT).exists():
        raise InputError(f"{run} already holds a run; --init is for new ones")
    initial = trainable_state(Path(init)) if init else None
    trainer = Trainer(
        [Path(name) for name in folders], Path(run), config, device=chosen, initial=initial
    )
    trainer.train()
    return 0


@cli.command()
@click.argument("file", metavar="FILE")
@click.option("-o", "--output", required=True, metavar="OUTPUT", help="The file to write.")
@_force_option
@_model_option
def repair(file: str, output: str, force: bool, model: str | None) -> int:
    """Make a valid file of what is left of one that was cut off or damaged."""
    from aecodec.rescue import rescue

    codec = _Lazy(model)

    def work(name: str, target: str, voice: Voice) -> None:
        check_output(target, force=force)
        data = load(name)
        lines = rescue(data).report()
        repaired, _ = codec.get().repair(data)
        write_bytes(target, repaired)
        for line in lines:
            voice.say(f"aecodec: {name}: warning: {line}", err=True)
        voice.say(
            f"{name} -> {target}: {len(lines)} tiles were not whole, {len(repaired)} bytes",
            err=target == STANDARD,
        )

    return for_each([file], [output], work)


@cli.command()
@click.argument("run", metavar="RUN")
@click.option("-o", "--output", required=True, metavar="PATH", help="The weights file to write.")
@_force_option
def export(run: str, output: str, force: bool) -> int:
    """Make the released form of a run: integer networks, tables, model id.

    The tables are fitted to what the model makes of the run's tiles, if they are still there.
    """
    check_output(output, force=force)

    from aecodec.model import HyperpriorModel
    from aecodec.training.calibration import observe_inputs, observe_symbols
    from aecodec.training.checkpoint import load_average
    from aecodec.training.data import open_tiles
    from aecodec.training.loop import CHECKPOINT, TILES
    from aecodec.weights import export_weights

    model = HyperpriorModel()
    try:
        model.load_state_dict(load_average(Path(run) / CHECKPOINT))
    except RuntimeError as exc:
        raise TrainingError(f"{run}: holds another model: {exc}") from exc
    cache = Path(run) / TILES
    tiles = open_tiles(cache) if cache.exists() else None
    observed = None if tiles is None else observe_symbols(model, tiles)
    statistics = None if tiles is None else observe_inputs(model, tiles)
    model_id = export_weights(model, Path(output), observed, statistics)
    kind = "fitted" if observed is not None else "Gaussian"
    size = Path(output).stat().st_size
    click.echo(f"{output}: model {model_id.hex()}, {kind} tables, {size} bytes")
    return 0


class _Packed(NamedTuple):
    """Bytes of the input, bytes of the output, pixels."""

    before: int
    after: int
    pixels: int


def _limits(max_pixels: int | None) -> Limits:
    return replace(DEFAULT_LIMITS, pixels=max_pixels) if max_pixels else DEFAULT_LIMITS


def _pack_huge(
    codec: "_Lazy", name: str, target: str, settings: tuple[float | None, int, tuple[str, ...]],
    voice: Voice,
) -> _Packed | None:  # fmt: skip
    """Encodes by rows of tiles with quality, effort and metadata, if called for and possible."""
    from aecodec import scanlines, strips

    quality, effort, keep = settings
    least = strips.STRIP_PIXELS
    with Path(name).open("rb") as source:
        picture = strips.open_strips(source) or scanlines.open_scanlines(
            Path(name), least=least, keep=keep
        )
        if picture is None or picture.width * picture.height < least:
            return None
        with _Progress(name, voice) as progress, replacing(target) as file:
            pieces = codec.get().compress_strips(picture, quality, effort=effort, progress=progress)
            after = sum(file.write(piece) for piece in pieces)
        before = source.seek(0, SEEK_END)
    return _Packed(before, after, picture.width * picture.height)


@dataclass(frozen=True)
class _Wish:
    """What `decompress` is to make of each input."""

    codec: "_Lazy"
    part: "Region | None"
    scale: int
    limits: Limits
    allow_truncated: bool
    background: tuple[int, int, int] | None = None
    depth: int | None = None
    lossy: bool = False

    def check(self, header: Header, kind: str) -> None:
        """Refuses parts that do not lie in the picture, and formats that cannot carry it."""
        from aecodec.outputs import check_format

        if self.part is not None:
            self.part.check(header.width, header.height)
        form = header.pixel_format
        alpha = form.has_alpha and self.background is None
        check_format(kind, alpha=alpha, deep=form.is_deep and self.depth is None)

    def picture(self, name: str, kind: str, voice: Voice) -> "Picture":
        """The whole result as one picture, for an output of that kind."""
        with ExitStack() as stack:
            source: Source
            # Without the permission a damaged file fails here, before torch is imported.
            if self.allow_truncated:
                source = load(name)
                header = _rescue(name, source, voice, self.limits)
            elif self.part is not None:
                source = stack.enter_context(opened_for_parts(name))
                header = read_info(source, self.limits)
            else:
                source = load(name)
                header = parse(source, self.limits).header
            self.check(header, kind)
            return self.codec.get().decompress_picture(
                source,
                region=self.part,
                scale=self.scale,
                allow_truncated=self.allow_truncated,
                depth=self.depth,
                lossy=self.lossy,
            )

    def write_huge(self, name: str, target: str, kind: str, voice: Voice) -> tuple[int, int] | None:
        """Decodes by rows of tiles, if called for and possible; returns height and width."""
        from aecodec import writers

        if self.allow_truncated or kind not in writers.STREAMED or not Path(name).is_file():
            return None
        with opened_for_parts(name) as source:
            header = read_info(source, self.limits)
            self.check(header, kind)
            whole = header.width * header.height
            area = self.part.width * self.part.height if self.part else whole
            if area // self.scale**2 < writers.STREAM_PIXELS:
                return None

            from aecodec.unpacking import Wish, unpack

            codec = self.codec.get()
            done = unpack(
                codec,
                source,
                target,
                kind,
                wish=Wish(self.part, self.scale, self.depth, self.background, self.lossy),
                check=voice.check,
            )
        if done is None:
            return None
        size, lost = done
        if lost:
            voice.say(f"aecodec: {target}: warning: {kind} carries no {', '.join(lost)}", err=True)
        return size


def _rescue(name: str, data: bytes, voice: Voice, limits: Limits) -> Header:
    from aecodec.rescue import rescue

    left = rescue(data, limits)
    for line in left.report():
        voice.say(f"aecodec: {name}: warning: {line}", err=True)
    return left.stream.header


def _region(text: str) -> "Region":
    from aecodec.windows import Region

    try:
        left, top, width, height = (int(number) for number in text.split(","))
    except ValueError as exc:
        raise click.UsageError(f"--region takes four whole numbers X,Y,W,H, not {text!r}") from exc
    return Region(left, top, width, height)


def _check_wishes(quality: float | None, wishes: dict[str, Any]) -> None:
    """Refuses wishes that exclude each other, and values that make no sense."""
    if quality is not None and not math.isfinite(quality):
        raise click.UsageError(f"quality must lie in 0 to 100, not {quality}")
    names = ("size", "bpp", "psnr", "ssim", "max_error")
    given = [f"--{name.replace('_', '-')}" for name in names if wishes[name] is not None]
    given += ["--lossless"] if wishes["lossless"] else []
    if quality is not None and given not in (["--lossless"], ["--max-error"]):
        given.append("--quality")
    if len(given) > 1:
        raise click.UsageError(f"{' and '.join(given)} exclude each other")
    _target(wishes, 1)


def _kept(wishes: dict[str, Any]) -> tuple[str, ...]:
    """The metadata that the options ask for."""
    from aecodec.metadata import KINDS

    if wishes["strip"] and wishes["keep"] is not None:
        raise click.UsageError("--strip and --keep exclude each other")
    if wishes["strip"]:
        return ()
    if wishes["keep"] is None:
        return KINDS
    names = tuple(name.strip() for name in wishes["keep"].split(","))
    unknown = sorted(set(names) - set(KINDS))
    if unknown:
        raise click.UsageError(f"cannot keep {', '.join(unknown)}; known are {', '.join(KINDS)}")
    return names


def _target(wishes: dict[str, Any], pixels: int) -> "Target | None":
    """What the options ask of a picture with that many pixels; None if they name a quality."""
    from aecodec.targets import Target, parse_size

    if wishes["size"] is not None:
        return Target("size", parse_size(wishes["size"]))
    if wishes["bpp"] is not None:
        return Target("size", wishes["bpp"] * pixels / 8)
    fidelities = ("psnr", "ssim")
    return next((Target(k, wishes[k]) for k in fidelities if wishes[k] is not None), None)


def _nearest(target: "Target", found: "Found") -> str:
    unit = {"size": "bytes", "psnr": "dB", "ssim": "MS-SSIM"}
    return (
        f"warning: {target.value:.6g} {unit[target.kind]} is out of reach; "
        f"the nearest is {found.measured:.6g} at quality {found.quality:g}"
    )


class _Progress:
    """A bar on standard error, if that is a terminal and the work takes longer than a second.

    Works beside others show none, but end here when the run is stopped.
    """

    def __init__(self, name: str, voice: Voice) -> None:
        self._start = time.monotonic()
        self._name, self._voice = name, voice
        self._bar: Any = None
        self._shown = 0

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._bar is not None:
            self._bar.render_finish()

    def __call__(self, done: float) -> None:
        self._voice.check()
        if self._bar is None:
            early = time.monotonic() - self._start < PROGRESS_SECONDS
            if early or not self._voice.alone or not sys.stderr.isatty():
                return
            self._bar = click.progressbar(
                length=PROGRESS_UNITS, label=self._name, file=sys.stderr, show_eta=True
            )
        units = int(done * PROGRESS_UNITS)
        self._bar.update(units - self._shown)
        self._shown = units


class _Lazy:
    """Makes the codec when the first valid input needs it, since that imports torch.

    Several jobs share the cores: torch runs each with its part of the threads.
    """

    def __init__(self, model: str | None, jobs: int = 1, limits: Limits = DEFAULT_LIMITS) -> None:
        self._model, self._jobs, self._limits = model, jobs, limits
        self._codec: Codec | None = None
        self._lock = threading.Lock()

    def get(self) -> "Codec":
        with self._lock:
            if self._codec is None:
                from aecodec.codec import Codec

                if self._jobs > 1:
                    share_threads(self._jobs)
                self._codec = Codec(self._model, limits=self._limits)
            return self._codec


def _show(exc: click.ClickException) -> None:
    """One line, or the help text when there are no arguments at all."""
    message = exc.format_message()
    if "\n" in message:
        exc.show()
        return
    context = exc.ctx if isinstance(exc, click.UsageError) else None
    command = context.command_path if context else "aecodec"
    click.echo(f"aecodec: {message} (`{command} --help` explains)", err=True)


def _output_names(inputs: Sequence[str], output: str | None, suffix: str) -> list[str]:
    """Where each input goes: beside it, to `output`, or into the folder `output`."""
    if len(inputs) > 1:
        if output == STANDARD or STANDARD in inputs:
            raise click.UsageError("standard input and output take a single picture")
        if output is not None and not Path(output).is_dir():
            raise click.UsageError(f"with several inputs, {output} must be an existing folder")
    elif output is not None and not Path(output).is_dir():
        return [output]
    if STANDARD in inputs:
        return [STANDARD if output is None else str(Path(output) / f"picture{suffix}")]
    folder = None if output is None else Path(output)
    names = [_beside(name, folder, suffix) for name in inputs]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise click.UsageError(f"several inputs would become {min(doubled)}")
    return names


def _beside(name: str, folder: Path | None, suffix: str) -> str:
    """The output for an input; what a URL names goes into the current folder."""
    path = Path(base_name(name)) if is_url(name) else Path(name)
    return str((folder or path.parent) / (path.stem + suffix))


def _picture(data: bytes, keep: tuple[str, ...], alpha_quality: float) -> "Picture":
    from aecodec.images import decode_picture

    return decode_picture(data, keep, alpha_quality)


def _colour(text: str) -> tuple[int, int, int]:
    from PIL import ImageColor

    try:
        red, green, blue = ImageColor.getrgb(text)[:3]
    except ValueError as exc:
        raise click.UsageError(f"{text!r} is no colour; write white, #ff8000 or rgb(...)") from exc
    return red, green, blue


def _picture_format(target: str) -> str:
    from PIL import Image

    if target == STANDARD:
        return "PNG"
    suffix = Path(target).suffix.lower()
    kind = Image.registered_extensions().get(suffix)
    if kind is None or kind not in Image.SAVE:
        reason = f"unknown picture format {suffix!r}" if suffix else "its name has no extension"
        raise InputError(f"cannot write {target}: {reason}")
    return kind

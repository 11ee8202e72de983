"""The command line: arguments, files, exit codes, messages; no logic.

Exit codes: 0 done; 1 an input failed, with one line each on standard error; 2 wrong usage; 130
interrupted. torch is imported only by the commands that compute.
"""

import json
import logging
import math
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from aecodec import __version__, registry
from aecodec.bench import bench
from aecodec.container import Header, chunk_table, parse, parse_header
from aecodec.errors import AecError, InputError, TrainingError
from aecodec.files import STANDARD, check_output, read_bytes, write_bytes
from aecodec.rescue import rescue

if TYPE_CHECKING:
    from aecodec.codec import Codec
    from aecodec.targets import Found, Target
    from aecodec.windows import Region

SUFFIX = ".aec"
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
        _complain(None, exc)
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
    "-q", "--quality", type=click.FloatRange(0, 100), default=75.0, show_default=True,
    help="0 (smallest) to 100 (best); about JPEG's scale.",
)  # fmt: skip
@click.option(
    "-e", "--effort", type=click.IntRange(0, 9), default=1, show_default=True,
    help="0 (fastest) to 9 (fewest bytes); decoding takes the same time.",
)  # fmt: skip
@click.option("--size", metavar="SIZE", help="Instead of a quality: bytes, as in 120KB.")
@click.option("--bpp", type=float, metavar="BPP", help="Instead of a quality: bits per pixel.")
@click.option("--psnr", type=float, metavar="DB", help="Instead of a quality: PSNR in dB.")
@click.option("--strip", is_flag=True, help="Drop all metadata.")
@click.option(
    "--keep",
    metavar="NAMES",
    help="Keep only these metadata, out of icc, exif, xmp, resolution, text.",
)
@_force_option
@_model_option
def compress(
    inputs: tuple[str, ...],
    output: str | None,
    effort: int,
    force: bool,
    model: str | None,
    quality: float,
    **wishes: Any,  # noqa: ANN401  # size, bpp, psnr, strip and keep, as click parses them
) -> int:
    """Compress pictures to .aec files beside them."""
    _check_wishes(quality, wishes)
    keep = _kept(wishes)
    outputs = _output_names(inputs, output, SUFFIX)
    codec = _Lazy(model)

    def work(name: str, target: str) -> None:
        check_output(target, force=force)
        start = time.perf_counter()
        original = read_bytes(name)
        picture = _picture(original, keep)
        wish = _target(wishes, picture.pixels.shape[0] * picture.pixels.shape[1])
        if wish is None:
            with _Progress(name) as progress:
                data = codec.get().compress(picture, quality, effort=effort, progress=progress)
        else:
            data, found = codec.get().compress_to(picture, wish, effort=effort)
            if not found.met:
                click.echo(f"aecodec: {name}: {_nearest(wish, found)}", err=True)
        write_bytes(target, data)
        seconds = time.perf_counter() - start
        header = parse_header(data)
        bpp = 8 * len(data) / (header.width * header.height)
        click.echo(
            f"{name} -> {target}: {len(original)} -> {len(data)} bytes, {bpp:.3f} bpp, "
            f"ratio {len(original) / len(data):.1f}, {seconds:.2f} s",
            err=target == STANDARD,
        )

    return _for_each(inputs, outputs, work)


@cli.command()
@_inputs
@_output_option
@click.option("--region", metavar="X,Y,W,H", help="Decode only this part of the picture.")
@click.option(
    "--allow-truncated", is_flag=True,
    help="Decode what is left of a file that was cut off or damaged.",
)  # fmt: skip
@_force_option
@_model_option
def decompress(
    inputs: tuple[str, ...],
    output: str | None,
    region: str | None,
    allow_truncated: bool,
    force: bool,
    model: str | None,
) -> int:
    """Decompress .aec files; the output's extension gives the format, PNG by default."""
    part = None if region is None else _region(region)
    outputs = _output_names(inputs, output, ".png")
    codec = _Lazy(model)

    def work(name: str, target: str) -> None:
        from aecodec.images import DAMAGE
        from aecodec.metadata import metadata_of, turned

        check_output(target, force=force)
        kind = _picture_format(target)
        start = time.perf_counter()
        data = read_bytes(name)
        # Without the permission a damaged file fails here, before torch is imported.
        header = _rescue(name, data) if allow_truncated else parse(data).header
        if part is not None:
            part.check(header.width, header.height)
        image = codec.get().decompress(data, region=part, allow_truncated=allow_truncated)
        metadata = metadata_of(image)
        lost = metadata.lost_in(kind)
        if lost:
            click.echo(f"aecodec: {target}: warning: {kind} carries no {', '.join(lost)}", err=True)
        if "exif" in lost:
            image = turned(image)
        encoded = BytesIO()
        try:
            image.save(encoded, kind, **metadata.save_options(kind))
        except (*DAMAGE, OSError) as exc:  # some formats read the EXIF that they write
            raise InputError(f"cannot write {target}: {exc}") from exc
        write_bytes(target, encoded.getvalue())
        seconds = time.perf_counter() - start
        click.echo(
            f"{name} -> {target}: {image.width}x{image.height}, {seconds:.2f} s",
            err=target == STANDARD,
        )

    return _for_each(inputs, outputs, work)


@cli.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def info(files: tuple[str, ...], as_json: bool) -> int:
    """Show header, chunks and model of .aec files, after checking their checksums."""

    def work(name: str, _target: str) -> None:
        facts = _facts(name, read_bytes(name))
        click.echo(json.dumps(facts) if as_json else _facts_text(facts))

    return _for_each(files, files, work)


@cli.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@_model_option
def verify(files: tuple[str, ...], model: str | None) -> int:
    """Check every checksum of .aec files and decode them."""
    codec = _Lazy(model)

    def work(name: str, _target: str) -> None:
        data = read_bytes(name)
        stream = parse(data)  # a damaged file fails here, before torch is imported
        codec.get().decompress_array(data)
        tiles = f"{len(stream.tiles)} tiles, {stream.lossless_count} lossless"
        click.echo(f"{name}: ok, {tiles}")

    return _for_each(files, files, work)


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
    codec = _Lazy(model)

    def work(name: str, target: str) -> None:
        check_output(target, force=force)
        data = read_bytes(name)
        lines = rescue(data).report()
        repaired, _ = codec.get().repair(data)
        write_bytes(target, repaired)
        for line in lines:
            click.echo(f"aecodec: {name}: warning: {line}", err=True)
        click.echo(
            f"{name} -> {target}: {len(lines)} tiles were not whole, {len(repaired)} bytes",
            err=target == STANDARD,
        )

    return _for_each([file], [output], work)


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
    from aecodec.training.calibration import observe_symbols
    from aecodec.training.checkpoint import load_average
    from aecodec.training.data import open_tiles
    from aecodec.training.loop import CHECKPOINT, TILES
    from aecodec.weights import export_weights

    model = HyperpriorModel()
    try:
        model.load_state_dict(load_average(Path(run) / CHECKPOINT))
    except RuntimeError as exc:
        raise TrainingError(f"{run}: holds another model: {exc}") from exc
    tiles = Path(run) / TILES
    observed = observe_symbols(model, open_tiles(tiles)) if tiles.exists() else None
    model_id = export_weights(model, Path(output), observed)
    kind = "fitted" if observed is not None else "Gaussian"
    size = Path(output).stat().st_size
    click.echo(f"{output}: model {model_id.hex()}, {kind} tables, {size} bytes")
    return 0


def _rescue(name: str, data: bytes) -> Header:
    left = rescue(data)
    for line in left.report():
        click.echo(f"aecodec: {name}: warning: {line}", err=True)
    return left.stream.header


def _region(text: str) -> "Region":
    from aecodec.windows import Region

    try:
        left, top, width, height = (int(number) for number in text.split(","))
    except ValueError as exc:
        raise click.UsageError(f"--region takes four whole numbers X,Y,W,H, not {text!r}") from exc
    return Region(left, top, width, height)


def _check_wishes(quality: float, wishes: dict[str, Any]) -> None:
    """Refuses more than one of quality, size, bpp and PSNR, and values that make no sense."""
    if not math.isfinite(quality):
        raise click.UsageError(f"quality must lie in 0 to 100, not {quality}")
    given = [f"--{name}" for name in ("size", "bpp", "psnr") if wishes[name] is not None]
    source = click.get_current_context().get_parameter_source("quality")
    if source is not click.core.ParameterSource.DEFAULT:
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
    return None if wishes["psnr"] is None else Target("psnr", wishes["psnr"])


def _nearest(target: "Target", found: "Found") -> str:
    unit = "bytes" if target.kind == "size" else "dB"
    return (
        f"warning: {target.value:.6g} {unit} is out of reach; "
        f"the nearest is {found.measured:.6g} at quality {found.quality:g}"
    )


class _Progress:
    """A bar on standard error, if that is a terminal and the work takes longer than a second."""

    def __init__(self, name: str) -> None:
        self._start = time.monotonic()
        self._name = name
        self._bar: Any = None
        self._shown = 0

    def __enter__(self) -> "_Progress":
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._bar is not None:
            self._bar.render_finish()

    def __call__(self, done: float) -> None:
        if self._bar is None:
            if time.monotonic() - self._start < PROGRESS_SECONDS or not sys.stderr.isatty():
                return
            self._bar = click.progressbar(
                length=PROGRESS_UNITS, label=self._name, file=sys.stderr, show_eta=True
            )
        units = int(done * PROGRESS_UNITS)
        self._bar.update(units - self._shown)
        self._shown = units


class _Lazy:
    """Makes the codec when the first valid input needs it, since that imports torch."""

    def __init__(self, model: str | None) -> None:
        self._model = model
        self._codec: Codec | None = None

    def get(self) -> "Codec":
        if self._codec is None:
            from aecodec.codec import Codec

            self._codec = Codec(self._model)
        return self._codec


def _for_each(
    names: Sequence[str], targets: Sequence[str], work: Callable[[str, str], None]
) -> int:
    """Runs `work` on every input; a failing one does not stop the others."""
    failed = 0
    for name, target in zip(names, targets, strict=True):
        try:
            work(name, target)
        except (AecError, OSError, MemoryError) as exc:
            failed = 1
            _complain(name, exc)
    return failed


def _complain(name: str | None, exc: BaseException) -> None:
    if isinstance(exc, OSError) and exc.strerror:
        about = exc.filename
        known = about is None or (name is not None and Path(str(about)) == Path(name))
        reason = exc.strerror if known else f"{about}: {exc.strerror}"
    else:
        reason = str(exc) or type(exc).__name__
    one_line = " ".join(reason.split())
    click.echo(": ".join(["aecodec", *([name] if name else []), one_line]), err=True)


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
    names = [str((folder or Path(name).parent) / (Path(name).stem + suffix)) for name in inputs]
    doubled = {name for name in names if names.count(name) > 1}
    if doubled:
        raise click.UsageError(f"several inputs would become {min(doubled)}")
    return names


def _picture(data: bytes, keep: tuple[str, ...]) -> Any:  # noqa: ANN401  # numpy is imported late
    from aecodec.images import decode_picture

    return decode_picture(data, keep)


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


def _facts(name: str, data: bytes) -> dict[str, Any]:
    stream = parse(data)
    header = stream.header
    released = registry.find_model(header.model_id)
    return {
        "file": name,
        "bytes": len(data),
        "width": header.width,
        "height": header.height,
        "pixel_format": header.pixel_format.name,
        "quality": header.quality,
        "bpp": 8 * len(data) / (header.width * header.height),
        "model": released.name if released else None,
        "model_id": header.model_id.hex(),
        "tile_side": header.tile_side,
        "tiles": header.tile_count,
        "lossless_tiles": stream.lossless_count,
        "chunks": [
            {"type": kind, "offset": offset, "length": length}
            for kind, offset, length in chunk_table(data)
        ],
    }


def _facts_text(facts: dict[str, Any]) -> str:
    model = facts["model"] or "unknown to this version"
    lines = [
        f"{facts['file']}: {facts['width']}x{facts['height']} {facts['pixel_format']}, "
        f"{facts['bytes']} bytes, {facts['bpp']:.3f} bpp",
        f"  quality {facts['quality']:g}, model {model} ({facts['model_id']}), "
        f"{facts['tiles']} tiles of {facts['tile_side']} pixels, "
        f"{facts['lossless_tiles']} lossless",
    ]
    lines += [f"  chunk {c['type']} at {c['offset']}, {c['length']} bytes" for c in facts["chunks"]]
    return "\n".join(lines)

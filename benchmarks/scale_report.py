"""Tables and the plot of `python -m benchmarks scale`, as Markdown and Matplotlib."""

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.figure import Figure

from benchmarks.scale_check import BLOCKS, LEAST, Cell, Check
from benchmarks.scale_engine import BLOCK, EngineCosts
from benchmarks.scale_measure import PLAIN, RAY, Measured
from benchmarks.scale_model import Estimate, Strain
from benchmarks.scale_simulation import block_lengths

_UNITS = ((1e15, "PB"), (1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))
_NAMES = {10**3: "1 thousand", 10**6: "1 million", 10**9: "1 billion"}
_COLOURS = ("#0072B2", "#D55E00", "#009E73")


def table(heading: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [heading, ["---"] * len(heading), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def size(count: float) -> str:
    """Bytes in three digits.

    Example:
        >>> [size(count) for count in (12, 1980, 9.9e8, 1.2345e12)]
        ['12 B', '1.98 kB', '990 MB', '1.23 TB']
    """
    for unit, name in _UNITS:
        if count >= unit:
            return f"{_digits(count / unit)} {name}"
    return f"{count:.0f} B"


def span(seconds: float) -> str:
    """A time in two or three digits.

    Example:
        >>> [span(seconds) for seconds in (0.5, 42.2, 630, 1e4, 1e6, 1e9)]
        ['0.5 s', '42 s', '10 min', '2.8 h', '12 days', '32 years']
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    for unit, most, name in ((1, 120, "s"), (60, 7200, "min"), (3600, 172800, "h")):
        if seconds < most:
            digits = 1 if name == "h" and seconds < 36000 else 0
            return f"{seconds / unit:.{digits}f} {name}"
    days = seconds / 86400
    return f"{_digits(days, 2)} days" if days < 730 else f"{_digits(days / 365.25, 2)} years"


def _digits(value: float, most: int = 3) -> str:
    """A number of at least 1, with so many digits where it is small."""
    before = len(f"{value:.0f}")
    return f"{value:.{max(0, most - before)}f}"


def percent(part: float) -> str:
    """A part of the whole as per cent."""
    return f"{100 * part:.0f} %" if abs(part) >= 0.02 else f"{100 * part:.1f} %"


def count_name(pictures: int) -> str:
    """How a number of pictures is said."""
    return _NAMES.get(pictures, f"{pictures:,}")


def measured_table(measured: Measured, engine: EngineCosts) -> str:
    """Throughput of each way and what its time went to."""
    rows = []
    for row in measured.rows:
        blocks = len(block_lengths(row.pictures, BLOCK)) if row.way.name == RAY else 0
        shares = row.shares(blocks * engine.manifest)
        if row.way.name == PLAIN:  # each is a start of its own
            shares["start"], shares["scheduling"] = shares["scheduling"], 0.0
        rows.append([
            f"`{row.way.name}`", str(row.way.workers), row.load, str(row.pictures),
            f"{row.wall:.1f}", f"{row.pictures / row.wall:.1f}", f"{row.megapixels / row.wall:.2f}",
            *(percent(share) for share in shares.values()),
        ])  # fmt: skip
    return table(
        ["way", "workers", "pictures", "number", "wall, s", "pictures/s", "megapixels/s",
         "coding", "storage", "held up", "start", "manifest", "scheduling"], rows,
    )  # fmt: skip


def model_table(estimates: Sequence[Sequence[Estimate]]) -> str:
    """A row for each run; those that differ only in workers share it."""
    rows = []
    for group in estimates:
        each = group[0]
        last = group[-1]
        rows.append([
            count_name(each.job.pictures), f"{each.job.megapixels:.2g} MP",
            _hours(each.core_hours),
            " / ".join(span(one.hours * 3600) for one in group),
            f"{size(each.jpeg_bytes)} → {size(each.aec_bytes)}", size(each.saved_bytes),
            size(each.manifest_bytes), f"{each.list_requests:,}", span(each.list_seconds),
            f"{size(each.ledger_bytes)}, {span(each.ledger_seconds)}",
            f"{last.node_gigabits:.2f}", f"{each.core_workers:.1f}",
        ])  # fmt: skip
    workers = " / ".join(str(one.job.workers) for one in estimates[0])
    return table(
        ["pictures", "of", "core hours", f"{workers} workers", "JPEG → .aec", "saved", "manifest",
         "listing requests", "listing", "going on: memory, time", "node, Gbit/s",
         "workers a core on S3"], rows,
    )  # fmt: skip


def breaking_table(estimates: Sequence[Sequence[Estimate]]) -> str:
    """What breaks first in each run, and the next."""
    rows = []
    for group in estimates:
        cells = []
        for each in group:
            ordered = sorted(each.strains.items(), key=lambda pair: -pair[1].over)[:2]
            cells.append(", ".join(f"{name} {_over(strain)}" for name, strain in ordered))
        job = group[0].job
        rows.append([count_name(job.pictures), f"{job.megapixels:.2g} MP", *cells])
    workers = [f"{one.job.workers} workers" for one in estimates[0]]
    return table(["pictures", "of", *workers], rows)


def check_table(checks: Sequence[Check]) -> str:
    """Measured runs beside simulated ones."""
    rows = [
        [f"`{each.row.way.name}`", str(each.row.way.workers), each.row.load,
         f"{each.row.wall:.1f}", f"{each.traced:.1f}", f"{100 * each.errors[0]:+.1f} %",
         f"{each.forecast:.1f}", f"{100 * each.errors[1]:+.0f} %"]
        for each in checks
    ]  # fmt: skip
    return table(
        ["way", "workers", "pictures", "measured, s", "simulated with its times, s", "differs",
         "simulated with a warm codec's, s", "differs"], rows,
    )  # fmt: skip


def blocks_table(cells: Sequence[Cell]) -> str:
    """Efficiencies by the size of blocks; those that are good enough are bold."""
    rows = [
        [count_name(each.pictures), f"{each.megapixels:.2g} MP", str(each.workers),
         *(f"**{percent(part)}**" if part >= LEAST else percent(part)
           for part in each.efficiency)]
        for each in cells
    ]  # fmt: skip
    return table(["pictures", "of", "workers", *map(str, BLOCKS)], rows)


def workers_table(most: Mapping[tuple[int, float], int]) -> str:
    """The most workers that are kept busy."""
    rows = [
        [count_name(pictures), f"{megapixels:.2g} MP", str(workers) if workers else "none"]
        for (pictures, megapixels), workers in most.items()
    ]
    return table(["pictures", "of", "workers"], rows)


def short_table(estimates: Sequence[Sequence[Estimate]]) -> str:
    """A row for each number of pictures, for readers in a hurry."""
    rows = []
    for group in estimates:
        each, last = group[0], group[-1]
        rows.append([
            count_name(each.job.pictures), _hours(each.core_hours),
            " / ".join(span(one.hours * 3600) for one in group),
            f"{size(each.jpeg_bytes)} → {size(each.aec_bytes)}", size(each.manifest_bytes),
            f"{each.list_requests:,}", f"{size(each.ledger_bytes)}, {span(each.ledger_seconds)}",
            f"{last.first} ({_over(last.strains[last.first])})",
        ])  # fmt: skip
    workers = " / ".join(str(one.job.workers) for one in estimates[0])
    last_workers = estimates[0][-1].job.workers
    return table(
        ["pictures", "core hours", f"{workers} workers", "JPEG → .aec", "manifest",
         "listing requests", "to go on after a stop",
         f"breaks first with {last_workers} (load over room)"], rows,
    )  # fmt: skip


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"


def _over(strain: Strain) -> str:
    return f"{strain.over:,.0f}" if strain.over >= 10 else f"{strain.over:.2g}"


def plot(cells: Sequence[Cell], pictures: int) -> Figure:
    """Efficiency against the size of blocks, for runs of so many pictures."""
    chosen = [each for each in cells if each.pictures == pictures]
    sizes = sorted({each.megapixels for each in chosen})
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for panel, megapixels in zip(axes, sizes, strict=True):
        lines = [each for each in chosen if each.megapixels == megapixels]
        for each, colour in zip(lines, _COLOURS, strict=False):
            efficiency = [100 * part for part in each.efficiency]
            panel.plot(BLOCKS, efficiency, "o-", color=colour, label=f"{each.workers} workers")
        panel.axhline(100 * LEAST, color="#555555", linewidth=0.8, linestyle=":")
        panel.set_xscale("log", base=2)
        panel.set_xticks(BLOCKS, [str(each) for each in BLOCKS])
        panel.set_title(f"{count_name(pictures)} pictures of {megapixels:.2g} megapixels")
        panel.set_xlabel("pictures in a block")
        panel.set_ylim(0, 102)
    axes[0].set_ylabel("time of workers for pictures, %")
    axes[0].legend(frameon=False)
    return figure

"""`python -m benchmarks COMMAND`."""

import click

from aecodec.cli.startup import keep_freed_memory
from benchmarks import crops, footprint, lossless, parts, rd, regress, rounding, timing, training

cli = click.Group(
    commands={
        "rd": rd.main,
        "speed": timing.main,
        "footprint": footprint.main,
        "parts": parts.main,
        "lossless": lossless.main,
        "rounding": rounding.main,
        "crops": crops.main,
        "regress": regress.main,
        "training": training.main,
    },
    help="Measurements of aecodec against other codecs.",
)

if __name__ == "__main__":
    keep_freed_memory()  # as the commands of aecodec do
    cli(prog_name="python -m benchmarks")

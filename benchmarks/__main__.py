"""`python -m benchmarks COMMAND`."""

import click

from aecodec.cli.startup import keep_freed_memory
from benchmarks import crops, footprint, lossless, parts, perceptual, rd, regress, rounding, speed

cli = click.Group(
    commands={
        "rd": rd.main,
        "speed": speed.main,
        "footprint": footprint.main,
        "parts": parts.main,
        "lossless": lossless.main,
        "rounding": rounding.main,
        "crops": crops.main,
        "perceptual": perceptual.main,
        "regress": regress.main,
    },
    help="Measurements of aecodec against other codecs.",
)

if __name__ == "__main__":
    keep_freed_memory()  # as the commands of aecodec do
    cli(prog_name="python -m benchmarks")

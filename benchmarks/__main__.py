"""`python -m benchmarks COMMAND`."""

from aecodec.cli.startup import prepare_process

if __name__ == "__main__":
    prepare_process(torch=True)  # as the commands of aecodec do, before torch is imported

import click

from benchmarks import (
    anomaly,
    crops,
    denoise,
    features,
    footprint,
    jobs,
    lossless,
    parts,
    perceptual,
    rd,
    regress,
    rounding,
    scale,
    speed,
    training,
)

cli = click.Group(
    commands={
        "anomaly": anomaly.main,
        "rd": rd.main,
        "denoise": denoise.main,
        "speed": speed.main,
        "features": features.main,
        "footprint": footprint.main,
        "jobs": jobs.main,
        "parts": parts.main,
        "lossless": lossless.main,
        "rounding": rounding.main,
        "scale": scale.main,
        "crops": crops.main,
        "perceptual": perceptual.main,
        "regress": regress.main,
        "training": training.main,
    },
    help="Measurements of aecodec against others.",
)

if __name__ == "__main__":
    cli(prog_name="python -m benchmarks")

"""Makes a noisy picture to try denoising on: `python samples/noise.py INPUT OUTPUT [SIGMA]`.

Adds white Gaussian noise, seeded, of 25 steps by default.
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image


def main(source: Path, target: Path, sigma: float = 25.0) -> None:
    """Writes the noisy picture."""
    with Image.open(source) as image:
        pixels = np.asarray(image.convert("L" if image.mode == "L" else "RGB"))
    noise = np.random.default_rng(7).normal(0, sigma, pixels.shape)
    Image.fromarray(np.rint(pixels + noise).clip(0, 255).astype(np.uint8)).save(target)


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit("usage: python samples/noise.py INPUT OUTPUT [SIGMA]")
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(float, sys.argv[3:]))

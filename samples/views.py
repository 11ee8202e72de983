"""Makes pictures to try anomaly scores on: `python samples/views.py FOLDER`.

Writes 32 views of the coffee into `FOLDER/normal`, each a little shifted, brighter or darker, and
with noise, and into `FOLDER/odd` one view as it should be, one with a stain and one with a scratch.
"""

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIZE = 320
HERE = Path(__file__).parent


def view(coffee: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The cup, `(320, 320, 3)`."""
    top, left = np.array([40, 140]) + rng.integers(-3, 4, 2)
    part = coffee[top : top + SIZE, left : left + SIZE] * rng.uniform(0.97, 1.03)
    return np.clip(part + rng.normal(0, 2, part.shape), 0, 255).astype(np.uint8)


def main(folder: Path) -> None:
    """Writes all views."""
    rng = np.random.default_rng(3)
    with Image.open(HERE / "coffee.png") as image:
        coffee = np.asarray(image.convert("RGB"))
    for name in ("normal", "odd"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(32):
        Image.fromarray(view(coffee, rng)).save(folder / "normal" / f"{number:02}.png")
    good, stained, scratched = (view(coffee, rng) for _ in range(3))
    rows, columns = np.mgrid[:SIZE, :SIZE]
    blot = np.hypot(rows - 250, columns - 80) < 18
    stained[blot] = (0.6 * stained[blot] + 0.4 * np.array([40, 160, 60])).astype(np.uint8)
    line = (np.abs(rows + columns // 4 - 340) < 2) & (columns > 110) & (columns < 190)
    scratched[line] = np.clip(scratched[line].astype(int) + 60, 0, 255)
    for name, pixels in (("good", good), ("stained", stained), ("scratched", scratched)):
        Image.fromarray(pixels).save(folder / "odd" / f"{name}.png")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python samples/views.py FOLDER")
    main(Path(sys.argv[1]))

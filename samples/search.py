"""The pictures most like one: `python samples/search.py PICTURE FOLDER... [--sheet SHEET.png]`.

Pictures and .aec files are compared by the cosine of their feature vectors' differences from the
mean of all, which needs no pixels of the .aec files. The sheet shows the picture and, beside it,
what was found.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

import aecodec
from aecodec.applications.inputs import named_pictures

SHOWN, SIDE = 5, 160


def search(query: str, names: Sequence[str]) -> list[tuple[float, str]]:
    """Cosines and names of the most similar pictures, best first."""
    vectors = aecodec.features([query, *names])
    apart = vectors - vectors[1:].mean(0)
    apart /= np.linalg.norm(apart, axis=1, keepdims=True) + 1e-9
    likeness = apart[1:] @ apart[0]
    return [(float(likeness[place]), names[place]) for place in np.argsort(-likeness)[:SHOWN]]


def draw(names: Sequence[str], path: str) -> None:
    """Writes small pictures side by side."""
    sheet = Image.new("RGB", (len(names) * SIDE, SIDE), "white")
    for place, name in enumerate(names):
        whole = aecodec.decompress(name) if name.endswith(".aec") else Image.open(name)
        sheet.paste(
            ImageOps.pad(whole.convert("RGB"), (SIDE, SIDE), color="white"), (place * SIDE, 0)
        )
    sheet.save(path)


def main() -> None:
    """Reads arguments, prints what is found, and draws the sheet."""
    parser = argparse.ArgumentParser(description="Find similar pictures.")
    parser.add_argument("picture")
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--sheet")
    arguments = parser.parse_args()
    names = [
        name
        for name in named_pictures(arguments.folders)
        if not Path(name).exists() or not Path(name).samefile(arguments.picture)
    ]
    found = search(arguments.picture, names)
    for likeness, name in found:
        print(f"{likeness:6.3f}  {name}")
    if arguments.sheet:
        draw([arguments.picture, *(name for _, name in found)], arguments.sheet)


if __name__ == "__main__":
    main()

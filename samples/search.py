"""The pictures most like one: `python samples/search.py PICTURE FOLDER...`.

Pictures and .aec files are compared by the cosine of their feature vectors' differences from the
mean of all, which needs no pixels of the .aec files.
"""

import sys

import numpy as np

import aecodec
from aecodec.applications.inputs import named_pictures

SHOWN = 5


def main(query: str, folders: list[str]) -> None:
    """Prints the names of the most similar pictures, best first."""
    names = named_pictures(folders)
    vectors = aecodec.features([query, *names])
    apart = vectors - vectors[1:].mean(0)
    apart /= np.linalg.norm(apart, axis=1, keepdims=True) + 1e-9
    likeness = apart[1:] @ apart[0]
    for place in np.argsort(-likeness)[:SHOWN]:
        print(f"{likeness[place]:6.3f}  {names[place]}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit("usage: python samples/search.py PICTURE FOLDER...")
    main(sys.argv[1], sys.argv[2:])

"""A process that codes pictures with one codec, whenever it is asked to.

    python -P benchmarks/worker.py SPEC

It is run as a file, with the checkout to measure in PYTHONPATH, so that it also measures checkouts
that lack it. SPEC is JSON: what `benchmarks.contestants.Contestant` says of the codec. Each line of
standard input asks for one round, and each line of standard output is an answer, both JSON.
"""

import io
import json
import os
import sys
import time
from collections.abc import Callable
from importlib import import_module
from typing import Any

from PIL import Image

Encode = Callable[[Image.Image, float], bytes]
Decode = Callable[[bytes], Image.Image]


def main() -> None:
    """Loads the codec, says so, and answers until its input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever libraries print is no answer
    try:
        encode, decode = CODECS[json.loads(sys.argv[1])["kind"]](json.loads(sys.argv[1]))
    except Exception as exc:  # whatever keeps a codec from loading, the others are measured
        answers.write(json.dumps({"error": _line(exc)}) + "\n")
        return
    answers.write("{}\n")
    for line in sys.stdin:
        try:
            answer = _round(encode, decode, **json.loads(line))
        except Exception as exc:  # a codec may fail in any way
            answer = {"error": _line(exc)}
        answers.write(json.dumps(answer) + "\n")


def _round(encode: Encode, decode: Decode, picture: str, quality: float) -> dict[str, Any]:
    with Image.open(picture) as opened:
        image = opened.convert("RGB")
    start = _now()
    data = encode(image, quality)
    middle = _now()
    decode(data)
    end = _now()
    return {
        "encode": [b - a for a, b in zip(start, middle, strict=True)],
        "decode": [b - a for a, b in zip(middle, end, strict=True)],
        "size": len(data),
    }


def _now() -> tuple[float, float]:
    """Seconds of the wall clock, and of all threads of this process on the CPU."""
    return time.perf_counter(), time.process_time()


def _line(exc: BaseException) -> str:
    text = " ".join(str(exc).split())
    return f"{type(exc).__name__}: {text}" if text else type(exc).__name__


def _open(data: bytes) -> Image.Image:
    with Image.open(io.BytesIO(data)) as image:
        return image.convert("RGB")


def _aecodec(spec: dict[str, Any]) -> tuple[Encode, Decode]:
    import aecodec

    codec = aecodec.Codec(spec["model"])
    codec.decompress(codec.compress(Image.new("RGB", (70, 70), "teal"), 50, lossless_tiles=False))
    if os.environ.get("AECODEC_RUNTIME") == "native":
        reason = _no_native()
        if reason:
            raise RuntimeError(reason)
    return codec.compress, codec.decompress


def _no_native() -> str:
    """Why the native runtime does not decode here; nothing if it does."""
    loading = import_module("aecodec.decoder.loading")
    if not hasattr(loading, "runtime_info"):
        return "this checkout has no native runtime"
    info = loading.runtime_info()
    return "" if info.runtime == "native" else str(info.reason)


def _pillow(spec: dict[str, Any]) -> tuple[Encode, Decode]:
    kind, options, threads = spec["format"], spec["options"], spec["threads"]
    if kind == "AVIF":
        from PIL import AvifImagePlugin

        AvifImagePlugin.DEFAULT_MAX_THREADS = threads
    if kind == "JXL":
        from pillow_jxl import JpegXLImagePlugin

        JpegXLImagePlugin.DECODE_THREADS = threads
        options = options | {"num_threads": threads}

    def encode(image: Image.Image, quality: float) -> bytes:
        stream = io.BytesIO()
        image.save(stream, kind, quality=round(quality), **options)
        return stream.getvalue()

    _open(encode(Image.new("RGB", (16, 16)), 50))  # fails here if Pillow lacks the format
    return encode, _open


def _untrained(spec: dict[str, Any]) -> tuple[Encode, Decode]:
    from benchmarks.untrained import untrained

    codec = untrained(spec["name"])
    return codec.encode, codec.decode


CODECS: dict[str, Callable[[dict[str, Any]], tuple[Encode, Decode]]] = {
    "aecodec": _aecodec,
    "pillow": _pillow,
    "untrained": _untrained,
}

if __name__ == "__main__":
    main()

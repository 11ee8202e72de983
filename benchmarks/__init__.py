"""Measurements of aecodec against other codecs; `python -m benchmarks --help` lists them."""

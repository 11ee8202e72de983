"""Measurements of aecodec against other codecs: `rd` for rate-distortion, `timing` for time."""

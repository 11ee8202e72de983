"""What other programs call the format."""

FORMAT = "AEC"
"""What Pillow calls the format."""
NAME = "aecodec"
"""What imageio calls its plugin."""
SUFFIX, MIME_TYPE = ".aec", "image/x-aec"

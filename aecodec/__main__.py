"""Lets `python -m aecodec` do the same as `aecodec`."""

from aecodec.cli import main

if __name__ == "__main__":
    main()

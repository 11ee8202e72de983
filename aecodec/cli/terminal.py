"""What the terminal behind standard output can show; everything unsure counts as cannot.

Sources: https://no-color.org; kitty's "Terminal graphics protocol"; iTerm2's "Inline images
protocol"; the terminals' own documents for what they set in the environment.
"""

import os
import shutil
import sys
from typing import Literal

import click

Graphics = Literal["kitty", "iterm", "sixel"]
"""A protocol for pictures."""


def is_terminal() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def has_colours() -> bool:
    """Whether colours are shown, and wanted: `NO_COLOR` forbids them."""
    plain = os.environ.get("TERM") in (None, "", "dumb") and os.name != "nt"
    return is_terminal() and not plain and not os.environ.get("NO_COLOR")


def styled(text: str, **style: bool | str) -> str:
    """The text in a style of click's, where there are colours."""
    return click.style(text, **style) if has_colours() else text  # type: ignore[arg-type]  # click has a name for each style


def columns() -> int:
    """Characters in a line."""
    return shutil.get_terminal_size().columns


def graphics() -> Graphics | None:
    """How pictures are shown; None where that is not known, or a multiplexer stands between."""
    term, program = os.environ.get("TERM", ""), os.environ.get("TERM_PROGRAM", "")
    between = term.startswith(("screen", "tmux")) or {"TMUX", "STY"} & os.environ.keys()
    if not is_terminal() or between:
        return None
    if term in ("xterm-kitty", "xterm-ghostty"):
        return "kitty"
    if program in ("iTerm.app", "WezTerm") or os.environ.get("LC_TERMINAL") == "iTerm2":
        return "iterm"
    if term == "mlterm" or term.split("-")[0] == "foot" or "sixel" in term:
        return "sixel"
    return None

"""The manual page aecodec(1), made of what `--help` says.

Source: groff_man(7) and man-pages(7).
"""

import inspect
import re

import click

from aecodec import __version__
from aecodec.cli.console import say_or_end
from aecodec.cli.examples import EXAMPLES

EXIT_CODES = {
    0: "Everything is done.",
    1: "An input failed, with one line for each on standard error.",
    2: "The command was called wrongly; nothing has been done.",
    130: "The run was interrupted.",
    141: "Nobody reads the output further.",
}
"""What the codes with which a command ends mean; after a signal it is 128 and its number."""
ENVIRONMENT = {
    "NO_COLOR": "Forbids colours at a terminal.",
    "AECODEC_DEBUG": "Lets faults of aecodec itself show where they are.",
    "XDG_DATA_HOME": "Where `aecodec desktop` installs, ~/.local/share by default.",
}
_ABOUT = (
    "aecodec turns pictures into compact .aec files and back with a small neural network, and "
    "decodes the same pixels on every machine. The weights are part of the program."
)
_PAGES = ("file(1)", "cwebp(1)", "cjxl(1)", "avifenc(1)")


@click.command()
def man() -> None:
    """Print the manual page aecodec(1)."""
    say_or_end(manual_page().removesuffix("\n"), err=False)


def manual_page() -> str:
    """The page in the language of man."""
    from aecodec.cli import cli

    root = click.Context(cli, info_name="aecodec", **cli.context_settings)
    lines = [
        f'.TH AECODEC 1 "" "aecodec {__version__}" "User Commands"',
        ".SH NAME",
        _plain(f"aecodec - {_sentence(cli)}"),
        ".SH SYNOPSIS",
        f".B aecodec\n{_italic('COMMAND')} [{_italic('OPTION')}...] [{_italic('FILE')}...]",
        ".SH DESCRIPTION",
        _plain(_ABOUT),
        ".SH COMMANDS",
    ]
    for name in cli.list_commands(root):
        lines += _command(name, cli.get_command(root, name), root)
    lines += [".SH EXIT STATUS", *_table({str(code): text for code, text in EXIT_CODES.items()})]
    lines += [".SH ENVIRONMENT", *_table(ENVIRONMENT), ".SH EXAMPLES"]
    for examples in EXAMPLES.values():
        for what, command in examples:
            lines += [".PP", _plain(f"{what[0].upper()}{what[1:]}:"), ".PP"]
            lines += [".in +4n", ".nf", _plain(command), ".fi", ".in"]
    references = ",\n".join(f".BR {page[:-3]} {page[-3:]}" for page in _PAGES)
    lines += [".SH SEE ALSO", references.replace(",\n.BR", " ,\n.BR")]
    return "\n".join(lines) + "\n"


def _command(name: str, command: click.Command | None, parent: click.Context) -> list[str]:
    """A command's part of the page, with those of the commands below it."""
    if command is None:
        return []
    context = click.Context(command, parent, info_name=name)
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f'.SS "{_plain(f"{context.command_path} {usage}").removeprefix(_GUARD)}"']
    for paragraph in inspect.cleandoc(command.help or "").replace("\b\n", "").split("\n\n"):
        lines += [".PP", _plain(" ".join(paragraph.split()))]
    for param in command.get_params(context):
        record = param.get_help_record(context)
        if record is not None and record[1] and "--help" not in record[0]:
            lines += [".TP", f".B {_plain(record[0]).removeprefix(_GUARD)}", _plain(record[1])]
    if isinstance(command, click.Group):
        for below in command.list_commands(context):
            lines += _command(below, command.get_command(context, below), context)
    return lines


_GUARD = "\\&"
"""What keeps a line from being taken for a request."""


def _plain(text: str) -> str:
    """Text as it stands, whatever its letters mean to man."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    escaped = re.sub("[^\x00-\x7f]", lambda found: f"\\[u{ord(found[0]):04X}]", escaped)
    escaped = escaped.replace("~", "\\(ti").replace("^", "\\(ha").replace("`", "\\(ga")
    return _GUARD + escaped if escaped.startswith((".", "'")) else escaped


def _italic(text: str) -> str:
    return f"\\fI{_plain(text)}\\fR"


def _table(entries: dict[str, str]) -> list[str]:
    """Words in bold, each with what it means."""
    return [
        part
        for word, text in entries.items()
        for part in (".TP", f".B {_plain(word)}", _plain(text))
    ]


def _sentence(command: click.Command) -> str:
    """What a command does, in one line without its full stop."""
    first = inspect.cleandoc(command.help or "").split("\n\n")[0]
    return " ".join(first.split()).rstrip(".").lower()

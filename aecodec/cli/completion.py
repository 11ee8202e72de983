"""`aecodec completion`: scripts that complete commands, options and names of files."""

from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from aecodec.cli.console import say_or_end

SHELLS = ("bash", "zsh", "fish")
_VARIABLE = "_AECODEC_COMPLETE"
"""With which click asks the program for completions."""
_FILES = {"A", "B", "FILE", "INPUT", "NAME|PATH", "OUTPUT", "PATH", "PICTURE", "PNG"}
_FOLDERS = {"DIR", "FOLDER", "RUN"}
"""What help calls parameters that are names of files or folders."""


class _Name(click.types.StringParamType):
    """A name, which shells complete as that of a file or a folder."""

    def __init__(self, kind: str) -> None:
        self._kind = kind

    def shell_complete(
        self, _ctx: click.Context, _param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[Any]]:
        return [CompletionItem(incomplete, type=self._kind)]


def complete_names(command: click.Command) -> None:
    """Has shells complete names of files and folders for a command's parameters."""
    for param in command.params:
        name = (param.metavar or "").removesuffix("...")
        if isinstance(param.type, click.types.StringParamType) and name in _FILES | _FOLDERS:
            param.type = _Name("file" if name in _FILES else "dir")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print a script that completes commands, options and files in SHELL."""
    kind = get_completion_class(shell)
    root = click.get_current_context().find_root()
    if kind is None:
        raise click.ClickException(f"this version of click completes nothing in {shell}")
    script = kind(root.command, {}, "aecodec", _VARIABLE)
    say_or_end(script.source_template % script.source_vars(), err=False)

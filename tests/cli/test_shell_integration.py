"""Completion, the manual page and the examples that help shows."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from shell import ENVIRONMENT, Shell, assert_one_line

from aecodec.cli import cli
from aecodec.cli.examples import EXAMPLES
from aecodec.cli.manual import EXIT_CODES, manual_page

ROOT = click.Context(cli, info_name="aecodec", **cli.context_settings)
MANUAL = Path(__file__).resolve().parents[2] / "aecodec" / "cli" / "MANUAL.md"


@pytest.fixture
def tools(tmp_path: Path) -> dict[str, str]:
    """An environment in which `aecodec` is that of this tree."""
    folder = tmp_path / ".tools"
    folder.mkdir()
    script = folder / "aecodec"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m aecodec "$@"\n')
    script.chmod(0o755)
    return {**ENVIRONMENT, "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def completed(line: str, tools: dict[str, str], folder: Path) -> set[str]:
    """What bash offers behind a line, and what it was told to fall back on."""
    words = line.split(" ")
    code = (
        'compopt() { echo "$@"; }\n'
        'eval "$(aecodec completion bash)"\n'
        f"COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1}\n"
        "_aecodec_completion aecodec\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        ["bash", "--norc", "-c", code], env=tools, cwd=folder, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    return set(done.stdout.split("\n")) - {""}


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes(tools: dict[str, str], tmp_path: Path) -> None:
    assert completed("aecodec comp", tools, tmp_path) == {"compare", "completion", "compress"}
    assert "--lossless" in completed("aecodec compress --lo", tools, tmp_path)
    assert completed("aecodec decompress --scale 1/", tools, tmp_path) == {"1/2", "1/4", "1/8"}
    for line in ("info ", "compress ", "compress -o ", "verify --model ", "compare a.png "):
        assert completed(f"aecodec {line}", tools, tmp_path) == {"-o default"}
    assert completed("aecodec train -o ", tools, tmp_path) == {"-o dirnames"}
    assert completed("aecodec desktop in", tools, tmp_path) == {"install"}


@pytest.mark.parametrize("name", ["bash", "zsh", "fish"])
def test_scripts_ask_the_program(shell: Shell, name: str) -> None:
    result = shell.run("completion", name)
    assert (result.code, result.err) == (0, "")
    assert f"_AECODEC_COMPLETE={name}_complete" in result.out
    program = shutil.which(name)
    if program is not None:
        path = shell.file("script", result.out.encode())
        subprocess.run([program, "-n", str(path)], check=True)


def test_other_shells_are_refused(shell: Shell) -> None:
    assert_one_line(shell.run("completion", "tcsh"), 2, "tcsh")


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_have_options_that_exist(name: str) -> None:
    for _, line in EXAMPLES[name]:
        found = re.search(r"aecodec (\w+)([^|)<>]*)", line)
        assert found
        command = cli.get_command(ROOT, found[1])
        assert command is not None
        assert found[1] == name
        known = {option for each in command.params for option in each.opts}
        used = set(re.findall(r"(?<=\s)--?[a-z][\w-]*", found[2]))
        assert name == "bench" or used <= known, line


@pytest.mark.parametrize("name", EXAMPLES)
def test_help_shows_them_as_they_are(shell: Shell, name: str) -> None:
    lines = shell.run(name, "--help").out.splitlines()
    for what, line in EXAMPLES[name]:
        assert f"    {line}" in lines
        assert f"        {what}" in lines


def rendered(page: str, program: list[str]) -> str:
    done = subprocess.run(
        program, input=page, capture_output=True, text=True, check=True,
        env={**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "GROFF_NO_SGR": "1"},
    )  # fmt: skip
    assert done.stderr == ""
    return re.sub(".\b", "", done.stdout)


PROGRAMS = {
    "groff": ["groff", "-man", "-Tutf8", "-ww"],
    "man": ["man", "--warnings=w", "-l", "-"],
    "mandoc": ["mandoc", "-Werror"],
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_page_renders(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"no {program} here")
    text = rendered(manual_page(), PROGRAMS[program])
    plain = " ".join(text.replace("‐\n", "").split())
    for name in cli.list_commands(ROOT):
        assert f"aecodec {name} " in plain
    for heading in ("NAME", "SYNOPSIS", "COMMANDS", "EXIT STATUS", "ENVIRONMENT", "EXAMPLES"):
        assert re.search(f"^{heading}$", text, re.MULTILINE)
    assert "--max-error E" in plain
    assert "aecodec compress - < cat.png > cat.aec" in plain
    assert 'eval "$(aecodec completion bash)"' in plain
    assert "~/.config/fish" in plain


def test_the_page_says_what_help_says(shell: Shell) -> None:
    page = manual_page().replace("\\-", "-").replace("\\(ga", "`").replace("\\(dq", '"')
    for name in cli.list_commands(ROOT):
        command = cli.get_command(ROOT, name)
        assert command is not None
        for param in command.get_params(click.Context(command, ROOT, info_name=name)):
            text = getattr(param, "help", None)
            if text and "--help" not in param.opts:
                assert text in page
    assert shell.run("man").out == manual_page()


def test_exit_codes_are_documented() -> None:
    manual = " ".join(MANUAL.read_text("utf-8").split())
    (sentence,) = re.findall(r"\*\*Exit codes\*\* are (.*?) - \*\*", manual)
    page = manual_page()
    for code in EXIT_CODES:
        assert re.search(rf"\b{code}\b", sentence)
        assert f".B {code}\n" in page

"""Wrong usage: exit code 2, one line, nothing done."""

import os
import subprocess
import sys

import pytest
from shell import ENVIRONMENT, Shell, assert_one_line

import aecodec


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["compress"], "INPUT"),
        (["bogus"], "bogus"),
        (["compress", "a.png", "--bogus"], "--bogus"),
        (["compress", "a.png", "-q", "101"], "101"),
        (["compress", "a.png", "-q", "-1"], "-1"),
        (["compress", "a.png", "-q", "best"], "best"),
        (["compress", "a.png", "a.jpg"], "several inputs would become a.aec"),
        (["compress", "a.png", "./a.png"], "several inputs would become a.aec"),
        (["compress", "a.png", "in/a.png", "-o", "in"], "several inputs would become in/a.aec"),
        (["compress", "a.png", "b.png", "-o", "none"], "none must be an existing folder"),
        (["compress", "a.png", "b.png", "-o", "a.png"], "a.png must be an existing folder"),
        (["compress", "a.png", "b.png", "-o", "-"], "single picture"),
        (["decompress", "a.aec", "-"], "single picture"),
        (["compress", "a.png", "-o", ""], "the name of the output is empty"),
        (["compress", "a.png", "-q", "nan"], "not nan"),
        (["compress", "a.png", "--size", "0"], "a size of 0 cannot be met"),
        (["compress", "a.png", "--bpp", "nan"], "a bpp of nan cannot be met"),
        (["compress", "a.png", "--keep", "gps"], "cannot keep 'gps'; known are icc, exif"),
        (["compress", "a.png", "--keep", ""], "cannot keep ''"),
        (["compress", "a.png", "--alpha-quality", "nan"], "alpha quality"),
        (["compress", "a.png", "--jobs", "0"], "--jobs"),
        (["compress", "a.png", "--max-pixels", "0"], "--max-pixels"),
        (["decompress", "a.aec", "--region", "1,2,3"], "four whole numbers X,Y,W,H, not '1,2,3'"),
        (["decompress", "a.aec", "--region", "nan,0,1,1"], "four whole numbers"),
        (["decompress", "a.aec", "--scale", "3"], "'3' is not one of"),
        (["decompress", "a.aec", "--depth", "16"], "16"),
        (["decompress", "a.aec", "--background", "milk"], "'milk' is no colour"),
        (["train", "in", "-o", "run", "--init", "aec-99"], "--init: 'aec-99' is neither"),
        (["info"], "FILE"),
        (["train", "in"], "--output"),
        (["export", "run"], "--output"),
    ],
)
def test_wrong_usage(shell: Shell, arguments: list[str], reason: str) -> None:
    for name in ("a.png", "a.jpg", "b.png"):
        shell.picture(name)
    (shell.folder / "in").mkdir()
    before = shell.listing()
    assert_one_line(shell.run(*arguments), 2, reason)
    assert shell.listing() == before


def test_no_arguments_give_the_help(shell: Shell) -> None:
    result = shell.run()
    assert result.code == 2
    assert "compress" in result.err


def test_version_and_help(shell: Shell) -> None:
    result = shell.run("--version")
    assert (result.code, result.err) == (0, "")
    assert aecodec.__version__ in result.out
    for arguments in (("--help",), ("-h",), ("compress", "--help"), ("train", "-h")):
        result = shell.run(*arguments)
        assert result.code == 0
        assert result.out.startswith("Usage: aecodec")


@pytest.mark.parametrize(
    ("region", "reason"),
    [("0,0,31,20", "exceeds the picture of 30x20"), ("-1,0,5,5", "no region"), ("0,0,0,0", "no")],
)
def test_regions_that_are_not_in_the_picture(
    shell: Shell, compressed: bytes, region: str, reason: str
) -> None:
    shell.file("img.aec", compressed)
    assert_one_line(
        shell.model("decompress", "img.aec", f"--region={region}"), 1, "img.aec", reason
    )
    assert sorted(shell.listing()) == ["img.aec"]


def test_an_input_without_a_name_is_named(shell: Shell) -> None:
    assert_one_line(shell.run("compress", "", "-o", "x.aec"), 1, "aecodec: '': Is a directory")


@pytest.mark.skipif(os.name != "posix", reason="needs a shell")
@pytest.mark.parametrize(
    ("redirection", "command", "name"),
    [(">&-", "decompress img.aec -o -", "output"), ("<&-", "compress - -o x.aec", "input")],
)
def test_closed_streams_are_named(
    shell: Shell, compressed: bytes, redirection: str, command: str, name: str
) -> None:
    shell.file("img.aec", compressed)
    python = f"{sys.executable} -m aecodec {command} --model {shell.weights} {redirection}"
    done = subprocess.run(
        python, shell=True, capture_output=True, text=True, check=False, env=ENVIRONMENT
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert f"standard {name}: is closed" in done.stderr

"""Folders on the command line: options, lines, objects, summary, the bar."""

import io
import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from shell import Shell, assert_one_line

from aecodec.cli import report
from aecodec.cli.report import BatchReport, Style, seconds_text, size_text
from aecodec.jobs.batch import Batch
from aecodec.jobs.conversion import Compression, Converted
from aecodec.jobs.folders import FileTask, Plan
from aecodec.jobs.journal import NAME
from aecodec.jobs.runner import Outcome

SUMMARY_START = "3 files: 3 done; "


@pytest.fixture
def tree(shell: Shell) -> Path:
    """Three pictures and more, below the folder `in`."""
    for name in ("in/a.png", "in/b.png", "in/sub/c.png"):
        (shell.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shell.picture(name, 40, 50)
    (shell.folder / "in/notes.txt").write_text("no picture")
    (shell.folder / "in/.hidden.png").write_text("hidden")
    return shell.folder / "in"


def files_below(folder: Path) -> list[str]:
    return sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    )


@pytest.mark.usefixtures("tree")
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_there_and_back(shell: Shell, jobs: str) -> None:
    done = shell.model("compress", "-r", "in", "-o", "packed", "-j", jobs)
    assert (done.code, done.err) == (0, "")
    *lines, summary = done.out.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        "in/a.png -> packed/a.aec", "in/b.png -> packed/b.aec", "in/sub/c.png -> packed/sub/c.aec",
    ]  # fmt: skip
    assert summary.startswith(SUMMARY_START)
    assert summary.endswith("passed over 1 other file, 1 hidden one")
    assert files_below(shell.folder / "packed") == [NAME, "a.aec", "b.aec", "sub/c.aec"]
    back = shell.model("decompress", "-r", "packed", "-o", "out", "-j", jobs, "--format", "jpg")
    assert (back.code, back.err) == (0, "")
    assert files_below(shell.folder / "out") == [NAME, "a.jpg", "b.jpg", "sub/c.jpg"]
    with Image.open(shell.folder / "out/a.jpg") as image:
        assert (image.format, image.size) == ("JPEG", (50, 40))


@pytest.mark.usefixtures("tree")
def test_resuming(shell: Shell) -> None:
    command = ("compress", "--recursive", "in", "-o", "packed")
    assert shell.model(*command).code == 0
    again = shell.model(*command)
    assert again.code == 1
    assert again.err.count("exists; -f overwrites it") == 3
    resumed = shell.model(*command, "--resume")
    assert resumed.code == 0
    assert resumed.out.splitlines()[0] == "in/a.png -> packed/a.aec: skipped, it is done"
    assert "3 files: 3 skipped as done; passed over" in resumed.out


def test_resuming_without_folders(shell: Shell) -> None:
    shell.picture("a.png")
    for expected in ("bpp", "skipped, it is done"):
        done = shell.model("compress", "a.png", "--resume")
        assert (done.code, done.err) == (0, "")
        assert expected in done.out
    assert sorted(shell.listing()) == [NAME, "a.aec", "a.png"]


def test_errors_are_counted_and_the_code_is_one(shell: Shell, tree: Path) -> None:
    (tree / "b.png").write_bytes(b"no picture")
    done = shell.model("compress", "-r", "in", "-o", "packed")
    assert done.code == 1
    assert done.err.startswith("aecodec: in/b.png: ")
    assert done.err.count("\n") == 1
    assert "3 files: 2 done, 1 failed; " in done.out


def test_an_object_a_file(shell: Shell, tree: Path) -> None:
    (tree / "b.png").write_bytes(b"no picture")
    done = shell.model("compress", "-r", "in", "-o", "packed", "--json")
    first, second, third = (json.loads(line) for line in done.out.splitlines())
    assert done.code == 1
    size = (shell.folder / "packed/a.aec").stat().st_size
    assert {name: first[name] for name in ("source", "target", "state", "after", "error")} == {
        "source": "in/a.png", "target": "packed/a.aec", "state": "done", "after": size,
        "error": None,
    }  # fmt: skip
    assert (first["width"], first["height"]) == (50, 40)
    assert first["before"] == (tree / "a.png").stat().st_size
    assert (second["state"], third["state"]) == ("failed", "done")
    assert second["error"] in done.err
    assert "3 files: 2 done, 1 failed" in done.err


@pytest.mark.usefixtures("tree")
def test_a_dry_run(shell: Shell) -> None:
    done = shell.run("compress", "-r", "-n", "in", "-o", "packed")
    assert (done.code, done.err) == (0, "")
    assert "in/sub/c.png -> packed/sub/c.aec: to be compressed, " in done.out
    assert "3 files: 3 to do; passed over" in done.out
    assert not (shell.folder / "packed").exists()


def test_what_does_not_shrink_is_told(shell: Shell) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(shell.folder / "a.jpg", quality=1)
    size = (shell.folder / "a.jpg").stat().st_size
    done = shell.model("compress", "a.jpg", "--keep-smaller", "--lossless")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"a.jpg: left out, {size} -> ")
    assert done.out.endswith(" bytes is not smaller\n")
    assert list(shell.listing()) == ["a.jpg"]


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["compress", "-r", "-", "-o", "out"], "--recursive takes no standard input"),
        (["compress", "-r", "in", "-o", "-"], "--recursive takes no standard input or output"),
        (["compress", "-r", "in", "-o", "in/a.png"], "output in/a.png is a file"),
        (["compress", "-r", "in", "-o", ""], "the name of the output is empty"),
        (["compress", "-r", "twins", "-o", "out"], "would both become out/a.aec"),
        (
            ["decompress", "-r", "in", "-o", "out", "--format", "xyz"],
            "unknown picture format '.xyz'",
        ),
        (["decompress", "-r", "in", "-o", "out", "--format", "a/b"], "--format: cannot write"),
    ],
)
def test_wrong_usage(shell: Shell, tree: Path, arguments: list[str], reason: str) -> None:
    (tree.parent / "twins").mkdir()
    shell.picture("twins/a.png")
    shell.picture("twins/a.bmp")
    assert_one_line(shell.run(*arguments), 2, reason)
    assert not (shell.folder / "out").exists()


@pytest.mark.usefixtures("tree")
def test_a_folder_needs_to_be_asked_for(shell: Shell) -> None:
    assert_one_line(shell.run("compress", "in"), 1, "in: is a folder; --recursive works on")


def test_full_names_keep_twins_apart(shell: Shell) -> None:
    (shell.folder / "in").mkdir()
    shell.picture("in/a.png")
    shell.picture("in/a.bmp")
    assert shell.model("compress", "-r", "in", "-o", "out", "--full-names").code == 0
    assert files_below(shell.folder / "out") == [NAME, "a.bmp.aec", "a.png.aec"]


@pytest.mark.skipif(os.name != "posix", reason="needs descriptors in the file system")
def test_descriptors_are_read_in_this_process(shell: Shell) -> None:
    shell.picture("a.png")
    (shell.folder / "out").mkdir()
    with (shell.folder / "a.png").open("rb") as file:
        name = f"/dev/fd/{file.fileno()}"
        done = shell.model("compress", name, "a.png", "-o", "out", "-j", "2")
    assert (done.code, done.err) == (0, "")
    assert len(list((shell.folder / "out").iterdir())) == 2


@pytest.mark.parametrize(
    ("size", "text"),
    [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (-2_500_000, "-2.5 MB"),
     (999_999, "1.0 MB"), (12 * 10**12, "12000.0 GB")],
)  # fmt: skip
def test_sizes_are_read_by_people(size: int, text: str) -> None:
    assert size_text(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (59.4, "59.4 s"), (60, "1 min 00 s"), (7265, "2 h 01 min")],
)
def test_times_are_read_by_people(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


class Screen(io.StringIO):
    """Standard error, as a terminal or not."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        """What the bar asks."""
        return self._terminal


def shown(monkeypatch: pytest.MonkeyPatch, *, terminal: bool, seconds: float, files: int) -> str:
    screen = Screen(terminal)
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(report, "BAR_SECONDS", seconds)
    monkeypatch.setattr(report, "REFRESH_SECONDS", 0.0)
    monkeypatch.setenv("COLUMNS", "90")
    tasks = [FileTask(f"{number}.png", f"{number}.aec", 1000) for number in range(files)]
    batch = Batch(Plan(tasks), Compression())
    style = Style(lambda task, _: task.source, "to do", as_json=False, summary=True)
    with BatchReport(batch, style) as speaker:
        for task in tasks:
            speaker.progress(task, 0.5, 2_000_000)
            outcome = Outcome(0, Converted("done", 1000, 250, 2000, 1000))
            batch.totals.add(outcome)
            speaker.finished(task, outcome)
            speaker.report(task, outcome)
        speaker.summarize()
    return screen.getvalue()


def test_a_terminal_sees_files_speed_savings_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)
    text = shown(monkeypatch, terminal=True, seconds=0.0, files=4)
    lines = [line for line in text.split("\r") if line.strip()]
    first, last = lines[0], lines[-1]
    assert "12%" in first
    assert "0/4 files" in first
    assert "100%" in last
    for part in (" left", "4/4 files", " MP/s", "3.0 kB saved"):
        assert part in last
    assert capsys.readouterr().out.startswith("0.png\n1.png\n2.png\n3.png\n4 files: 4 done; ")


def test_a_single_picture_has_its_name_on_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tqdm.tqdm.monitor_interval", 0)
    text = shown(monkeypatch, terminal=True, seconds=0.0, files=1)
    assert "0.png:  50%|" in text
    assert "files" not in text


@pytest.mark.parametrize(("terminal", "seconds"), [(True, 60.0), (False, 0.0)])
def test_short_work_and_pipes_see_no_bar(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, seconds: float
) -> None:
    assert shown(monkeypatch, terminal=terminal, seconds=seconds, files=2) == ""

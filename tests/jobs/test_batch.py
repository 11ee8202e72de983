"""Folders of pictures through the codec: resuming, leaving out, failing, whatever the jobs."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from conftest import make_picture
from PIL import Image

from aecodec.codec import Codec
from aecodec.jobs import conversion
from aecodec.jobs.batch import Batch, FileWatch
from aecodec.jobs.conversion import Compression, Converted, Decompression, Manner
from aecodec.jobs.folders import PICTURES, FileTask, plan_folders
from aecodec.jobs.journal import NAME
from aecodec.jobs.runner import Outcome
from aecodec.jobs.saving import Saving
from aecodec.options import EncodeOptions

RESUMING = Manner(journal=True, resume=True)


class States(FileWatch):
    """What became of each file, and the errors."""

    def __init__(self) -> None:
        self.found: dict[str, str] = {}

    def report(self, task: FileTask, outcome: Outcome[Converted]) -> None:
        """Keeps a state, or an error."""
        found = outcome.result
        self.found[Path(task.source).name] = outcome.error if found is None else found.state


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three pictures, one of them below, and a file that is none."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    for number, name in enumerate(("a.png", "b.png", "sub/c.png")):
        Image.fromarray(make_picture(40, 50, seed=number)).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != NAME
    }


class Run:
    """One run over a tree."""

    def __init__(
        self, weights: Path, folder: Path, output: Path, manner: Manner = RESUMING,
        options: EncodeOptions | None = None, jobs: int = 1,
    ) -> None:  # fmt: skip
        plan = plan_folders([str(folder)], str(output), ".aec", PICTURES)
        work = Compression(
            model=str(weights), manner=manner, options=options or EncodeOptions(quality=60)
        )
        self.batch, watch = Batch(plan, work), States()
        self.code = self.batch.run(jobs, watch=watch)
        self.found = watch.found


def states(run: Run) -> Sequence[str]:
    return list(run.found.values())


def test_files_are_those_of_the_codec_for_any_number_of_jobs(
    tmp_path: Path, tree: Path, tiny_weights: Path, tiny_codec: Codec
) -> None:
    for jobs in (1, 2):
        run = Run(tiny_weights, tree, tmp_path / str(jobs), jobs=jobs)
        assert (run.code, states(run)) == (0, ["done"] * 3)
    expected = {
        name: tiny_codec.compress(tree / name.replace("aec", "png"), 60)
        for name in ("a.aec", "b.aec", "sub/c.aec")
    }
    assert contents(tmp_path / "1") == contents(tmp_path / "2") == expected
    totals = run.batch.totals
    assert (totals.files, totals.ended, totals.done, totals.pixels) == (3, 3, 3, 3 * 2000)
    assert totals.before == sum(path.stat().st_size for path in tree.rglob("*.png"))
    assert totals.after == sum(map(len, expected.values()))


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_is_done_is_skipped_by_its_content(
    tmp_path: Path, tree: Path, tiny_weights: Path, jobs: int
) -> None:
    out = tmp_path / "out"
    Run(tiny_weights, tree, out)
    before = contents(out)
    for path in (tree / "a.png", tree / "b.png", out / "a.aec"):
        path.touch()  # times tell nothing
    assert states(Run(tiny_weights, tree, out, jobs=jobs)) == ["skipped"] * 3
    times = (tree / "a.png").stat()
    Image.fromarray(make_picture(40, 50, seed=9)).save(tree / "a.png")
    (tree / "a.png").touch()
    assert times.st_size != 0
    (out / "b.aec").unlink()
    Image.fromarray(make_picture(20, 30)).save(tree / "new.png")
    run = Run(tiny_weights, tree, out, jobs=jobs)
    assert run.found == {"a.png": "done", "b.png": "done", "new.png": "done", "c.png": "skipped"}
    assert run.code == 0
    assert contents(out)["a.aec"] != before["a.aec"]
    assert contents(out)["b.aec"] == before["b.aec"]


def test_other_options_are_other_work(tmp_path: Path, tree: Path, tiny_weights: Path) -> None:
    """The outputs are still as they were written, so that they are replaced without force."""
    out = tmp_path / "out"
    Run(tiny_weights, tree, out)
    other = EncodeOptions(quality=20)
    assert states(Run(tiny_weights, tree, out, options=other)) == ["done"] * 3
    assert states(Run(tiny_weights, tree, out, options=other)) == ["skipped"] * 3


def test_what_somebody_else_changed_is_not_replaced(
    tmp_path: Path, tree: Path, tiny_weights: Path
) -> None:
    out = tmp_path / "out"
    Run(tiny_weights, tree, out)
    (out / "a.aec").write_bytes(b"mine")
    run = Run(tiny_weights, tree, out)
    assert run.code == 1
    assert "exists; -f overwrites it" in run.found["a.png"]
    assert (out / "a.aec").read_bytes() == b"mine"
    forced = Run(tiny_weights, tree, out, Manner(force=True, journal=True, resume=True))
    assert forced.found["a.png"] == "done"


def test_without_resuming_what_exists_is_an_error(
    tmp_path: Path, tree: Path, tiny_weights: Path
) -> None:
    out = tmp_path / "out"
    Run(tiny_weights, tree, out, Manner(journal=True))
    run = Run(tiny_weights, tree, out, Manner(journal=True))
    assert run.batch.totals.failed == 3
    assert all("exists" in state for state in states(run))


@pytest.mark.parametrize("jobs", [1, 2])
def test_errors_stop_nothing_and_are_tried_again(
    tmp_path: Path, tree: Path, tiny_weights: Path, jobs: int
) -> None:
    good = (tree / "a.png").read_bytes()
    (tree / "a.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    run = Run(tiny_weights, tree, out, jobs=jobs)
    assert (run.code, run.batch.totals.failed, run.batch.totals.done) == (1, 1, 2)
    (tree / "a.png").write_bytes(good)
    run = Run(tiny_weights, tree, out, jobs=jobs)
    assert run.found == {"a.png": "done", "b.png": "skipped", "c.png": "skipped"}


def test_what_does_not_shrink_is_left_out_and_known(
    tmp_path: Path, tree: Path, tiny_weights: Path
) -> None:
    """A JPEG of the lowest quality is smaller than anything at the highest."""
    rng = np.random.default_rng(0)
    noise = Image.fromarray(rng.integers(0, 256, (64, 64, 3), np.uint8))
    noise.save(tree / "noise.jpg", quality=1)
    out, manner = tmp_path / "out", Manner(journal=True, resume=True, keep_smaller=True)
    best = EncodeOptions(quality=100)
    first = Run(tiny_weights, tree, out, manner, best)
    assert first.found["noise.jpg"] == "larger"
    assert "noise.aec" not in contents(out)
    totals = first.batch.totals
    assert totals.larger >= 1
    assert totals.after <= totals.before
    assert Run(tiny_weights, tree, out, manner, best).found["noise.jpg"] == "skipped"
    assert Run(tiny_weights, tree, out, RESUMING, best).found["noise.jpg"] == "done"


def test_an_output_that_a_crash_left_unnoted_is_known_to_be_ours(
    tmp_path: Path, tree: Path, tiny_weights: Path
) -> None:
    """The journal's last line is lost, as if the process had been killed just before it."""
    out = tmp_path / "out"
    Run(tiny_weights, tree, out)
    lines = (out / NAME).read_text().splitlines(keepends=True)
    assert [json.loads(line)["output"] == "" for line in lines] == [True, False] * 3
    (out / NAME).write_text("".join(lines[:-1]))
    before = contents(out)
    run = Run(tiny_weights, tree, out)
    assert run.found == {"a.png": "skipped", "b.png": "skipped", "c.png": "done"}
    assert contents(out) == before
    assert states(Run(tiny_weights, tree, out)) == ["skipped"] * 3


def test_an_output_that_came_after_a_failure_is_somebody_elses(
    tmp_path: Path, tree: Path, tiny_weights: Path
) -> None:
    good = (tree / "a.png").read_bytes()
    (tree / "a.png").write_bytes(b"no picture")
    out = tmp_path / "out"
    Run(tiny_weights, tree, out)
    (out / "a.aec").write_bytes(b"mine")
    (tree / "a.png").write_bytes(good)
    run = Run(tiny_weights, tree, out)
    assert "exists; -f overwrites it" in run.found["a.png"]
    assert (out / "a.aec").read_bytes() == b"mine"


def test_a_dry_run_writes_nothing_and_loads_no_model(
    tmp_path: Path, tree: Path, tiny_weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    dry = Manner(dry_run=True, journal=True, resume=True)
    monkeypatch.setattr(conversion._Coding, "codec", property(lambda _: 1 / 0))
    run = Run(tiny_weights, tree, out, dry)
    assert (run.code, states(run)) == (0, ["planned"] * 3)
    assert not out.exists()
    monkeypatch.undo()
    Run(tiny_weights, tree, out)
    (out / "a.aec").unlink()
    run = Run(tiny_weights, tree, out, dry)
    assert run.found == {"a.png": "planned", "b.png": "skipped", "c.png": "skipped"}
    run = Run(tiny_weights, tree, out, Manner(dry_run=True))
    assert "exists" in run.found["b.png"]


def test_a_folder_of_files_becomes_pictures_again(
    tmp_path: Path, tree: Path, tiny_weights: Path, tiny_codec: Codec
) -> None:
    packed, out = tmp_path / "packed", tmp_path / "out"
    Run(tiny_weights, tree, packed)

    def run(saving: Saving) -> dict[str, str]:
        plan = plan_folders([str(packed)], str(out), ".png", {".aec"})
        work = Decompression(model=str(tiny_weights), manner=RESUMING, saving=saving)
        watch = States()
        assert Batch(plan, work).run(watch=watch) == 0
        return watch.found

    assert set(run(Saving()).values()) == {"done"}
    assert sorted(contents(out)) == ["a.png", "b.png", "sub/c.png"]
    with Image.open(out / "sub/c.png") as image:
        expected = tiny_codec.decompress_array((packed / "sub/c.aec").read_bytes())
        np.testing.assert_array_equal(np.asarray(image), expected)
    assert set(run(Saving()).values()) == {"skipped"}
    assert set(run(Saving(strip=True)).values()) == {"done"}


def test_an_output_folder_that_cannot_be_made_is_an_error_of_its_files(
    tmp_path: Path, tree: Path, tiny_weights: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "sub").write_text("a file in the way")
    run = Run(tiny_weights, tree, out)
    assert run.code == 1
    assert (run.found["a.png"], run.found["b.png"]) == ("done", "done")
    assert "sub" in run.found["c.png"]


def test_a_source_that_vanishes_is_an_error_of_its_own(
    tmp_path: Path, tree: Path, tiny_weights: Path
) -> None:
    plan = plan_folders([str(tree)], str(tmp_path / "out"), ".aec", PICTURES)
    shutil.rmtree(tree / "sub")
    watch = States()
    work = Compression(model=str(tiny_weights), manner=RESUMING)
    assert Batch(plan, work).run(watch=watch) == 1
    assert watch.found["c.png"] == "No such file or directory"
    assert watch.found["a.png"] == "done"

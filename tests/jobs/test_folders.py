"""Which files of folders are taken, what they become, and what is refused before any work."""

import os
from pathlib import Path

import pytest

from aecodec.errors import InputError
from aecodec.jobs.folders import PICTURES, FileTask, Passed, Plan, file_tasks, plan_folders

needs_links = pytest.mark.skipif(os.name != "posix", reason="needs links and permissions")


def plant(folder: Path, *names: str) -> None:
    """Makes files of one byte for each letter of their names."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * len(path.name))


def plan(*inputs: str, output: str | None = "out", full_names: bool = False) -> Plan:
    return plan_folders(inputs, output, ".aec", PICTURES, full_names=full_names)


def pairs(tasks: list[FileTask]) -> dict[str, str]:
    return {Path(task.source).as_posix(): Path(task.target).as_posix() for task in tasks}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_tree_is_mirrored_in_the_order_of_names() -> None:
    plant(Path("in"), "b.PNG", "a.jpg", "sub/deep/c.webp", "sub/d.tif", "a/e.png")
    found = plan("in")
    assert list(pairs(found.tasks).items()) == [
        ("in/a.jpg", "out/a.aec"),
        ("in/b.PNG", "out/b.aec"),
        ("in/a/e.png", "out/a/e.aec"),
        ("in/sub/d.tif", "out/sub/d.aec"),
        ("in/sub/deep/c.webp", "out/sub/deep/c.aec"),
    ]
    assert {task.base for task in found.tasks} == {"out"}
    assert [task.place for task in found.tasks][-1] == "sub/deep/c.aec"
    assert [task.size for task in found.tasks] == [5, 5, 5, 5, 6]
    assert found.passed == Passed()


def test_without_output_results_lie_beside_their_inputs() -> None:
    plant(Path("in"), "a.png", "sub/b.png")
    found = plan("in", output=None)
    assert pairs(found.tasks) == {"in/a.png": "in/a.aec", "in/sub/b.png": "in/sub/b.aec"}
    assert {task.base for task in found.tasks} == {"in"}


def test_several_folders_keep_their_names_and_files_need_none() -> None:
    plant(Path("x"), "one/a.png", "two/a.png")
    plant(Path(), "notes.txt")
    found = plan("x/one", "x/two/", "notes.txt", "https://host/p/far.png?q=1")
    assert pairs(found.tasks) == {
        "x/one/a.png": "out/one/a.aec",
        "x/two/a.png": "out/two/a.aec",
        "notes.txt": "out/notes.aec",
        "https:/host/p/far.png?q=1": "out/far.aec",
    }


def test_what_is_no_picture_is_passed_over_and_counted() -> None:
    plant(Path("in"), "a.png", "readme.txt", "Thumbs.db", "noext", ".hidden.png", ".git/a.png")
    found = plan("in")
    assert list(pairs(found.tasks)) == ["in/a.png"]
    assert found.passed == Passed(others=3, hidden=2)


@needs_links
def test_links_to_folders_are_not_followed_and_broken_ones_counted() -> None:
    plant(Path("in"), "sub/a.png")
    plant(Path("elsewhere"), "b.png", "c.png")
    Path("in/sub/up").symlink_to(Path("in").absolute())
    Path("in/other").symlink_to(Path("elsewhere").absolute())
    Path("in/broken.png").symlink_to("nowhere.png")
    Path("in/self.png").symlink_to("self.png")
    Path("in/real.png").symlink_to(Path("elsewhere/b.png").absolute())
    Path("top").symlink_to("in")
    found = plan("top")
    assert list(pairs(found.tasks)) == ["top/real.png", "top/sub/a.png"]
    assert found.passed == Passed(links=4)


@needs_links
def test_pipes_are_no_files() -> None:
    plant(Path("in"), "a.png")
    os.mkfifo("in/pipe.png")
    assert plan("in").passed == Passed(others=1)


@needs_links
def test_an_unreadable_folder_is_an_error_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The super-user can read everything, so the system's answer is made up."""
    plant(Path("in"), "a.png", "secret/b.png", "z.png")
    real = os.scandir

    def refusing(path: str) -> "os._ScandirIterator[str]":
        if str(path).endswith("secret"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", refusing)
    tasks = plan("in").tasks
    assert [(task.source, task.refused) for task in tasks] == [
        ("in/a.png", ""),
        ("in/z.png", ""),
        ("in/secret", "Permission denied"),
    ]


def test_collisions_are_refused_before_any_work() -> None:
    plant(Path("in"), "s/a.png", "s/a.jpg", "b.png", "b.tif")
    with pytest.raises(InputError) as caught:
        plan("in")
    expected = "in/b.png and in/b.tif would both become out/b.aec (and 1 more such)"
    assert str(caught.value).replace("\\", "/") == expected
    assert set(pairs(plan("in", full_names=True).tasks).values()) == {
        "out/s/a.png.aec", "out/s/a.jpg.aec", "out/b.png.aec", "out/b.tif.aec",
    }  # fmt: skip
    with pytest.raises(InputError, match="would both become"):
        plan("in/b.png", "in/b.png")


def test_names_that_differ_in_case_collide_where_the_system_sees_no_difference(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant(Path("x"), "a.png")
    plant(Path("y"), "A.png")
    assert len(plan("x/a.png", "y/A.png").tasks) == 2
    monkeypatch.setattr("sys.platform", "darwin")
    with pytest.raises(InputError, match="would both become"):
        plan("x/a.png", "y/A.png")


def test_the_output_folder_is_not_walked_into() -> None:
    plant(Path("in"), "a.png", "out/old.png")
    assert list(pairs(plan("in", output="in/out").tasks)) == ["in/a.png"]
    assert len(plan("in", output="in").tasks) == 2


def test_an_output_that_is_a_file_is_refused() -> None:
    plant(Path(), "out", "in/a.png")
    with pytest.raises(InputError, match="output out is a file"):
        plan("in")


@needs_links
def test_inputs_are_never_outputs() -> None:
    plant(Path("in"), "a.png", "b.png")
    Path("out").mkdir()
    Path("out/b.aec").symlink_to(Path("in/a.png").absolute())
    first, second = plan("in").tasks
    assert first.refused == ""
    assert second.refused == "output out/b.aec is an input, which is never replaced"


def test_files_that_are_named_one_by_one() -> None:
    plant(Path(), "a.png")
    Path("in").mkdir()
    first, second, third = file_tasks(["a.png", "in", "none.png"], ["o/a.aec", "in.aec", "n.aec"])
    assert (first.size, first.base, first.refused) == (5, "", "")
    assert "--recursive" in second.refused
    assert (third.size, third.refused) == (0, "")
    assert file_tasks(["a.png"], ["o/a.aec"], journal=True)[0].base == "o"

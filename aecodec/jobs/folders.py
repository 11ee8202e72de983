"""Which files of folders are to be worked on, and where each result goes.

A tree of folders is mirrored: `photos/a/b.jpg` becomes `out/a/b.aec`. All names are found out
before any work begins, so that outputs that would collide are found then, too.
"""

import os
import stat
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from aecodec.errors import InputError
from aecodec.jobs.journal import Entry
from aecodec.jobs.runner import Task
from aecodec.storage.names import STANDARD, Identity, descriptor_of, identity, status
from aecodec.storage.sources import base_name, is_url

PICTURES = frozenset(
    {
        ".apng", ".avif", ".bmp", ".dib", ".gif", ".heic", ".heif", ".hif", ".j2c", ".j2k",
        ".jfif", ".jp2", ".jpe", ".jpeg", ".jpf", ".jpg", ".jpx", ".jxl", ".mpo", ".pbm", ".pcx",
        ".pgm", ".png", ".pnm", ".ppm", ".psd", ".qoi", ".sgi", ".tga", ".tif", ".tiff", ".webp",
    }
)  # fmt: skip
"""Extensions of the files that are taken out of a folder for compression, in small letters."""


@dataclass(frozen=True, slots=True)
class FileTask(Task):
    """A file that becomes another one.

    Attributes:
        base: the folder that the output's place is counted from; its subfolders are made. Empty
            where the output's folder must exist.
        entry: what the journal knows of the output.
        refused: why the work cannot even begin; empty if it can.
    """

    base: str = ""
    entry: Entry | None = None
    refused: str = ""

    @property
    def place(self) -> str:
        """The output's name within `base`, with slashes on every system."""
        return Path(self.target).relative_to(self.base).as_posix()


@dataclass
class Passed:
    """What was passed over in folders.

    Attributes:
        others: files that have no extension of a picture, or are no regular files.
        hidden: files and folders whose names begin with a dot.
        links: links to folders, which are not followed, and links that lead nowhere.
    """

    others: int = 0
    hidden: int = 0
    links: int = 0


@dataclass
class Plan:
    """What is to be done.

    Attributes:
        tasks: in the order of the inputs, and within a folder in that of names.
        passed: what was passed over.
    """

    tasks: list[FileTask]
    passed: Passed = field(default_factory=Passed)


@dataclass(frozen=True)
class _Naming:
    """How an output is called."""

    suffix: str
    whole: bool

    def __call__(self, name: str) -> str:
        return (name if self.whole else Path(name).stem) + self.suffix


def plan_folders(
    inputs: Sequence[str],
    output: str | None,
    suffix: str,
    kinds: Collection[str],
    *,
    full_names: bool = False,
) -> Plan:
    """Finds the files of folders and all that is below them.

    Args:
        inputs: folders, files and URLs. Files and URLs are taken whatever they are called.
        output: the folder for all outputs, which need not exist; None puts each beside its input.
            What is in a single input folder comes right into it; of several inputs, each folder
            becomes one of its name.
        suffix: the extension of outputs.
        kinds: the extensions of the files to take out of folders, in small letters.
        full_names: whether an output keeps its input's extension before its own.

    Raises:
        InputError: two inputs would become one output; an input has a name that no file can have;
            `output` is a file.
        OSError: the system does not let an input be looked at.
    """
    found = None if output is None else status(output)
    if output is not None and found is not None and not Path(output).is_dir():
        raise InputError(f"output {output} is a file, and must be a folder")
    finder = _Finder(_Naming(suffix, full_names), kinds, None if found is None else identity(found))
    tasks: list[FileTask] = []
    for name in inputs:
        if is_url(name) or not Path(name).is_dir():
            tasks.append(finder.file(name, output))
            continue
        into = name if output is None else output
        if output is not None and len(inputs) > 1:
            into = str(Path(output) / Path(os.path.abspath(name)).name)
        base = into if output is None else output
        tasks += finder.tree(name, into, base)
    _check_collisions(tasks)
    return Plan(_without_inputs_as_outputs(tasks), finder.passed)


def file_tasks(
    inputs: Sequence[str], outputs: Sequence[str], *, journal: bool = False
) -> list[FileTask]:
    """A task for each input, whose output's folder must exist.

    Args:
        inputs: files, URLs, or `-`.
        outputs: what each becomes.
        journal: whether the folders of outputs have journals.
    """
    tasks = []
    for name, target in zip(inputs, outputs, strict=True):
        found = None if name == STANDARD or is_url(name) else _looked_at(name)
        base = str(Path(target).parent) if journal and target != STANDARD else ""
        size = 0 if found is None else found.st_size
        folder = name != "" and found is not None and stat.S_ISDIR(found.st_mode)
        refused = "is a folder; --recursive works on the files in it" if folder else ""
        tasks.append(FileTask(name, target, size, base, refused=refused))
    return _without_inputs_as_outputs(tasks)


class _Finder:
    """Walks through folders, and counts what it passes over."""

    def __init__(self, naming: _Naming, kinds: Collection[str], output: Identity | None) -> None:
        self._naming, self._kinds, self._output = naming, kinds, output
        self.passed = Passed()

    def file(self, name: str, output: str | None) -> FileTask:
        """The task of an input that is no folder."""
        if is_url(name):
            folder, base, size = Path(output or "."), base_name(name), 0
        else:
            found = status(name)
            folder, base = Path(output or Path(name).parent), Path(name).name
            size = 0 if found is None else found.st_size
        return FileTask(name, str(folder / self._naming(base)), size, str(folder))

    def tree(self, root: str, into: str, base: str) -> Iterator[FileTask]:
        """The tasks of all files below a folder."""
        folders = [(root, into)]
        while folders:
            folder, target = folders.pop()
            try:
                with os.scandir(folder) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError as exc:
                yield FileTask(folder, base=base, refused=exc.strerror or str(exc))
                continue
            below = []
            for entry in found:
                if entry.name.startswith("."):
                    self.passed.hidden += 1
                elif self._is_folder(entry):
                    below.append((entry.path, str(Path(target) / entry.name)))
                elif self._is_wanted(entry):
                    name = str(Path(target) / self._naming(entry.name))
                    yield FileTask(entry.path, name, _size(entry), base)
            folders += reversed(below)

    def _is_folder(self, entry: "os.DirEntry[str]") -> bool:
        """Whether to go into an entry: not along links, which may go in circles."""
        if not entry.is_dir(follow_symlinks=False):
            return False
        return self._output is None or identity(os.stat(entry.path)) != self._output

    def _is_wanted(self, entry: "os.DirEntry[str]") -> bool:
        """Whether to work on an entry; counts it if not."""
        if _is_file(entry):
            if Path(entry.name).suffix.lower() in self._kinds:
                return True
            self.passed.others += 1
        elif entry.is_symlink():
            self.passed.links += 1
        elif not entry.is_dir(follow_symlinks=False):
            self.passed.others += 1
        return False


def _is_file(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_file()
    except OSError:  # a link that the system does not follow
        return False


def _size(entry: "os.DirEntry[str]") -> int:
    try:
        return entry.stat().st_size
    except OSError:  # it is gone, which the work will tell
        return 0


def _check_collisions(tasks: Sequence[FileTask]) -> None:
    """Refuses outputs that several inputs would become."""
    blind = os.name == "nt" or sys.platform == "darwin"  # there Ä.png and ä.png are one file
    sources: dict[str, str] = {}
    collisions = []
    for task in tasks:
        if task.refused:
            continue
        name = os.path.normpath(task.target)
        key = name.casefold() if blind else name
        if key in sources:
            collisions.append((sources[key], task))
        sources[key] = task.source
    if collisions:
        first, task = collisions[0]
        more = f" (and {len(collisions) - 1} more such)" if len(collisions) > 1 else ""
        raise InputError(f"{first} and {task.source} would both become {task.target}{more}")


def _without_inputs_as_outputs(tasks: Sequence[FileTask]) -> list[FileTask]:
    """The same tasks, of which those are refused that would replace an input."""
    inputs = set()
    for task in tasks:
        found = None if task.refused or is_url(task.source) else _looked_at(task.source)
        if found is not None and stat.S_ISREG(found.st_mode):
            inputs.add(identity(found))
    checked = []
    for task in tasks:
        found = None if task.refused else _looked_at(task.target)
        if found is not None and identity(found) in inputs and descriptor_of(task.target) is None:
            reason = f"output {task.target} is an input, which is never replaced"
            checked.append(replace(task, refused=reason))
        else:
            checked.append(task)
    return checked


def _looked_at(name: str) -> os.stat_result | None:
    try:
        return os.stat(name)
    except (OSError, ValueError):
        return None

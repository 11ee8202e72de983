"""The works on one file: compression, decompression, verification.

They can travel to worker processes, where each loads its model once, when it is first needed.
"""

import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from aecodec import __version__
from aecodec.errors import InputError
from aecodec.format.chunks import DEFAULT_LIMITS, Limits
from aecodec.jobs.folders import FileTask
from aecodec.jobs.journal import BEGUN, Entry, digest_of, fingerprint
from aecodec.jobs.runner import JobLog, Task
from aecodec.jobs.saving import Saving
from aecodec.models.registry import named_model, tuned_model
from aecodec.options import DecodeOptions, EncodeOptions
from aecodec.storage.files import check_output
from aecodec.storage.names import STANDARD, is_pipe
from aecodec.storage.sources import is_url

if TYPE_CHECKING:
    from aecodec.codec import Codec

State = Literal["done", "skipped", "larger", "planned"]
"""Written; left out since the journal knows it; left out since it is not smaller; a dry run."""


@dataclass(frozen=True)
class Converted:
    """What became of a file.

    Attributes:
        state: see `State`.
        before: bytes of the input, 0 where they are not known.
        after: bytes of the output, 0 where there is none.
        width: pixels, 0 where nothing was computed.
        height: pixels, as `width`.
        seconds: that it took.
        entry: what the journal is to note; None for nothing.
    """

    state: State
    before: int = 0
    after: int = 0
    width: int = 0
    height: int = 0
    seconds: float = 0.0
    entry: Entry | None = None


@dataclass(frozen=True, kw_only=True)
class Manner:
    """How outputs are dealt with.

    Attributes:
        force: whether existing files are replaced.
        preserve: whether outputs get the times and the permissions of their inputs.
        keep_smaller: whether outputs are left out that are not smaller than their inputs.
        dry_run: whether nothing is computed and nothing written.
        journal: whether digests are made for a journal.
        resume: whether what the journal knows is left out; needs `journal`.
    """

    force: bool = False
    preserve: bool = False
    keep_smaller: bool = False
    dry_run: bool = False
    journal: bool = False
    resume: bool = False


def identity_of_model(model: str | None) -> str:
    """What tells a model from others: the name of a released one, or a digest of its file.

    It is empty where released models are chosen otherwise.

    Raises:
        OSError: the file cannot be read.
    """
    name = model or ""
    return digest_of(name) if name and named_model(name) is None else name


@dataclass(kw_only=True)
class _Coding:
    """What needs a codec, which is loaded once in each process.

    Attributes:
        model: name or path of a model; None for the released ones.
        limits: what decoding may use.
    """

    model: str | None = None
    limits: Limits = DEFAULT_LIMITS
    _codec: "Codec | None" = field(default=None, init=False, repr=False, compare=False)

    @property
    def codec(self) -> "Codec":
        """The codec of this process."""
        if self._codec is None:
            from aecodec.codec import Codec  # late: who only plans work needs no codec

            self._codec = Codec(self.model, limits=self.limits)
        return self._codec

    def __getstate__(self) -> dict[str, Any]:
        """Everything but the codec, which each process has of its own."""
        return {**self.__dict__, "_codec": None}


@dataclass(kw_only=True)
class _Conversion(_Coding):
    """File to file, unless there is a reason to leave it out.

    Attributes:
        manner: how outputs are dealt with.
    """

    manner: Manner = field(default_factory=Manner)
    _fingerprint: str = field(default="", init=False, repr=False, compare=False)

    def __call__(self, task: FileTask, log: JobLog, /) -> Converted:
        """Does the task.

        Raises:
            InputError: it is refused, or its output exists and is not to be replaced.
            AecError: what coding raises.
            OSError: a file cannot be read or written.
        """
        if task.refused:
            raise InputError(task.refused)
        start, source = time.perf_counter(), ""
        noted = self.manner.journal and task.base != "" and _is_file(task.source)
        if noted:
            source = digest_of(task.source)
            if self._is_known(task, source):
                return Converted("skipped", task.size)
        self._check_target(task)
        if self.manner.dry_run:
            return Converted("planned", task.size)
        done = self.convert(task, log)
        entry = None
        if noted:
            output = None if done.state == "larger" else digest_of(task.target)
            entry = Entry(source, self.fingerprint(), output)
        seconds = time.perf_counter() - start
        return Converted(
            done.state, done.before, done.after, done.width, done.height, seconds, entry
        )

    def convert(self, task: FileTask, log: JobLog) -> Converted:
        """Computes and writes."""
        raise NotImplementedError

    def facts(self) -> tuple[object, ...]:
        """All that an output depends on beside its input and the model."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """A digest of all that an output depends on beside its input."""
        if not self._fingerprint:
            self._fingerprint = fingerprint(
                __version__, identity_of_model(self.model), *self.facts()
            )
        return self._fingerprint

    def _is_known(self, task: FileTask, source: str) -> bool:
        """Whether the same input was worked on in the same way, and its output is still there."""
        entry = task.entry
        if entry is None or (entry.source, entry.options) != (source, self.fingerprint()):
            return False
        return self.manner.keep_smaller if entry.output is None else _is_intact(task)

    def _check_target(self, task: FileTask) -> None:
        """Checks that the output may be written, and makes its folder; see `check_output`."""
        folder = Path(task.target).parent
        if task.base and not folder.exists():
            if not self.manner.dry_run:
                folder.mkdir(parents=True, exist_ok=True)
            return
        check_output(task.target, force=self.manner.force or _is_own(task))


@dataclass(kw_only=True)
class Compression(_Conversion):
    """Pictures to .aec files.

    Attributes:
        options: how.
    """

    options: EncodeOptions = field(default_factory=EncodeOptions)

    def convert(self, task: FileTask, log: JobLog) -> Converted:
        """See `transcode.compress_file`."""
        from aecodec.jobs.transcode import compress_file

        manner = self.manner
        done = compress_file(
            self.codec, task.source, task.target, self.options, log=log,
            preserve=manner.preserve, keep_smaller=manner.keep_smaller,
        )  # fmt: skip
        state: State = "done" if done.written else "larger"
        return Converted(state, done.before, done.after, done.width, done.height)

    def facts(self) -> tuple[object, ...]:
        """The options, the model that they choose, and which inputs are refused."""
        chosen = "" if self.model else tuned_model(self.options.model_tune).name
        return "compress", replace(self.options, tune=None), chosen, self.limits


@dataclass(kw_only=True)
class Decompression(_Conversion):
    """Files of .aec to pictures.

    Attributes:
        options: what of each file.
        saving: how pictures are written.
    """

    options: DecodeOptions = field(default_factory=DecodeOptions)
    saving: Saving = field(default_factory=Saving)

    def convert(self, task: FileTask, log: JobLog) -> Converted:
        """See `transcode.decompress_file`."""
        from aecodec.jobs.transcode import decompress_file

        done = decompress_file(
            self.codec, task.source, task.target, self.options, self.saving, log=log
        )
        after = Path(task.target).stat().st_size if _is_file(task.target) else 0
        return Converted("done", task.size, after, done.width, done.height)

    def facts(self) -> tuple[object, ...]:
        """The options, and which inputs are refused."""
        return "decompress", self.options, self.saving, self.limits


@dataclass(frozen=True)
class Verified:
    """What a file holds that is whole.

    Attributes:
        tiles: in all.
        lossless: of them.
    """

    tiles: int
    lossless: int


@dataclass(kw_only=True)
class Verification(_Coding):
    """Checks every checksum of .aec files and decodes them."""

    def __call__(self, task: Task, _log: JobLog, /) -> Verified:
        """See `Codec.verify`."""
        from aecodec.storage.arguments import load

        stream = self.codec.verify(load(task.source))
        return Verified(len(stream.tiles), stream.lossless_count)


def _is_file(name: str) -> bool:
    """Whether a name stands for a file, and not for a stream."""
    return name != STANDARD and not is_url(name) and not is_pipe(name)


def _is_own(task: FileTask) -> bool:
    """Whether the output comes from an earlier run, and nobody else has changed it."""
    return task.entry == BEGUN or _is_intact(task)


def _is_intact(task: FileTask) -> bool:
    """Whether the output is, byte for byte, what the journal noted."""
    if task.entry is None or task.entry.output is None:
        return False
    try:
        return digest_of(task.target) == task.entry.output
    except OSError:
        return False

"""What is done with each picture of a data set, and what the manifest says of it."""

from dataclasses import dataclass

from aecodec.datasets.manifest import Row
from aecodec.jobs.comparison import psnr_of_files
from aecodec.jobs.conversion import Compression, Converted
from aecodec.jobs.folders import FileTask
from aecodec.jobs.runner import JobLog


@dataclass(frozen=True)
class Measured:
    """What became of a picture.

    Attributes:
        converted: of its file.
        psnr: in dB, of the colours one can see; None where nothing was written.
    """

    converted: Converted
    psnr: float | None


@dataclass(kw_only=True)
class MeasuredCompression:
    """Compression that decodes what it wrote and compares.

    Attributes:
        compression: without that.
    """

    compression: Compression

    def __call__(self, task: FileTask, log: JobLog, /) -> Measured:
        """Does the task; raises what `Compression` raises."""
        done = self.compression(task, log)
        if done.state != "done":
            return Measured(done, None)
        silent = JobLog(_nothing, task.source)
        psnr = psnr_of_files(self.compression.codec, task.source, task.target, log=silent)
        return Measured(done, psnr)


def _nothing(_text: str, /, *, err: bool) -> None:
    """Says nothing: reading the picture has had its warnings."""


def compressed_columns(result: Converted | Measured) -> Row:
    """The columns of a picture that was compressed."""
    done, psnr = (result.converted, result.psnr) if isinstance(result, Measured) else (result, None)
    return {**_columns(done), "bpp": _bpp(done.after, done), "psnr": psnr}


def decompressed_columns(done: Converted) -> Row:
    """The columns of a file that was decompressed; its bits per pixel are those of the input."""
    return {**_columns(done), "bpp": _bpp(done.before, done)}


def _columns(done: Converted) -> Row:
    return {
        "state": done.state, "size": done.before, "bytes": done.after, "width": done.width,
        "height": done.height, "sha256": done.entry.output if done.entry else None,
    }  # fmt: skip


def _bpp(size: int, done: Converted) -> float | None:
    pixels = done.width * done.height
    return 8 * size / pixels if pixels else None

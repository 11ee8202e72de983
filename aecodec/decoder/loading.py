"""Builds the decoder of a model: the one place that knows which runtimes there are."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from aecodec.decoder.networks import DecoderModel, Prior
from aecodec.decoder.prior_tables import PriorTables
from aecodec.decoder.runtime_choice import ANY_LEVEL, LEVELS, VARIABLE, LibraryError, wish
from aecodec.decoder.threads import default_threads
from aecodec.decoder.work_sharing import Crew
from aecodec.models.weights import Weights


def load_decoder(weights: Weights, threads: int | None = None) -> DecoderModel:
    """Builds the decoder of a model: on the kernel if it takes the model, else in NumPy.

    Args:
        weights: of the model.
        threads: how many share the work of one computation; by default `default_threads()`.

    Raises:
        WeightsError: the weights would not decode exactly.
        InputError: `AECODEC_RUNTIME` names no runtime.
    """
    crew, tables = Crew(threads), PriorTables(weights.tensors["prior"]["tables"])
    if wish().native:
        with suppress(LibraryError):  # what is wrong with weights, NumPy's checks say
            return _on_kernel(weights, tables, crew)
    return _on_numpy(weights, tables, crew)


def _on_kernel(weights: Weights, tables: PriorTables, crew: Crew) -> DecoderModel:
    """Raises LibraryError where the kernel is not there or does not take the model."""
    with refusals():
        from aecodec.decoder.native import NativeModel, NativePrior, NativeSynthesis

    native = NativeModel(weights, crew.threads)
    prior, synthesis = Prior(tables, NativePrior(native)), NativeSynthesis(native)
    return DecoderModel(weights.model_id, weights.config, prior, synthesis, crew, is_native=True)


def _on_numpy(weights: Weights, tables: PriorTables, crew: Crew) -> DecoderModel:
    from aecodec.decoder.numpy_prior import NumpyPrior  # late: the kernel needs none of it
    from aecodec.decoder.numpy_synthesis import NumpySynthesis
    from aecodec.decoder.passes import SteppedPrior

    tensors = weights.tensors
    prior = Prior(tables, SteppedPrior(tables, NumpyPrior(tensors["prior"], crew)))
    synthesis = NumpySynthesis(tensors["synthesis"], crew)
    return DecoderModel(weights.model_id, weights.config, prior, synthesis, crew)


@contextmanager
def refusals() -> Iterator[None]:
    """Hardened systems refuse ctypes, each in its own way."""
    try:
        yield
    except (ImportError, OSError, MemoryError) as exc:
        raise LibraryError(f"the system refuses ctypes: {exc}") from exc


@dataclass(frozen=True)
class RuntimeInfo:
    """The runtime of this process, as `aecodec info --runtime` tells of it.

    Attributes:
        runtime: "native" or "numpy".
        instructions: the instruction level of the kernel; "" with NumPy.
        levels: all that this machine has.
        threads: that share the work of one computation.
        reason: why it is not the kernel; "" if it is.
    """

    runtime: str
    instructions: str
    levels: tuple[str, ...]
    threads: int
    reason: str

    def text(self) -> str:
        """Lines for people."""
        lines = [f"runtime: {self.runtime}"]
        if self.instructions:
            lines.append(f"instructions: {self.instructions} (of {', '.join(self.levels)})")
        lines.append(f"threads: {self.threads}")
        if self.reason:
            lines.append(f"no kernel: {self.reason}")
        return "\n".join(lines)


def runtime_info() -> RuntimeInfo:
    """Which runtime decodes here, for any model that the kernel takes.

    Raises:
        InputError: `AECODEC_RUNTIME` names no runtime.
    """
    wished, threads = wish(), default_threads()
    try:
        if not wished.native:
            raise LibraryError(f"{VARIABLE} asks for NumPy")
        with refusals():
            from aecodec.decoder.native_library import levels
        there = levels()
        name = there[-1] if wished.level == ANY_LEVEL else LEVELS[wished.level]
        if name not in there:
            raise LibraryError(f"this machine has no {name}")
    except LibraryError as exc:
        return RuntimeInfo("numpy", "", (), threads, str(exc))
    return RuntimeInfo("native", name, there, threads, "")

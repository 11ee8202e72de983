"""Builds the decoder of a model: the one place that knows which runtimes there are."""

from dataclasses import dataclass

from aecodec.decoder.native import NativeModel, NativePrior, NativeSynthesis
from aecodec.decoder.native_library import ANY_LEVEL, LEVELS, LibraryError, levels, wish
from aecodec.decoder.networks import DecoderModel, Prior
from aecodec.decoder.prior_tables import PriorTables
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
    tensors, crew = weights.tensors, Crew(threads)
    tables = PriorTables(tensors["prior"]["tables"])
    native = _native_model(weights, crew.threads)
    if native is not None:
        prior, synthesis = Prior(tables, NativePrior(native)), NativeSynthesis(native)
        return DecoderModel(weights.model_id, weights.config, prior, synthesis, crew, native)
    # late, since where the kernel decodes they are not needed
    from aecodec.decoder.numpy_prior import NumpyPrior
    from aecodec.decoder.numpy_synthesis import NumpySynthesis
    from aecodec.decoder.passes import SteppedPrior

    prior = Prior(tables, SteppedPrior(tables, NumpyPrior(tensors["prior"], crew)))
    return DecoderModel(
        weights.model_id, weights.config, prior, NumpySynthesis(tensors["synthesis"], crew), crew
    )


def _native_model(weights: Weights, threads: int) -> NativeModel | None:
    """None where NumPy computes instead; what is wrong with weights, NumPy's checks say."""
    if not wish().native:
        return None
    try:
        return NativeModel(weights, threads)
    except LibraryError:
        return None


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
        there = levels()
        if not wished.native:
            raise LibraryError("AECODEC_RUNTIME asks for NumPy")
        name = there[-1] if wished.level == ANY_LEVEL else LEVELS[wished.level]
        if name not in there:
            raise LibraryError(f"this machine has no {name}")
    except LibraryError as exc:
        return RuntimeInfo("numpy", "", (), threads, str(exc))
    return RuntimeInfo("native", name, there, threads, "")

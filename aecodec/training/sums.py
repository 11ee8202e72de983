"""What a run counts without waiting for its device, and how long it waited where it must."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class StepMeans:
    """Means over the steps since the last reading.

    Attributes:
        count: steps; skipped ones do not count.
        loss: what training lowers.
        bpp: bits per pixel.
        z_bpp: the share of z.
        mse: on [0, 1].
    """

    count: int
    loss: float
    bpp: float
    z_bpp: float
    mse: float


class StepSums:
    """Sums over steps in the memory of the device."""

    def __init__(self, device: torch.device) -> None:
        """Begins with nothing."""
        self._sums = torch.zeros(5, dtype=torch.float64 if device.type == "cpu" else None,
                                 device=device)  # fmt: skip
        self._skipped = torch.zeros((), dtype=torch.int64, device=device)

    def add(self, values: Sequence[Tensor], finite: Tensor) -> None:
        """Adds loss, bpp, z_bpp and mse of a step, or counts it as skipped, on the device."""
        row = torch.stack([each.detach().float() for each in values])
        row = torch.cat([torch.ones_like(row[:1]), row])
        self._sums += torch.where(finite, row, 0.0)
        self._skipped += ~finite

    def read(self) -> StepMeans | None:
        """Waits for the device, reads the means and begins anew; None if every step was skipped."""
        count, *sums = self._sums.tolist()
        self._sums.zero_()
        return StepMeans(int(count), *(each / count for each in sums)) if count else None

    def read_skipped(self) -> int:
        """Waits for the device; how many steps were skipped since the last time."""
        count = int(self._skipped)
        self._skipped.zero_()
        return count


class Waits:
    """Seconds that the host spent without giving the device new work, by cause."""

    def __init__(self) -> None:
        """Begins with nothing."""
        self._seconds: dict[str, float] = {}

    @contextmanager
    def of(self, cause: str) -> Iterator[None]:
        """Counts the time of the block."""
        start = time.monotonic()
        try:
            yield
        finally:
            self._seconds[cause] = self._seconds.get(cause, 0.0) + time.monotonic() - start

    def take(self, seconds: float) -> dict[str, float]:
        """Shares of so many seconds by cause; begins anew."""
        shares = {cause: spent / max(seconds, 1e-9) for cause, spent in self._seconds.items()}
        self._seconds = {}
        return shares

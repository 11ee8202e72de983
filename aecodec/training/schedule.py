"""How long a run goes on, and its learning rate at each moment: by steps or by elapsed time.

A run warms up, keeps its full rate on a plateau, and decays to zero at its end. A budget says where
in that a run is; a plateau that never decays (`decay_start=1`) can be gone on with for ever, and
released from by a branch that does nothing but decay.
"""

import logging
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aecodec.training.config import TrainConfig

RECENT = 20
"""Steps that the next one is expected to be like."""
VALIDATION_SHARE = 0.25
"""A run by time whose validation would take more than this part of it ends without."""
MARGIN = 1.5
"""Time kept for saving and validating over what they took when measured."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Moment:
    """Where a run is.

    Attributes:
        warm: part of the warm-up that is over, in (0, 1].
        share: part of the whole that is over, in [0, 1].
    """

    warm: float
    share: float


class Budget(Protocol):
    """What a run may take. Its length is known from `begin` on."""

    def begin(self, step: int) -> None:
        """The start is over: the next step is the first that counts."""

    def moment(self, step: int) -> Moment:
        """Where the run is before this step."""

    def is_over(self, step: int) -> bool:
        """Whether this step must not begin any more."""

    def seconds_left(self, step: int, pace: float) -> float:
        """Time to the end where a step takes `pace` seconds."""

    def has_time(self, seconds: float, *, at_end: bool = False) -> bool:
        """Whether something that is no step may take so long, now or at the end of the run."""


@dataclass(frozen=True)
class StepBudget:
    """A run of so many steps; `TrainConfig.steps` and `warmup`.

    Attributes:
        config: settings of the run.
        start: step at which the optimizers began anew, with a warm-up.
    """

    config: TrainConfig
    start: int = 0

    def begin(self, step: int) -> None:
        """Steps count themselves."""

    def moment(self, step: int) -> Moment:
        """See `Budget`."""
        warm = (step - self.start + 1) / max(1, self.config.warmup)
        return Moment(min(1.0, warm), min(1.0, step / max(1, self.config.steps)))

    def is_over(self, step: int) -> bool:
        """See `Budget`."""
        return step >= self.config.steps

    def seconds_left(self, step: int, pace: float) -> float:
        """See `Budget`."""
        return (self.config.steps - step) * pace

    def has_time(self, seconds: float, *, at_end: bool = False) -> bool:
        """See `Budget`: always."""
        return True


class TimeBudget:
    """A run of so many seconds, the start and all that is done at the end included.

    The rate is a function of the time since the start was over, whatever steps take: one that takes
    long makes the next ones later on the same curve.

    Attributes:
        reserve: seconds at the end for saving and validating, known from `begin` on.
        validates: whether the time shall suffice for a validation at the end.
    """

    def __init__(
        self,
        seconds: float,
        *,
        warmup_share: float,
        reserve: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
        started: float | None = None,
        validates: bool = True,
    ) -> None:
        """Begins to count.

        Args:
            seconds: for everything.
            warmup_share: part of the time after the start that the warm-up takes; 0 for none.
            reserve: see the class.
            clock: seconds from any origin.
            started: when the time began to count, by that clock; by default now.
            validates: see the class.
        """
        self.reserve, self.validates = reserve, validates
        self._clock, self._warmup_share = clock, warmup_share
        now = clock()
        self._deadline = (now if started is None else started) + seconds
        self._began, self._first, self._latest = now, 0, now
        self._recent: deque[float] = deque(maxlen=RECENT)

    def reserve_end(self, saving: float, validation: Callable[[], float]) -> float:
        """Keeps time for saving at the end, and for a validation where that is not too long.

        Args:
            saving: seconds that it took.
            validation: measures how many seconds one will take; called if there shall be one.

        Returns:
            Seconds to allow for a validation; infinitely many for none.
        """
        self.reserve = MARGIN * saving
        if not self.validates:
            return math.inf
        expected = MARGIN * validation()
        if expected > VALIDATION_SHARE * self.seconds_left(0, 0.0):
            logger.info("no validation: it would take %.0f s of this run", expected)
            return math.inf
        self.reserve += expected
        return expected

    def begin(self, step: int) -> None:
        """See `Budget`."""
        self._began = self._latest = self._clock()
        self._first = step

    def moment(self, step: int) -> Moment:
        """See `Budget`."""
        elapsed = self._clock() - self._began
        span = max(self._deadline - self.reserve - self._began, 1e-9)
        share = min(1.0, max(0.0, elapsed / span))
        # The first step must not be one of rate zero.
        warm_from = (step - self._first + 1) * 1e-3
        warm = share / self._warmup_share if self._warmup_share else 1.0
        return Moment(min(1.0, max(warm, warm_from)), share)

    def is_over(self, step: int) -> bool:
        """See `Budget`; a step as slow as the slowest of the last ones must fit in."""
        now = self._clock()
        if step > self._first:
            self._recent.append(now - self._latest)
        self._latest = now
        return now + max(self._recent, default=0.0) > self._deadline - self.reserve

    def seconds_left(self, step: int, pace: float) -> float:
        """See `Budget`."""
        return max(0.0, self._deadline - self._clock())

    def has_time(self, seconds: float, *, at_end: bool = False) -> bool:
        """See `Budget`."""
        return self._clock() + seconds <= self._deadline - (0.0 if at_end else self.reserve)


def rate_factor(moment: Moment, config: TrainConfig) -> float:
    """Learning rate over the full one: warm-up, plateau, decay to zero.

    The shape "sqrt" falls fast at first, as 1 - sqrt(t); "linear" as 1 - t.

    Source: Hägele et al., "Scaling Laws and Compute-Optimal Training Beyond Fixed Training
    Durations", section 3, https://arxiv.org/abs/2405.18392.
    """
    if moment.share <= config.decay_start or config.decay_start >= 1.0:
        return moment.warm
    decayed = (moment.share - config.decay_start) / (1.0 - config.decay_start)
    left = 1.0 - (math.sqrt(decayed) if config.decay_shape == "sqrt" else decayed)
    return moment.warm * left

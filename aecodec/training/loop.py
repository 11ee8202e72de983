"""The training loop: steps, averaging, validation, checkpoints, resuming, branches.

A step asks its device for no number: gradients that are not finite are skipped there, sums are kept
there, and all is read every `TrainConfig.report_every` steps. Several processes of a `Team` go
through the same loop, each with its part of every batch; the first one writes.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from aecodec.autoencoder.mixture_text import parse_mixture
from aecodec.autoencoder.model import HyperpriorModel
from aecodec.training import data, validation
from aecodec.training.averaging import Averager
from aecodec.training.batches import Batches, store_tiles
from aecodec.training.checkpoint import Progress, RunState, load_checkpoint, save_checkpoint
from aecodec.training.config import CHECKPOINT, SETTINGS, TrainConfig
from aecodec.training.data import RunTiles
from aecodec.training.device import Backlog
from aecodec.training.distributed import ALONE, Team
from aecodec.training.logs import RunLog
from aecodec.training.loss import RateDistortionLoss
from aecodec.training.optimizers import apply_gradients, make_optimizers, set_rate
from aecodec.training.passes import Passes
from aecodec.training.preparation import (
    START_STEP,
    check_loss,
    find_factors,
    keep_factors,
    make_model,
)
from aecodec.training.schedule import MARGIN, Budget, StepBudget, TimeBudget, rate_factor
from aecodec.training.start_weights import save_start
from aecodec.training.state_parts import MOST_BYTES, load_parts, read_config, save_parts
from aecodec.training.sums import StepMeans, StepSums, Waits
from aecodec.training.validation import ValidationPoint

logger = logging.getLogger(__name__)


class Trainer:
    """One run in one folder.

    Attributes:
        run: folder of checkpoints and logs.
        config: settings.
        device: where the model learns.
        model: what learns.
        average: moving average of its weights.
        progress: how far the run has come; what is counted on the device as of `collect`.
        loss: what it learns by.
        passes: forward and backward.
        budget: how long the run goes on; by default as many steps as the settings say.
    """

    def __init__(
        self,
        run: Path,
        model: HyperpriorModel,
        tiles: RunTiles,
        config: TrainConfig,
        *,
        device: str = "cpu",
        team: Team = ALONE,
    ) -> None:
        """Takes a model as it is to start; `prepare` makes the rest too.

        Args:
            run: an existing folder.
            model: goes to the device.
            tiles: to learn from and to validate on.
            config: settings.
            device: "cpu", "cuda" or "mps".
            team: the processes that train it.

        Raises:
            TrainingError: they cannot share a batch evenly.
        """
        team.check_batch(config.batch)
        self._team = team
        self.run, self.config, self.device = run, config, torch.device(device)
        self.model, self.tiles = model, tiles
        self.loss = RateDistortionLoss(parse_mixture(config.loss))
        self.budget: Budget = StepBudget(config)
        self._place(model)
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self._averager = Averager(model, self.average, config.ema)
        self._average_from = 0
        self.optimizers = make_optimizers(model, config)
        self.progress = Progress()
        self._optimizers_from = 0
        self._backlog = Backlog(self.device)
        self._sums, self._waits = StepSums(self.device), Waits()
        store = store_tiles(tiles.training, self.device)
        self._batches = Batches(store, config, self.device, team.part)
        self.passes = Passes(model, config, self.device, team.part)

    @classmethod
    def prepare(
        cls,
        folders: Sequence[Path],
        run: Path,
        config: TrainConfig,
        *,
        device: str = "cpu",
        team: Team = ALONE,
        initial: Mapping[str, Tensor] | None = None,
        parts: Path | None = None,
    ) -> "Trainer":
        """A run from its first step or from its last checkpoint.

        It decodes the pictures, writes the settings, and starts the model or resumes it.

        Args:
            folders: where the pictures are, searched recursively.
            run: folder of the run; made when absent, resumed when it holds a checkpoint.
            config: settings; replaces the stored ones, but for the factors of the same loss.
            device: see the class.
            team: see the class.
            initial: weights to start from instead of the linear start.
            parts: folder with the state of a run elsewhere, to go on from.

        Raises:
            TrainingError: no pictures, or a checkpoint, parts or weights that do not fit.
        """
        check_loss(config)
        team.check_batch(config.batch)
        tiles = team.first_makes(lambda: data.prepare_tiles(folders, run, config.seed))
        resuming = team.any((run / CHECKPOINT).exists())
        new = not resuming and parts is None and team.is_first
        model = make_model(config, tiles.training, initial, new=new)
        trainer = cls(run, model, tiles, config, device=device, team=team)
        stored = None
        if resuming:
            trainer.resume()
            stored = TrainConfig.load(run / SETTINGS) if (run / SETTINGS).exists() else None
        elif parts is not None:
            trainer.progress = load_parts(parts, model, trainer.average, trainer.optimizers)
            trainer._optimizers_from = trainer.progress.step
            trainer.budget = StepBudget(config, trainer._optimizers_from)
            stored = read_config(parts)
        else:
            team.equalize([*model.state_dict().values(), *trainer.average.values()])
        trainer._settle_loss(stored)
        return trainer

    def train(
        self, should_stop: Callable[[], bool] = lambda: False, budget: Budget | None = None
    ) -> list[ValidationPoint]:
        """Runs to the end of its budget, or until it should stop; either way the state is saved.

        Args:
            should_stop: asked after each step, and of one mind in a team. A run that stops so is
                not validated at its end.
            budget: replaces that of the trainer.

        Returns:
            The validation at the end; empty if there was none.
        """
        self.budget = budget = budget or self.budget
        logger.info(
            "%s at step %d, %d tiles, %d held out",
            self.run, self.progress.step, len(self.tiles.training), len(self.tiles.held_out),
        )  # fmt: skip
        log = self._log()
        log.open_board()
        validating = self._start_clock()
        saved = reported = time.monotonic()
        points: list[ValidationPoint] = []
        validated, stopped = -1, False
        while not stopped and not budget.is_over(self.progress.step):
            self.step()
            step = self.progress.step
            if step % self.config.report_every == 0:
                self._report(time.monotonic() - reported, log)
                reported = time.monotonic()
            if step % self.config.validate_every == 0 and budget.has_time(validating):
                points = self.validate(log)
                validated, reported = step, time.monotonic()
            if time.monotonic() - saved > self.config.checkpoint_seconds:
                self.save()
                saved = time.monotonic()
            stopped = should_stop()
        if self.progress.step % self.config.report_every:
            self._report(time.monotonic() - reported, log)
        self.save()
        if validated != self.progress.step:
            fits = budget.has_time(validating / MARGIN, at_end=True)
            points = self.validate(log) if fits and not (stopped or should_stop()) else []
        log.close()
        return points

    def step(self) -> None:
        """One step; one whose gradient is not finite changes nothing but the count of such."""
        start = time.monotonic()
        config, number = self.config, self.progress.step
        moment = self.budget.moment(number)
        set_rate(self.optimizers, rate_factor(moment, config))
        self.passes.enter(config.phase_at(moment.share))
        torch.manual_seed(config.seed * 1_000_003 + number)
        with self._waits.of("data"):
            x, q = self._batches.at(number)
        means = self.passes.backward(x, q, self.loss)
        means = self._team.average(self.model.parameters(), means)
        finite = apply_gradients(self.optimizers, self.model.parameters())
        self._sums.add(means, finite)
        self._averager.update(number - self._average_from)
        with self._waits.of("device"):
            self._backlog.limit()
        self.progress.step += 1
        self.progress.seconds += time.monotonic() - start
        self.progress.patches += config.batch

    def collect(self) -> StepMeans | None:
        """Waits for the device and reads what it counted since the last time.

        Returns:
            Means over the steps; None if there were none, or all were skipped.
        """
        start = time.monotonic()
        with self._waits.of("device"):
            means = self._sums.read()
        self.progress.seconds += time.monotonic() - start
        self._count_skipped()
        return means

    def validate(self, log: RunLog | None = None) -> list[ValidationPoint]:
        """Rate and distortion of the averaged weights on held-out tiles, logged."""
        points = validation.validate(
            self._averaged_model(), self.tiles.held_out, self.loss.distortion, self.device,
            self._team,
        )  # fmt: skip
        (log or self._log()).validated(self.progress, points)
        return points

    def save(self) -> None:
        """Writes the checkpoint; only the first process does, as with all that follows.

        Raises:
            TrainingError: it cannot be written.
        """
        self._count_skipped()
        if self._team.is_first:
            save_checkpoint(self.run / CHECKPOINT, *self._state)

    def save_parts(self, folder: Path, most: int = MOST_BYTES) -> None:
        """Writes the state in small files, see `state_parts.save_parts`."""
        self._count_skipped()
        if self._team.is_first:
            save_parts(folder, *self._state, self.config, most=most)

    def save_weights(self, path: Path) -> None:
        """Writes the averaged weights to start from, see `start_weights.save_start`."""
        if self._team.is_first:
            save_start(path, self.average, self.model.config)

    def resume(self) -> None:
        """Goes back to the checkpoint.

        Raises:
            TrainingError: it is damaged or belongs to another model.
        """
        self._team.wait()
        self.progress = load_checkpoint(self.run / CHECKPOINT, *self._state[:3])
        self._team.wait()

    def branch(
        self, folder: Path, budget: Budget, should_stop: Callable[[], bool] = lambda: False
    ) -> list[ValidationPoint]:
        """Makes a release of an undecayed run: nothing but decay, in a folder of its own.

        The run is saved before, and afterwards stands where it stood. The branch averages its own
        weights alone.

        Args:
            folder: of the branch; made when absent. What it holds is replaced.
            budget: of the branch.
            should_stop: see `train`.

        Returns:
            The validation of the branch; empty if it was stopped.

        Raises:
            TrainingError: a folder cannot be written.
        """
        self.save()
        run, config = self.run, self.config
        if self._team.is_first:
            data.share_tiles(run, folder)
        self.run, self.config = folder, replace(config, decay_start=0.0)
        self._average_from = self.progress.step
        if self._team.is_first:
            self.config.save(folder / SETTINGS)
        try:
            return self.train(should_stop, budget)
        finally:
            self.run, self.config, self._average_from = run, config, 0
            self.budget = StepBudget(config, self._optimizers_from)
            self.resume()

    def time_budget(
        self, seconds: float, *,
        started: float | None = None, warm: bool = True, validates: bool = True,
    ) -> TimeBudget:  # fmt: skip
        """A budget of so many seconds, with a warm-up if the optimizers begin anew.

        Args:
            seconds: for everything, the start included.
            started: when they began, by `time.monotonic`; by default now.
            warm: whether to warm up where that is due.
            validates: whether they shall suffice for a validation too.
        """
        new = warm and self._optimizers_from == self.progress.step
        share = self.config.warmup_share if new else 0.0
        clock = self._team.clock
        if started is not None:
            started = self._team.agree(started)
        return TimeBudget(
            seconds, warmup_share=share, started=started, validates=validates, clock=clock
        )

    def _start_clock(self) -> float:
        """Does beforehand what would disturb a run by time, and measures what its end will take.

        Returns:
            Seconds to allow for a validation; 0 in a run by steps.
        """
        budget, step = self.budget, self.progress.step
        if not isinstance(budget, TimeBudget):
            return 0.0
        self.warm_up()
        start = self._team.clock()
        self.save()
        saving = self._team.clock() - start
        validating = budget.reserve_end(saving, self._expected_validation)
        budget.begin(step)
        return validating

    def warm_up(self) -> None:
        """Compiles what steps will need, if anything."""
        self.passes.warm_up(*self._batches.at(START_STEP), self.loss, self.config.phases)

    def _expected_validation(self) -> float:
        """Seconds that a validation will take."""
        model, tiles = self._averaged_model(), self.tiles.held_out
        seconds = validation.estimate_seconds(
            model, tiles, self.loss.distortion, self.device, self._team
        )
        return self._team.agree(seconds)

    def _settle_loss(self, stored: TrainConfig | None) -> None:
        """Finds the factors of the loss if need be, and writes the settings with them."""
        config = keep_factors(self.config, stored)
        if self._team.is_first:
            config = find_factors(config, self.model, self._batches.whole())
        self.config = replace(config, loss=self._team.text(config.loss))
        self.loss = RateDistortionLoss(parse_mixture(self.config.loss))
        if self._team.is_first:
            self.config.save(self.run / SETTINGS)

    @property
    def _state(self) -> RunState:
        return self.model, self.average, self.optimizers, self.progress

    def _log(self) -> RunLog:
        return RunLog(self.run, silent=not self._team.is_first)

    def _averaged_model(self) -> HyperpriorModel:
        model = HyperpriorModel(self.model.config)
        model.load_state_dict(self.average)
        model.prior.dead_zone = self.model.prior.dead_zone
        self._place(model.eval())
        return model

    def _place(self, model: HyperpriorModel) -> None:
        """Moves a model to the device, in the layout that is fast."""
        model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch stubs lack the pair

    def _count_skipped(self) -> None:
        skipped = self._sums.read_skipped()
        if skipped:
            self.progress.skipped += skipped
            logger.warning("%d steps skipped: gradient not finite", skipped)

    def _report(self, seconds: float, log: RunLog) -> None:
        """Logs the means since the last report, `seconds` ago."""
        means, step = self.collect(), self.progress.step
        shares = self._waits.take(seconds)
        if means is None:
            return
        left = self.budget.seconds_left(step, seconds / means.count)
        rate = means.count * self.config.batch / seconds
        log.report(self.progress, means, rate=rate, shares=shares, left=left)

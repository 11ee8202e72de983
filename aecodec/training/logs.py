"""Logs of a run: CSV files in its folder, and TensorBoard's where that is installed."""

import csv
import logging
import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from aecodec.training.checkpoint import Progress
from aecodec.training.sums import StepMeans
from aecodec.training.validation import MSE_MIN, ValidationPoint, mean_loss, mean_own_loss

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

TRAIN_LOG, VALIDATION_LOG = "train.csv", "validation.csv"
"""Names of files in the folder of a run."""

logger = logging.getLogger(__name__)


class RunLog:
    """The logs of one folder."""

    def __init__(self, run: Path, *, silent: bool = False) -> None:
        """Opens nothing yet; `open_board` does.

        Args:
            run: the folder.
            silent: write and tell nothing, since another process does.
        """
        self._run, self._silent = run, silent
        self._board: SummaryWriter | None = None

    def open_board(self) -> None:
        """Writes for TensorBoard as well, from now on until `close`."""
        if self._silent:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            logger.info("no TensorBoard logs: pip install 'aecodec[train]'")
            return
        self._board = SummaryWriter(str(self._run / "tensorboard"))

    def close(self) -> None:
        """Ends what `open_board` began."""
        if self._board is not None:
            self._board.close()
            self._board = None

    def report(
        self,
        progress: Progress,
        means: StepMeans,
        *,
        rate: float,
        shares: Mapping[str, float],
        left: float,
    ) -> None:
        """Tells how training goes.

        Args:
            progress: how far it has come.
            means: over the steps since the last report.
            rate: patches a second.
            shares: parts of the time that the host waited, by cause.
            left: seconds to the end of the run.
        """
        if self._silent:
            return
        psnr = -10 * math.log10(max(means.mse, MSE_MIN))
        logger.info(
            "step %d loss %.4f bpp %.3f PSNR %.2f dB %.1f patches/s, host waits %.0f %%, %s left",
            progress.step, means.loss, means.bpp, psnr, rate, 100 * sum(shares.values()),
            time.strftime("%H:%M:%S", time.gmtime(left)),
        )  # fmt: skip
        values = {"loss": means.loss, "bpp": means.bpp, "z_bpp": means.z_bpp, "psnr": psnr}
        self.row(
            TRAIN_LOG, progress, **values, patches_per_second=rate,
            waiting_data=shares.get("data", 0.0), waiting_device=shares.get("device", 0.0),
        )  # fmt: skip
        self.curve(progress.step, **{f"train__{name}": value for name, value in values.items()})

    def validated(self, progress: Progress, points: Sequence[ValidationPoint]) -> None:
        """Tells how good the averaged weights are at each quality."""
        if self._silent:
            return
        logger.info(
            "validation at step %d: loss %.4f by decibels, %.4f as trained; %s",
            progress.step, mean_loss(points), mean_own_loss(points),
            ", ".join(f"q{p.quality:g} {p.bpp:.3f} bpp {p.psnr:.2f} dB" for p in points),
        )  # fmt: skip
        for point in points:
            values = {"bpp": point.bpp, "psnr": point.psnr, "distortion": point.distortion}
            self.row(VALIDATION_LOG, progress, quality=point.quality, **values)
            named = {f"validation__{k}_{point.quality:g}": v for k, v in values.items()}
            self.curve(progress.step, **named)

    def row(self, name: str, progress: Progress, **values: float) -> None:
        """Adds a row to a CSV file."""
        row = {
            "step": progress.step,
            "hours": round(progress.seconds / 3600, 4),
            "patches": progress.patches,
        } | {key: round(value, 5) for key, value in values.items()}
        path = self._run / name
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, row)
            if new:
                table.writeheader()
            table.writerow(row)

    def curve(self, step: int, **values: float) -> None:
        """Adds a point to each curve of TensorBoard; two underscores part a group from a name."""
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name.replace("__", "/", 1), value, step)

"""The training loop: steps, averaging, validation, logs, checkpoints, resuming."""

import csv
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aecodec.autoencoder.model import ForwardOutput, HyperpriorModel
from aecodec.training import data
from aecodec.training.checkpoint import Progress, load_checkpoint, load_state, save_checkpoint
from aecodec.training.config import CHECKPOINT, SETTINGS, TrainConfig
from aecodec.training.data import RunTiles
from aecodec.training.device import computes_bfloat16
from aecodec.training.initialization import calibrate, start_linear
from aecodec.training.loss import MseLoss, RateDistortionLoss, rate_distortion
from aecodec.training.optimizers import make_optimizers, set_rate

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

CHECKPOINT_SECONDS = 600.0
VALIDATION_QUALITIES = (0.0, 0.25, 0.5, 0.75, 1.0)
VALIDATION_BATCH, VALIDATION_SIDE = 8, 256
GRADIENT_NORM = 1.0
"""Longer gradients are cut to this length."""
START_STEP = 2**62
"""Steps from here on serve the start of the model alone."""
MSE_MIN = 1e-10
"""Smaller errors count as this one, 100 dB."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepResult:
    """Means over one batch: loss, bits per pixel, share of z, MSE on [0, 1]."""

    loss: float
    bpp: float
    z_bpp: float
    mse: float


@dataclass(frozen=True)
class ValidationPoint:
    """Rate and distortion of held-out tiles at one quality.

    Attributes:
        quality: in [0, 100].
        bpp: mean bits per pixel.
        psnr: mean, dB.
    """

    quality: float
    bpp: float
    psnr: float


class Trainer:
    """One run in one folder.

    Attributes:
        run: folder of checkpoints and logs.
        config: settings.
        model: what learns.
        average: moving average of its weights.
        progress: how far the run has come.
    """

    def __init__(
        self,
        run: Path,
        model: HyperpriorModel,
        tiles: RunTiles,
        config: TrainConfig,
        *,
        device: str = "cpu",
        loss: RateDistortionLoss | None = None,
    ) -> None:
        """Takes a model as it is to start; `prepare` makes the rest too.

        Args:
            run: an existing folder.
            model: goes to the device.
            tiles: to learn from and to validate on.
            config: settings.
            device: "cpu", "cuda" or "mps".
            loss: what to lower; by default with the mean squared error.
        """
        self.run, self.config, self.device = run, config, torch.device(device)
        self.model, self.tiles = model, tiles
        self.loss: RateDistortionLoss = MseLoss() if loss is None else loss
        self._place(model)
        self.average = {k: v.detach().clone() for k, v in model.state_dict().items()}
        self.optimizers = make_optimizers(model, config)
        self.progress = Progress()
        self._forward: Callable[..., ForwardOutput] = (
            torch.compile(model) if config.compile else model
        )
        self._mixed = config.mixed and computes_bfloat16(self.device)

    @classmethod
    def prepare(
        cls,
        folders: Sequence[Path],
        run: Path,
        config: TrainConfig,
        *,
        device: str = "cpu",
        initial: Mapping[str, Tensor] | None = None,
    ) -> "Trainer":
        """A run from its first step or from its last checkpoint.

        It decodes the pictures, writes the settings, and starts the model or resumes it.

        Args:
            folders: where the pictures are, searched recursively.
            run: folder of the run; made when absent, resumed when it holds a checkpoint.
            config: settings; replaces the stored ones.
            device: see the class.
            initial: weights to start from instead of the linear start.

        Raises:
            TrainingError: no pictures, or a checkpoint or weights that do not fit.
        """
        tiles = data.prepare_tiles(folders, run, config.seed)
        resuming = (run / CHECKPOINT).exists()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            model = HyperpriorModel(config.model)
            if initial is not None:
                load_state(model, initial, "the initial weights")
            if not resuming:
                _start(model, tiles, config, linear=initial is None)
        trainer = cls(run, model, tiles, config, device=device)
        if resuming:
            trainer.resume()
        config.save(run / SETTINGS)
        return trainer

    def train(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Runs to the last step, or until it should stop; either way the state is saved.

        Args:
            should_stop: asked after each step. A run that stops so is not validated at its end.
        """
        logger.info(
            "%s at step %d of %d, %d tiles, %d held out",
            self.run, self.progress.step, self.config.steps,
            len(self.tiles.training), len(self.tiles.held_out),
        )  # fmt: skip
        writer = _summary_writer(self.run)
        saved = reported = time.monotonic()
        results: list[StepResult] = []
        validated, stopped = -1, False
        while self.progress.step < self.config.steps and not stopped:
            result = self.step()
            if result is not None:
                results.append(result)
            if self.progress.step % self.config.report_every == 0 and results:
                now = time.monotonic()
                self._report(results, now - reported, writer)
                results, reported = [], now
            if self.progress.step % self.config.validate_every == 0:
                self.validate(writer)
                validated, reported = self.progress.step, time.monotonic()
            if time.monotonic() - saved > CHECKPOINT_SECONDS:
                self.save()
                saved = time.monotonic()
            stopped = should_stop()
        self.save()
        if not (stopped or should_stop()) and validated != self.progress.step:
            self.validate(writer)
        if writer is not None:
            writer.close()

    def step(self) -> StepResult | None:
        """One step; None when it was skipped because its gradient was not finite."""
        start = time.monotonic()
        config, number = self.config, self.progress.step
        set_rate(self.optimizers, config.rate_factor(number))
        self.model.set_quantized(number >= config.quantized_start * config.steps)
        torch.manual_seed(config.seed * 1_000_003 + number)
        x = _batch(self.tiles, config, number).to(self.device)
        q = data.qualities_at(step=number, batch=config.batch, seed=config.seed).to(self.device)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        output = self._forward(x, q, noisy=True, mixed=self._mixed)
        terms = self.loss(output, x, q)
        terms.loss.backward()  # type: ignore[no-untyped-call]  # torch
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_NORM)
        means = (terms.loss, output.bpp.mean(), output.z_bpp.mean(), terms.mse.mean())
        # One list, since each number that is asked for waits for the device.
        *found, length = torch.stack([*(each.detach() for each in means), norm]).tolist()
        finite = math.isfinite(length)
        if finite:
            for optimizer in self.optimizers:
                optimizer.step()
            self._update_average(number)
        self.progress.step += 1
        self.progress.seconds += time.monotonic() - start
        self.progress.patches += config.batch
        if not finite:
            self.progress.skipped += 1
            logger.warning("step %d skipped: gradient not finite", number)
            return None
        return StepResult(*found)

    def validate(self, writer: "SummaryWriter | None" = None) -> list[ValidationPoint]:
        """Rate and distortion of the averaged weights on held-out tiles, logged."""
        model = HyperpriorModel(self.model.config)
        model.load_state_dict(self.average)
        self._place(model.eval())
        points = [self._validate_at(model, q) for q in VALIDATION_QUALITIES]
        bpp = torch.tensor([point.bpp for point in points])
        mse = torch.tensor([10.0 ** (-point.psnr / 10) for point in points])
        loss = rate_distortion(bpp, mse, torch.tensor(VALIDATION_QUALITIES)).mean()
        logger.info(
            "validation at step %d: loss %.4f; %s", self.progress.step, loss,
            ", ".join(f"q{p.quality:g} {p.bpp:.3f} bpp {p.psnr:.2f} dB" for p in points),
        )  # fmt: skip
        for point in points:
            self._log("validation.csv", quality=point.quality, bpp=point.bpp, psnr=point.psnr)
            if writer is not None:
                step, quality = self.progress.step, f"{point.quality:g}"
                writer.add_scalar(f"validation/bpp_{quality}", point.bpp, step)
                writer.add_scalar(f"validation/psnr_{quality}", point.psnr, step)
        return points

    def save(self) -> None:
        """Writes the checkpoint.

        Raises:
            TrainingError: it cannot be written.
        """
        save_checkpoint(
            self.run / CHECKPOINT, self.model, self.average, self.optimizers, self.progress
        )

    def resume(self) -> None:
        """Goes back to the checkpoint.

        Raises:
            TrainingError: it is damaged or belongs to another model.
        """
        self.progress = load_checkpoint(
            self.run / CHECKPOINT, self.model, self.average, self.optimizers
        )

    def _place(self, model: HyperpriorModel) -> None:
        """Moves a model to the device, in the layout that is fast."""
        model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch stubs lack the pair

    @torch.no_grad()
    def _validate_at(self, model: HyperpriorModel, q: float) -> ValidationPoint:
        bpp: list[float] = []
        psnr: list[float] = []
        for batch in data.validation_batches(
            self.tiles.held_out, batch=VALIDATION_BATCH, side=VALIDATION_SIDE
        ):
            x = batch.to(self.device)
            output = model(x, torch.full((len(x),), q, device=self.device), noisy=False)
            rounded = (output.x_hat.clamp(0, 1) * 255).round() / 255
            mse = (rounded - x).square().mean((1, 2, 3)).clamp_min(MSE_MIN)
            bpp += output.bpp.tolist()
            psnr += (-10 * torch.log10(mse)).tolist()
        return ValidationPoint(100 * q, sum(bpp) / len(bpp), sum(psnr) / len(psnr))

    @torch.no_grad()
    def _update_average(self, step: int) -> None:
        decay = min(self.config.ema, max(0.0, 1.0 - 9.0 / (step + 1)))
        state = self.model.state_dict()
        names = [k for k, v in state.items() if v.is_floating_point()]
        torch._foreach_lerp_([self.average[k] for k in names], [state[k] for k in names], 1 - decay)

    def _report(
        self, results: list[StepResult], seconds: float, writer: "SummaryWriter | None"
    ) -> None:
        step, count = self.progress.step, len(results)
        loss, bpp, z_bpp, mse = (
            sum(getattr(r, name) for r in results) / count
            for name in ("loss", "bpp", "z_bpp", "mse")
        )
        psnr = -10 * math.log10(max(mse, MSE_MIN))
        rate = count * self.config.batch / seconds
        left = (self.config.steps - step) * seconds / count
        logger.info(
            "step %d loss %.4f bpp %.3f PSNR %.2f dB %.1f patches/s, %s left",
            step, loss, bpp, psnr, rate, time.strftime("%H:%M:%S", time.gmtime(left)),
        )  # fmt: skip
        self._log("train.csv", loss=loss, bpp=bpp, z_bpp=z_bpp, psnr=psnr, patches_per_second=rate)
        if writer is not None:
            for name, value in (("loss", loss), ("bpp", bpp), ("z_bpp", z_bpp), ("psnr", psnr)):
                writer.add_scalar(f"train/{name}", value, step)

    def _log(self, name: str, **values: float) -> None:
        row = {
            "step": self.progress.step,
            "hours": round(self.progress.seconds / 3600, 4),
            "patches": self.progress.patches,
        } | {key: round(value, 5) for key, value in values.items()}
        path = self.run / name
        new = not path.exists()
        with path.open("a", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, row)
            if new:
                table.writeheader()
            table.writerow(row)


def _start(model: HyperpriorModel, tiles: RunTiles, config: TrainConfig, *, linear: bool) -> None:
    """Fits a new model to pictures: as a linear codec or not, and the scales of its blocks."""
    batches = -(-config.start_patches // config.batch)
    patches = torch.cat([_batch(tiles, config, START_STEP + n) for n in range(batches)])
    if linear:
        start_linear(model, patches)
    calibrate(model, patches, torch.linspace(0, 1, len(patches)))


def _batch(tiles: RunTiles, config: TrainConfig, step: int) -> Tensor:
    """The patches of a step, which may be one of those from `START_STEP` on."""
    return data.batch_at(
        tiles.training, step=step, batch=config.batch, crop=config.crop, seed=config.seed
    )


def _summary_writer(run: Path) -> "SummaryWriter | None":
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.info("no TensorBoard logs: pip install 'aecodec[train]'")
        return None
    return SummaryWriter(str(run / "tensorboard"))

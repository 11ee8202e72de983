"""The training loop: steps, averaging, validation, logs, checkpoints, resuming."""

import csv
import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from aecodec.autoencoder.model import ForwardOutput, HyperpriorModel
from aecodec.errors import TrainingError
from aecodec.format.quality import lmbda
from aecodec.training import data
from aecodec.training.checkpoint import Progress, load_checkpoint, save_checkpoint
from aecodec.training.config import TrainConfig
from aecodec.training.device import computes_bfloat16
from aecodec.training.loss import LOSS_SCALE, rate_distortion_loss
from aecodec.training.optimizers import make_optimizers, set_rate

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

CHECKPOINT = "checkpoint.safetensors"

TILES = "tiles.npy"

SETTINGS = "config.json"

CHECKPOINT_SECONDS = 600.0

REPORT_STEPS = 100

VALIDATION_QUALITIES = (0.0, 0.25, 0.5, 0.75, 1.0)

LINEAR_START_PATCHES = 192

GRADIENT_NORM = 1.0

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StepResult:
    """Means over one batch: loss, bits per pixel, share of z, MSE on [0, 1]."""

    loss: float
    bpp: float
    z_bpp: float
    mse: float


class Trainer:
    """One run in one folder, from its first step or from its last checkpoint."""

    def __init__(
        self,
        folders: Sequence[Path],
        run: Path,
        config: TrainConfig,
        *,
        device: str = "cpu",
        initial: dict[str, Tensor] | None = None,
    ) -> None:
        """Prepares data, model and state.

        Args:
            folders: where the pictures are, searched recursively.
            run: folder of the run; made when absent, resumed when it holds a checkpoint.
            config: settings; replaces the stored ones.
            device: "cpu", "cuda" or "mps".
            initial: weights to start from instead of the linear start.

        Raises:
            TrainingError: no pictures, or a checkpoint that does not fit.
        """
        training, held_out = data.split(data.find_pictures(folders))
        run.mkdir(parents=True, exist_ok=True)
        self.run, self.config, self.device = run, config, torch.device(device)
        config.save(run / SETTINGS)
        seed = config.seed
        self.tiles = data.load_tiles(
            training, run / TILES, per_picture=data.TILES_PER_PICTURE, seed=seed
        )
        self.held_out = data.load_tiles(held_out, run / "held_out.npy", per_picture=1, seed=seed)
        torch.manual_seed(seed)
        self.model = HyperpriorModel()
        resuming = (run / CHECKPOINT).exists()
        if initial is not None:
            _load_initial(self.model, initial)
        if not resuming:
            batches = -(-LINEAR_START_PATCHES // config.batch)
            patches = torch.cat([self._batch(-1 - n) for n in range(batches)])
            if initial is None:
                self.model.start_linear(patches)
            self.model.calibrate(patches, torch.linspace(0, 1, len(patches)))
        self.model.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch stubs lack the pair
        self.average = {k: v.detach().clone() for k, v in self.model.state_dict().items()}
        self.optimizers = make_optimizers(self.model, config)
        self.progress = Progress()
        if resuming:
            self.progress = load_checkpoint(
                run / CHECKPOINT, self.model, self.average, self.optimizers
            )
        self._forward: Callable[..., ForwardOutput] = (
            torch.compile(self.model) if config.compile else self.model
        )
        self._mixed = config.mixed and computes_bfloat16(self.device)

    def train(self, should_stop: Callable[[], bool] = lambda: False) -> None:
        """Runs to the last step, or until it should stop; either way the state is saved.

        Args:
            should_stop: asked after each step. A run that stops so is not validated at its end.
        """
        logger.info(
            "%s at step %d of %d, %d tiles, %d held out",
            self.run, self.progress.step, self.config.steps, len(self.tiles), len(self.held_out),
        )  # fmt: skip
        writer = _summary_writer(self.run)
        saved = reported = time.monotonic()
        results: list[StepResult] = []
        validated, stopped = -1, False
        while self.progress.step < self.config.steps and not stopped:
            result = self.step()
            if result is not None:
                results.append(result)
            if self.progress.step % REPORT_STEPS == 0 and results:
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
        x = self._batch(number).to(self.device)
        q = data.qualities_at(step=number, batch=config.batch, seed=config.seed).to(self.device)
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        output = self._forward(x, q, noisy=True, mixed=self._mixed)
        loss = rate_distortion_loss(output, q)
        loss.backward()  # type: ignore[no-untyped-call]  # torch
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), GRADIENT_NORM)
        finite = bool(torch.isfinite(norm))
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
        return StepResult(
            loss.item(),
            output.bpp.mean().item(),
            output.z_bpp.mean().item(),
            output.mse.mean().item(),
        )

    @torch.no_grad()
    def validate(self, writer: "SummaryWriter | None" = None) -> list[tuple[float, float, float]]:
        """Rate and distortion of the averaged weights on held-out tiles, logged.

        Returns:
            For each validation quality: quality in [0, 100], mean bpp, mean PSNR in dB.
        """
        model = HyperpriorModel(self.model.config)
        model.load_state_dict(self.average)
        model.to(self.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]  # torch stubs lack the pair
        rows = []
        for q in VALIDATION_QUALITIES:
            bpp, psnr = [], []
            for x in data.validation_batches(self.held_out, batch=8, side=256):
                qs = torch.full((len(x),), q)
                output = model(x.to(self.device), qs.to(self.device), noisy=False)
                rounded = (output.x_hat.clamp(0, 1) * 255).round() / 255
                mse = (rounded - x.to(self.device)).square().mean((1, 2, 3)).clamp_min(1e-10)
                bpp += output.bpp.tolist()
                psnr += (-10 * torch.log10(mse)).tolist()
            rows.append((100 * q, sum(bpp) / len(bpp), sum(psnr) / len(psnr)))
        loss = sum(_point_loss(row) for row in rows) / len(rows)
        logger.info(
            "validation at step %d: loss %.4f; %s", self.progress.step, loss,
            ", ".join(f"q{quality:g} {bpp:.3f} bpp {psnr:.2f} dB" for quality, bpp, psnr in rows),
        )  # fmt: skip
        for quality, bpp_mean, psnr_mean in rows:
            self._log("validation.csv", quality=quality, bpp=bpp_mean, psnr=psnr_mean)
            if writer is not None:
                writer.add_scalar(f"validation/bpp_{quality:g}", bpp_mean, self.progress.step)
                writer.add_scalar(f"validation/psnr_{quality:g}", psnr_mean, self.progress.step)
        return rows

    def save(self) -> None:
        """Writes the checkpoint."""
        save_checkpoint(
            self.run / CHECKPOINT, self.model, self.average, self.optimizers, self.progress
        )

    def _batch(self, step: int) -> Tensor:
        config = self.config
        # Steps below zero serve the linear start; seeds must not be negative.
        number = step if step >= 0 else 2**62 - step
        return data.batch_at(
            self.tiles, step=number, batch=config.batch, crop=config.crop, seed=config.seed
        )

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
        psnr = -10 * math.log10(max(mse, 1e-10))
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


def _load_initial(model: HyperpriorModel, initial: dict[str, Tensor]) -> None:
    try:
        model.load_state_dict(initial)
    except RuntimeError as exc:
        raise TrainingError(f"the initial weights are of another model: {exc}") from exc


def _point_loss(row: tuple[float, float, float]) -> float:
    quality, bpp, psnr = row
    weight = float(lmbda(torch.tensor(quality / 100)))
    mse = math.pow(10.0, -psnr / 10)
    return LOSS_SCALE * (bpp + weight * 255.0**2 * mse) / math.sqrt(weight)


def _summary_writer(run: Path) -> "SummaryWriter | None":
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        logger.info("no TensorBoard logs: pip install 'aecodec[train]'")
        return None
    return SummaryWriter(str(run / "tensorboard"))

"""Several processes that train one model, each on its part of every batch, started by torchrun.

After each backward pass gradients are averaged in one piece. That is what PyTorch's
DistributedDataParallel computes; it is done beside the model here, so that the compiled step, the
optimizers for matrices, and the state of a run are the same with any number of processes. All hold
equal weights and moments, and whatever depends on a clock or a signal is agreed on between steps.

Numbers of the host travel by gloo, so that no step waits for a GPU; gradients by gloo on CPUs, and
by NCCL on GPUs of CUDA.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Final, TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from aecodec.autoencoder.quantization import WHOLE, Part
from aecodec.errors import TrainingError
from aecodec.training.device import check_device
from aecodec.training.launch import attempt, is_launched

SILENCE: Final = timedelta(minutes=10)
"""A process that hears nothing of the others for so long gives up."""
PREPARING: Final = timedelta(days=1)
"""So long the others wait for the first to decode pictures and to fit the start."""
_BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}

Made = TypeVar("Made")


class LeftAloneError(TrainingError):
    """Another process of the run has failed and has said why; this one ends for that alone."""


class Team:
    """The processes of a run, as one of them sees them; by default there is but this one.

    All must call the same methods in the same order. Each raises `LeftAloneError` when another
    process ends, and `TrainingError` when one is silent for too long.

    Attributes:
        part: this process's rank, and how many there are; also which rows of a batch are its own.
    """

    def __init__(self, part: Part = WHOLE, *, joined: bool = False) -> None:
        """Takes what `joined_team` found out."""
        self.part = part
        self._joined = joined
        self._patient: distributed.ProcessGroup | None = None
        if joined:
            with _heard():
                group = distributed.new_group(backend="gloo", timeout=PREPARING)
            assert isinstance(group, distributed.ProcessGroup)
            self._patient = group

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes and decides."""
        return self.part[0] == 0

    def check_batch(self, batch: int) -> None:
        """Checks that all get equally many patches of a batch.

        Raises:
            TrainingError: they do not.
        """
        if batch % self.part[1]:
            raise TrainingError(
                f"{self.part[1]} processes cannot share a batch of {batch} patches evenly: "
                f"give --batch a multiple of {self.part[1]}"
            )

    def wait(self) -> None:
        """Goes on when all are here, however long the first one prepares."""
        if self._joined:
            self._sum(torch.zeros(1), self._patient)

    def first_makes(self, make: Callable[[], Made]) -> Made:
        """Lets the first process make files that the others then find, however long that takes."""
        if self.is_first:
            made = make()
            self.wait()
            return made
        self.wait()
        return make()

    def agree(self, value: float) -> float:
        """The first process's number, for all."""
        if not self._joined:
            return value
        return float(self._sum(torch.tensor(value if self.is_first else 0.0, dtype=torch.float64)))

    def clock(self) -> float:
        """`time.monotonic` of the first process, for all."""
        return self.agree(time.monotonic())

    def any(self, flag: bool) -> bool:  # as of the built-in function
        """Whether it is true for one of them."""
        return bool(self._sum(torch.tensor(float(flag)))) if self._joined else flag

    def agreed(self, flag: Callable[[], bool]) -> Callable[[], bool]:
        """A question whose answer is yes for all if it is yes for one of them."""
        return lambda: self.any(flag())

    def text(self, text: str) -> str:
        """The first process's text, for all, which may take it long to find."""
        if not self._joined:
            return text
        told = [text]
        with _heard(PREPARING):
            distributed.broadcast_object_list(told, 0, self._patient)
        return told[0]

    def total(self, values: Tensor) -> Tensor:
        """The sum of a tensor over all, on any device; in place."""
        return self._sum(values) if self._joined else values

    @torch.no_grad()
    def equalize(self, tensors: Iterable[Tensor]) -> None:
        """Gives all the first process's values, in place, when it has them."""
        if not self._joined:
            return
        self.wait()
        for value in tensors:
            with _heard():
                told = value.contiguous()
                distributed.broadcast(told, 0)
                value.copy_(told)

    @torch.no_grad()
    def average(
        self, parameters: Iterable[nn.Parameter], means: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """Averages gradients over all, in place, and returns averages of the means, each `()`.

        A gradient that is not finite anywhere is finite nowhere afterwards, so that all skip a step
        together.
        """
        if not self._joined:
            return tuple(means)
        gradients = [p.grad for p in parameters if p.grad is not None]
        pieces = [each.reshape(-1) for each in gradients]
        pieces.append(torch.stack([each.detach().float() for each in means]))
        whole = self._sum(torch.cat(pieces)).div_(self.part[1])
        *averaged, numbers = torch.split(whole, [len(each) for each in pieces])
        for gradient, value in zip(gradients, averaged, strict=True):
            gradient.copy_(value.view(gradient.shape))
        return numbers.unbind()

    def _sum(self, values: Tensor, group: distributed.ProcessGroup | None = None) -> Tensor:
        with _heard(SILENCE if group is None else PREPARING):
            distributed.all_reduce(values, group=group)
        return values


ALONE: Final = Team()
"""One process."""


@contextmanager
def joined_team(device: str) -> Iterator[Team]:
    """The processes that torchrun started together with this one; `ALONE` without it.

    Only the first failure of all is raised as it is. Processes that fail after it, or for it, raise
    `LeftAloneError`, so that one message tells what happened.

    Args:
        device: "cpu" or "cuda"; each process takes the GPU of its number on its machine.

    Raises:
        TrainingError: processes cannot be joined on such a device here.
    """
    if not is_launched():
        yield ALONE
        return
    shared, rank, size = next(rendezvous("env://"))
    store = PrefixStore(attempt(), shared)
    try:
        backend = _backend(device)
        with _heard():
            distributed.init_process_group(
                backend, store=store, rank=rank,
                world_size=size, timeout=SILENCE,
            )  # fmt: skip
        yield Team((rank, size), joined=True)
    except LeftAloneError:
        raise
    except Exception as exc:
        if not _is_first_failure(store):
            raise LeftAloneError("another process has failed before") from exc
        raise
    distributed.destroy_process_group()


def _backend(device: str) -> str:
    """What messages travel by.

    Raises:
        TrainingError: nothing that PyTorch has here.
    """
    if device not in _BACKENDS:
        raise TrainingError(f"several processes train on cpu or cuda, not {device}: give --device")
    if not distributed.is_gloo_available():
        raise TrainingError("this PyTorch lacks the backend gloo, which several processes need")
    if device == "cuda":
        if not distributed.is_nccl_available():
            raise TrainingError("this PyTorch lacks the backend nccl: train on one GPU")
        local, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if not count:
            check_device(device)
        if local >= count:
            raise TrainingError(
                f"more processes than the {count} GPUs of this machine: lower --nproc-per-node"
            )
        torch.cuda.set_device(local)
    return _BACKENDS[device]


def _is_first_failure(store: Store) -> bool:
    """Whether no other process has failed yet since the last restart."""
    try:
        return bool(store.add("failures", 1) == 1)
    except RuntimeError:  # the store is gone: torchrun is ending
        return True


@contextmanager
def _heard(patience: timedelta = SILENCE) -> Iterator[None]:
    """Turns a failed exchange into the error that says why."""
    start = time.monotonic()
    try:
        yield
    except RuntimeError as exc:
        if time.monotonic() - start >= patience.total_seconds():
            minutes = patience.total_seconds() / 60
            raise TrainingError(f"no word from the other processes for {minutes:.0f} min") from exc
        raise LeftAloneError("another process has ended") from exc

"""Several processes under torchrun: each takes its share of a batch, gradients are averaged.

Without torchrun everything here is a no-op, so a training loop reads the same in both cases. With equal
shares and losses that are means over pixels, the averaged gradient is that of the whole batch; statistics of
batch norm are of each process's share.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import chain
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from hyperseg.core import HypersegError, SettingError

Value = TypeVar("Value")


class Elsewhere(HypersegError):
    """What failed, failed in another process, which says why."""


def join_processes(device: torch.device) -> None:
    """Join the process group that torchrun's environment describes, if there is one.

    Raises:
        SettingError: WORLD_SIZE says there are several processes, but the rest of the environment is missing.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or world_size() > 1:
        return
    if device.type == "cuda":
        torch.cuda.set_device(device if device.index is not None else int(os.environ.get("LOCAL_RANK", "0")))
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except ValueError as error:
        raise SettingError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, but the processes cannot find each other ({error}). "
            "Start them with torchrun, or unset WORLD_SIZE."
        ) from error


def leave_processes() -> None:
    """Leave the process group, if one was joined; together, so that none is left with an answer on its way."""
    if _joined():
        with suppress(RuntimeError):  # another one has failed, and says why
            dist.barrier()
        dist.destroy_process_group()


def rank() -> int:
    """Number of this process, 0 for the only one; process 0 writes files and talks."""
    return dist.get_rank() if _joined() else 0


def world_size() -> int:
    """Number of processes."""
    return dist.get_world_size() if _joined() else 1


def share(batch: Tensor) -> Tensor:
    """This process's part of a global batch: every world_size-th element.

    Raises:
        SettingError: fewer elements than processes.
    """
    if len(batch) < world_size():
        raise SettingError(
            f"a batch of {len(batch)} cannot be shared by {world_size()} processes: start fewer with torchrun."
        )
    return batch[rank() :: world_size()]


@torch.no_grad()
def copy_from_first(modules: Iterable[nn.Module]) -> None:
    """Overwrite parameters and buffers with those of process 0."""
    for module in modules if world_size() > 1 else ():
        for tensor in chain(module.parameters(), module.buffers()):
            with _together():
                dist.broadcast(tensor.detach(), src=0)


@torch.no_grad()
def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over processes, in one message."""
    gradients = [p.grad for p in parameters if p.grad is not None] if world_size() > 1 else []
    if not gradients:
        return
    flat = torch.cat([g.flatten() for g in gradients])
    with _together():
        dist.all_reduce(flat)
    flat /= world_size()
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


@torch.no_grad()
def average_buffers(modules: Iterable[nn.Module]) -> None:
    """Average floating buffers (batch statistics) over processes, so that all hold the same model."""
    for module in modules if world_size() > 1 else ():
        for buffer in filter(torch.is_floating_point, module.buffers()):
            with _together():
                dist.all_reduce(buffer)
            buffer /= world_size()


def average_number(value: float) -> float:
    """Mean of a number over processes: what all of them must decide upon alike."""
    if world_size() == 1:
        return value
    place = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend() == "nccl" else "cpu"
    number = torch.tensor(value, dtype=torch.float64, device=place)
    with _together():
        dist.all_reduce(number)
    return number.item() / world_size()


def from_first(make: Callable[[], Value]) -> Value:
    """What `make` returns in process 0, in every process; the others call nothing and wait.

    Raises:
        HypersegError: in process 0, as `make` raised it.
        Elsewhere: in the others, where it did.
    """
    if world_size() == 1:
        return make()
    answer: list[Any] = [None, False]
    failed: HypersegError | None = None
    if rank() == 0:
        try:
            answer = [make(), True]
        except HypersegError as error:
            failed = error
    with _together():
        dist.broadcast_object_list(answer, src=0)
    if failed is not None:
        raise failed
    value, made = answer
    if not made:
        raise Elsewhere("process 0 has failed and says why.")
    return value


def first_to_fail() -> bool:
    """Whether no other process of this torchrun has asked this before: the one that asks first tells the user."""
    if os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return rank() == 0
    with suppress(RuntimeError, KeyError, ValueError):  # torchrun itself is gone: better twice than never
        place = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = dist.TCPStore(*place, is_master=False, timeout=timedelta(seconds=5))
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return int(store.add(f"hyperseg-failed-{attempt}", 1)) == 1
    return True


@contextmanager
def _together() -> Iterator[None]:
    """A message between processes; where another one has ended, there is nobody to answer."""
    try:
        yield
    except RuntimeError as error:
        raise Elsewhere(
            f"process {rank()} waits for another one in vain: it has ended ({str(error).splitlines()[0]})."
        ) from error


def _joined() -> bool:
    return dist.is_available() and dist.is_initialized()

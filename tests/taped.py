"""A stand-in for CUDA graphs on the CPU: the operations of a step on a tape, with every Python value as it was.

As a graph does, the tape refuses work that waits for values, changes nothing while it records, and asks no Python when
it plays: only tensors that are refilled, and the generator, make one play differ from the next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

WAITING = {
    "_local_scalar_dense", "nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "bincount",
    "multinomial", "is_nonzero", "equal",
}  # fmt: skip


class CannotRecordError(RuntimeError):
    """The step waits for a value."""


class Recording(TorchDispatchMode):
    """Notes every operation, and the values of outer tensors before they are written."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any]] = []
        self.before: dict[int, tuple[Tensor, Tensor]] = {}
        self.made: dict[int, Tensor] = {}  # kept alive, so that no number is given twice

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        masks = name in ("index", "index_put", "index_put_") and any(
            x.dtype == torch.bool for x in tree_leaves(args[1]) if isinstance(x, Tensor)
        )
        if name in WAITING or masks or func == torch.ops.aten.repeat_interleave.Tensor:
            raise CannotRecordError(name)
        if func._schema.is_mutable or "batch_norm" in name:  # whose schema does not say that it moves its statistics
            for tensor in tree_leaves((args, kwargs)):
                if isinstance(tensor, Tensor) and id(tensor) not in self.made:
                    self.before.setdefault(id(tensor), (tensor, tensor.detach().clone()))
        out = func(*args, **kwargs)
        self.operations.append((func, args, kwargs, out))
        self.made |= {id(x): x for x in tree_leaves(out) if isinstance(x, Tensor) and id(x) not in self.before}
        return out

    def undo(self) -> None:
        for tensor, value in self.before.values():
            tensor.data.copy_(value)


def played(operations: list[tuple[Any, Any, Any, Any]], result: Tensor) -> Tensor:
    """Do the operations again; what they made themselves is made anew."""
    new: dict[int, Any] = {}

    def now(value: Any) -> Any:
        return new.get(id(value), value) if isinstance(value, Tensor) else value

    with torch.no_grad():
        for func, args, kwargs, out in operations:
            again = func(*tree_map(now, args), **tree_map(now, kwargs))
            for old, fresh in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(old, Tensor):
                    new[id(old)] = fresh
    return now(result).clone()


@dataclass
class Tapes:
    """`hyperseg.engine.step.recorded.Graphs` on the CPU.

    Attributes:
        fails: recording breaks off.
        done: what was asked: "warm", "record", "play".
        refused: why steps could not be recorded.
    """

    fails: bool = False
    done: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def warm(self, work: Callable[[], Tensor]) -> Tensor:
        self.done.append("warm")
        return work()

    def record(self, work: Callable[[], Tensor]) -> Callable[[], Tensor]:
        self.done.append("record")
        state, tape = torch.get_rng_state(), Recording()
        try:
            with tape:
                result = work()
            if self.fails:
                raise CannotRecordError("asked to")
        except CannotRecordError as error:
            self.refused.append(str(error))
            raise
        finally:  # a graph runs nothing while it is recorded
            tape.undo()
            torch.set_rng_state(state)

        def play() -> Tensor:
            self.done.append("play")
            return played(tape.operations, result)

        return play

"""Windows of a scene to a device and results back, in their own number type, while the device computes.

On CUDA raw values are sent from page-locked buffers on a stream of their own and results return on another, so that
the device never waits for the bus. On a CPU the same calls hand the arrays through.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from hyperseg.core import Scene

Float32 = NDArray[np.float32]
Pads = tuple[tuple[int, int], ...]
Item = TypeVar("Item")
BUFFERS = 2  # page-locked staging buffers: one is filled while the other is sent
LATE = 2  # results that may be under way when the first of them is waited for


class Preprocessing(Protocol):
    """(..., C) raw values -> (..., L) float32."""

    def __call__(self, array: ArrayLike, /) -> Float32: ...


@runtime_checkable
class OnDevice(Protocol):
    """A preprocessing that knows itself as operations on tensors too."""

    def on(self, device: torch.device | str) -> Callable[[Tensor], Tensor]: ...


class Window(NamedTuple):
    """What was read of a window, still on the host.

    Attributes:
        values: (*S, C) raw; or preprocessed, where the preprocessing knows no tensors.
        holes: (*S) bool, True without data; None where there is none.
        pads: pixels to add before and after along every axis, by reflection.
    """

    values: NDArray[Any]
    holes: NDArray[np.bool_] | None
    pads: Pads


class Feed:
    """A scene's windows as features on a device.

    Args:
        scene: (*S, C); its cube is read window by window.
        preprocess: what makes features of raw values.
        device: where they are wanted.
    """

    def __init__(self, scene: Scene, preprocess: Preprocessing, device: torch.device | str) -> None:
        self.scene, self.preprocess, self.device = scene, preprocess, torch.device(device)
        self._make = preprocess.on(self.device) if isinstance(preprocess, OnDevice) else None
        self._bus = _CudaBus(self.device) if self.device.type == "cuda" else _Bus(self.device)

    def read(self, at: tuple[slice, ...], pads: Pads = ()) -> Window:
        """A window from memory or a file; nothing has happened on the device yet."""
        values = np.asarray(self.scene.cube[at])
        if self._make is None:
            values = self.preprocess(values)
        inside = None if self.scene.valid is None else self.scene.valid[at]
        return Window(values, None if inside is None or inside.all() else ~inside, pads)

    def features(self, window: Window) -> Tensor:
        """(*S, L) float32 features of a window, grown by its pads; pixels without data are 0, see `Scene.features`."""
        x = self._bus.up(window.values)
        x = x if self._make is None else self._make(x)
        if window.holes is not None:
            x = x.masked_fill(self._bus.up(window.holes)[..., None], 0.0)
        if not any(map(any, window.pads)):
            return x
        places, sides = reflected(tuple(x.shape[:-1]), window.pads, self.device)
        return x.flatten(0, -2).index_select(0, places).unflatten(0, sides)

    def results(
        self, made: Iterable[tuple[Item, tuple[Tensor, ...]]]
    ) -> Iterator[tuple[Item, tuple[NDArray[Any], ...]]]:
        """Tensors on the device as arrays, in order; a few are drawn ahead while the first returns."""
        waiting: deque[tuple[Item, Callable[[], tuple[NDArray[Any], ...]]]] = deque()
        for item, tensors in made:
            waiting.append((item, self._bus.down(tensors)))
            if len(waiting) >= self._bus.late:
                first, arrays = waiting.popleft()
                yield first, arrays()
        for first, arrays in waiting:
            yield first, arrays()


@lru_cache(maxsize=64)
def reflected(shape: tuple[int, ...], pads: Pads, device: torch.device) -> tuple[Tensor, tuple[int, ...]]:
    """The pixels, counted row by row, of a window grown by reflection, again and again where it is short; its sides."""
    places = np.pad(np.arange(prod(shape)).reshape(shape), pads, mode="reflect")
    return torch.from_numpy(places.reshape(-1)).to(device), places.shape


class _Bus:
    """The way to a device that shares the memory of the host, or that is waited for."""

    late = 1

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def up(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(_plain(values)).to(self.device)

    def down(self, tensors: tuple[Tensor, ...]) -> Callable[[], tuple[NDArray[Any], ...]]:
        return lambda: tuple(tensor.cpu().numpy() for tensor in tensors)


class _CudaBus(_Bus):
    """Copies through page-locked memory, on a stream for each direction.

    A buffer is filled again only once what it held has been sent, and a tensor's memory is not given to others while a
    stream still needs it.
    """

    late = LATE

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._there, self._back = torch.cuda.Stream(device), torch.cuda.Stream(device)
        self._sent = [torch.cuda.Event() for _ in range(BUFFERS)]
        self._buffers = [torch.empty(0, dtype=torch.uint8)] * BUFFERS
        self._turn = 0

    def up(self, values: NDArray[Any]) -> Tensor:
        source = torch.from_numpy(_plain(values))
        self._turn = turn = (self._turn + 1) % BUFFERS
        self._sent[turn].synchronize()  # an event that was never recorded is not waited for
        n = source.numel() * source.element_size()
        if len(self._buffers[turn]) < n:
            self._buffers[turn] = torch.empty(n, dtype=torch.uint8, pin_memory=True)
        staged = self._buffers[turn][:n].view(source.dtype).view(source.shape)
        staged.copy_(source)
        with torch.cuda.stream(self._there):
            sent = staged.to(self.device, non_blocking=True)
            self._sent[turn].record()
        now = torch.cuda.current_stream(self.device)
        now.wait_stream(self._there)
        sent.record_stream(now)
        return sent

    def down(self, tensors: tuple[Tensor, ...]) -> Callable[[], tuple[NDArray[Any], ...]]:
        self._back.wait_stream(torch.cuda.current_stream(self.device))
        arrived, hosts = torch.cuda.Event(), []
        with torch.cuda.stream(self._back):
            for tensor in tensors:
                host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
                hosts.append(host.copy_(tensor, non_blocking=True))
                tensor.record_stream(self._back)
            arrived.record()

        def arrays() -> tuple[NDArray[Any], ...]:
            arrived.synchronize()
            return tuple(host.numpy() for host in hosts)

        return arrays


def _plain(values: NDArray[Any]) -> NDArray[Any]:
    """An array torch can read: bytes in the machine's order, no axis backwards."""
    if not values.dtype.isnative:
        return values.astype(values.dtype.newbyteorder("="))
    if any(step < 0 for step in values.strides):
        return np.ascontiguousarray(values)
    return values if values.flags.writeable else np.asarray(_Unlocked(values))


class _Unlocked:
    """A read-only array (a file's) as torch takes it without a warning; nobody writes to it."""

    def __init__(self, values: NDArray[Any]) -> None:
        self.values = values  # lives as long as the view
        place, _ = values.__array_interface__["data"]
        self.__array_interface__ = values.__array_interface__ | {"data": (place, False)}

"""Windows of a scene to a device and results back, in their own number type, while the device computes.

On CUDA raw values are sent from page-locked buffers on a stream of their own and results return on another, so that
the device never waits for the bus. On a CPU the same calls hand the arrays through.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from hyperseg.core import Scene
from hyperseg.engine.lanes import ahead
from hyperseg.io.look.values import plain

Float32 = NDArray[np.float32]
Pads = tuple[tuple[int, int], ...]
Item = TypeVar("Item")
Passenger = tuple[Tensor, Any]  # a tensor on the device, and the event after which it is whole (None: it is)
BUFFERS = 2  # page-locked staging buffers: one is filled while the other is sent


class Preprocessing(Protocol):
    """(..., C) raw values -> (..., L) float32."""

    def __call__(self, array: ArrayLike, /) -> Float32: ...


@runtime_checkable
class OnDevice(Protocol):
    """A preprocessing that knows itself as operations on tensors too."""

    def on(self, device: torch.device | str) -> Callable[[Tensor], Tensor]: ...


class Sent(NamedTuple):
    """A window on its way to the device.

    Attributes:
        values: (*S, C) raw; or preprocessed, where the preprocessing knows no tensors.
        holes: (*S) bool, True without data; None where there is none.
        pads: pixels to add before and after along every axis, by reflection.
    """

    values: Passenger
    holes: Passenger | None
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
        self._bus = bus_to(self.device)

    def send(self, at: tuple[slice, ...], pads: Pads = ()) -> Sent:
        """Read a window, from memory or a file, and send it off."""
        values = np.asarray(self.scene.cube[at])
        if self._make is None:
            values = self.preprocess(values)
        inside = None if self.scene.valid is None else self.scene.valid[at]
        holes = None if inside is None or inside.all() else self._bus.up(~inside)
        return Sent(self._bus.up(values), holes, pads)

    def send_all(self, windows: Iterable[tuple[tuple[slice, ...], Pads]]) -> Iterator[Sent]:
        """Windows in order; towards a GPU the next one is read and sent in another thread."""
        sent = (self.send(at, pads) for at, pads in windows)
        return ahead(sent) if self._bus.apart else sent

    def features(self, sent: Sent) -> Tensor:
        """(*S, L) float32 features of a window, grown by its pads; pixels without data are 0, see `Scene.features`."""
        x = self._bus.arrived(sent.values)
        x = x if self._make is None else self._make(x)
        if sent.holes is not None:
            x = x.masked_fill(self._bus.arrived(sent.holes)[..., None], 0.0)
        if not any(map(any, sent.pads)):
            return x
        places = torch.zeros((), dtype=torch.int64, device=self.device)
        for n, (before, after) in zip(x.shape[:-1], sent.pads, strict=True):
            places = places[..., None] * n + reflected(n, before, after, self.device)
        return x.flatten(0, -2).index_select(0, places.flatten()).unflatten(0, places.shape)

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
def reflected(n: int, before: int, after: int, device: torch.device) -> Tensor:
    """Indices that grow an axis of n pixels by reflection, again and again where the axis is short."""
    return torch.from_numpy(np.pad(np.arange(n), (before, after), mode="reflect")).to(device)


class Bus:
    """The way to a device that shares the memory of the host, or that is waited for."""

    apart = False  # whether the device works beside the host
    late = 1  # results under way when the first of them is waited for

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def up(self, values: NDArray[Any]) -> Passenger:
        """Send an array off."""
        if self.device.type == "mps" and values.dtype != bool:  # which knows few number types
            values = values.astype(np.float32)
        return torch.from_numpy(plain(values)).to(self.device), None

    def arrived(self, passenger: Passenger) -> Tensor:
        """What was sent, for the work that is queued from now on."""
        return passenger[0]

    def down(self, tensors: tuple[Tensor, ...]) -> Callable[[], tuple[NDArray[Any], ...]]:
        """Send tensors back; call what is returned to wait for them."""
        return lambda: tuple(tensor.cpu().numpy() for tensor in tensors)


class CudaBus(Bus):
    """Copies through page-locked memory, on a stream for each direction.

    A buffer is filled again only once what it held has been sent, and a tensor's memory is not given to others while a
    stream still needs it.
    """

    apart = True
    late = 2

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._there, self._back = torch.cuda.Stream(device), torch.cuda.Stream(device)
        self._buffers = [(torch.empty(0, dtype=torch.uint8), torch.cuda.Event()) for _ in range(BUFFERS)]

    def up(self, values: NDArray[Any]) -> Passenger:
        source = torch.from_numpy(plain(values))
        n = source.numel() * source.element_size()
        buffer, sent = self._buffers.pop(0)
        sent.synchronize()  # the buffer's last content has left; an event that was never recorded is not waited for
        with torch.cuda.stream(self._there):  # and on its device, also in another thread
            if len(buffer) < n:
                buffer = torch.empty(n, dtype=torch.uint8, pin_memory=True)
            staged = buffer[:n].view(source.dtype).view(source.shape)
            there = staged.copy_(source).to(self.device, non_blocking=True)
            sent = torch.cuda.Event()
            sent.record(self._there)
        self._buffers.append((buffer, sent))
        return there, sent

    def arrived(self, passenger: Passenger) -> Tensor:
        there, sent = passenger
        now = torch.cuda.current_stream(self.device)
        now.wait_event(sent)
        there.record_stream(now)
        return there

    def down(self, tensors: tuple[Tensor, ...]) -> Callable[[], tuple[NDArray[Any], ...]]:
        hosts = []
        self._back.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(self._back):
            for tensor in tensors:
                host = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
                hosts.append(host.copy_(tensor, non_blocking=True))
                tensor.record_stream(self._back)
            back = torch.cuda.Event()
            back.record(self._back)

        def arrays() -> tuple[NDArray[Any], ...]:
            back.synchronize()
            return tuple(host.numpy() for host in hosts)

        return arrays


def bus_to(device: torch.device) -> Bus:
    """The way to a device."""
    return CudaBus(device) if device.type == "cuda" else Bus(device)

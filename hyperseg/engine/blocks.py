"""How large the pieces of a scene are that go through a network: what suits a CPU's cache or a GPU's memory.

A GPU gets several pieces of a scene even where one would fit: while one is computed the next is sent and the last
returns.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn

from hyperseg.core import Tile
from hyperseg.engine.feed import Feed
from hyperseg.engine.forward import SceneModel, channels_first, layout_of

Sides = tuple[int, ...]

# Sides of a tile on a CPU by number of axes. 48 x 80 keeps a tile's activations in a core's cache and the halo's
# extra work small (measured 10 % faster than 48 x 48 and 64 x 64 on both benchmark scenes)
CPU_TILES = {2: (48, 80), 3: (32, 32, 32)}
GPU_VOLUME = (64, 64, 64)
WINDOWS = {2: (128, 128), 3: (64, 64, 64)}
# pixels of a volume that go through a network together: more are not faster, only larger (measured)
CPU_VOLUME_PX, GPU_VOLUME_PX = 2**18 - 1, 2**21
BUDGET_BYTES = 1 << 30  # of what a piece needs on the device; the peak promised is twice as much
MOST_PX, FEWEST_PX, PIECES = 2**18, 2**15, 4
PROBED = 16  # side of the window that tells how much memory a network needs
UNKNOWN_BYTES = 2**14  # per pixel, of a model that is no module
HELD = 3  # outputs as large as the largest that exist at once, with what a convolution needs beside them

_measured: WeakKeyDictionary[nn.Module, float] = WeakKeyDictionary()


def usual_sides(model: SceneModel, feed: Feed, margin: Sides) -> Sides:
    """Sides of a tile where nobody chose any."""
    if feed.device.type == "cpu" or len(margin) == 3:
        usual = CPU_TILES[len(margin)] if feed.device.type == "cpu" else GPU_VOLUME
        return tuple(max(side, 4 * m) for side, m in zip(usual, margin, strict=True))
    scene = feed.scene

    def probe() -> Tensor:
        at = tuple(slice(min(PROBED + 2 * m, n)) for m, n in zip(margin, scene.shape, strict=True))
        pads = tuple((0, PROBED + 2 * m - s.stop) for m, s in zip(margin, at, strict=True))
        return channels_first(feed.features(feed.send(at, pads))[None], layout_of(model))

    raw = scene.n_bands * np.dtype(scene.cube.dtype).itemsize
    return block_sides(scene.shape, margin, pixels_that_fit(model, probe, raw, free_bytes=free_bytes(feed.device)))


def together(device: torch.device, size: Sides, *, padded: bool) -> int:
    """How many pieces of these sides go through a network at once."""
    on_cpu = device.type == "cpu"
    # two tiles keep a CPU's cache, four are up to 1.5 times slower (measured); a GPU's blocks are as large as it likes
    many = 2 if on_cpu else 8 if padded or len(size) == 3 else 1
    if len(size) == 3:
        many = max(1, min(many, (CPU_VOLUME_PX if on_cpu else GPU_VOLUME_PX) // prod(size)))
    return many


def grown(part: Tile, size: Sides, margin: Sides) -> tuple[tuple[int, int], ...]:
    """What a tile's window lacks at the scene's border, and to the common size."""
    return tuple(
        (before, side + 2 * m - before - (stop - start))
        for (before, _), side, m, (start, stop) in zip(part.pad, size, margin, part.read, strict=True)
    )


def block_sides(shape: tuple[int, ...], margin: tuple[int, ...], pixels: int) -> tuple[int, ...]:
    """Sides of the pieces of an image of (rows, columns): whole rows where they fit, which lie together in memory.

    Args:
        shape: of the scene.
        margin: read around a piece, which counts as part of it.
        pixels: that fit on the device.
    """
    rows, columns = shape
    wanted = min(pixels, MOST_PX, max(rows * columns // PIECES, FEWEST_PX))
    width = columns + 2 * margin[1]
    tall = wanted // width - 2 * margin[0]
    if tall >= max(2 * margin[0], 16):
        return min(tall, rows), columns
    side = int(wanted**0.5)
    return tuple(max(side - 2 * m, 2 * m, 16) for m in margin)


def pixels_that_fit(model: object, probe: Callable[[], Tensor], raw_bytes: int, *, free_bytes: int | None) -> int:
    """Pixels of a piece that the device has room for.

    Args:
        model: is run once, to see how much memory it needs.
        probe: makes a small input of it, on the device.
        raw_bytes: of one pixel as it is sent.
        free_bytes: on the device; None is enough of them.
    """
    budget = BUDGET_BYTES if free_bytes is None else min(BUDGET_BYTES, free_bytes // 2)
    return max(int(budget / (HELD * raw_bytes + _bytes_per_pixel(model, probe))), 1)


def _bytes_per_pixel(model: object, probe: Callable[[], Tensor]) -> float:
    """What a network's input and the outputs of its layers take, per pixel of its input."""
    if not isinstance(model, nn.Module):
        return UNKNOWN_BYTES
    if model not in _measured:
        x = probe()
        sizes: list[int] = []

        def note(module: nn.Module, given: object, made: object) -> None:
            if isinstance(made, Tensor):
                sizes.append(made.numel() * made.element_size())

        hooks = [m.register_forward_hook(note) for m in model.modules()]
        try:
            with torch.inference_mode():
                model(x)
        finally:
            for hook in hooks:
                hook.remove()
        _measured[model] = HELD * (x.numel() * x.element_size() + max(sizes)) / prod(x.shape[-2:])
    return _measured[model]


def free_bytes(device: torch.device) -> int | None:
    """Memory that is left on a device, that which torch keeps for later included; None where it cannot be asked."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)

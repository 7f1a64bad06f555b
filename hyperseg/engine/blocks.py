"""How large a piece of a scene a GPU works on: as much as its memory allows, and several pieces per scene.

While one piece is computed the next is sent and the last returns, so that a scene in one piece would leave the bus and
the device waiting for each other.
"""

from __future__ import annotations

from math import prod
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

BUDGET_BYTES = 1 << 30  # of what a piece needs on the device; the peak promised is twice as much
MOST_PX, FEWEST_PX, PIECES = 2**18, 2**15, 4
UNKNOWN_BYTES = 2**14  # per pixel, of a model that is no module
HELD = 3  # outputs as large as the largest that exist at once, with what a convolution needs beside them

_measured: WeakKeyDictionary[nn.Module, float] = WeakKeyDictionary()


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


def pixels_that_fit(model: object, x: Tensor, raw_bytes: int, *, free_bytes: int | None) -> int:
    """Pixels of a piece that the device has room for.

    Args:
        model: is asked once how much memory it needs.
        x: a small input of it, on the device.
        raw_bytes: of one pixel as it is sent.
        free_bytes: on the device; None is enough of them.
    """
    budget = BUDGET_BYTES if free_bytes is None else min(BUDGET_BYTES, free_bytes // 2)
    features = x.element_size() * x.shape[1 if x.ndim < 5 else 2]
    return int(budget / (2 * raw_bytes + 3 * features + _bytes_per_pixel(model, x)))


def _bytes_per_pixel(model: object, x: Tensor) -> float:
    """What the outputs of a network's layers take, per pixel of its input."""
    if not isinstance(model, nn.Module):
        return UNKNOWN_BYTES
    if model not in _measured:
        sizes: list[int] = [0]

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
        _measured[model] = HELD * max(sizes) / prod(x.shape[-2:])
    return _measured[model]


def free_bytes(device: torch.device) -> int | None:
    """Memory that is left on a device, that which torch keeps for later included; None where it cannot be asked."""
    if device.type != "cuda":
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return int(free) + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)

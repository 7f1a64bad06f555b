"""A prepared case through networks, window by window: mirrored, averaged, blended; its scores come in parts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice, product
from math import prod
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyperseg.core import SettingError, Tile
from hyperseg.engine.blend import blend, mirrors, starts, windows
from hyperseg.engine.device import full_float32
from hyperseg.medical.fingerprint import Size
from hyperseg.medical.training import Inference

Score = Callable[[Tensor], Tensor]
"""(B, C, *patch) -> (B, K, *patch) of what is averaged: logits or probabilities."""
Done = Callable[[int, int], None]
TOGETHER = {"cpu": 2**17, "cuda": 2**22}  # voxels of a batch of windows
STEP, GAUSSIAN = 0.5, 1 / 8  # what `engine.blend` does
SLAB = 2**23  # scores that are given at once


def check_inference(how: Inference) -> None:
    """Refuse (SettingError) a plan whose windows are laid or weighted as nothing here does."""
    if (how.step, how.gaussian) != (STEP, GAUSSIAN):
        raise SettingError(
            f"windows have a step of {STEP} and Gaussian weights of width {GAUSSIAN}, the plan says inference.step "
            f"{how.step} and inference.gaussian {how.gaussian}: put them back."
        )


def averaged(networks: Sequence[nn.Module], how: Inference, *, mirror: bool = True) -> Score:
    """The mean over networks and, where asked for, over the mirror images along all axes together and alone.

    Args:
        networks: (B, C, *S) -> (B, K, *S) logits, in evaluation mode.
        how: what is averaged: logits, or probabilities.
        mirror: 4 images of a picture, 8 of a volume.
    """
    return partial(_averaged, networks, how.average, mirror)


def _averaged(networks: Sequence[nn.Module], average: str, mirror: bool, x: Tensor) -> Tensor:
    flips = mirrors(range(2, x.ndim)) if mirror else [()]
    total: Any = None
    n = 0
    for flip in flips:
        seen = x.flip(flip) if flip else x
        for network in networks:
            scores = network(seen).float()
            if average == "probabilities":
                scores = scores.softmax(1)
            scores = scores.flip(flip) if flip else scores
            if n < 2:  # what a network gives may be what it was given
                total = scores if total is None else total + scores
            else:
                total.add_(scores)
            n += 1
    found: Tensor = total
    return found if n == 1 else found.div_(n)


def with_classes(score: Score, n_classes: int) -> Score:
    """A score that is given classes as the last channel, as (K - 1) channels of 0 and 1 for the foreground.

    Made of a window at a time, as of a whole case they would take K - 1 times the memory of the image.
    """
    return lambda x: score(classes_apart(x, n_classes))


def classes_apart(x: Tensor, n_classes: int) -> Tensor:
    """(B, C, *S), classes in the last channel -> (B, C + K - 2, *S): a channel of 0 and 1 for each but the first."""
    codes = torch.arange(1, n_classes, device=x.device, dtype=x.dtype).view(1, -1, *(1,) * (x.ndim - 2))
    return torch.cat([x[:, :-1], (x[:, -1:] == codes).to(x.dtype)], 1)


def slide(
    score: Score, image: NDArray[np.float32] | Tensor, patch: Size, *, n_classes: int,
    device: torch.device | str = "cpu", done: Done | None = None,
) -> Iterator[Tensor]:  # fmt: skip
    """Scores of a case in parts along its first axis, (K, n, ...), as `prepare.restored` takes them.

    A case that is smaller than the patch is padded with zeros on both sides, as it is in training. Of a volume for a
    network of planes every part is a slice.

    Args:
        score: what is blended of a window, see `averaged`.
        image: (C, *S).
        patch: sides of a window; one axis fewer than S for a network of planes.
        n_classes: K.
        device: where the networks are.
        done: told how many windows of how many are done.
    """
    axes, shape, lead, images = _laid(image, patch, device)
    whole = axes == tuple(image.shape[1:])
    cuts = list(windows(shape, patch))
    pieces = (_piece(one, cut, lead) for one in images for cut in cuts)
    values = _run(score, pieces, patch, len(images) * len(cuts), torch.device(device), done)
    inside = tuple(slice(a, a + n) for a, n in zip(lead, axes, strict=True))
    for _ in images:
        bands = _classes_first(blend(values, shape, patch, n_classes, most=SLAB))
        if whole:
            yield from _cropped(bands, inside)
        else:
            yield torch.cat([band[:, :, inside[1]] for band in bands], 1)[:, inside[0]][:, None]


def glance(
    score: Score, image: NDArray[np.float32] | Tensor, patch: Size, *, device: torch.device | str = "cpu"
) -> NDArray[np.bool_]:
    """(*S) where a class other than the first has the largest score, from windows side by side.

    Of a volume that takes about an eighth of the windows of `slide`; what is at the border of a window is less sure.

    Args:
        score, image, patch, device: as of `slide`.
    """
    axes, shape, lead, images = _laid(image, patch, device)
    cuts = [
        tuple(slice(a, a + p) for a, p in zip(corner, patch, strict=True))
        for corner in product(*(_side_by_side(n, p) for n, p in zip(shape, patch, strict=True)))
    ]
    found = torch.zeros((len(images), *shape), dtype=torch.bool)
    pieces = (_piece(one, cut, lead) for one in images for cut in cuts)
    values = _run(score, pieces, patch, len(images) * len(cuts), torch.device(device), None)
    for (at, cut), value in zip(product(range(len(images)), cuts), values, strict=True):
        found[at, *cut] |= (value[..., 1:].amax(-1) > value[..., 0]).cpu()
    inside = tuple(slice(a, a + n) for a, n in zip(lead, axes, strict=True))
    return found[:, *inside].reshape(image.shape[1:]).numpy()


def n_windows(size: Size, patch: Size) -> int:
    """Windows of a prepared case of this size."""
    flat = size[-len(patch) :]
    each = prod(len(starts(max(n, p), p)) for n, p in zip(flat, patch, strict=True))
    return each * prod(size[: -len(patch)])


def _laid(
    image: NDArray[np.float32] | Tensor, patch: Size, device: torch.device | str
) -> tuple[Size, Size, list[int], Sequence[Tensor]]:
    """Axes that windows have, with the padding, what that is in front, and the images (C, *axes) on the device."""
    size = tuple(image.shape[1:])
    axes = size[-len(patch) :]
    lead = [(max(p - n, 0)) // 2 for n, p in zip(axes, patch, strict=True)]
    x = (image if isinstance(image, Tensor) else torch.from_numpy(image)).to(device)
    return axes, tuple(map(max, axes, patch)), lead, [x] if axes == size else x.unbind(1)


def _side_by_side(n: int, side: int) -> list[int]:
    """Evenly spread window starts that leave no gap, the last one flush with the end."""
    count = -(-n // side)
    return [round(i * (n - side) / max(count - 1, 1)) for i in range(count)]


def _piece(image: Tensor, cut: tuple[slice, ...], lead: Sequence[int]) -> Tensor:
    """(C, *patch) of a window that may reach beyond the image, where all is zero."""
    here, there = [], []
    for window, before, n in zip(cut, lead, image.shape[1:], strict=True):
        start, stop = window.start - before, window.stop - before
        here.append(slice(max(start, 0), min(stop, n)))
        there.append(slice(max(-start, 0), min(stop, n) - start))
    found = image[:, *here]
    sides = [c.stop - c.start for c in cut]
    if list(found.shape[1:]) == sides:
        return found
    padded = image.new_zeros((len(image), *sides))
    padded[:, *there] = found
    return padded


def _run(
    score: Score, pieces: Iterable[Tensor], patch: Size, total: int, device: torch.device, done: Done | None
) -> Iterator[Tensor]:
    """(*patch, K) of each window, in order."""
    many = max(1, TOGETHER.get(device.type, TOGETHER["cpu"]) // prod(patch))
    left, n = iter(pieces), 0
    while group := list(islice(left, many)):
        # here, not as a decorator of the generators: that would keep the part they gave last
        with full_float32(device), torch.inference_mode():
            scores = score(torch.stack(group))
        n += len(group)
        if done is not None:
            done(n, total)
        yield from scores.movedim(1, -1)
        del scores  # let go before the next ones are made


def _classes_first(bands: Iterable[tuple[Tile, Tensor]]) -> Iterator[Tensor]:
    """(K, n, ...) of (n, ..., K)."""
    for _, band in bands:
        yield band.movedim(-1, 0)
        del band  # a part may be large: it is let go before the next one is made


def _cropped(bands: Iterable[Tensor], inside: tuple[slice, ...]) -> Iterator[Tensor]:
    """Parts along the first axis without the padding."""
    start = 0
    for band in bands:
        stop = start + band.shape[1]
        low, high = max(inside[0].start, start), min(inside[0].stop, stop)
        if low < high:
            yield band[:, low - start : high - start, *inside[1:]]
        start = stop
        del band

"""The deep CRF as a refiner: learnt pairwise energies and mean field on a grid of nodes, in tiles."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hyperseg.core import SegmentationMap, tiles
from hyperseg.crf.grid import direction, ends
from hyperseg.crf.meanfield import infer
from hyperseg.crf.piecewise import Pairwise
from hyperseg.crf.settings import DeepCRF

FLOOR = 1e-5  # probabilities are raised to this before the logarithm, as for the dense CRF
Window = tuple[tuple[int, int], ...]  # (start, stop) per axis


def log_probs(probs: NDArray[np.float32], device: torch.device | str) -> Tensor:
    """(H, W, K) probabilities of a map -> (K, H, W) logarithms on the device, from `FLOOR` on."""
    return torch.from_numpy(probs).to(device).clamp(min=FLOOR).log().permute(2, 0, 1)


def pooled(values: Tensor, stride: int, *, valid: Tensor | None = None) -> Tensor:
    """(C, H, W) pixels -> (C, ceil(H / stride), ceil(W / stride)) means over cells; cut cells count what is there.

    With `valid`, (H, W) bool, the means are over valid pixels; 0 in cells without any.
    """
    if valid is not None:
        values = torch.where(valid, values, values.new_zeros(()))
    if stride == 1:
        return values
    means = F.avg_pool2d(values[None], stride, ceil_mode=True)[0]
    if valid is None:
        return means
    share = F.avg_pool2d(valid[None, None].to(values.dtype), stride, ceil_mode=True)[0]
    return means / torch.where(share > 0, share, 1.0)


@torch.inference_mode()
def apply_deep_crf(
    map: SegmentationMap,
    pairwise: Pairwise,
    features: Callable[[Window], Tensor],
    settings: DeepCRF,
    *,
    tile: int = 256,
    device: torch.device | str = "cpu",
    warn: bool = True,
    by: str = "CRF",
    progress: Callable[[int, int], None] | None = None,
) -> SegmentationMap:
    """Refine a map tile by tile; the answer does not depend on the tiles, and memory not on the scene.

    A node's unary energy is the mean of -log P over the valid pixels of its cell. Mean field changes the distribution
    of a node; every pixel of the cell is changed by the same ratio, so that detail finer than the nodes stays.

    Args:
        map: (H, W, K) the map to refine.
        pairwise: the learnt heads, in evaluation mode.
        features: a window in pixels -> (F, h, w) features of its pixels, on the device.
        settings: of the field.
        tile: side of a tile in nodes.
        device: where to compute.
        warn: say so where mean field has not settled.
        by: what the map's chain calls it.
        progress: called with (pixels done, pixels in all).

    Raises:
        SettingError: the sequential order in more than one tile: it has no reach.
    """
    nodes = tuple(-(-n // settings.stride) for n in map.shape)
    out = np.empty_like(map.probs)
    halo = settings.inference.reach(settings.radius) if max(nodes) > tile else 0
    done = 0
    for part in tiles(nodes, size=(tile, tile), halo=halo):
        window = pixels_of(part.read, map.shape, settings.stride)
        inside = pixels_of(part.core, map.shape, settings.stride)
        at = tuple(slice(a, b) for a, b in window)
        valid = None if map.valid is None else torch.from_numpy(map.valid[at]).to(device)
        (top, _), (left, _) = part.read
        logs = context(
            log_probs(map.probs[at], device), features(window), pairwise, settings, valid=valid, origin=(top, left),
            warn=warn,
        )  # fmt: skip
        cut = [slice(a - w, b - w) for (a, b), (w, _) in zip(inside, window, strict=True)]
        out[tuple(slice(a, b) for a, b in inside)] = logs[:, cut[0], cut[1]].softmax(0).permute(1, 2, 0).cpu().numpy()
        done += int(np.prod([b - a for a, b in inside]))
        if progress is not None:
            progress(done, int(np.prod(map.shape)))
    return map.refined(out, by)


def context(
    logs: Tensor,
    features: Tensor,
    pairwise: Pairwise,
    settings: DeepCRF,
    *,
    valid: Tensor | None = None,
    origin: tuple[int, int] = (0, 0),
    warn: bool = True,
) -> Tensor:
    """(K, H, W) log-probabilities of pixels -> the same after mean field on their nodes, up to a constant.

    Args:
        logs: (K, H, W).
        features: (F, H, W) of the same pixels.
        pairwise, settings, warn: see `apply_deep_crf`.
        valid: (H, W) bool; cells without any valid pixel take no part.
        origin: node of the upper left corner in the whole grid, for orders that depend on it.
    """
    stride = settings.stride
    energies = -pooled(logs, stride, valid=valid)
    live = None if valid is None else pooled(valid[None].float(), stride)[0] > 0
    tables = pairwise.tables(
        pooled(features, stride, valid=valid)[None], radius=settings.radius, heads=settings.heads, form=settings.form
    )
    found = infer(
        energies, {offset: table[0] for offset, table in tables.items()}, settings=settings.inference, live=live,
        weight=settings.weight, origin=origin, warn=warn,
    )  # fmt: skip
    change = found.q.clamp(min=torch.finfo(torch.float32).tiny).log() - (-energies).log_softmax(0)
    if stride > 1:
        change = change.repeat_interleave(stride, 1).repeat_interleave(stride, 2)
    return logs + change[:, : logs.shape[1], : logs.shape[2]]


def pixels_of(window: Window, shape: tuple[int, ...], stride: int) -> Window:
    """The pixels, (start, stop) per axis, of a window of nodes."""
    return tuple((a * stride, min(b * stride, n)) for (a, b), n in zip(window, shape, strict=True))


@torch.inference_mode()
def class_tables(
    logs: Tensor, features: Tensor, pairwise: Pairwise, settings: DeepCRF, *, valid: Tensor | None = None
) -> dict[str, NDArray[np.float64]]:
    """Mean P(y_p, y_q | x) over all edges of a grid, per direction: (K, K), [first, second], sums to one.

    Args:
        logs: (K, h, w) log-probabilities of the nodes.
        features: (F, h, w).
        pairwise: in evaluation mode.
        settings: form and share of the heads; the weight is 1 here.
        valid: (h, w) bool, edges at other nodes are left out.
    """
    found: dict[str, NDArray[np.float64]] = {}
    for offset, energy in pairwise.tables(features[None], heads=settings.heads, form=settings.form).items():
        first, second = ends(offset)
        scores = -energy[0]
        if settings.form == "residual":
            scores = scores + logs[:, None, *first] + logs[None, :, *second]
        joint = scores.flatten(0, 1).softmax(0).view_as(scores)
        if valid is not None:
            joint = joint[:, :, valid[first] & valid[second]]
        found[direction(offset)] = joint.flatten(2).double().mean(-1).cpu().numpy()
    return found

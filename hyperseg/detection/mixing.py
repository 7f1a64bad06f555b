"""MixUp at two levels: of whole patches with their targets, and of single objects in their boxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

_LINEAR = {2: "bilinear", 3: "trilinear"}


class Mixed(NamedTuple):
    """Patches after MixUp.

    Attributes:
        images: (B, C, *S).
        targets: (B, N).
        share: (B,) of each patch's own, at least 1/2.
        partner: (B,) whose is the rest.
    """

    images: Tensor
    targets: Tensor
    share: Tensor
    partner: Tensor


def shares(count: int, eta: float, rng: np.random.Generator) -> np.ndarray:
    """`count` draws of max(l, 1 - l) with l ~ Beta(eta, eta): the first of two always keeps the larger part."""
    drawn = rng.beta(eta, eta, count)
    return np.maximum(drawn, 1 - drawn)


def mixed(images: Tensor, targets: Tensor, share: Tensor, partner: Tensor) -> Mixed:
    """share x + (1 - share) x[partner], of images (B, C, *S) and of targets (B, N) alike."""
    wide = share.to(images).view(-1, *(1,) * (images.ndim - 1))
    long = share.to(targets)[:, None]
    return Mixed(torch.lerp(images[partner], images, wide), torch.lerp(targets[partner], targets, long), share, partner)


def mix_images(images: Tensor, targets: Tensor, *, eta: float, rng: np.random.Generator) -> Mixed:
    """MixUp of whole patches: every one gets a partner of the batch, with labels or without.

    Source: Wang et al., "FocalMix", CVPR 2020, image-level MixUp (read second-hand); Berthelot et al., "MixMatch",
        NeurIPS 2019, equations 8 to 11.
    """
    share = torch.from_numpy(shares(len(images), eta, rng)).to(images)
    partner = torch.from_numpy(rng.permutation(len(images))).to(images.device)
    return mixed(images, targets, share, partner)


def shaken(images: Tensor, strength: float, rng: np.random.Generator) -> Tensor:
    """Contrast times 1 +- s, brightness +- s and noise of at most s, in the standard deviation of each channel.

    Args:
        images: (B, C, *S); channels of a patch change alike, each in its own spread, but for the noise.
        strength: s; 0 changes nothing.

    Differs: not of the paper; targets are predicted before it, so that a patch is learnt as it was seen undisturbed.
    """
    if strength == 0:
        return images
    drawn = torch.from_numpy(rng.uniform(-strength, strength, (3, len(images)))).to(images)
    contrast, brightness, amount = drawn.view(3, -1, *(1,) * (images.ndim - 1))
    axes = tuple(range(2, images.ndim))
    middle, spread = images.mean(axes, keepdim=True), images.std(axes, keepdim=True)
    noise = torch.from_numpy(rng.standard_normal(tuple(images.shape), np.float32)).to(images)
    return middle + (images - middle) * (1 + contrast) + spread * (brightness + amount.abs() * noise)


def mix_objects(images: Tensor, boxes: Sequence[Tensor], *, eta: float, rng: np.random.Generator) -> Tensor:
    """MixUp of objects: each is mixed, inside its box, with another object of the batch that is resized to it.

    Nothing outside of the boxes changes, and targets stay as they are: an object stays an object. A box at the border
    counts as far as the image goes; where the batch holds one object, nothing changes.

    Args:
        images: (B, C, *S); they are not written to.
        boxes: for every image its objects, (M_i, 2n), labelled ones or confident predicted ones.

    Source: Wang et al., "FocalMix", CVPR 2020, object-level MixUp (read second-hand).
    """
    places = [(i, window) for i, own in enumerate(boxes) for box in own.tolist() if (window := voxels(box, images))]
    if len(places) < 2:
        return images
    result = images.clone()
    mode, share = _LINEAR[images.ndim - 2], shares(len(places), eta, rng)
    for number, (i, window) in enumerate(places):
        other = int(rng.integers(len(places) - 1))
        j, there = places[other + (other >= number)]
        own, theirs = images[i][:, *window], images[j][:, *there]
        theirs = F.interpolate(theirs[None], size=own.shape[1:], mode=mode, align_corners=False)[0]
        result[i][:, *window] = torch.lerp(theirs, own, float(share[number]))
    return result


def voxels(box: Sequence[float], images: Tensor) -> tuple[slice, ...]:
    """The voxels of an image that lie in a box, lo <= v < hi; nothing where there are none."""
    n = len(box) // 2
    ends = images.shape[2:]
    cut = [
        (max(int(np.ceil(low)), 0), min(int(np.ceil(high)), end))
        for low, high, end in zip(box[:n], box[n:], ends, strict=True)
    ]
    return tuple(slice(a, b) for a, b in cut) if all(a < b for a, b in cut) else ()

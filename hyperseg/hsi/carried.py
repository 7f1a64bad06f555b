"""Weights learnt without labels taken up by the network of a scene, whose bands are whitened by its own classes.

Both whitenings are symmetric, so that a band stays a band, and a weight over it means nearly the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hyperseg.backbone import ConvBlock
from hyperseg.backbone.blocks import ResidualBlock
from hyperseg.backbone.conv import Conv
from hyperseg.backbone.layers import BATCH_NORMS
from hyperseg.backbone.pretrained import Pretrained, load_pretrained
from hyperseg.core import RunError, SettingError
from hyperseg.core.settings import from_json, required, settings, to_json
from hyperseg.data.preprocess import Preprocess
from hyperseg.hsi.networks import NetworkSpec, SpectralSpatialNet

PARTS = ("collapse", "spatial")
WEIGHT = "collapse.0.conv.layer.weight"
FREE = ("n_features", "n_classes", "dropout", "initial_scale")  # in which two networks may differ


@settings
class Reads:
    """What the network of a weights file reads: some of the bands."""

    n_bands: int = required("Of the raw cube.", low=1)
    keep: tuple[int, ...] = required("Indices of those in use, ascending.", low=0)


def parts_of(net: nn.Module) -> tuple[str, ...]:
    """The modules that are learnt without labels: all but the head.

    Raises:
        SettingError: another network than one that begins with a 1x1 convolution over all bands.
    """
    if not isinstance(net, SpectralSpatialNet) or net.spectral is not None:
        raise SettingError(
            f"its network ({type(net).__name__}) does not begin with one convolution over the whole spectrum, "
            "whose weights it could take up: take the default method."
        )
    return PARTS if net.spatial is not None else PARTS[:1]


def network_of(net: SpectralSpatialNet, preprocess: Preprocess) -> dict[str, Any]:
    """JSON of what has to be known of a network to take up its weights."""
    keep = tuple(np.flatnonzero(preprocess.keep).tolist())
    return {"spec": to_json(net.spec), "reads": to_json(Reads(preprocess.n_bands, keep))}


def carry_over(given: Pretrained, net: nn.Module, preprocess: Preprocess) -> None:
    """Give a fresh network, in place, the weights of a file; its head stays as it is.

    A band that the file does not know gets no weight. Weights before batch norms are made as long as the fresh ones
    were, batch statistics with them: that changes no output, and a step of the training that follows turns them as far
    as it would turn fresh ones. Ours. To solve for weights that compute the same from other features was no better
    (docs/benchmarks.md).

    Args:
        given: `about` has "network" as `network_of` made it.
        net: fresh; built for `preprocess`.
        preprocess: raw spectra -> what it reads.

    Raises:
        SettingError: a network of another kind.
        RunError: what was learnt for another number of bands, another window or width; or for folders.
    """
    parts_of(net)
    assert isinstance(net, SpectralSpatialNet)
    reads = _agreed(given, net.spec, preprocess)
    fresh = [lengths(conv) for conv, _ in normalised(net)]
    keep = np.flatnonzero(preprocess.keep)
    if net.spec.n_features != len(keep):
        raise RunError(
            f"{given.source} was learnt on single bands, this network reads {net.spec.n_features} averages of "
            f"{len(keep)}: leave averaged out, or train without these weights."
        )
    both = np.intersect1d(keep, reads.keep)
    ours, theirs = (torch.from_numpy(np.searchsorted(of, both)) for of in (keep, reads.keep))
    weight = given.tensors[WEIGHT]
    own = weight.new_zeros(len(weight), len(keep), 1, 1)
    own[:, ours] = weight[:, theirs]
    load_pretrained(replace(given, tensors={**given.tensors, WEIGHT: own}), net)
    for (conv, norm), length in zip(normalised(net), fresh, strict=True):
        _rescale(conv, norm, length)


def lengths(conv: Conv) -> Tensor:
    """The mean length of the weights of an output channel, a scalar."""
    weight: Tensor = conv.layer.weight  # type: ignore[assignment]
    return weight.detach().flatten(1).norm(dim=1).mean()


def normalised(net: nn.Module) -> Iterator[tuple[Conv, nn.BatchNorm2d]]:
    """Convolutions with the batch norm behind them."""
    for block in net.modules():
        if isinstance(block, ConvBlock | ResidualBlock) and isinstance(block.finish.norm, BATCH_NORMS):
            yield block.conv, block.finish.norm  # type: ignore[misc]


@torch.no_grad()
def _rescale(conv: Conv, norm: nn.BatchNorm2d, length: Tensor) -> None:
    """Weights of every output channel of this length, statistics behind them to match: the same function."""
    weight: Tensor = conv.layer.weight  # type: ignore[assignment]
    assert norm.running_mean is not None
    assert norm.running_var is not None
    own = weight.flatten(1).norm(dim=1)
    factor = torch.where(own > 0, length / own, torch.ones_like(own))
    weight.mul_(factor.view(-1, *[1] * (weight.ndim - 1)))
    norm.running_mean.mul_(factor)
    norm.running_var.mul_(factor**2)


def _agreed(given: Pretrained, spec: NetworkSpec, preprocess: Preprocess) -> Reads:
    """What the file's network reads, where both can agree."""
    if given.about.get("kind") != "scene":
        raise RunError(
            f"{given.source} was not learnt on scenes: make weights for this method with hyperseg pretrain SCENE."
        )
    try:
        theirs = from_json(NetworkSpec, given.about["network"]["spec"])
        reads = from_json(Reads, given.about["network"]["reads"])
    except (KeyError, TypeError, SettingError) as error:
        raise RunError(f"{given.source} does not say what its network reads ({error}): write it again.") from error
    if reads.n_bands != preprocess.n_bands:
        raise RunError(
            f"{given.source} was learnt with {reads.n_bands} bands (this scene: {preprocess.n_bands}). Pre-train on "
            "scenes of this sensor, or classify without these weights."
        )
    names = [f.name for f in fields(spec) if f.name not in FREE and getattr(theirs, f.name) != getattr(spec, f.name)]
    if names:
        what = ", ".join(f"{n} {getattr(theirs, n)} (this network: {getattr(spec, n)})" for n in names)
        window_alone = len(names) == 1 and theirs.blocks != spec.blocks
        wanted = f"--window {4 * theirs.blocks + 1}" if window_alone else "the settings that the file has"
        raise RunError(
            f"{given.source} was learnt with {what}. Classify with {wanted}, or pre-train with those of this network."
        )
    return reads

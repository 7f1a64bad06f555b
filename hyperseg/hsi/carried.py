"""Weights learnt on one preprocessing carried over to another: the function stays, not the numbers.

Pre-training has no labels, and whitens bands by something else than the classes of training pixels. So what is kept on
disk reads standardised bands, and what takes it up solves for the weights that compute the same from its own features.
"""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyperseg.backbone import ConvBlock, absorb_linear
from hyperseg.backbone.blocks import ResidualBlock
from hyperseg.backbone.conv import BATCH_NORMS, Conv
from hyperseg.backbone.pretrained import Pretrained, load_pretrained
from hyperseg.core import RunError, SettingError
from hyperseg.core.settings import from_json, required, settings, to_json
from hyperseg.data.preprocess import Preprocess
from hyperseg.hsi.networks import NetworkSpec, SpectralSpatialNet

PARTS = ("collapse", "spatial")
WEIGHT, MEAN = "collapse.0.conv.layer.weight", "collapse.0.finish.norm.running_mean"
FREE = ("n_features", "n_classes", "dropout", "initial_scale")  # in which two networks may differ


@settings
class Reads:
    """What the network of a weights file reads: raw bands, some of them, standardised."""

    n_bands: int = required("Of the raw cube.", low=1)
    keep: tuple[int, ...] = required("Indices of those in use, ascending.", low=0)
    mean: tuple[float, ...] = required("Of each of these, taken off first.")
    std: tuple[float, ...] = required("Of each of these, what is left is divided by it.", above=0)


def parts_of(net: nn.Module) -> tuple[str, ...]:
    """The modules that are learnt without labels: all but the head.

    Raises:
        SettingError: another network than one that begins with a 1x1 convolution over all bands.
    """
    if not isinstance(net, SpectralSpatialNet) or net.spectral is not None:
        raise SettingError(
            f"its network ({type(net).__name__}) does not begin with one convolution over the whole spectrum, into "
            "which another scaling of the bands could be folded: take the default method."
        )
    return PARTS if net.spatial is not None else PARTS[:1]


def on_standardised(net: SpectralSpatialNet, preprocess: Preprocess) -> tuple[SpectralSpatialNet, dict[str, Any]]:
    """A copy of the network that reads standardised bands, and JSON of what has to be known to take it up."""
    copy = deepcopy(net)
    if preprocess.components is not None:
        absorb_linear(copy.collapse[0], torch.from_numpy(preprocess.components))
    keep = tuple(np.flatnonzero(preprocess.keep).tolist())
    mean, std = (tuple(map(float, values)) for values in (preprocess.mean, preprocess.std))
    reads = Reads(preprocess.n_bands, keep, mean, std)
    return copy, {"spec": to_json(net.spec), "reads": to_json(reads)}


def carry_over(given: Pretrained, net: nn.Module, preprocess: Preprocess) -> None:
    """Give a fresh network, in place, the function of a weights file; its head stays as it is.

    With raw spectra that vary in the same bands it computes the same features, up to rounding. Weights before batch
    norms are then made as long as the fresh ones were, batch statistics with them: that changes no output, and a step
    of the training that follows turns them as far as it would turn fresh ones. Ours.

    Args:
        given: as `on_standardised` made it.
        net: fresh; built for `preprocess`.
        preprocess: raw spectra -> what it reads.

    Raises:
        SettingError: a network of another kind.
        RunError: what was learnt for another number of bands, another window or width; or for folders.
    """
    parts_of(net)
    assert isinstance(net, SpectralSpatialNet)
    reads = _agreed(given, net.spec, preprocess)
    fresh = [(conv, lengths(conv)) for conv, _ in normalised(net)]
    raw = _square(preprocess, given)
    keep = np.flatnonzero(preprocess.keep)
    both = np.intersect1d(keep, reads.keep)  # a band that one of them dropped is constant there, and tells nothing
    ours, theirs = np.searchsorted(keep, both), np.searchsorted(reads.keep, both)
    weight = given.tensors[WEIGHT].double().numpy()[:, :, 0, 0]
    per_raw = np.zeros((len(weight), len(keep)))
    per_raw[:, ours] = weight[:, theirs] / np.asarray(reads.std)[theirs]
    shift = np.zeros(len(keep))
    shift[ours] = np.asarray(reads.mean)[theirs] - preprocess.mean[ours]
    solved = np.linalg.solve(raw.T, per_raw.T).T  # solved @ raw == per_raw
    tensors = dict(given.tensors)
    tensors[WEIGHT] = torch.from_numpy(solved).float()[:, :, None, None]
    tensors[MEAN] = tensors[MEAN] + torch.from_numpy(per_raw @ shift).float()
    load_pretrained(replace(given, tensors=tensors), net)
    for (conv, norm), (_, before) in zip(normalised(net), fresh, strict=True):
        _rescale(conv, norm, before)


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
    differ = [(f"{reads.n_bands} bands", f"{preprocess.n_bands}")] if reads.n_bands != preprocess.n_bands else []
    differ += [
        (f"{f.name} {getattr(theirs, f.name)}", str(getattr(spec, f.name)))
        for f in fields(spec) if f.name not in FREE and getattr(theirs, f.name) != getattr(spec, f.name)
    ]  # fmt: skip
    if differ:
        what = ", ".join(f"{one} (this network: {own})" for one, own in differ)
        raise RunError(
            f"{given.source} was learnt with {what}. A block is 4 pixels of --window. Pre-train on this sensor with "
            "the same window, or classify with the window that the file has."
        )
    return reads


def _square(preprocess: Preprocess, given: Pretrained) -> NDArray[np.float64]:
    """(C', C') the linear part of the preprocessing, from raw bands that are kept to features."""
    matrix = np.diag(1 / preprocess.std.astype(np.float64))
    if preprocess.components is not None:
        matrix = preprocess.components.astype(np.float64) @ matrix
    if len(matrix) != len(preprocess.mean):
        raise RunError(
            f"{given.source} was learnt on single bands, this network reads {len(matrix)} averages of "
            f"{len(preprocess.mean)}: leave averaged out, or train without these weights."
        )
    return matrix

"""The global contrastive loss: embeddings of whole slices, alike in pairs and apart from the rest."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from hyperseg.contrast.pairs import Pairs, masks
from hyperseg.core import SettingError


def global_loss(
    z: Tensor, image: Tensor, volume: Tensor, partition: Tensor, *, pairs: Pairs, temperature: float = 0.1
) -> Tensor:
    """Mean over ordered positive pairs (a, b) of -log e^{s(a,b)} / (e^{s(a,b)} + sum over negatives c of e^{s(a,c)}).

    s is the cosine over the temperature. With gr this is NT-Xent of SimCLR.

    Args:
        z: (N, E) embeddings of all views of a batch.
        image, volume, partition: (N,) int64, see `pairs.masks`; on the CPU nobody has to wait for a device.
        pairs: see `pairs.masks`.
        temperature: above 0.

    Returns:
        A scalar, float32 or of z's type where that is float64.

    Source: Chaitanya et al., "Contrastive learning of global and local features for medical image segmentation with
    limited annotations", NeurIPS 2020, section 3.1.
    Differs: the sum over ordered pairs is divided by their number, there by that of the images (gd- has two pairs for
    each image): so the value means the same for all pairs, and is `collapse_value` when all embeddings are equal. All
    pairs of volumes of a batch take part in gd, each view once; there each volume has other views in each pair.

    Raises:
        SettingError: see `pairs.masks`.
    """
    if z.ndim != 2 or len(z) != len(image):
        raise SettingError(f"z is (views, features) of {len(image)} views, got {tuple(z.shape)}.")
    check_temperature(temperature)
    positive, negative = (mask.to(z.device) for mask in masks(image, volume, partition, pairs=pairs))
    vectors = unit(z)
    s = vectors @ vectors.T / temperature
    others = s.masked_fill(~negative, -torch.inf).logsumexp(1, keepdim=True)
    each = torch.logaddexp(s, others) - s
    return (each * positive).sum() / positive.sum()


def collapse_value(image: Tensor, volume: Tensor, partition: Tensor, *, pairs: Pairs) -> float:
    """What `global_loss` is when all embeddings are equal: the mean over positive pairs of ln(1 + negatives of a)."""
    positive, negative = masks(image, volume, partition, pairs=pairs)
    each = negative.sum(1).double().log1p()
    pairs_of = positive.sum(1).double()
    return float((each * pairs_of).sum() / pairs_of.sum())


def unit(x: Tensor) -> Tensor:
    """Vectors along the last axis divided by their length; half precision becomes float32."""
    return F.normalize(x if x.dtype == torch.float64 else x.float(), dim=-1)


def check_temperature(temperature: float) -> None:
    if not temperature > 0:
        raise SettingError(f"temperature is above 0, got {temperature}: 0.1 is that of the paper.")

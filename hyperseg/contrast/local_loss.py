"""The local contrastive loss: regions of a map, alike under changes of brightness and apart from each other."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hyperseg.contrast.global_loss import check_temperature, unit
from hyperseg.contrast.regions import NEGATIVES, Regions
from hyperseg.core import SettingError

__all__ = ["Regions", "local_collapse_value", "local_loss"]

ACROSS = 4  # negatives of a pair of regions of two volumes, from each of the two


def local_loss(
    a: Tensor, b: Tensor, regions: Regions, *, temperature: float = 0.1,
    volume: Tensor | None = None, partition: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Mean of -log e^{s(p,q)} / (e^{s(p,q)} + sum over regions r' of e^{s(p,a_r')} + e^{s(p,b_r')}).

    s is the cosine over the temperature; p and q are one region of the two views, both ways round, and r' are the
    region's 5 negatives. This is L^R. With `volume` and `partition` it is L^D: to these terms come those of the same
    region of the same partition in every other volume, first views, p of one slice and q of the other, r' the first 4
    negatives in both; the mean is over all terms.

    Args:
        a, b: (B, C, *S) maps of two views of the same slices that show the same places: no crop, no turn.
        regions: of maps of this size.
        temperature: above 0.
        volume, partition: (B,) int64, both or none.

    Returns:
        A scalar, float32 or of a's type where that is float64.

    Source: Chaitanya et al. 2020, section 3.2.
    Differs: which negatives L^D takes, and that it takes all other volumes of the batch, is our reconstruction. Regions
    are compared as they are, without a linear map of their values (optional there).

    Raises:
        SettingError: maps of different or other sizes; one of volume and partition alone; no two slices of one
            partition and different volumes.
    """
    if a.shape != b.shape:
        raise SettingError(
            f"two views of the same slices have maps of one shape, got {tuple(a.shape)}, {tuple(b.shape)}."
        )
    check_temperature(temperature)
    p, q = unit(regions.of(a)), unit(regions.of(b))
    terms = [_terms(p, q, regions.negatives, temperature), _terms(q, p, regions.negatives, temperature)]
    if (across := _across(volume, partition)) is not None:
        first, second = (one.to(p.device) for one in across)
        terms.append(_terms(p[first], p[second], regions.negatives[:, :ACROSS], temperature))
    return torch.cat([one.flatten() for one in terms]).mean()


def local_collapse_value(volume: Tensor | None = None, partition: Tensor | None = None) -> float:
    """What `local_loss` is when all regions are equal: ln 11 of L^R, and less of L^D, which has fewer negatives."""
    own = math.log1p(2 * NEGATIVES)
    across = _across(volume, partition)
    if across is None or partition is None:
        return own
    n_own, n_across = 2 * len(partition), len(across[0])
    return (n_own * own + n_across * math.log1p(2 * ACROSS)) / (n_own + n_across)


def _terms(p: Tensor, q: Tensor, negatives: Tensor, temperature: float) -> Tensor:
    """(B, A, D) unit vectors of regions of two maps -> (B, A), p drawn to q at the same region."""
    table = negatives.to(p.device).expand(len(p), -1, -1)
    within, between = p @ p.mT / temperature, p @ q.mT / temperature
    s = between.diagonal(dim1=1, dim2=2)
    others = torch.cat((within.gather(2, table), between.gather(2, table)), 2).logsumexp(2)
    return torch.logaddexp(s, others) - s


def _across(volume: Tensor | None, partition: Tensor | None) -> tuple[Tensor, Tensor] | None:
    """Ordered pairs of slices of one partition and different volumes; None where neither is given."""
    if volume is None and partition is None:
        return None
    if volume is None or partition is None:
        raise SettingError("give both, volume and partition of every slice, or none of them.")
    alike = (partition[:, None] == partition) & (volume[:, None] != volume)
    first, second = alike.nonzero(as_tuple=True)
    if not len(first):
        raise SettingError("no two slices are of one partition and different volumes: draw more volumes for a batch.")
    return first, second

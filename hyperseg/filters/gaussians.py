"""Gaussian filters of a batch of small or large images: as a matrix where that fits, by the lattice elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from hyperseg.filters.lattice import Lattice

Filter = Callable[[Tensor], Tensor]
MATRIX = 600  # points: up to here the N x N matrix is the faster one on a CPU (289: a third of the time; 1089: 3 times)


def gaussian_filter(features: Tensor, *, matrix: int = MATRIX) -> Filter:
    """The linear map by the kernel exp(-|f_i - f_j|^2 / 2), normalised to D^-1/2 G D^-1/2, of one image or of each.

    Both ways are differentiable in the values that they filter, not in the features. They differ by the lattice's
    error: probabilities come out alike to 0.005 in the mean, a pixel whose guide has no like may differ by 0.5.

    Args:
        features: (B, N, d) coordinates in units of the standard deviation; (1, N, d) where all images have the same.
        matrix: up to so many points the product is exact, with the matrix written out; for more it is the lattice's.

    Returns:
        A map of values (B, N, K) to (B, N, K), of the features' device and number type.

    Raises:
        SettingError: by the lattice, see there.
    """
    with torch.no_grad():
        if features.shape[1] <= matrix:
            kernel = gaussian(features)
            return partial(_exact, kernel, kernel.sum(2, keepdim=True).rsqrt_())
        lattices = [Lattice(each, device=each.device, dtype=each.dtype) for each in features]
    return partial(_by_lattice, lattices)


def gaussian(features: Tensor) -> Tensor:
    """(B, N, d) -> (B, N, N), exp(-|f_i - f_j|^2 / 2); the square is multiplied out, which is fast."""
    centred = features - features.mean(1, keepdim=True)
    squares = centred.square().sum(2).mul_(-0.5)
    exponent = torch.baddbmm(squares.unsqueeze(1), centred, centred.transpose(1, 2)).add_(squares.unsqueeze(2))
    return exponent.clamp_(max=0).exp_()


def _exact(kernel: Tensor, scale: Tensor, values: Tensor) -> Tensor:
    scaled = scale * values
    if len(kernel) < len(values):
        return scale * _apart(kernel[0] @ _beside(scaled), values)
    # the few columns first: a CPU multiplies so twice as fast
    return scale * torch.bmm(scaled.transpose(1, 2), kernel).transpose(1, 2)


def _by_lattice(lattices: list[Lattice], values: Tensor) -> Tensor:
    if len(lattices) == len(values):
        return torch.stack([lattice(each) for lattice, each in zip(lattices, values, strict=True)])
    (shared,) = lattices
    return _apart(shared(_beside(values)), values)


def _beside(values: Tensor) -> Tensor:
    """(B, N, K) -> (N, B K): what one kernel filters at once."""
    return values.transpose(0, 1).flatten(1)


def _apart(found: Tensor, like: Tensor) -> Tensor:
    return found.unflatten(1, (len(like), -1)).transpose(0, 1)

"""Filters of batches: the matrix written out, the lattice beside it, and their gradients."""

from __future__ import annotations

import pytest
import torch
from exact_kernels import exact_kernel
from torch import Tensor

from hyperseg.filters.gaussians import gaussian_filter

LATTICE = 0  # of no image the matrix


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def test_each_image_is_filtered_with_its_own_kernel() -> None:
    features, values = 2 * drawn(3, 30, 4), drawn(3, 30, 5, seed=1)
    found = gaussian_filter(features)(values)
    for image, each, mine in zip(features, values, found, strict=True):
        assert torch.allclose(mine, exact_kernel(image.numpy())(each), atol=1e-12)


@pytest.mark.parametrize("matrix", [30, LATTICE])
def test_one_kernel_for_all_is_the_same_kernel_for_each(matrix: int) -> None:
    features, values = drawn(1, 30, 2), drawn(3, 30, 5, seed=1)
    once = gaussian_filter(features, matrix=matrix)(values)
    each = gaussian_filter(features.expand(3, -1, -1), matrix=matrix)(values)
    assert once.shape == values.shape
    assert torch.allclose(once, each, atol=1e-12)


def test_far_from_the_origin_the_kernel_is_the_same() -> None:
    """Squares are multiplied out: in single precision a common offset would drown the distances."""
    features, values = drawn(1, 30, 3).float(), drawn(1, 30, 2, seed=1).float()
    assert torch.allclose(gaussian_filter(features + 500)(values), gaussian_filter(features)(values), atol=1e-3)


def test_the_lattice_is_near_the_matrix() -> None:
    features = 3 * torch.rand(2, 900, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    smooth = (0.5 + 0.5 * features.sum(2, keepdim=True).sin()).expand(-1, -1, 2)
    exact, near = (gaussian_filter(features, matrix=matrix)(smooth) for matrix in (900, 899))
    assert 0 < (exact - near).abs().max() < 0.06


@pytest.mark.parametrize("matrix", [12, LATTICE])
@pytest.mark.parametrize("images", [1, 2])
def test_gradients_of_filters(matrix: int, images: int) -> None:
    each = gaussian_filter(drawn(images, 12, 3), matrix=matrix)
    assert torch.autograd.gradcheck(each, drawn(2, 12, 2, seed=1).requires_grad_())

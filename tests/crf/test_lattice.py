"""The permutohedral lattice: partition of unity, symmetry, equality with pydensecrf, nearness to exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from made import exact_kernel
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from hyperseg.core import SettingError
from hyperseg.crf.dense import mean_field
from hyperseg.crf.kernels import Kernels
from hyperseg.crf.lattice import Lattice

SEED = 7


def random_features(d: int, n: int = 300, spread: float = 2.0) -> NDArray[np.float32]:
    return (np.random.default_rng(SEED).standard_normal((n, d)) * spread).astype(np.float32)


@pytest.mark.parametrize("d", [1, 2, 3, 5, 8])
def test_splat_is_a_partition_of_unity(d: int) -> None:
    lattice = Lattice(random_features(d), dtype=torch.float64)
    splat = lattice.splat_matrix.to_dense()
    assert splat.min() >= -1e-7
    torch.testing.assert_close(splat.sum(0), torch.ones(300, dtype=torch.float64), atol=1e-7, rtol=0)
    torch.testing.assert_close(lattice.slice_matrix.to_dense(), splat.T)


@pytest.mark.parametrize("d", [1, 2, 5])
def test_every_blur_is_symmetric_with_at_most_two_neighbours(d: int) -> None:
    lattice = Lattice(random_features(d))
    assert len(lattice.blurs) == d + 1
    for blur in lattice.blurs:
        dense = blur.to_dense()
        assert torch.equal(dense, dense.T)
        assert torch.equal(dense.diagonal(), torch.ones(lattice.n_vertices))
        assert dense.sum(1).max() <= 2.0
    assert sum(int(blur.values().numel()) for blur in lattice.blurs) > (d + 1) * lattice.n_vertices


def test_one_dimension_is_linear_interpolation_on_a_line() -> None:
    """The corners are equally spaced knots and the weights interpolate linearly between them."""
    x = np.linspace(0, 4, 200, dtype=np.float64)[:, None]
    lattice = Lattice(x, dtype=torch.float64)
    spacing = np.sqrt(3) / 2  # standard deviations
    np.testing.assert_equal(lattice.n_vertices, int(np.ceil(4 / spacing)) + 1)
    corners = lattice.slice_matrix.to_dense().numpy()
    at = np.linalg.lstsq(corners, x[:, 0], rcond=None)[0]
    np.testing.assert_allclose(corners @ at, x[:, 0], atol=1e-12)
    np.testing.assert_allclose(np.diff(np.sort(at)), spacing, atol=1e-12)


def test_a_point_so_far_away_that_corners_are_hashed_changes_nothing() -> None:
    """Corners over 2^18 steps in each of 4 dimensions have more numbers than fit into 62 bits."""
    features = random_features(4)
    far = np.float32([[2**18, -(2**19), 2**18 + 3, 2**20]])
    values = torch.rand(301, 2, generator=torch.Generator().manual_seed(0))
    counted, hashed = Lattice(features), Lattice(np.vstack([features, far]))
    assert hashed.n_vertices == counted.n_vertices + 5
    torch.testing.assert_close(hashed(values)[:-1], counted(values[:-1]), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("d", "tolerance"), [(1, 0.04), (2, 0.045), (3, 0.04), (5, 0.06)])
def test_approximates_the_exact_kernel(d: int, tolerance: float) -> None:
    """Densely sampled points, smooth values in 0..1: the largest error of one filtering.

    Measured with these points: 0.028, 0.033, 0.028 and 0.043 for d = 1, 2, 3 and 5. The lattice is a coarse
    approximation of the Gaussian; that it equals pydensecrf (below) is a statement about the same lattice.
    """
    features = np.random.default_rng(3).uniform(0, 3, (3000, d)).astype(np.float32)
    smooth = torch.as_tensor(0.5 + 0.5 * np.sin(2 * features.sum(1, keepdims=True)), dtype=torch.float64)
    difference = Lattice(features, dtype=torch.float64)(smooth) - exact_kernel(features)(smooth)
    assert difference.abs().max() < tolerance


@pytest.mark.parametrize("iterations", [1, 5, 10])
def test_marginals_equal_pydensecrf(iterations: int) -> None:
    densecrf = pytest.importorskip("pydensecrf.densecrf")
    rng = np.random.default_rng(5)
    # blobs of constant colour with noise, as an image has
    blobs = gaussian_filter(rng.standard_normal((6, 60, 47)), (0, 4, 4)).argmax(0)
    guide = np.clip(rng.uniform(0, 255, (6, 3))[blobs] + rng.normal(0, 12, (60, 47, 3)), 0, 255)
    kernels = Kernels(guide)
    bilateral, gaussian = kernels.bilateral_features(40, 13), kernels.gaussian_features(3)
    unary = -np.log(rng.dirichlet(np.ones(6), 60 * 47)).astype(np.float32)
    crf = densecrf.DenseCRF(60 * 47, 6)
    crf.setUnaryEnergy(np.ascontiguousarray(unary.T))
    crf.addPairwiseEnergy(np.ascontiguousarray(gaussian.T), compat=3.0)
    crf.addPairwiseEnergy(np.ascontiguousarray(bilateral.T), compat=10.0)
    theirs = np.array(crf.inference(iterations)).T
    lattices = [kernels.gaussian(3), kernels.bilateral(40, 13)]
    ours = mean_field(torch.from_numpy(unary), lattices, [3.0, 10.0], iterations=iterations).numpy()
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert np.abs(ours - np.exp(-unary)).max() > 0.1  # the CRF did something


@pytest.mark.parametrize("d", [2, 3, 5])
def test_gradient_of_the_filter(d: int) -> None:
    """Where corners are missing the filter is not symmetric, and its gradient must know."""
    lattice = Lattice(random_features(d, n=12), dtype=torch.float64)
    matrix = lattice.filter(torch.eye(12, dtype=torch.float64))
    assert (matrix - matrix.T).abs().max() > 1e-3
    x = torch.rand(12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    assert torch.autograd.gradcheck(lattice, x)
    assert torch.autograd.gradgradcheck(lattice, x)


@pytest.mark.parametrize("features", [np.zeros((0, 2)), np.zeros(5), np.full((4, 2), np.nan)])
def test_unusable_features_are_named(features: NDArray[np.float64]) -> None:
    with pytest.raises(SettingError, match="finite features of shape"):
        Lattice(features)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_equals_cpu() -> None:
    features = random_features(5, n=2000)
    values = torch.rand(2000, 4, generator=torch.Generator().manual_seed(0))
    on_gpu = Lattice(features, device="cuda")(values.cuda()).cpu()
    torch.testing.assert_close(on_gpu, Lattice(features)(values), atol=1e-5, rtol=0)

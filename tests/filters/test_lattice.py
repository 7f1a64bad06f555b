"""The permutohedral lattice: partition of unity, symmetry, equality with pydensecrf, nearness to exact."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from exact_kernels import exact_kernel
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.filters.kernels import Kernels
from hyperseg.filters.lattice import Lattice
from hyperseg.filters.mean_field import mean_field

SEED = 7


def random_features(d: int, n: int = 300, spread: float = 2.0) -> NDArray[np.float32]:
    return (np.random.default_rng(SEED).standard_normal((n, d)) * spread).astype(np.float32)


def barycentric(lattice: Lattice) -> Tensor:
    """(N, d + 1) weights as they are before the normalisation goes into them."""
    d = lattice.corners.shape[1] - 1
    return lattice.weights / lattice.norm * (1 + 2.0**-d) ** 0.5


@pytest.mark.parametrize("d", [1, 2, 3, 5, 8])
def test_splat_is_a_partition_of_unity(d: int) -> None:
    lattice = Lattice(random_features(d), dtype=torch.float64)
    weights = barycentric(lattice)
    assert weights.min() >= -1e-7
    torch.testing.assert_close(weights.sum(1), torch.ones(300, dtype=torch.float64), atol=1e-7, rtol=0)
    assert all(len(set(row)) == d + 1 for row in lattice.corners.tolist())


@pytest.mark.parametrize("d", [1, 2, 3, 5])
def test_neighbours_are_mutual_and_all_directions_together_lead_back(d: int) -> None:
    lattice = Lattice(random_features(d))
    m = lattice.n_vertices
    here = torch.arange(m + 1)
    assert lattice.neighbours.shape == (d + 1, m + 1, 3)
    met = here.clone()
    for triples in lattice.neighbours.long():
        itself, behind, ahead = triples.T
        assert torch.equal(itself, here)
        for there, back in ((ahead, behind), (behind, ahead)):
            assert torch.equal(back[there[there < m]], here[there < m])
            assert (there != here)[:m].all()
            assert there[m] == m
        met = ahead[met]
    assert torch.equal(met[met < m], here[met < m])
    assert d > 3 or (met < m).any()  # in few dimensions some way round exists


@pytest.mark.parametrize("d", [1, 2, 4])
def test_the_corners_of_a_simplex_are_one_step_apart(d: int) -> None:
    """From remainder to remainder one direction each, every direction once: d + 1 steps lead round the simplex."""
    lattice = Lattice(random_features(d))
    corners = lattice.corners.long()
    steps = torch.stack([corners.roll(-1, 1) == n[:, 2].long()[corners] for n in lattice.neighbours])
    assert torch.equal(steps.sum(0), torch.ones_like(corners))
    assert torch.equal(steps.sum(2), torch.ones_like(steps[..., 0], dtype=torch.int64))


def test_one_dimension_is_linear_interpolation_on_a_line() -> None:
    """The corners are equally spaced knots and the weights interpolate linearly between them."""
    x = np.linspace(0, 4, 200, dtype=np.float64)[:, None]
    lattice = Lattice(x, dtype=torch.float64)
    spacing = np.sqrt(3) / 2  # standard deviations
    np.testing.assert_equal(lattice.n_vertices, int(np.ceil(4 / spacing)) + 1)
    corners = torch.zeros(200, lattice.n_vertices, dtype=torch.float64)
    corners = corners.scatter_(1, lattice.corners.long(), barycentric(lattice)).numpy()
    at = np.linalg.lstsq(corners, x[:, 0], rcond=None)[0]
    np.testing.assert_allclose(corners @ at, x[:, 0], atol=1e-12)
    np.testing.assert_allclose(np.diff(np.sort(at)), spacing, atol=1e-12)


@pytest.mark.parametrize("bits", [12, 18])
def test_a_point_so_far_away_that_corners_are_counted_otherwise_changes_nothing(bits: int) -> None:
    """In 4 dimensions 2^12 steps each need 64-bit numbers, and 2^18 each more than 62 bits: corners are hashed."""
    features = random_features(4)
    far = np.float32([[2**bits, -(2 ** (bits + 1)), 2**bits + 3, 2 ** (bits + 2)]])
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
    bilateral, gaussian = kernels.bilateral_features(40, 13).numpy(), kernels.gaussian_features(3).numpy()
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
    matrix = lattice(torch.eye(12, dtype=torch.float64))
    assert (matrix - matrix.T).abs().max() > 1e-3
    x = torch.rand(12, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2), requires_grad=True)
    assert torch.autograd.gradcheck(lattice, x)
    assert torch.autograd.gradgradcheck(lattice, x)


@pytest.mark.parametrize("k", [1, 7, 16, 19])
def test_softmax_over_classes_is_that_of_torch(k: int) -> None:
    """Also where scores overflow the exponential."""
    scores = torch.randn(50, k, dtype=torch.float64, generator=torch.Generator().manual_seed(1)) * 400
    own = mean_field(-scores, [], [], iterations=1)
    torch.testing.assert_close(own, torch.softmax(scores, 1), atol=1e-15, rtol=0)


def test_any_number_of_threads_gives_the_same_bytes() -> None:
    features = np.random.default_rng(1).uniform(0, 4, (20000, 3)).astype(np.float32)
    unary = torch.rand(20000, 5, generator=torch.Generator().manual_seed(0))
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            results.append(mean_field(unary, [Lattice(features)], [1.0], iterations=3).numpy().tobytes())
    finally:
        torch.set_num_threads(before)
    assert results[0] == results[1]


@pytest.mark.parametrize("features", [np.zeros((0, 2)), np.zeros(5)])
def test_features_of_an_unusable_shape_are_named(features: NDArray[np.float64]) -> None:
    with pytest.raises(SettingError, match=r"features of shape \(points, dimensions\), got \("):
        Lattice(features)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e8, 1e30])
@pytest.mark.parametrize("at", [0, 2])
def test_features_that_cannot_be_counted_are_named(value: float, at: int) -> None:
    features = random_features(3)
    features[7, at] = value
    with pytest.raises(SettingError, match="finite features of moderate size"):
        Lattice(features)


on_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


@pytest.mark.gpu
@on_cuda
@pytest.mark.parametrize("d", [1, 2, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cuda_equals_cpu(d: int, dtype: torch.dtype) -> None:
    features = random_features(d, n=2000)
    values = torch.rand(2000, 4, dtype=dtype, generator=torch.Generator().manual_seed(0))
    there, here = Lattice(features, device="cuda", dtype=dtype), Lattice(features, dtype=dtype)
    assert torch.equal(there.corners.cpu(), here.corners)
    assert torch.equal(there.neighbours.cpu(), here.neighbours)
    torch.testing.assert_close(there(values.cuda()).cpu(), here(values), atol=1e-5, rtol=0)


@pytest.mark.gpu
@on_cuda
def test_cuda_finds_the_corners_of_a_grid_and_repeats_its_bytes() -> None:
    """Points of a grid lie on the borders of simplices, where the last bit decides which corners exist."""
    guide = np.random.default_rng(2).integers(0, 256, (60, 47, 3)).astype(np.float32)
    here, there = Kernels(guide), Kernels(guide, device="cuda")
    unary = torch.rand(60 * 47, 6, generator=torch.Generator().manual_seed(0)) * 4
    for name, widths in (("gaussian", (3.0,)), ("gaussian", (0.7,)), ("bilateral", (40.0, 13.0))):
        a, b = getattr(here, name)(*widths), getattr(there, name)(*widths)
        assert torch.equal(a.corners, b.corners.cpu())
        assert torch.equal(a.neighbours, b.neighbours.cpu())
    kernels = [there.gaussian(3.0), there.bilateral(40.0, 13.0)]
    first, second = (mean_field(unary.cuda(), kernels, [3.0, 10.0]) for _ in range(2))
    assert torch.equal(first, second)
    cpu = mean_field(unary, [here.gaussian(3.0), here.bilateral(40.0, 13.0)], [3.0, 10.0])
    assert (first.cpu() - cpu).abs().mean() < 1e-6


@pytest.mark.gpu
@on_cuda
def test_cuda_gradient_equals_that_of_the_cpu() -> None:
    features, grads = random_features(3, n=200), []
    for device in ("cpu", "cuda"):
        lattice = Lattice(features, device=device, dtype=torch.float64)
        values = torch.linspace(0, 1, 400, dtype=torch.float64).view(200, 2).to(device).requires_grad_()
        (grad,) = torch.autograd.grad(lattice(values).square().sum(), values)
        grads.append(grad.cpu())
    torch.testing.assert_close(grads[1], grads[0], atol=1e-10, rtol=0)


def test_features_in_any_byte_order_and_direction() -> None:
    features = np.random.default_rng(0).normal(size=(40, 3))
    values = torch.rand(40, 2, dtype=torch.float64)
    expected = Lattice(features, dtype=torch.float64)(values)
    for same in (features.astype(">f8"), features[::-1].copy()[::-1], np.asfortranarray(features)):
        torch.testing.assert_close(Lattice(same, dtype=torch.float64)(values), expected, atol=0, rtol=0)

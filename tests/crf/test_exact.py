"""Mean field and energies of the fully connected CRF against literal double loops and enumeration."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from exact_kernels import exact_kernel

from hyperseg.crf.dense import energy, free_energy
from hyperseg.filters.mean_field import mean_field

H, W, K = 4, 5, 3


row, column = np.mgrid[:H, :W].reshape(2, -1)
FEATURES = np.column_stack([column / 2.0, row / 2.0, np.random.default_rng(11).uniform(0, 3, H * W)])
UNARY = -np.log(np.random.default_rng(12).dirichlet(np.ones(K), H * W))


def looped_kernel(*, normalised: bool, own: bool) -> list[list[float]]:
    k = [
        [math.exp(-sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) / 2) for second in FEATURES]
        for first in FEATURES
    ]
    sums = [sum(row) for row in k]
    for i, j in itertools.product(range(len(k)), repeat=2):
        if normalised:
            k[i][j] /= math.sqrt(sums[i] * sums[j])
        if i == j and not own:
            k[i][j] = 0.0
    return k


@pytest.mark.parametrize("own", [True, False])
@pytest.mark.parametrize("normalised", [True, False])
def test_mean_field_equals_a_double_loop(normalised: bool, own: bool) -> None:
    k = looped_kernel(normalised=normalised, own=own)
    weight, n = 1.7, H * W

    def softmax(costs: list[float]) -> list[float]:
        total = sum(math.exp(-cost) for cost in costs)
        return [math.exp(-cost) / total for cost in costs]

    def cost(i: int, c: int) -> float:
        """Potts: a class costs what the neighbours believe of all other classes."""
        return UNARY[i][c] + weight * sum(k[i][j] * q[j][o] for j in range(n) for o in range(K) if o != c)

    q = [softmax(row) for row in UNARY]
    for _ in range(4):
        q = [softmax([cost(i, c) for c in range(K)]) for i in range(n)]
    kernel = exact_kernel(FEATURES, normalised=normalised, own=own)
    ours = mean_field(torch.from_numpy(UNARY), [kernel], [weight], iterations=4)
    np.testing.assert_allclose(ours.numpy(), q, atol=1e-12)


def test_energy_equals_the_sum_over_pairs() -> None:
    labels = np.random.default_rng(13).integers(0, K, H * W)
    k = looped_kernel(normalised=True, own=True)
    by_hand = sum(UNARY[i][labels[i]] for i in range(H * W)) + 2.5 * sum(
        k[i][j] for i, j in itertools.combinations(range(H * W), 2) if labels[i] != labels[j]
    )
    for own in (True, False):  # a label agrees with itself: the diagonal plays no part
        kernels = [exact_kernel(FEATURES, own=own)]
        ours = energy(torch.from_numpy(labels), torch.from_numpy(UNARY), kernels, [2.5])
        assert ours.item() == pytest.approx(by_hand, abs=1e-10)


def test_energy_of_marginals_is_the_expected_energy() -> None:
    """Enumeration of all labellings of 2 x 2 pixels, each weighted by the product of its marginals."""
    rng = np.random.default_rng(14)
    unary, q = rng.uniform(0, 2, (4, K)), rng.dirichlet(np.ones(K), 4)
    kernel = exact_kernel(rng.uniform(0, 2, (4, 2)), own=False)
    expected = sum(
        math.prod(q[i][x] for i, x in enumerate(labels))
        * energy(torch.tensor(labels), torch.from_numpy(unary), [kernel], [1.3]).item()
        for labels in itertools.product(range(K), repeat=4)
    )
    ours = energy(torch.from_numpy(q), torch.from_numpy(unary), [kernel], [1.3])
    assert ours.item() == pytest.approx(expected, abs=1e-12)


def test_no_update_raises_the_free_energy() -> None:
    """With the own value included the kernel is positive semi-definite: parallel updates cannot oscillate."""
    kernel, u = exact_kernel(FEATURES), torch.from_numpy(UNARY)
    steps = [free_energy(mean_field(u, [kernel], [4.0], iterations=i), u, [kernel], [4.0]).item() for i in range(30)]
    assert np.diff(steps).max() <= 1e-10
    assert steps[0] - steps[-1] > 0.1


def test_free_energy_bounds_the_log_partition_function() -> None:
    """F >= -log Z by enumeration on 2 x 3 pixels (own value excluded: the model's own pairs only)."""
    rng = np.random.default_rng(15)
    unary = torch.from_numpy(rng.uniform(0, 2, (6, 2)))
    kernel = exact_kernel(rng.uniform(0, 2, (6, 2)), own=False)
    labellings = torch.tensor(list(itertools.product(range(2), repeat=6)))
    energies = [energy(labels, unary, [kernel], [1.0]) for labels in labellings]
    log_partition = torch.logsumexp(-torch.stack(energies), 0)
    q = mean_field(unary, [kernel], [1.0], iterations=50)
    gap = free_energy(q, unary, [kernel], [1.0]) + log_partition
    assert 0 <= gap.item() < 0.2


def test_gradients_of_mean_field() -> None:
    kernels = [exact_kernel(FEATURES), exact_kernel(FEATURES[:, :2])]
    u = torch.from_numpy(UNARY).requires_grad_()
    weights = [torch.tensor(w, dtype=torch.float64, requires_grad=True) for w in (0.7, 1.9)]

    def marginals(u: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        return mean_field(u, kernels, weights, iterations=3)

    assert torch.autograd.gradcheck(marginals, (u, *weights))

"""The active contour loss: lengths of known borders, regions by brute force, and what is not known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hyperseg.losses.active_contour import ActiveContour, length, regions
from hyperseg.losses.ce import CrossEntropy
from hyperseg.losses.loss import Sums

TINY = 1e-20


def known(u: Tensor) -> Tensor:
    return torch.ones(len(u), *u.shape[2:], dtype=torch.bool)


def sure(labels: Tensor, n_classes: int) -> Tensor:
    return 200.0 * F.one_hot(labels, n_classes).movedim(-1, 1).float()


@pytest.mark.parametrize("h", [1, 7, 20])
def test_a_straight_edge_is_as_long_as_it_has_pixels(h: int) -> None:
    u = torch.zeros(1, 1, h, 9, dtype=torch.float64)
    u[..., 4:] = 1
    assert float(length(u, known(u), eps=TINY)) == pytest.approx(h, abs=1e-6)
    assert float(length(u.mT, known(u.mT), eps=TINY)) == pytest.approx(h, abs=1e-6)
    floor = (9 * h - h) * math.sqrt(1e-6) + h * math.sqrt(1 + 1e-6)
    assert float(length(u, known(u), eps=1e-6)) == pytest.approx(floor, abs=1e-9)


def test_the_border_of_a_box_is_an_area() -> None:
    """Of a half-space in a volume: as many faces as pixels of the cut. A soft edge is as long as a sharp one."""
    u = torch.zeros(1, 1, 4, 5, 6, dtype=torch.float64)
    u[:, :, 2:] = 1
    assert float(length(u, known(u), eps=TINY)) == pytest.approx(30, abs=1e-6)
    ramp = torch.linspace(0, 1, 6, dtype=torch.float64).expand(1, 1, 4, 5, 6)
    assert float(length(ramp, known(ramp), eps=TINY)) == pytest.approx(20, abs=1e-6)


def test_an_answer_that_is_the_truth_has_its_length_alone() -> None:
    labels = torch.randint(3, (2, 6, 5), generator=torch.Generator().manual_seed(0))
    found = ActiveContour()(sure(labels, 3), labels, Sums())
    u = F.one_hot(labels, 3).movedim(-1, 1)[:, 1:].float()
    assert float(found["regions"]) == 0
    assert float(found["cross_entropy"]) == 0
    assert float(found["length"]) == pytest.approx(float(length(u, known(u), eps=1e-6).sum()) / 120, rel=1e-6)


def test_all_terms_by_loops_over_known_pixels() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 4, 5, generator=rng)
    labels = torch.randint(-1, 3, (2, 4, 5), generator=rng)
    u = logits.softmax(1)
    for first, lam in ((1, 1.0), (0, 2.5)):
        along, apart = [], []
        for b in range(2):
            for c in range(first, 3):
                for i in range(4):
                    for j in range(5):
                        if labels[b, i, j] < 0:
                            continue
                        here, total = float(u[b, c, i, j]), 1e-6
                        for y, x in ((i + 1, j), (i, j + 1)):
                            if y < 4 and x < 5 and labels[b, y, x] >= 0:
                                total += (float(u[b, c, y, x]) - here) ** 2
                        along.append(math.sqrt(total))
                        v = float(labels[b, i, j] == c)
                        apart.append(here * (1 - v) ** 2 + (1 - here) * (0 - v) ** 2)
        found = ActiveContour(lam=lam)(logits, labels, Sums(first=first))
        assert float(found["length"]) == pytest.approx(sum(along) / len(along), rel=1e-5)
        assert float(found["regions"]) == pytest.approx(lam * sum(apart) / len(apart), rel=1e-5)
        assert float(found["cross_entropy"]) == pytest.approx(
            float(CrossEntropy()(logits, labels, Sums())["cross_entropy"])
        )


def test_without_weights_its_terms_are_the_papers() -> None:
    logits, labels = torch.randn(1, 2, 4, 4), torch.randint(2, (1, 4, 4))
    assert list(ActiveContour(ce=0)(logits, labels, Sums())) == ["length", "regions"]
    assert float(ActiveContour(lam=0)(logits, labels, Sums())["regions"]) == 0


def test_regions_that_agree_are_nothing_and_all_wrong_is_every_pixel() -> None:
    v = torch.randint(2, (1, 2, 4, 4), generator=torch.Generator().manual_seed(0)).float()
    assert regions(v, v, known(v)).tolist() == [[0, 0]]
    assert regions(1 - v, v, known(v)).tolist() == [[16, 16]]

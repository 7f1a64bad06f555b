"""Predicted targets: sharpening, the mean over views, and that nothing is learnt through them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.boxes.anchors import Anchors
from hyperseg.boxes.codes import encode
from hyperseg.detection.network import Answer
from hyperseg.detection.symmetries import symmetries
from hyperseg.detection.targets import confident_boxes, evaluated, predicted, sharpened

ANCHORS = Anchors((((4.0,) * 3, (7.0,) * 3),), ((2,) * 3,))
GROUP = symmetries((8, 8, 8), ANCHORS, stride=(2, 2, 2))
P = torch.linspace(0, 1, 101, dtype=torch.float64)


def fair(x: Tensor) -> Answer:
    """A network that is constant under the group: a turned image has the turned answer."""
    mean, most = F.avg_pool3d(x, 2), F.max_pool3d(x, 2)
    size = (mean - most).expand(-1, 3, -1, -1, -1)
    code = torch.cat((torch.zeros_like(size), size), 1)  # no shift, one size along all axes
    return Answer([torch.cat((3 * mean, mean - most), 1)], [torch.stack((code, 2 * code), 1)])


def unfair(x: Tensor) -> Answer:
    """One that says what lies at the first corner of a cell."""
    corner = x[:, :, ::2, ::2, ::2]
    return Answer([torch.cat((corner, -corner), 1)], [torch.zeros(len(x), 2, 6, 4, 4, 4)])


def test_sharpening_is_what_the_formula_says() -> None:
    for t in (0.3, 0.7, 1.0):
        a, b = P ** (1 / t), (1 - P) ** (1 / t)
        torch.testing.assert_close(sharpened(P, t), a / (a + b), rtol=1e-9, atol=1e-12)


def test_temperature_one_changes_nothing() -> None:
    torch.testing.assert_close(sharpened(P, 1.0), P, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("t", [0.1, 0.5, 0.7])
def test_sharpening_is_fair_to_both_sides(t: float) -> None:
    q = sharpened(P, t)
    torch.testing.assert_close(sharpened(1 - P, t), 1 - q, rtol=0, atol=1e-12)
    assert sharpened(torch.tensor(0.5), t) == 0.5
    assert (q.diff() >= 0).all()
    assert ((q - P) * (P - 0.5) >= -1e-12).all()  # away from the middle


def test_small_temperatures_make_hard_targets() -> None:
    away = P[(P - 0.5).abs() > 0.005]
    torch.testing.assert_close(sharpened(away, 1e-4), (away > 0.5).double(), rtol=0, atol=1e-12)


def test_sharpening_bears_the_ends_in_float32() -> None:
    ends = torch.tensor([0.0, 1e-30, 1.0])
    assert sharpened(ends, 0.01).tolist() == [0.0, 0.0, 1.0]


def test_a_network_that_is_constant_under_the_group_is_taken_at_its_word() -> None:
    x = torch.randn(2, 1, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    alone, of_all = (predicted(fair, x, views, ANCHORS.sizes, temperature=0.7) for views in (GROUP[:1], GROUP))
    torch.testing.assert_close(of_all.targets[0], sharpened(fair(x).logits[0].sigmoid(), 0.7))
    torch.testing.assert_close(of_all.targets[0], alone.targets[0])
    torch.testing.assert_close(of_all.codes[0], fair(x).codes[0])


def test_the_mean_over_all_views_is_constant_under_the_group() -> None:
    x = torch.randn(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(1))
    of_all = predicted(unfair, x, GROUP, ANCHORS.sizes, temperature=1.0).targets
    for turn in GROUP[::5]:
        turned = predicted(unfair, turn.image(x), GROUP, ANCHORS.sizes, temperature=1.0).targets
        torch.testing.assert_close(turned[0], turn.maps(of_all, ANCHORS.sizes)[0])
    spread = predicted(unfair, x, GROUP[:1], ANCHORS.sizes, temperature=1.0).targets[0]
    assert (spread - of_all[0]).abs().max() > 0.1  # a single view of this network is another answer


def test_no_gradient_reaches_the_weights() -> None:
    scale = torch.ones((), requires_grad=True)
    found = predicted(lambda x: fair(scale * x), torch.randn(1, 1, 8, 8, 8), GROUP[:2], ANCHORS.sizes, temperature=0.7)
    assert not any(one.requires_grad for one in (*found.targets, *found.codes))


def test_targets_are_predicted_in_evaluation_mode() -> None:
    net = nn.Sequential(nn.Dropout(), nn.BatchNorm3d(1))
    with evaluated(net) as inside:
        assert not any(part.training for part in inside.modules())
    assert all(part.training for part in net.modules())
    net.eval()
    with evaluated(net):
        pass
    assert not net.training


def test_confident_boxes_are_those_that_were_coded() -> None:
    anchors = torch.cat(ANCHORS.boxes((8, 8, 8)))
    box = torch.tensor([[1.0, 1, 1, 5, 5, 5]])
    codes = encode(box.expand(len(anchors), -1), anchors)[None]
    targets = torch.zeros(1, len(anchors))
    targets[0, [3, 50]] = 0.9  # two anchors of one object
    (found,) = confident_boxes(targets, codes, anchors, (8, 8, 8), least=0.5)
    torch.testing.assert_close(found, box)
    (none,) = confident_boxes(targets, codes, anchors, (8, 8, 8), least=0.95)
    assert none.shape == (0, 6)

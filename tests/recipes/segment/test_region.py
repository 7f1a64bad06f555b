"""A first look finds where something is: boxes, their growth, and the whole case where it finds nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_predicting import CLASSES, Thresholds, plan_for
from torch import Tensor, nn

from hyperseg.core import Grid, Scene
from hyperseg.medical.training import V2
from hyperseg.recipes.segment.prediction.cost import Cost
from hyperseg.recipes.segment.prediction.one_case import predict_case
from hyperseg.recipes.segment.prediction.region import boxes_around, grown, windows_in
from hyperseg.recipes.segment.sliding import averaged, glance, n_windows, with_classes

ONE = (1.0, 1.0, 1.0)
PLAN = plan_for(ONE, (16, 16, 16))
PATCH = PLAN.configuration("3d").patch


def scene_of(there: np.ndarray, spacing: tuple[float, ...] = ONE) -> Scene:
    """Bright where something is there, dark but not zero elsewhere."""
    cube = np.where(there, 3.0, -0.2).astype(np.float32)
    return Scene(cube[..., None], classes=CLASSES, grid=Grid(spacing, "mm"))


def blob(size: tuple[int, ...], *at: tuple[slice, ...]) -> np.ndarray:
    there = np.zeros(size, bool)
    for box in at:
        there[box] = True
    return there


def test_boxes_hold_everything_with_a_margin_and_cost_no_more_than_one_around_all() -> None:
    rng = np.random.default_rng(0)
    for n in (1, 2, 5, 9):
        there = np.zeros((90, 70, 80), bool)
        there[tuple(rng.integers(0, side, n) for side in there.shape)] = True
        boxes = boxes_around(there, (16, 16, 16))
        covered = np.zeros_like(there)
        for box in boxes:
            assert not covered[tuple(slice(*side) for side in box)].any(), "boxes overlap"
            covered[tuple(slice(*side) for side in box)] = True
            assert all(stop - start >= 16 for start, stop in box)
        for at in np.argwhere(there):
            near = tuple(slice(max(p - 4, 0), p + 5) for p in at)
            assert covered[near].all()
        assert windows_in(boxes, (16, 16, 16)) <= n_windows(there.shape, (16, 16, 16))


def test_far_pieces_have_boxes_of_their_own_and_near_ones_share_one() -> None:
    corner, near, far = (slice(0, 3),) * 3, (slice(6, 9),) * 3, (slice(80, 85),) * 3
    assert len(boxes_around(blob((90, 90, 90), corner, far), (16, 16, 16))) == 2
    assert boxes_around(blob((90, 90, 90), corner, near), (16, 16, 16)) == [((0, 16),) * 3]
    assert boxes_around(blob((90, 90, 90)), (16, 16, 16)) == []
    (one,) = boxes_around(blob((5, 90, 90), (slice(2, 3), slice(40, 44), slice(40, 44))), (16, 16))
    assert one == ((0, 5), (34, 50), (34, 50)), "planes"


def test_many_specks_share_one_box() -> None:
    there = np.zeros((96, 96, 96), bool)
    there[::19, ::19, ::19] = True
    assert boxes_around(there, (16, 16, 16)) == [((0, 96),) * 3]


def test_a_box_grows_where_something_reaches_its_side() -> None:
    labels = np.zeros((20, 20, 20), np.int16)
    labels[5:15, 8, 8] = 1
    assert grown(labels, ((6, 16), (6, 12), (6, 12)), (4, 4, 4)) == ((2, 16), (6, 12), (6, 12))
    assert grown(labels, ((4, 16), (6, 12), (6, 12)), (4, 4, 4)) == ((4, 16), (6, 12), (6, 12))
    labels[:] = 1
    assert grown(labels, ((0, 20),) * 3, (4, 4, 4)) == ((0, 20),) * 3


@pytest.mark.parametrize(
    ("size", "patch"), [((30, 22, 17), (12, 16, 10)), ((5, 9, 7), (8, 16, 8)), ((4, 20, 30), (16, 16))]
)
def test_a_glance_sees_every_voxel(size: tuple[int, ...], patch: tuple[int, ...]) -> None:
    image = torch.randn(1, *size)
    seen: list[int] = []

    class Counted(Thresholds):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(len(x))
            return super().forward(x)

    found = glance(averaged([Counted()], V2.inference, mirror=False), image, patch)
    assert (found == (image[0] > 0).numpy()).all()
    assert sum(seen) <= n_windows(size, patch)


def test_classes_are_made_channels_a_window_at_a_time() -> None:
    x = torch.randn(2, 3, 4, 4)
    x[:, 2] = torch.randint(0, 5, (2, 4, 4)).float()
    given: list[Tensor] = []
    with_classes(lambda y: given.append(y) or y, 5)(x)
    assert torch.equal(given[0][:, :2], x[:, :2])
    assert torch.equal(given[0][:, 2:], torch.stack([(x[:, 2] == k).float() for k in range(1, 5)], 1))


@pytest.mark.parametrize("spacing", [ONE, (0.8, 1.3, 1.0)])
def test_a_region_gives_what_the_whole_gives(spacing: tuple[float, ...]) -> None:
    """Of a network that looks at voxels alone; two far pieces, and the share that was looked at is told."""
    there = blob((56, 50, 44), (slice(4, 12), slice(5, 9), slice(3, 9)), (slice(42, 48), slice(38, 45), slice(33, 40)))
    scene, nets, cost = scene_of(there, spacing), {n: [Thresholds()] for n in ("2d", "3d")}, Cost()
    for chosen in (["3d"], ["2d", "3d"], ["2d"]):
        whole = predict_case(scene, PLAN, nets, chosen, mirror=False)
        assert (whole > 0).any()
        found = predict_case(scene, PLAN, nets, chosen, mirror=False, look="3d", cost=cost)
        assert (found == whole).all()
    assert all(0 < share < 0.5 for share in cost.shares)
    assert len(cost.shares) == 3


class Nothing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([0 * x + 1, 0 * x, 0 * x], 1)


class Left(nn.Module):
    """Sees only what is very bright."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([0 * x, x - 9, x - 10], 1)


def test_where_nothing_is_found_or_everything_the_whole_case_is_done() -> None:
    scene, cost = scene_of(blob((40, 40, 40), (slice(8, 12),) * 3)), Cost()
    whole = predict_case(scene, PLAN, {"3d": [Thresholds()]}, ["3d"], mirror=False)
    nets = {"3d": [Thresholds()], "2d": [Nothing()]}
    assert (predict_case(scene, PLAN, nets, ["3d"], mirror=False, look="2d", cost=cost) == whole).all()
    full = scene_of(np.indices((40, 40, 40)).sum(0) % 3 > 0)
    predict_case(full, PLAN, nets, ["3d"], mirror=False, look="3d", cost=cost)
    assert cost.shares == [1.0, 1.0]


def test_what_the_first_look_saw_an_end_of_is_followed() -> None:
    """A bar of which only the end is bright enough for the network that looks first."""
    there = blob((90, 40, 40), (slice(5, 85), slice(10, 14), slice(10, 14)))
    scene = scene_of(there)
    cube = np.array(scene.cube[:])
    cube[5:9][there[5:9]] = 30.0
    scene, cost = scene.with_(cube=cube), Cost()
    nets = {"3d": [Thresholds()], "3d_low": [Left()]}
    plan = plan_for(ONE, (16, 16, 16))
    plan = replace(plan, configurations=(*plan.configurations, replace(plan.configuration("3d"), name="3d_low")))
    whole = predict_case(scene, plan, nets, ["3d"], mirror=False)
    assert ((whole > 0) == there).all()
    found = predict_case(scene, plan, nets, ["3d"], mirror=False, look="3d_low", cost=cost)
    assert (found == whole).all()
    assert cost.shares[0] < 0.7

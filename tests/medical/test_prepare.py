"""Cases as networks read them, and the way back."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hyperseg.core import Grid, LabelError, Scene, SceneError
from hyperseg.medical.export.restore import decided, restore, restored
from hyperseg.medical.fingerprint import Fingerprint, Intensity
from hyperseg.medical.plan import Plan, make_plan
from hyperseg.medical.prepare import Prepared, normalise, prepare

CLASSES = ("background", "a", "b")
RNG = np.random.default_rng(0)


def plan_for(
    spacing: tuple[float, ...], size: tuple[int, ...], *, channels: tuple[str, ...] = ("MRI",), kept: float = 1.0
) -> Plan:
    seen = Fingerprint(
        (spacing,) * 4, (size,) * 4, kept, channels, (Intensity(40.0, 10.0, 0.0, 90.0),) * len(channels), CLASSES,
        (9, 9, 9),
    )  # fmt: skip
    return make_plan(seen)


def case(size: tuple[int, ...], spacing: tuple[float, ...], *, seed: int = 0, grain: int = 4) -> Scene:
    """Blocks of classes, and an image that is brighter where the class is higher; nothing is zero."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 3, tuple(-(-n // grain) for n in size))
    labels = np.kron(coarse, np.ones((grain,) * len(size), int))[tuple(slice(n) for n in size)].astype(np.int16)
    cube = (100 + 40 * labels + rng.normal(size=size))[..., None].astype(np.float32)
    return Scene(cube, labels, classes=CLASSES, grid=Grid(spacing, "mm"))


def one_hot(made: Prepared) -> torch.Tensor:
    assert made.labels is not None
    return torch.from_numpy(np.stack([made.labels == k for k in range(3)]).astype(np.float32))


def test_at_its_own_spacing_a_case_is_cropped_and_scaled_only() -> None:
    plan, scene = plan_for((1.0, 1.0, 1.0), (16, 20, 18)), case((16, 20, 18), (1.0, 1.0, 1.0))
    cube, labels = (np.zeros((20, 20, 30, *rest), dtype) for rest, dtype in (((1,), np.float32), ((), np.int16)))
    inside = (slice(3, 19), slice(0, 20), slice(10, 28))
    cube[inside], labels[inside] = scene.cube, scene.labels
    made = prepare(scene.with_(cube=cube, labels=labels), plan, plan.configuration("3d"), labels=True)
    assert made.back.box == ((3, 19), (0, 20), (10, 28))
    assert (made.labels == scene.labels).all()
    values = np.asarray(scene.cube)[..., 0]
    np.testing.assert_allclose(made.image[0], (values - values.mean()) / values.std(), atol=1e-4)
    assert (restore(one_hot(made), made.back) == labels).all()


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("across", [1.0, 2.0, 6.0])
def test_labels_come_back_from_finer_grids_whatever_the_coarse_axis(axis: int, across: float) -> None:
    """The plan's voxels are half or a third as long as the case's; its first axis is the coarsest."""
    fine = [1.0, 1.0, 1.0]
    fine[axis] = across
    size = (12, 16, 20)
    plan = plan_for(tuple(fine), tuple(2 * n for n in size))
    assert across == 1.0 or plan.axes[0] == axis
    scene = case(size, tuple(2 * mm for mm in fine))
    made = prepare(scene, plan, plan.configuration("3d"), labels=True)
    assert made.image.shape[1:] == tuple(2 * size[a] for a in plan.axes) == made.back.read
    assert (restore(one_hot(made), made.back) == scene.labels).all()


def test_labels_come_back_from_coarser_grids_nearly() -> None:
    plan, scene = plan_for((2.0, 2.0, 2.0), (12, 12, 12)), case((24, 24, 24), (1.0, 1.0, 1.0), grain=8)
    made = prepare(scene, plan, plan.configuration("3d"), labels=True)
    assert made.image.shape == (1, 12, 12, 12)
    assert (restore(one_hot(made), made.back) == scene.labels).mean() > 0.99


def test_a_network_of_planes_leaves_the_first_axis_alone() -> None:
    plan, scene = plan_for((4.0, 1.0, 1.0), (10, 40, 40)), case((6, 20, 24), (8.0, 2.0, 2.0))
    made = prepare(scene, plan, plan.configuration("2d"), labels=True)
    assert made.image.shape == (1, 6, 40, 48)
    assert (restore(one_hot(made), made.back) == scene.labels).all()
    assert prepare(scene, plan, plan.configuration("3d"), labels=False).image.shape == (1, 12, 40, 48)


def test_pictures() -> None:
    plan = plan_for((1.0, 1.0), (40, 40))
    scene = case((20, 24), (2.0, 2.0))
    made = prepare(scene, plan, plan.configuration("2d"), labels=True)
    assert made.image.shape == (1, 40, 48)
    assert (restore(one_hot(made), made.back) == scene.labels).all()


@pytest.mark.parametrize("target", [(9, 14, 11), (20, 14, 5), (6, 10, 8)])
@pytest.mark.parametrize("across", [0, 1])
def test_parts_and_the_whole_are_restored_alike(target: tuple[int, ...], across: int) -> None:
    """And as if all scores had been on the case's grid at once."""
    from hyperseg.medical.resample import resample

    plan, scene = plan_for((1.0, 1.0, 1.0), target), case((6, 10, 8), (1.0, 1.0, 1.0))
    made = prepare(scene, plan, plan.configuration("3d"), labels=False)
    back = replace(made.back, read=target, orders=(across, 1, 1))
    logits = torch.from_numpy(RNG.normal(size=(5, *target)).astype(np.float32))
    expected = resample(logits, (6, 10, 8), back.orders).argmax(0).numpy()
    assert (restore(logits, back) == expected).all()
    for cuts in ([1] * target[0], [2, target[0] - 2], [target[0] - 1, 1]):
        assert (decided(restored(logits.split(cuts, 1), back), back) == expected).all()


def test_scores_that_are_missing_are_noticed() -> None:
    plan, scene = plan_for((1.0, 1.0, 1.0), (6, 10, 8)), case((6, 10, 8), (1.0, 1.0, 1.0))
    made = prepare(scene, plan, plan.configuration("3d"), labels=False)
    with pytest.raises(AssertionError, match="expected 6"):
        list(restored([torch.zeros(3, 5, 10, 8)], made.back))


def test_three_ways_to_scale() -> None:
    values = np.array([[0, 0, 10], [20, 30, 200]], np.int16)
    ct, plain = (plan_for((1.0, 1.0), (9, 9), channels=(name,)).normalisations[0] for name in ("CT", "MRI"))
    masked = plan_for((1.0, 1.0), (9, 9), kept=0.5).normalisations[0]
    np.testing.assert_allclose(normalise(values, ct), (np.clip(values, 0, 90) - 40.0) / 10.0, rtol=1e-6)
    np.testing.assert_allclose(normalise(values, plain), (values - values.mean()) / values.std(), rtol=1e-5)
    some = values[values != 0]
    expected = np.where(values != 0, (values - some.mean()) / some.std(), 0)
    np.testing.assert_allclose(normalise(values, masked, values != 0), expected, rtol=1e-5)
    assert (normalise(np.zeros((2, 3)), masked, np.zeros((2, 3), bool)) == 0).all()
    assert np.isfinite(normalise(np.full((2, 3), 7), plain)).all()


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"cube": np.ones((4, 4, 1), np.float32), "labels": None}, SceneError, "2 axes, the plan is for 3"),
        ({"cube": np.ones((4, 4, 4, 2), np.float32), "labels": None}, SceneError, r"2 channels, .* 1 \(MRI\)"),
        ({"grid": Grid((1.0, 1.0, 1.0), "px")}, SceneError, "spacing is in px"),
        ({"labels": None}, LabelError, "no labels"),
        ({"cube": np.full((16, 16, 16, 1), np.nan, np.float32)}, SceneError, "NaN"),
    ],
)
def test_cases_that_do_not_fit_are_refused(change: dict[str, object], error: type[Exception], told: str) -> None:
    plan, scene = plan_for((1.0, 1.0, 1.0), (16, 16, 16)), case((16, 16, 16), (1.0, 1.0, 1.0))
    with pytest.raises(error, match=told):
        prepare(scene.with_(**change), plan, plan.configuration("3d"), labels=True)

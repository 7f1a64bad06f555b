"""The baseline of tricks, trained for a moment: what it learns from, what it is, and on which grid it answers."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from planned import fingerprint

from hyperseg.core import Grid, Scene
from hyperseg.core.runtime import Runtime
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.fingerprint import fingerprint_of
from hyperseg.medical.patches import StoredCase, draw_batch, store
from hyperseg.medical.plan import Plan, at_spacing, make_plan
from hyperseg.medical.prepare import prepare, target_of
from hyperseg.recipes.segment.choosing import CaseDice, choose_parts
from hyperseg.recipes.segment.learning import learn, start_net
from hyperseg.recipes.segment.methods.chosen import CaseMethod, case_method
from hyperseg.recipes.segment.predicting import predict_case

BASELINE = "plain-unet"
QUIET = Runtime(quiet=True)


def small(one: Configuration) -> Configuration:
    body = one.backbone
    spec = replace(body, widths=(4, 8), strides=body.strides[:2], kernels=body.kernels[:2], depths=(1, 1))
    return replace(one, backbone=spec, patch=(8,) * one.n_axes, batch=2, supervision=one.supervision[:1])


@pytest.fixture(scope="module")
def pictures() -> list[Scene]:
    """Four with a bright box in noise."""
    found = []
    for i in range(4):
        labels = np.zeros((20, 22), np.int16)
        labels[2 + i : 10 + i, 4:12] = 1
        image = np.random.default_rng(i).normal(0, 0.3, labels.shape) + 2.0 * labels
        found.append(Scene(image[..., None].astype(np.float32), labels, classes=("background", "box"), name=f"c{i}"))
    return found


@pytest.fixture(scope="module")
def plan(pictures: list[Scene]) -> Plan:
    made = make_plan(fingerprint_of(pictures, ("light",)))
    return replace(made, configurations=tuple(map(small, made.configurations)))


def trained(cases: list[Scene], plan: Plan, root: Path, method: CaseMethod) -> dict[str, torch.Tensor]:
    one, found = plan.configuration("2d"), []
    for scene in cases:
        made = prepare(scene, plan, one, labels=True)
        assert made.labels is not None
        found.append(store(root / scene.name, scene.name, made.image, made.labels, 2))
    net = start_net(method, plan, one, QUIET)
    learn(net, method, plan, one, found[1:], found[:1], steps=4, runtime=QUIET, title="2d")
    return net.state_dict()


def digest(weights: dict[str, torch.Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(weights):
        found.update(weights[name].contiguous().numpy().tobytes())
    return found.hexdigest()


def test_it_is_the_planned_network_trained_by_another_plan_bit_by_bit(
    pictures: list[Scene], plan: Plan, tmp_path: Path
) -> None:
    """Twice the same; the method `unet` with the baseline's plan and loss is the same network; a trick's is not."""
    method = case_method(BASELINE)
    bare = method.planned(plan)
    found = trained(pictures, bare, tmp_path / "a", method)
    assert any(name.endswith("running_mean") for name in found)
    same = trained(pictures, bare, tmp_path / "b", method)
    unet = trained(pictures, bare, tmp_path / "c", case_method("unet", {"loss": method.settings.loss}))
    assert len({digest(one) for one in (found, same, unet)}) == 1
    tricked = case_method(BASELINE, tricks=["oversampling:share=1.0"])
    assert digest(trained(pictures, tricked.planned(plan), tmp_path / "d", tricked)) != digest(found)


def test_a_largest_piece_is_never_chosen() -> None:
    """Where keeping it makes right what was wrong."""
    cases = [CaseDice((0.5,), (1.0,), (1.0,), (1.0,), (1,))]
    assert choose_parts(cases, "never") == ()
    assert choose_parts(cases, "where better") != ()


GRIDS = [((2.0, 1.5, 0.5), (0, 1, 2)), ((1.0, 0.8, 4.0), (2, 0, 1))]  # median, and the plan's order of axes


def volume(size: tuple[int, ...], spacing: tuple[float, ...], classes: tuple[str, ...]) -> Scene:
    rng = np.random.default_rng(0)
    cube = rng.normal(size=(*size, 1)).astype(np.float32) + 9
    return Scene(cube, rng.integers(0, 3, size).astype(np.int16), classes=classes, grid=Grid(spacing, "mm"))


def plan_around(median: tuple[float, ...], factor: tuple[float, ...]) -> Plan:
    """Of three volumes with this median, planned for a spacing that is so many times as large, in its own order."""
    spacings = tuple(tuple(mm * by for mm in median) for by in (0.5, 1.0, 3.0))
    seen = replace(fingerprint("Hippocampus"), spacings=spacings, sizes=((60, 64, 68),) * 3)
    full = make_plan(seen)
    full = at_spacing(full, tuple(median[axis] * by for axis, by in zip(full.axes, factor, strict=True)))
    return replace(full, configurations=tuple(map(small, full.configurations)))


@pytest.mark.parametrize("factor", [(1.0, 1.0, 1.0), (1.0, 2.0, 2.0), (1.3, 0.7, 1.9)])
@pytest.mark.parametrize(("median", "axes"), GRIDS)
@pytest.mark.parametrize("of", ["3d", "2d"])
def test_without_resampling_all_spacings_change_by_the_same_factor(
    of: str, median: tuple[float, ...], axes: tuple[int, ...], factor: tuple[float, ...]
) -> None:
    """Axis by axis: a case of whatever spacing has as many voxels as before, over the factor; planes keep an axis."""
    plan = case_method(BASELINE).planned(plan_around(median, factor))
    assert plan.axes == axes
    one, size = plan.configuration(of), (12, 13, 14)
    for by in (0.37, 1.0, 2.6):
        spacing = (median[0] * by, median[1], median[2] / by)
        made = prepare(volume(size, spacing, plan.facts.classes), plan, one, labels=True)
        target = []
        for place, axis in enumerate(axes):
            changed = of == "3d" or place > 0
            target.append(spacing[axis] * (factor[place] if changed else 1.0))
            expected = size[axis] * spacing[axis] / target[-1]
            assert abs(made.image.shape[1 + place] - expected) <= 0.5 + 1e-9
        np.testing.assert_allclose(target_of(plan, one, made.back.spacing), target, rtol=1e-12)


@pytest.mark.parametrize("of", ["3d", "2d"])
@pytest.mark.parametrize("factor", [(1.0, 1.0, 1.0), (1.3, 0.7, 1.9)])
def test_of_equal_spacings_the_baseline_has_the_planned_grid(of: str, factor: tuple[float, ...]) -> None:
    """And the same bytes with and without the trick."""
    median = (0.3, 0.7, 0.1)
    plan = plan_around(median, factor)
    scene, one = volume((12, 13, 14), median, plan.facts.classes), plan.configuration(of)
    bare, back = (case_method(BASELINE, tricks=tricks).planned(plan) for tricks in ((), ("resampling",)))
    full, without, with_it = (prepare(scene, each, one, labels=True) for each in (plan, bare, back))
    assert full.back == without.back == with_it.back
    assert full.labels is not None
    assert without.labels is not None
    assert full.labels.tobytes() == without.labels.tobytes()
    assert without.image.tobytes() == with_it.image.tobytes()


@pytest.mark.parametrize("of", ["3d", "2d"])
def test_where_the_median_is_planned_every_case_keeps_its_grid(of: str) -> None:
    """Bit by bit; its values go from 0 to 1, and the answer has the case's grid with or without the trick."""
    plan = plan_around((1.0, 1.0, 1.0), (1.0, 1.0, 1.0))
    method, size = case_method(BASELINE), (12, 13, 14)
    bare, back = method.planned(plan), case_method(BASELINE, tricks=["resampling"]).planned(plan)
    one = bare.configuration(of)
    for spacing in ((1.0, 1.0, 1.0), (2.0, 1.5, 0.3)):
        scene = volume(size, spacing, plan.facts.classes)
        made = prepare(scene, bare, one, labels=True)
        assert made.image.shape[1:] == size
        assert made.labels is not None
        assert np.array_equal(made.labels, scene.labels)
        assert (made.image.min(), made.image.max()) == (0.0, 1.0)
        resampled = prepare(scene, back, one, labels=True)
        assert (resampled.image.shape == made.image.shape) == (set(spacing) == {1.0})
        net = method.build(one, 3).eval()
        for each in (bare, back):
            found = predict_case(
                scene, each, {of: [net]}, [of], mirror=False, device="cpu", method=method, seed=0
            )  # fmt: skip
            assert found.shape == size


def stored(root: Path, *, empty: bool = False) -> StoredCase:
    """A wide case whose only foreground is one voxel, in the middle: patches hold it by chance now and then."""
    labels = np.zeros((40, 40, 40), np.int16)
    if not empty:
        labels[20, 20, 20] = 1
    return store(root, "case", np.zeros((1, *labels.shape)), labels, 2)


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_every_patch_is_laid_around_foreground_with_the_same_probability(tmp_path: Path, share: float) -> None:
    """Four deviations of a binomial count around share + (1 - share) chance, one patch at a time or several."""
    method = case_method(BASELINE, tricks=[f"oversampling:share={share}"])
    plan = method.planned(make_plan(fingerprint("Hippocampus")))
    case = stored(tmp_path)
    for batch in (1, 3):
        one = replace(plan.configuration("3d"), patch=(8, 8, 8), batch=batch)
        drawn = [d for step in range(150 // batch) for d in draw_batch([case], one, plan.training, seed=1, step=step)]
        inside = sum(bool((d.labels == 1).any()) for d in drawn)
        expected = share + (1 - share) * (8 / 33) ** 3
        assert abs(inside - len(drawn) * expected) < 4 * (len(drawn) * expected * (1 - expected)) ** 0.5


def test_the_number_of_such_patches_is_not_fixed(tmp_path: Path) -> None:
    """Of two patches none, one or both hold foreground; the planned U-Net lays one of two around it."""
    case, full = stored(tmp_path), make_plan(fingerprint("Hippocampus"))
    counts = {}
    for method in (case_method("unet"), case_method(BASELINE, tricks=["oversampling"])):
        plan = method.planned(full)
        still = replace(plan.training, augmentation=case_method(BASELINE).planned(full).training.augmentation)
        one = replace(plan.configuration("3d"), patch=(4, 4, 4), batch=2)
        steps = [draw_batch([case], one, still, seed=0, step=step) for step in range(30)]
        counts[method.name] = {sum(bool((d.labels == 1).any()) for d in drawn) for drawn in steps}
    assert counts == {"unet": {1}, BASELINE: {0, 1, 2}}


def test_without_foreground_patches_lie_anywhere(tmp_path: Path) -> None:
    plan = case_method(BASELINE, tricks=["oversampling:share=1.0"]).planned(make_plan(fingerprint("Hippocampus")))
    one = replace(plan.configuration("3d"), patch=(8, 8, 8), batch=2)
    case = stored(tmp_path, empty=True)
    np.save(case.folder / "image.npy", np.arange(40**3, dtype=np.float32).reshape(1, 40, 40, 40))
    firsts = [
        int(d.image.flatten()[0]) for s in range(20) for d in draw_batch([case], one, plan.training, seed=0, step=s)
    ]
    assert len(set(firsts)) > 30
    assert any(b < a for a, b in pairwise(firsts))

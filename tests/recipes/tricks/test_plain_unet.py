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
from hyperseg.medical.plan import Plan, make_plan
from hyperseg.medical.prepare import prepare
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


@pytest.mark.parametrize("of", ["3d", "2d"])
def test_without_resampling_every_case_keeps_its_grid(of: str) -> None:
    """Of whatever spacing; the answer has the case's grid either way."""
    full = make_plan(fingerprint("Hippocampus"))
    plan = replace(full, configurations=tuple(map(small, full.configurations)))
    rng = np.random.default_rng(0)
    method, again = case_method(BASELINE), case_method(BASELINE, tricks=["resampling"])
    for size, spacing in (((12, 13, 14), (1.0, 1.0, 1.0)), ((12, 13, 14), (2.0, 1.5, 0.5))):
        labels = rng.integers(0, 3, size).astype(np.int16)
        cube = rng.normal(size=(*size, 1)).astype(np.float32) + 9
        scene = Scene(cube, labels, classes=plan.facts.classes, grid=Grid(spacing, "mm"))
        bare, back = method.planned(plan), again.planned(plan)
        one = bare.configuration(of)
        made = prepare(scene, bare, one, labels=True)
        assert made.image.shape[1:] == size
        assert made.labels is not None
        assert np.array_equal(made.labels, labels)
        assert (made.image.min(), made.image.max()) == (0.0, 1.0)
        resampled = prepare(scene, back, one, labels=True)
        assert (resampled.image.shape == made.image.shape) == (set(spacing) == {1.0})
        net = method.build(one, 3).eval()
        found = predict_case(
            scene, bare, {of: [net]}, [of], mirror=False, device="cpu", method=method, seed=0
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
        drawn = [d for step in range(300 // batch) for d in draw_batch([case], one, plan.training, seed=1, step=step)]
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
        steps = [draw_batch([case], one, still, seed=0, step=step) for step in range(80)]
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

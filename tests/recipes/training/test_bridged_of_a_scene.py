"""Bridged and widened U-Nets on a scene: what stands beside them, how far they look, their loss, and what is kept."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hyperseg.backbone import BackboneSpec, ConvSpec
from hyperseg.core import SettingError
from hyperseg.core.parts import Method, Saved
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed, from_json, to_json
from hyperseg.core.task import Task
from hyperseg.data.splits import make_split
from hyperseg.medical.bridged.controls import n_parameters
from hyperseg.medical.bridged.settings import BridgeSettings
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.training.unet import UNetSpec, build, context_of
from hyperseg.simulated.scenes import toy_scene

SHORT = {"steps": 4, "batch": 4, "width": 4, "window": 9}
BRIDGED, WIDE, UNET = (METHODS[name] for name in ("bridged-unet", "wide-unet", "unet"))
QUIET = Runtime(quiet=True)


@pytest.fixture(scope="module")
def task() -> Task:
    scene = toy_scene(shape=(20, 18), n_bands=12, n_classes=3)
    assert scene.labels is not None
    return Task((scene,), (make_split("random_per_class:12", scene.labels, scene.n_classes, seed=0),))


def fitted(task: Task, method: Method, **changes: Any) -> Any:
    chosen = changed(method.settings(), SHORT | changes)
    method.check(task, chosen)
    return method.fit(task, chosen, QUIET)


def test_it_stands_beside_single_networks_of_equal_depth_and_of_equal_size(task: Task) -> None:
    chosen = changed(BRIDGED.settings(), SHORT | {"bridge": "add", "loss": "ce"})
    (deep, of_deep), (wide, of_wide) = BRIDGED.beside(chosen)
    assert (deep, wide) == (UNET, WIDE)
    assert of_deep == of_wide.unet == chosen.unet
    one, single, wider = (
        method.fit(task, of, QUIET).network for method, of in ((BRIDGED, chosen), (deep, of_deep), (wide, of_wide))
    )
    assert one.spec == replace(single.spec, bridged=chosen.network)
    assert wider.spec == replace(single.spec, body=replace(single.spec.body, widths=wider.spec.body.widths))
    sizes = [n_parameters(net.body) for net in (one, wider)]
    assert abs(sizes[1] / sizes[0] - 1) <= 0.04, "of networks of four channels"


def test_what_is_kept_maps_the_same(task: Task) -> None:
    model = fitted(task, BRIDGED, auxiliary=True, reads="first", act_second="silu")
    kept = model.saved()
    again = BRIDGED.load(Saved(json.loads(json.dumps(kept.record)), kept.arrays))
    assert again.network.spec == model.network.spec
    assert again.map(task.scene, QUIET).probs.tobytes() == model.map(task.scene, QUIET).probs.tobytes()


def test_specs_of_earlier_versions_are_of_single_networks() -> None:
    spec = UNetSpec(3, 2, BackboneSpec(4, (4, 4), (1, 2), (3, 3), (1, 1), ConvSpec(2)), (9, 9))
    record = to_json(spec)
    assert record.pop("bridged") is None
    assert from_json(UNetSpec, record) == spec


@pytest.mark.parametrize("reads", ["image", "first"])
@pytest.mark.parametrize("depth", [1, 2])
def test_a_decision_looks_no_further_than_it_says(depth: int, reads: Any) -> None:
    body = BackboneSpec(4, (4,) * depth, (1, *(2,) * (depth - 1)), (3,) * depth, (1,) * depth, ConvSpec(2))
    spec = UNetSpec(3, 2, body, (199, 199), initial_scale=1.0, bridged=BridgeSettings(reads=reads))
    net = build(spec, seed=0).eval()
    assert net.context_px == context_of(spec)
    x = torch.randn((1, 3, 1, 128), generator=torch.Generator().manual_seed(0))
    moved = []
    with torch.inference_mode():
        before = net(x)[0, :, 0]
        for place in range(60, 68):
            other = x.clone()
            other[..., place] += 5.0
            changes = (net(other)[0, :, 0] != before).any(0)
            moved += (changes.nonzero()[:, 0] - place).abs().tolist()
    assert max(moved) <= net.context_px <= 3 * max(moved)


@pytest.mark.parametrize("method", [UNET, BRIDGED], ids=lambda method: method.name)
def test_the_loss_that_is_asked_for_is_minimised(task: Task, method: Method) -> None:
    usual, same, other = (fitted(task, method, loss=loss) for loss in ("dice-ce", "dice-ce", "ce"))
    assert set(usual.history.terms) >= {"dice", "cross_entropy"}
    assert "dice" not in other.history.terms
    weights = [model.saved().arrays for model in (usual, same, other)]
    assert all(np.array_equal(weights[0][name], weights[1][name]) for name in weights[0])
    assert any(not np.array_equal(weights[0][name], weights[2][name]) for name in weights[0])


def test_levels_of_the_auxiliary_scores_have_weights_that_sum_to_one() -> None:
    body = BackboneSpec(4, (4, 4, 4), (1, 2, 2), (3,) * 3, (1,) * 3, ConvSpec(2))
    spec = UNetSpec(3, 2, body, (9, 9), bridged=BridgeSettings(auxiliary=True))
    levels = build(spec, seed=0).levels(torch.zeros(2, 3, 9, 9))
    assert len(levels) == len(spec.weights) == 3
    assert sum(spec.weights) == pytest.approx(1)
    assert replace(spec, bridged=None).weights == pytest.approx((2 / 3, 1 / 3))


def test_unknown_choices_are_refused_by_name() -> None:
    for changes, told in (({"act_second": "elo"}, "act_second is one of"), ({"loss": "dice-cee"}, "dice-ce")):
        with pytest.raises(SettingError, match=told):
            changed(BRIDGED.settings(), changes)

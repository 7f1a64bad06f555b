"""`bridged-unet` on folders: what is trained beside it, with which loss, weights of levels, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_cases import corner_boxes, two_levels

from hyperseg.backbone import seeded
from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.io.cases import CaseFolder
from hyperseg.losses.loss import Sums, at_levels
from hyperseg.medical.bridged.controls import n_parameters
from hyperseg.medical.bridged.network import BridgedUNet
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.folder import load_networks, read_run
from hyperseg.recipes.segment.methods.beside import dice_rows
from hyperseg.recipes.segment.methods.chosen import CaseMethod, case_method
from hyperseg.recipes.segment.planning import plan_cases
from hyperseg.recipes.segment.predicting import predict_images
from hyperseg.recipes.segment.training import Order, train_cases

QUIET = Runtime(quiet=True)
METHOD = "bridged-unet"
MODEL = {"act_first": "elu", "bridge": "add", "auxiliary": True}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> CaseFolder:
    return corner_boxes(tmp_path_factory.mktemp("pictures"), (12, 14), 5)


@pytest.fixture(scope="module")
def plan(pictures: CaseFolder) -> Plan:
    return two_levels(plan_cases(pictures), (1.0,))


def built(method: CaseMethod, one: Configuration) -> torch.nn.Module:
    with seeded(0):
        return method.build(one, 2)


def test_it_is_measured_beside_single_networks_of_equal_depth_and_of_equal_size(
    pictures: CaseFolder, plan: Plan, tmp_path: Path
) -> None:
    order = Order(Budget(steps=2), (), 0, method=case_method(METHOD, MODEL | {"loss": "ce"}))
    train_cases(pictures, plan, tmp_path / "run", order, QUIET)
    run = read_run(tmp_path / "run")
    assert list(dice_rows(run)) == ["2d, bridged-unet", "2d, unet", "2d, wide-unet"]
    assert run.method == order.method
    (net,), (deep,), (wide,) = (load_networks(one, "2d") for one in (run, *run.beside.values()))
    assert isinstance(net, BridgedUNet)
    spec = run.plan.configuration("2d").backbone
    assert deep.encoder.spec == spec
    assert len(wide.encoder.spec.widths) == len(spec.widths)
    assert abs(n_parameters(wide) / n_parameters(net) - 1) <= 0.03, "of networks of eight channels"
    for root in (run.root, *(one.root for one in run.beside.values())):
        losses = json.loads((root / "2d" / "fold0" / "history.json").read_text())["losses"]
        assert set(losses) == {"cross_entropy"}, "the loss that was chosen, of all three"
    files = predict_images(run.root, pictures.root / "images", out=tmp_path / "out", device="cpu", quiet=True)
    assert len(files) == 5


def test_volumes_are_learnt_alone(tmp_path: Path) -> None:
    volumes = corner_boxes(tmp_path / "volumes", (9, 12, 10), 5)
    order = Order(Budget(steps=1), ("3d",), 0, method=case_method(METHOD), alone=True)
    run = train_cases(volumes, two_levels(plan_cases(volumes), (1.0,)), tmp_path / "run", order, QUIET)
    assert run.record.trained == {"3d": [0]}
    assert run.beside == {}


@pytest.mark.parametrize("auxiliary", [False, True])
def test_levels_count_as_the_plan_says_and_the_first_half_half_as_much(plan: Plan, auxiliary: bool) -> None:
    """The training's loss is the sum written here, of the same scores."""
    method = case_method(METHOD, {"auxiliary": auxiliary, "loss": "ce"})
    one = replace(plan.configuration("2d"), supervision=(0.75, 0.25))
    net = built(method, one)
    x = torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.zeros(2, 8, 8, dtype=torch.long)
    labels[:, 2:5, 3:] = 1
    (phase,), averages = method.lesson(net, plan, one, 5)
    assert averages == {}
    found = phase.loss((x, labels))["cross_entropy"]
    fine, coarse, *first = net.levels(x)

    def ce(logits: torch.Tensor, classes: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(logits, classes)

    smaller = at_levels(lambda _, classes, sums: {"labels": classes}, [coarse], labels, Sums(), weights=(1,))["labels"]
    wanted = 0.75 * ce(fine, labels) + 0.25 * ce(coarse, smaller.long())
    if auxiliary:
        wanted = (wanted + 0.5 * ce(first[0], labels)) / 1.5
    assert len(first) == auxiliary
    torch.testing.assert_close(found, wanted)


def test_choices_reach_the_network(plan: Plan) -> None:
    one = plan.configuration("2d")
    sizes = {
        bridge: n_parameters(built(case_method(METHOD, {"network.bridge": bridge}), one)) for bridge in ("cat", "add")
    }
    assert sizes["cat"] > sizes["add"]
    net = built(case_method(METHOD, {"act_second": "relu"}), one)
    assert not any(isinstance(module, torch.nn.ELU) for module in net.modules())
    for bridge, wanted in sizes.items():
        wide = built(case_method("wide-unet", {"bridge": bridge}), one)
        assert abs(n_parameters(wide) / wanted - 1) <= 0.02


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"act_first": "rleu"}, "act_first is one of relu, elu, .* got 'rleu'"),
        ({"bridge": "sum"}, "bridge is one of cat, add, got 'sum'"),
        ({"reads": "second"}, "reads is one of image, first"),
        ({"loss": "cee"}, "cee"),
    ],
)
def test_unknown_choices_are_refused_by_name(changes: dict[str, str], told: str) -> None:
    with pytest.raises(SettingError, match=told):
        case_method(METHOD, changes)

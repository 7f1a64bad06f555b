"""What networks of the zoo cannot have or do is refused in one line, before anything is trained."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_cases import boxes, corner_boxes, tiny_plan
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ConvSpec
from hyperseg.core import SettingError
from hyperseg.core.settings import changed
from hyperseg.core.task import Task
from hyperseg.data.splits import make_split
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.methods.zoo.memory import check_room, training_bytes
from hyperseg.recipes.methods.zoo.on_cases import slots_of
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.simulated.scenes import toy_scene
from hyperseg.zoo import NETWORKS
from hyperseg.zoo.member import Member
from hyperseg.zoo.network import ZooNet, ZooSpec, build
from hyperseg.zoo.stages import check_stages


def net_of(name: str, channels: int = 3, *, pointwise: bool = False) -> ZooNet:
    body = BackboneSpec(8 if pointwise else channels, (8, 8, 8), (1, 2, 2), (3,) * 3, (1,) * 3, ConvSpec(2))
    return build(ZooSpec(name, channels, 4, body, (32, 32), pointwise=pointwise), 0)


@pytest.fixture(scope="module")
def task() -> Task:
    scene = toy_scene(shape=(20, 18), n_bands=12, n_classes=3)
    assert scene.labels is not None
    return Task((scene,), (make_split("random_per_class:12", scene.labels, scene.n_classes, seed=0),))


@pytest.mark.parametrize("name", ["fpn", "crf-as-rnn", "luc"])  # by shapes, by small images, with a critic
def test_memory_grows_with_images_and_their_pixels(name: str) -> None:
    net = net_of(name)
    weights = 16 * sum(weight.numel() for weight in net.parameters())
    one, two, wide = (
        training_bytes(net, batch, sides) - weights for batch, sides in ((2, (32, 32)), (4, (32, 32)), (2, (64, 32)))
    )
    assert two / one == pytest.approx(2.0, rel=0.05)
    assert wide / one == pytest.approx(2.0, rel=0.1)


def test_of_more_bands_the_images_and_the_first_weights_are_more() -> None:
    """And at most a few copies of the images, which the pointwise convolution reads."""
    few, many = (training_bytes(net_of("u-net", bands, pointwise=True), 2, (32, 32)) for bands in (100, 2_100))
    images, weights = 2 * 32 * 32 * 2_000, 8 * 2_000
    assert 4 * (images + 4 * weights) <= many - few <= 4 * (5 * images + 4 * weights)


def test_estimating_changes_neither_the_network_nor_randomness() -> None:
    net = net_of("crf-as-rnn").eval()
    kept, state = {n: v.clone() for n, v in net.state_dict().items()}, torch.get_rng_state()
    training_bytes(net, 2, (32, 32))
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(kept[n], v) for n, v in net.state_dict().items())
    assert not net.training


def test_more_than_there_is_is_refused_in_one_line() -> None:
    net = net_of("u-net")
    needed = training_bytes(net, 2, (32, 32))
    check_room(net, 2, (32, 32), advice="Take less.", there=needed)
    told = r"zoo:u-net: a step of 2 windows of 32 x 32 pixels and 3 channels .*memory. Take less"
    with pytest.raises(SettingError, match=told) as why:
        check_room(net, 2, (32, 32), advice="Take less.", there=needed - 1)
    assert "\n" not in str(why.value)


@pytest.mark.parametrize("name", ["u-net", "dilated-net"])
def test_scenes_are_refused_whose_training_has_no_room(task: Task, name: str) -> None:
    """On as many windows as can be asked for, large ones or of many maps."""
    method = METHODS[f"zoo:{name}"]
    huge = {"batch": 65_536} | ({"width": 32, "window": 257} if NETWORKS[name].padded else {"width": 1_024})
    with pytest.raises(SettingError, match=rf"zoo:{name}: .*estimated before the start.*smaller network"):
        method.check(task, changed(method.settings(), huge))


def test_folders_are_refused_whose_training_has_no_room(tmp_path: Path) -> None:
    one = tiny_plan(boxes(tmp_path / "b")).configuration("2d")
    method = case_method("zoo:segformer")
    method.check_ready(one, 2)
    with pytest.raises(SettingError, match=r"zoo:segformer: .*estimated before the start.*smaller patches"):
        method.check_ready(replace(one, patch=(16_384, 16_384)), 2)


def test_a_setting_is_told_where_a_plan_has_too_few_stages(task: Task, tmp_path: Path) -> None:
    method = METHODS["zoo:fcn-8s"]
    given = {"window": 9, "train.width": 4, "steps": 4}
    with pytest.raises(SettingError, match=r"needs 3 stages or more, and 2 are planned.*--set train.depth=3") as why:
        method.check(task, changed(method.settings(), given))
    assert "\n" not in str(why.value)
    method.check(task, changed(method.settings(), given | {"depth": 3}))
    with pytest.raises(SettingError, match=r"zoo:fcn-8s, configuration 2d: .*needs 3 stages.*larger images"):
        case_method("zoo:fcn-8s").check_ready(tiny_plan(boxes(tmp_path / "b")).configuration("2d"), 2)


def test_as_many_stages_as_are_needed_are_enough() -> None:
    body = BackboneSpec(1, (4, 4), (1, 2), (3, 3), (1, 1), ConvSpec(2))
    check_stages(body, 2, "It")
    with pytest.raises(SettingError, match="It needs 3 stages or more, and 2 are planned"):
        check_stages(body, 3, "It")


@pytest.mark.parametrize("name", ["zoo:u-net", "zoo:gated-scnn", "feed-forward"])
def test_levels_are_the_networks_own(name: str) -> None:
    with pytest.raises(SettingError, match=f"deep-supervision, with the method {name}: its network itself says"):
        case_method(name, tricks=["deep-supervision"])


def test_images_are_mixed_where_the_loss_alone_reads_labels() -> None:
    """Labels of mixed images are codes, which terms of a network's own and critics would take for classes."""
    apart = {name for name, member in NETWORKS.items() if slots_of(member).own_terms}
    assert apart == {"luc", "segan", "encnet", "gated-scnn"}
    for name in apart:
        with pytest.raises(SettingError, match=f"mixup, with the method zoo:{name}: its network learns from labels"):
            case_method(f"zoo:{name}", tricks=["mixup"])
    assert case_method("zoo:u-net", tricks=["mixup"]).tricks == ("mixup",)


def test_what_is_left_out_of_a_plan_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    plan = tiny_plan(corner_boxes(tmp_path / "v", (12, 12, 12), 4))
    on = slots_of(replace(NETWORKS["u-net"], axes=(2,)))
    with caplog.at_level(logging.INFO, "hyperseg"):
        kept = on.plan(plan, on.settings())
        assert "3d of the plan is left out: zoo:u-net takes images of 2 axes" in caplog.text
        caplog.clear()
        assert on.plan(kept, on.settings()) == kept
        assert not caplog.text
    deep = replace(plan, configurations=tuple(c for c in plan.configurations if c.n_axes == 3))
    for asked in (on.plan, on.check):
        with pytest.raises(SettingError, match="images of 2 axes, and the plan has 3d"):
            asked(deep, on.settings())


class Levelled(nn.Module):
    def levels(self, x: Tensor) -> list[Tensor]:
        return [x]


def test_what_would_not_count_without_padding_is_refused() -> None:
    adversary = NETWORKS["luc"].adversary
    for network, against in ((Levelled, None), (nn.Identity, adversary)):
        with pytest.raises(ValueError, match="would not count"):
            Member("toy", "Toy", 2026, "other", network, lambda *_: nn.Identity(), padded=False, adversary=against)

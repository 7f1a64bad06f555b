"""Tricks of the network and its loss: each changes what it says, that alone, and is refused where it is already."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import planned
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import seeded
from hyperseg.core import SettingError, Split
from hyperseg.core.parts import OnCases
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed, leaves
from hyperseg.core.task import Task
from hyperseg.losses import LOSSES, parse_loss
from hyperseg.losses.loss import Sums, Terms, at_levels
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.networks import build_unet
from hyperseg.medical.plan import Plan, make_plan
from hyperseg.medical.topology import parameters_of, training_bytes
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.recipes.training.network import chosen_loss
from hyperseg.recipes.training.settings import TrainSettings
from hyperseg.recipes.tricks import TRICKS
from hyperseg.recipes.tricks.choosing import parse_tricks, tricked_cases, tricked_method
from hyperseg.simulated.scenes import toy_scene

LOSS_TRICKS = {
    "dice-loss": "dice", "tversky-loss": "tversky", "focal-loss": "focal", "weighted-ce": "weighted-ce", "ohem": "ohem",
}  # fmt: skip
SPELLED = {
    "dice-loss": "smooth=0.5", "tversky-loss": "fn_weight=0.7,fp_weight=0.3", "focal-loss": "gamma=1",
    "weighted-ce": "background=0.1", "ohem": "share=0.5",
}  # fmt: skip
UNET: OnCases = METHODS["unet"].on_cases
WITH_LOSS = [
    name for name in METHODS
    if "scene" in METHODS[name].takes and "loss" in {leaf.rule.shown for leaf in leaves(METHODS[name].settings())}
]  # fmt: skip
STEPS = 20
TINY = {"train.epochs": 1, "train.min_steps": STEPS, "train.batch": 8, "window": 1}


def plain(plan: Plan) -> Plan:
    """The same with batch norm, and scores of the finest level alone."""

    def one(c: Configuration) -> Configuration:
        spec = replace(c.backbone, conv=replace(c.backbone.conv, norm="batch"))
        parameters = parameters_of(spec, len(plan.facts.classes), heads=1)
        needed = training_bytes(c.values, c.batch, parameters)
        return replace(c, backbone=spec, supervision=(1.0,), parameters=parameters, training_bytes=needed)

    training = replace(plan.training, loss=replace(plan.training.loss, supervised=False))
    return replace(plan, configurations=tuple(map(one, plan.configurations)), training=training)


@pytest.fixture(scope="module")
def volumes() -> Plan:
    return make_plan(planned.fingerprint("Hippocampus"))


def replanned(plan: Plan, *tricks: str) -> Plan:
    found: Plan = tricked_cases(UNET, tricks, "unet").plan(plan, UNET.settings())
    return found


@pytest.fixture(scope="module")
def task() -> Task:
    scene = toy_scene(shape=(18, 26), n_bands=12, n_classes=3, seed=0)
    assert scene.labels is not None
    known, left = scene.labels >= 0, np.arange(26)[None].repeat(18, 0) < 13
    return Task((scene,), (Split(known & left, known & False, known & ~left, how="halves", seed=0),))


def test_what_each_is_for() -> None:
    tricks = [TRICKS[name] for name in (*LOSS_TRICKS, "deep-supervision", "instance-norm")]
    assert {trick.phase for trick in tricks} == {"model"}
    assert all(trick.trains for trick in tricks)
    assert [trick.name for trick in tricks if trick.family == "loss"] == list(LOSS_TRICKS)


def test_they_are_chosen_without_torch() -> None:
    names = (*LOSS_TRICKS, "deep-supervision", "instance-norm")
    code = f"""
import sys
from hyperseg.recipes.tricks.choosing import parse_trick
print(*(parse_trick(name)[0].name for name in {names!r}), "torch" in sys.modules)
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [*names, "False"]


@pytest.mark.parametrize("name", LOSS_TRICKS)
def test_a_loss_trick_is_the_loss_of_its_name_with_its_settings(name: str) -> None:
    for words in ("", f":{SPELLED[name]}"):
        on = tricked_cases(UNET, [name + words], "unet")
        assert on.loss is not None
        assert on.loss(UNET.settings()) == parse_loss(LOSS_TRICKS[name] + words)
        assert replace(on, loss=UNET.loss, check=UNET.check) == UNET  # and nothing else


@pytest.mark.parametrize("name", LOSS_TRICKS)
def test_one_loss_alone(name: str, volumes: Plan) -> None:
    (other, *_) = (trick for trick in LOSS_TRICKS if trick != name)
    with pytest.raises(SettingError, match="are two ways to do the same thing"):
        parse_tricks([name, other])
    on = tricked_cases(UNET, [name], "unet")
    on.check(volumes, UNET.settings())
    with pytest.raises(SettingError, match=f"--trick {name}, with the method unet: the method has it already"):
        on.check(volumes, changed(UNET.settings(), {"loss": LOSS_TRICKS[name]}))
    with pytest.raises(SettingError, match="--loss names another one: leave one of them out"):
        on.check(volumes, changed(UNET.settings(), {"loss": LOSS_TRICKS[other]}))


@pytest.mark.parametrize(
    ("given", "kept"),
    [("Cosdice", "cosdice"), ("cosdice:q=1.70", "cosdice"), ("cosdice:2", "cosdice:q=2"), (" dice: ", "dice")],
)
def test_a_loss_is_kept_as_it_is_always_spelled(given: str, kept: str) -> None:
    for cls in (TrainSettings, METHODS["unet"].settings, *(
        METHODS[name].on_cases.settings for name in ("unet", "plain-unet", "wide-unet", "bridged-unet")
    )):  # fmt: skip
        assert cls(loss=given) == cls(loss=kept)
        assert cls(loss=given).loss == kept


def test_a_loss_of_the_same_settings_is_the_one_of_the_trick() -> None:
    method = tricked_method(METHODS["cnn3d"], ["focal-loss"])
    with pytest.raises(SettingError, match="the method has it already"):
        method.check(None, changed(METHODS["cnn3d"].settings(), {"train.loss": "focal:gamma=2"}))


@pytest.mark.parametrize("name", ["feed-forward", "medsegdiff"])
def test_methods_that_minimise_something_else_have_no_such_trick(name: str) -> None:
    with pytest.raises(SettingError, match="minimises no loss of class scores"):
        tricked_cases(METHODS[name].on_cases, ["ohem"], name)


def test_both_tricks_of_the_network_give_the_published_plan_back(volumes: Plan) -> None:
    """The plan of nnU-Net has both: what is taken from it comes back number by number, costs included."""
    before = plain(volumes)
    assert replanned(before, "instance-norm", "deep-supervision:halved") == volumes
    normed = replanned(before, "instance-norm")
    for old, new in zip(before.configurations, normed.configurations, strict=True):
        assert new.backbone.conv.norm == "instance"
        conv = replace(new.backbone.conv, norm="batch")
        assert replace(new, backbone=replace(new.backbone, conv=conv)) == old


def test_levels_count_alike_as_in_the_survey(volumes: Plan) -> None:
    before = plain(volumes)
    found = replanned(before, "deep-supervision")
    assert found.training.loss.supervised
    for old, new in zip(before.configurations, found.configurations, strict=True):
        levels = len(old.backbone.widths) - 1
        assert new.supervision == (1.0,) * min(levels, 4)
        small = replace(new, backbone=replace(new.backbone, widths=tuple(4 for _ in new.backbone.widths)))
        x = torch.zeros(1, 1, *(16 for _ in new.patch))
        sides = [logits.shape[2] for logits in build_unet(small, 3).levels(x)]
        assert sides == [16 // 2**level for level in range(min(levels, 4))]


def test_the_costs_are_those_of_the_network_that_is_built(volumes: Plan) -> None:
    found = replanned(plain(volumes), "deep-supervision")
    for one in found.configurations:
        net = build_unet(one, 3)
        assert one.parameters == sum(weight.numel() for weight in net.parameters())
        assert one.training_bytes == training_bytes(one.values, one.batch, one.parameters)


@pytest.mark.parametrize("name", ["deep-supervision", "deep-supervision:halved", "instance-norm"])
def test_what_a_plan_has_is_refused(name: str, volumes: Plan) -> None:
    with pytest.raises(SettingError, match=f"--trick {name.split(':')[0]}, .*: the plan has it already"):
        replanned(volumes, name)


def test_a_decoder_of_one_level_has_no_others(volumes: Plan) -> None:
    def short(one: Configuration) -> Configuration:
        spec = one.backbone
        cut = {name: getattr(spec, name)[:2] for name in ("widths", "strides", "kernels", "depths")}
        return replace(one, backbone=replace(spec, **cut))

    before = plain(volumes)
    shallow = replace(before, configurations=tuple(map(short, before.configurations)))
    for how in ("equal", "halved"):
        with pytest.raises(SettingError, match="have one level each"):
            replanned(shallow, f"deep-supervision:{how}")


def test_with_instance_norm_an_image_is_seen_by_itself(volumes: Plan) -> None:
    """In training, what the others of its batch are changes its scores with batch norm, and not with instance norm."""
    x = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    same = []
    for tricks in ((), ("instance-norm",)):
        plan = replanned(plain(volumes), *tricks)
        one = plan.configuration("2d")
        spec = replace(one.backbone, widths=tuple(4 for _ in one.backbone.widths))
        with seeded(0):
            net = build_unet(replace(one, backbone=spec), 3)
        kinds = nn.modules.batchnorm._BatchNorm if not tricks else nn.InstanceNorm2d
        assert any(isinstance(module, kinds) for module in net.modules())
        with torch.no_grad():
            here, there = net(x)[0], net(torch.stack([x[0], 5 * x[1] + 1]))[0]
        same.append(torch.allclose(here, there, atol=1e-5))
    assert same == [False, True]


@pytest.mark.parametrize("name", LOSSES)
def test_one_level_is_the_plain_loss_and_several_are_their_sum(name: str) -> None:
    rng = torch.Generator().manual_seed(0)
    labels = torch.randint(-1, 3, (2, 16, 16), generator=rng)
    levels = [torch.randn(2, 3, 16 // n, 16 // n, generator=rng) for n in (1, 2, 4, 8)]
    loss, sums = parse_loss(name), Sums()
    alone = at_levels(loss, levels[:1], labels, sums, weights=(1.0,))
    assert {k: float(v) for k, v in alone.items()} == {k: float(v) for k, v in loss(levels[0], labels, sums).items()}
    every = [loss(x, labels[:, n // 2 :: n, n // 2 :: n], sums) for x, n in zip(levels, (1, 2, 4, 8), strict=True)]
    together = at_levels(loss, levels, labels, sums, weights=(1.0,) * 4)
    for term, total in together.items():
        assert float(total) == pytest.approx(sum(float(found[term]) for found in every), rel=1e-5)


@pytest.mark.parametrize("sides", [(16, 16), (15, 9), (6, 5, 7)])
def test_labels_of_coarse_levels_are_labels(sides: tuple[int, ...]) -> None:
    """Never a mean of two classes: each is that of a voxel within its cell."""
    rng = torch.Generator().manual_seed(0)
    labels = 7 * torch.randint(0, 3, (2, *sides), generator=rng) - 1
    seen: list[Tensor] = []

    def noted(logits: Tensor, at_level: Tensor, sums: Sums) -> Terms:
        seen.append(at_level)
        return {"loss": logits.sum()}

    sizes = [tuple(-(-side // n) for side in sides) for n in (1, 2, 4)]
    at_levels(noted, [torch.zeros(2, 3, *size) for size in sizes], labels, Sums(), weights=(1.0,) * 3)
    assert torch.equal(seen[0], labels)
    for coarse, size in zip(seen, sizes, strict=True):
        assert tuple(coarse.shape[1:]) == size
        assert coarse.dtype == torch.int64
        index = [torch.floor((torch.arange(m) + 0.5) * n / m).long() for m, n in zip(size, sides, strict=True)]
        assert torch.equal(coarse, labels[:, *torch.meshgrid(*index, indexing="ij")])


def test_the_usual_loss_of_a_scene_is_what_it_was() -> None:
    rng = torch.Generator().manual_seed(0)
    scores, classes = torch.randn(40, 5, generator=rng), torch.randint(5, (40,), generator=rng)
    for smoothing in (0.0, 0.1):
        found = chosen_loss(TrainSettings(label_smoothing=smoothing))(scores, classes)
        assert torch.equal(found, F.cross_entropy(scores, classes, label_smoothing=smoothing))


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "weighted-ce"])
def test_losses_of_a_scene_know_no_background(name: str) -> None:
    """Whichever class comes first: with all of them renamed the loss is the same."""
    rng = torch.Generator().manual_seed(0)
    scores, classes = torch.randn(40, 5, generator=rng), torch.randint(5, (40,), generator=rng)
    loss, order = chosen_loss(TrainSettings(loss=name)), torch.tensor([3, 1, 4, 0, 2])
    renamed = loss(scores[:, order], order.argsort()[classes])
    assert float(renamed) == pytest.approx(float(loss(scores, classes)), rel=1e-5)


def test_a_trick_on_a_scene_is_the_same_training_as_its_loss(task: Task) -> None:
    method, runtime = METHODS["cnn3d"], Runtime(seed=0, quiet=True)
    usual = changed(method.settings(), TINY)
    tricked = tricked_method(method, ["focal-loss:gamma=1"])
    tricked.check(task, usual)
    found: list[Any] = [
        tricked.fit(task, usual, runtime),
        method.fit(task, changed(usual, {"train.loss": "focal:1"}), runtime),
        method.fit(task, usual, runtime),
    ]
    here, same, other = ([*model.network.state_dict().values()] for model in found)
    assert all(map(torch.equal, here, same))
    assert not all(map(torch.equal, here, other))


@pytest.mark.parametrize("method", WITH_LOSS)
def test_every_method_of_scenes_that_has_the_option_has_the_tricks(method: str) -> None:
    """With their defaults, whatever the path of the setting is."""
    assert {"cnn3d", "unet", "bridged-unet", "wide-unet"} <= set(WITH_LOSS)
    for trick in LOSS_TRICKS:
        if TRICKS[trick].on_scene is None:
            continue
        seen: list[Any] = []
        noting = replace(METHODS[method], fit=lambda task, settings, runtime, seen=seen: seen.append(settings))
        given = noting.settings()
        tricked_method(noting, [trick]).fit(None, given, None)
        (found,) = seen
        told = {leaf.rule.shown: leaf.value for leaf in leaves(found)}
        assert told["loss"] == LOSS_TRICKS[trick]
        before, after = (
            {k: v for k, v in leaf_values(one).items() if not k.endswith("loss")} for one in (given, found)
        )
        assert before == after


def leaf_values(of: Any) -> dict[str, Any]:
    return {leaf.path: leaf.value for leaf in leaves(of)}


@pytest.mark.parametrize(
    ("method", "trick", "more", "said"),
    [
        ("svm", "focal-loss", {}, "with the method svm: it has no loss of class scores that can be chosen"),
        ("gan", "dice-loss", {}, "it has no loss of class scores"),
        ("cnn3d", "weighted-ce", {}, "it is of images and volumes, not of scenes"),
        ("unet", "weighted-ce", {}, "it is of images and volumes, not of scenes"),
        ("unet", "focal-loss:alpha_background=0.1", {}, "no class of a scene is background"),
        ("bridged-unet", "ohem", {"unet.loss": "dice"}, "--loss names another one"),
        ("cnn3d", "focal-loss:alpha_background=0.1", {}, "no class of a scene is background"),
        ("cnn3d", "deep-supervision", {}, "it is of images and volumes, not of scenes"),
        ("cnn3d", "instance-norm", {}, "it is of images and volumes, not of scenes"),
        ("cnn3d", "ohem", {"train.loss": "ohem"}, "has it already"),
        ("cnn3d", "ohem", {"train.loss": "dice"}, "--loss names another one"),
        ("cnn3d", "ohem", {"train.label_smoothing": 0.1}, "label_smoothing is of the loss ce alone"),
    ],
)
def test_refused_on_a_scene(task: Task, method: str, trick: str, more: dict[str, Any], said: str) -> None:
    def asked() -> None:
        run = RunSettings(method=method, tricks=(trick,))
        run.chosen.check(task, changed(run.method_settings, TINY | more if more and method == "cnn3d" else more))

    with pytest.raises(SettingError, match=f"--trick {trick.split(':')[0]}, .*{said}"):
        asked()


@pytest.mark.parametrize(
    ("loss", "smoothing", "said"),
    [
        ("dice", 0.1, "label_smoothing is of the loss ce alone, got 0.1 with dice"),
        ("weighted-ce", 0.0, "no class of a scene is background"),
        ("focal:alpha_background=0.5", 0.0, "no class of a scene is background"),
        ("diec", 0.0, "unknown loss 'diec'"),
    ],
)
def test_refused_losses_of_a_scene(loss: str, smoothing: float, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        TrainSettings(loss=loss, label_smoothing=smoothing)

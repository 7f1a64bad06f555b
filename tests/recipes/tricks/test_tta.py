"""Test-time augmentation: views and back again, networks that commute with them, what is averaged, and refusals."""

from __future__ import annotations

import logging
import runpy
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from planned import fingerprint
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.core import SettingError
from hyperseg.data import patches
from hyperseg.engine.blend import mirrors, seen, seen_back, view
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.plan import Plan, make_plan
from hyperseg.medical.training import V2
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.recipes.tricks.choosing import tricked_method
from hyperseg.recipes.tricks.inference.tta import Views, mean_over, on_cases, views_of

SUBSETS = ["flips", "turns", "both"]


class Commutes(nn.Module):
    """What it says of a pixel depends on the pixel and the mean of its neighbours: the same in every view."""

    def forward(self, x: Tensor) -> Tensor:
        around = (F.avg_pool2d if x.ndim == 4 else F.avg_pool3d)(x, 3, 1, 1)
        return torch.cat([x.sin(), 2 * around, x * around], 1)


class Ramp(nn.Module):
    """What it says depends on the place."""

    def forward(self, x: Tensor) -> Tensor:
        ramp = torch.linspace(-2, 3, x[0, 0].numel()).view(1, 1, *x.shape[2:])
        return torch.cat([x + ramp, x - ramp, x * ramp], 1)


def score(net: nn.Module, which: str = "both", *, mirror: bool = False, average: str = "logits") -> Callable:
    method = case_method(tricks=[f"tta:views={which}"])
    return method.on.score([net], 3, replace(V2.inference, average=average), mirror, method.settings)


@pytest.mark.parametrize("shape", [(5, 7), (4, 5, 6)])
def test_every_view_is_brought_back_bit_by_bit(shape: tuple[int, ...]) -> None:
    x, axes = torch.randn(2, 1, *shape), range(-len(shape), 0)
    every = [view(flips, turns) for n in range(len(shape) + 1) for flips in combinations(axes, n) for turns in range(4)]
    for how in every:
        assert torch.equal(seen_back(seen(x, how), how), x)
    assert len(set(every)) == {2: 8, 3: 16}[len(shape)]  # the symmetries of the square, and those of the third axis


def test_views_that_look_the_same_are_the_same() -> None:
    x = torch.randn(1, 1, 4, 4)
    assert torch.equal(seen(x, view(turns=2)), x.flip((-2, -1)))
    assert view(turns=2) == view([-2, -1])
    for turns in range(4):
        assert torch.equal(seen(x, view([-1], turns)), x.flip(-1).rot90(turns, (-2, -1)))


@pytest.mark.parametrize(("axes", "which", "n"), [
    (2, "flips", 3), (2, "turns", 4), (2, "both", 6), (3, "flips", 4), (3, "turns", 4), (3, "both", 7),
])  # fmt: skip
def test_how_many_views_there_are(axes: int, which: str, n: int) -> None:
    assert len(views_of(axes, which)) == n == len(set(views_of(axes, which)))
    assert views_of(axes, which)[0] == view()
    method = case_method(tricks=[f"tta:views={which}"])
    assert method.on.looks(method.settings, axes, False) == n


@pytest.mark.parametrize("axes", [2, 3])
def test_mirror_images_that_are_asked_for_too_count_once(axes: int) -> None:
    every = {view(flip) for flip in mirrors(range(-axes, 0))}
    assert set(views_of(axes, "flips", mirror=True)) == every
    assert set(views_of(axes, "turns", mirror=True)) == every | {view(turns=1), view(turns=3)}
    assert len(views_of(axes, "both", mirror=True)) == 2**axes + 2
    x = torch.randn(2, 1, *(6,) * axes)
    plain = case_method()
    mirrored = plain.on.score([Ramp()], 3, replace(V2.inference, average="probabilities"), True, plain.settings)(x)
    torch.testing.assert_close(score(Ramp(), "flips", mirror=True, average="probabilities")(x), mirrored)


@pytest.mark.parametrize("which", SUBSETS)
@pytest.mark.parametrize("mirror", [False, True])
@pytest.mark.parametrize("shape", [(6, 6), (5, 8), (4, 5, 6)])
def test_a_network_that_commutes_with_the_views_answers_as_it_does_alone(
    which: str, mirror: bool, shape: tuple[int, ...]
) -> None:  # fmt: skip
    x, net = torch.randn(2, 1, *shape), Commutes()
    alone = net(x).softmax(1)
    torch.testing.assert_close(score(net, which, mirror=mirror, average="probabilities")(x), alone)
    torch.testing.assert_close(score(net, which, mirror=mirror)(x).softmax(1), alone)


@pytest.mark.parametrize("which", SUBSETS)
def test_probabilities_are_averaged_whatever_the_plan_averages(which: str) -> None:
    x, net = torch.randn(2, 1, 5, 5), Ramp()
    views = views_of(2, which)
    by_hand = torch.stack([seen_back(net(seen(x, how)).softmax(1), how) for how in views]).mean(0)
    for average in ("logits", "probabilities"):
        found = score(net, which, average=average)(x)
        found = found if average == "probabilities" else found.exp()  # logarithms of probabilities are logits of them
        torch.testing.assert_close(found, by_hand)
        torch.testing.assert_close(found.sum(1), torch.ones(2, 5, 5))
    assert not torch.allclose(by_hand, net(x).softmax(1), atol=1e-2)


def test_an_impossible_class_has_finite_logits() -> None:
    sure = nn.Conv2d(1, 2, 1)
    nn.init.zeros_(sure.weight)
    with torch.no_grad():
        sure.bias.copy_(torch.tensor([500.0, -500.0]))
    assert torch.isfinite(score(sure)(torch.zeros(1, 1, 4, 4))).all()


def test_the_answer_moves_with_the_image_when_the_views_are_a_group() -> None:
    x, net = torch.randn(1, 1, 6, 6), Ramp()
    answer = score(net, "turns")
    for turns in range(4):
        how = view(turns=turns)
        torch.testing.assert_close(answer(seen(x, how)), seen(answer(x), how), atol=1e-5, rtol=1e-5)
    identity = mean_over(lambda x: x, x, views_of(2, "both"))
    torch.testing.assert_close(identity, x)


def planned(*classes: str, patch: tuple[int, ...] = (16, 12), mirror: bool = True) -> Plan:
    found = fingerprint("Hippocampus")
    plan = make_plan(replace(found, classes=("background", *classes), counts=(100,) * (1 + len(classes))))
    one = next(one for one in plan.configurations if one.n_axes == 2)
    augmentation = replace(plan.training.augmentation, mirror=mirror)
    made: Configuration = replace(one, patch=patch)
    return replace(plan, configurations=(made,), training=replace(plan.training, augmentation=augmentation))


def check(plan: Plan, which: str = "both", method: str = "unet") -> None:
    chosen = case_method(method, tricks=[f"tta:views={which}"])
    chosen.on.check(plan, chosen.settings)


@pytest.mark.parametrize("classes", [
    ("left kidney", "right kidney"), ("liver", "Kidney_L", "Kidney_R"), ("right", "left"), ("eyeLeft", "right-eye"),
])  # fmt: skip
def test_flips_are_refused_where_a_class_is_the_mirror_image_of_another(classes: tuple[str, ...]) -> None:
    for which in ("flips", "both"):
        with pytest.raises(SettingError, match=r"^--trick tta, with .* looks like .*: flips are no symmetry"):
            check(planned(*classes), which)
    check(planned(*classes), "turns")


@pytest.mark.parametrize("classes", [("left atrium",), ("anterior", "posterior"), ("LV", "RV"), ("cleft", "bright")])
def test_other_classes_are_flipped(classes: tuple[str, ...]) -> None:
    check(planned(*classes))


def test_a_plan_that_trains_without_mirror_images_is_told(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        check(planned("tumour"))
        check(planned("tumour", mirror=False), "turns")
        assert not caplog.records
        check(planned("tumour", mirror=False), "flips")
    assert "trains without" in caplog.text


def test_what_is_imported_while_shapes_are_tried_has_values() -> None:
    with torch.device("meta"):
        found = runpy.run_path(str(patches.__file__))
    assert {found[name].device.type for name in ("SQUARE", "BOX")} == {"cpu"}


class OneShape(Ramp):
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x + torch.zeros(24, 16))


def test_sides_that_differ_are_turned_where_the_network_takes_them() -> None:
    for method in ("unet", "feed-forward"):
        check(planned("tumour", patch=(24, 16)), method=method)
    chosen, plan = case_method(), planned("tumour", patch=(24, 16))
    fixed = replace(chosen.on, build=lambda *_: OneShape())
    with pytest.raises(SettingError, match=r"have sides 24 x 16, and its network takes none turned.*tta:views=flips"):
        on_cases(fixed, Views()).check(plan, chosen.settings)
    on_cases(fixed, Views("flips")).check(plan, chosen.settings)
    on_cases(fixed, Views()).check(planned("tumour", patch=(16, 16)), chosen.settings)


def test_a_method_that_draws_its_answers_has_no_place_for_it() -> None:
    with pytest.raises(SettingError, match="tta, with the method medsegdiff: the method draws"):
        case_method("medsegdiff", tricks=["tta"])


def test_on_scenes_it_is_the_setting_flips() -> None:
    with pytest.raises(SettingError, match=r"tta, with the method svm: svm has no setting flips"):
        tricked_method(METHODS["svm"], ["tta"])
    with pytest.raises(SettingError, match="leave views out"):
        tricked_method(METHODS["unet"], ["tta:views=flips"])
    assert tricked_method(METHODS["unet"], ["tta"]).name == "unet"

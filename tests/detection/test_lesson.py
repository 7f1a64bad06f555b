"""What a step learns: which loss reaches which weights, of which patches, and that training finds something."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from small_detector import batch, cubes, detector
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.detection.batch import Batch, draw_batch
from hyperseg.detection.finding import find
from hyperseg.detection.lesson import NETWORK, FocalMixLoss, lesson, turned
from hyperseg.detection.negatives import chosen
from hyperseg.detection.network import Answer, Detector, flat
from hyperseg.detection.settings import ABLATION, PAPER, FocalMixSettings
from hyperseg.detection.symmetries import symmetries
from hyperseg.engine.one_cycle import train
from hyperseg.losses.soft_focal import soft_focal


def loss_of(net: Detector, **changes: Any) -> FocalMixLoss:
    return FocalMixLoss(net, changed(FocalMixSettings(), changes), teacher=net, warm=10)


class Said(torch.nn.Module):
    """Keeps what a detector said, so that gradients with respect to it can be looked at."""

    def __init__(self, net: Detector) -> None:
        super().__init__()
        self.net, self.spec, self.anchors, self.answers = net, net.spec, net.anchors, list[Answer]()

    def forward(self, x: Tensor) -> Answer:
        answer = self.net(x)
        if torch.is_grad_enabled():
            for one in (*answer.logits, *answer.codes):
                one.retain_grad()
            self.answers.append(answer)
        return answer


@pytest.mark.parametrize("row", [row for row in ABLATION if row != "twin"])
def test_boxes_are_never_learnt_without_labels(row: str) -> None:
    net: Any = Said(detector())
    terms = FocalMixLoss(net, changed(FocalMixSettings(), ABLATION[row]), teacher=net, warm=0)(batch())
    sum(terms.values()).backward()  # type: ignore[union-attr]
    (answer,) = net.answers
    for codes in answer.codes:
        assert not codes.grad[2:].any()
    labelled = torch.cat([codes.grad[:2].flatten() for codes in answer.codes])
    assert labelled.any()
    if "soft" not in row:
        assert all(logits.grad[2:].any() for logits in answer.logits)


def test_nothing_is_learnt_through_predicted_targets() -> None:
    """The gradient is that of the same loss with the targets as given numbers."""
    net, given = detector(), batch(20)
    settings = {**PAPER, "image_mixup": False, "object_mixup": False, "turned": False, "normaliser": "batch"}
    loss = loss_of(net, **settings)
    group = symmetries((16, 16, 16), net.anchors, stride=net.spec.stride)
    assert given.unlabelled is not None
    targets = loss.predict(given.unlabelled, group, np.random.default_rng(given.seed)).targets
    fixed = torch.cat([one.flatten(1) for one in targets], 1)
    labels = loss.assigned(given.images, given.boxes).positive.float()
    logits, _ = flat(net(torch.cat((given.images, given.unlabelled))))
    y = torch.cat((labels, fixed))
    expected = soft_focal(logits, y, alpha0=0.05, alpha1=0.95, gamma=2).sum() / y.sum().clamp(min=1)
    terms = loss(given)
    torch.testing.assert_close(terms["scores"] + terms["unlabelled"], expected)
    weights = [weight for name, weight in net.named_parameters() if not name.startswith("place")]
    for ours, theirs in zip(
        torch.autograd.grad(terms["scores"] + terms["unlabelled"], weights),
        torch.autograd.grad(expected, weights),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


def test_the_warm_up_learns_from_labels_alone() -> None:
    net, given = detector(), batch(9)
    terms = loss_of(net)(given)
    assert set(terms) == {"scores", "boxes"}
    plain = loss_of(net, unlabelled=False, image_mixup=False, object_mixup=False)(replace_step(given, 50))
    for name in terms:
        assert torch.equal(terms[name], plain[name])
    assert "unlabelled" in loss_of(net)(replace_step(given, 10))


def test_faint_targets_do_not_make_labels_count_less() -> None:
    """Unless all targets are counted together: most anchors are background, and their targets are many and small."""
    given, net = batch(50), detector()
    plain = {"image_mixup": False, "object_mixup": False}
    alone = loss_of(net, unlabelled=False, **plain)(given)["scores"]
    torch.testing.assert_close(loss_of(net, normaliser="halves", **plain)(given)["scores"], alone)
    assert loss_of(net, normaliser="batch", **plain)(given)["scores"] < alone


def test_targets_in_doubt_carry_no_loss() -> None:
    """A network at the start doubts everything; a band that holds all of its targets leaves labels alone."""
    given, net = batch(50), detector()
    plain = {"image_mixup": False, "object_mixup": False}
    without = loss_of(net, doubtful=(0.0, 1.0), **plain)(given)
    every = loss_of(net, doubtful=(0.5, 0.5), **plain)(given)
    assert without["unlabelled"] == 0
    assert every["unlabelled"] > 0
    assert torch.equal(without["scores"], every["scores"])
    assert torch.equal(loss_of(net, doubtful=(1.0, 1.0), **plain)(given)["unlabelled"], every["unlabelled"])
    mixed = loss_of(net, doubtful=(0.0, 1.0), object_mixup=False)(given)
    assert mixed["unlabelled"] > 0  # by the share of labelled partners


@pytest.mark.parametrize("bounds", [(0.5,), (0.6, 0.4), (0.1, 0.2, 0.3), (-0.1, 0.5), (0.1, 1.5)])
def test_bounds_of_doubt_are_two_numbers_in_order(bounds: tuple[float, ...]) -> None:
    with pytest.raises(SettingError, match="doubtful"):
        changed(FocalMixSettings(), {"doubtful": bounds})


def test_targets_are_predicted_before_patches_are_shaken() -> None:
    """The teacher sees the patches of the batch, turned and no more."""
    given, net = batch(50), detector()
    assert given.unlabelled is not None
    seen: list[Tensor] = []

    class Watched(torch.nn.Module):
        def forward(self, x: Tensor) -> Answer:
            seen.append(x)
            answer: Answer = net(x)
            return answer

    chosen = changed(FocalMixSettings(), {"shaken": 0.5, "image_mixup": False, "object_mixup": False})
    FocalMixLoss(net, chosen, teacher=Watched(), warm=0)(given)
    assert len(seen) == chosen.views
    for x in seen:
        assert torch.equal(x.flatten(1).sort().values, given.unlabelled.flatten(1).sort().values)


def test_a_step_is_a_function_of_its_batch() -> None:
    net = detector()
    first, second, other = (loss_of(net)(given) for given in (batch(50), batch(50), batch(50)._replace(seed=6)))
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize("row", ABLATION)
@pytest.mark.parametrize("step", [0, 50])
def test_images_without_objects_have_a_finite_loss(row: str, step: int) -> None:
    net = detector()
    terms = loss_of(net, **ABLATION[row])(batch(step, empty=True))
    sum(terms.values()).backward()  # type: ignore[union-attr]
    assert all(term.isfinite() for term in terms.values())
    assert terms["boxes"] == 0
    assert all(weight.grad is None or weight.grad.isfinite().all() for weight in net.parameters())


@pytest.mark.parametrize("row", ABLATION)
def test_images_of_two_axes_are_learnt_too(row: str) -> None:
    terms = loss_of(detector(2), **ABLATION[row])(batch(50, n_axes=2))
    assert all(term.isfinite() for term in terms.values())


def test_turned_patches_keep_their_objects() -> None:
    """What is bright in a patch is in its boxes, after the turn as before."""
    given = batch()
    net = detector()
    group = symmetries((16, 16, 16), net.anchors, stride=net.spec.stride)
    images, boxes = turned(given, group, np.random.default_rng(3))
    assert not torch.equal(images, given.images)
    for image, own in zip(images, boxes, strict=True):
        for box in own.int().tolist():
            inside = image[0, box[0] : box[3], box[1] : box[4], box[2] : box[5]]
            assert inside.mean() > 1.5


def test_hard_negatives_are_hard() -> None:
    logits = torch.linspace(-5, 5, 2000)
    positive = torch.zeros(2000, dtype=torch.bool)
    positive[:3] = True
    found = chosen(logits, positive, np.random.default_rng(0))
    assert positive[found].sum() == 3
    assert len(found) == 3 + 7
    assert found[3:].min() >= 2000 - 7 * 20
    many = chosen(logits, ~positive, np.random.default_rng(0))
    assert len(many) == 19 + 3
    assert len(chosen(logits, torch.zeros_like(positive), np.random.default_rng(0))) == 1


def test_settings_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(SettingError, match="soft"):
        FocalMixSettings(classification="bce")
    for row in ABLATION.values():
        changed(FocalMixSettings(), row)
    changed(FocalMixSettings(), PAPER)


def trained(teacher: str, *, steps: int) -> tuple[Detector, list[float]]:
    """A detector of bright squares, and what its score loss was at every step."""
    known, bare = cubes(4, n_axes=2), [volume for volume, _ in cubes(4, n_axes=2, seed=1)]
    net = detector(2)
    phases, averages = lesson(net, changed(FocalMixSettings(), {"teacher": teacher}), steps=steps, lr=1e-2)
    history = train(
        phases, lambda step: draw_batch(known, bare, patch=(16, 16), counts=(2, 2), seed=0, step=step), steps,
        modules={NETWORK: net}, averages=averages, runtime=Runtime(quiet=True), name="d", title="d",
    )  # fmt: skip
    return net, history.terms["scores"]


@pytest.mark.parametrize("teacher", ["self", "ema"])
def test_training_repeats_itself(teacher: str) -> None:
    assert trained(teacher, steps=6)[1] == trained(teacher, steps=6)[1]


def test_training_finds_what_is_bright() -> None:
    net, _ = trained("ema", steps=80)
    for volume, boxes in cubes(3, n_axes=2, seed=2):
        found = find([net], volume, net.spec, patch=(24, 24))
        true = (boxes[:, :2] + boxes[:, 2:]) / 2
        middle = (found.boxes[:2, :2] + found.boxes[:2, 2:]) / 2
        assert np.abs(middle[:, None] - true[None]).max(-1).min(0).max() < 2.5  # both are the best two


def replace_step(given: Batch, step: int) -> Batch:
    return given._replace(step=step)

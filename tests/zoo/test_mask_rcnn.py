"""Mask R-CNN's parts: masks of the true class alone, masks in boxes and back, proposals, settings as JSON."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hyperseg.core import SettingError
from hyperseg.core.settings import from_json, to_json
from hyperseg.zoo.instances.finding import find_objects, pasted
from hyperseg.zoo.instances.learning import Batch, MaskRCNNLoss, Objects, from_units, in_units, mask_loss, masks_in
from hyperseg.zoo.instances.mask_rcnn import MaskRCNNSpec, build, mask_rcnn_spec
from hyperseg.zoo.instances.proposing import proposed
from hyperseg.zoo.instances.settings import FindSettings, LessonSettings, MaskRCNNSettings

SMALL = MaskRCNNSettings(widths=(4, 8), levels=(0, 1), neck_width=8, hidden=8, mask_depth=1)
SHAPES = ((6.0, 6.0), (12.0, 12.0))


def small(n_classes: int = 1, n_axes: int = 2) -> MaskRCNNSpec:
    chosen = replace(SMALL, box_bins=3, mask_bins=4) if n_axes == 3 else SMALL
    return mask_rcnn_spec(3, n_axes, n_classes, chosen, tuple((a,) * n_axes for a, _ in SHAPES))


def squares() -> Objects:
    """Two squares of a picture of 40 x 37 pixels."""
    numbers = torch.zeros(40, 37, dtype=torch.int64)
    numbers[4:12, 5:11] = 3
    numbers[20:33, 18:30] = 8
    boxes = torch.tensor([[4.0, 5.0, 12.0, 11.0], [20.0, 18.0, 33.0, 30.0]])
    return Objects(boxes, torch.tensor([3, 8]), torch.tensor([1, 2]), numbers)


def test_the_mask_loss_touches_the_channel_of_the_true_class_alone() -> None:
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, 5, 5, generator=rng, requires_grad=True)
    masks, classes = torch.rand(4, 5, 5, generator=rng) > 0.5, torch.tensor([1, 3, 2, 3])
    mask_loss(logits, masks, classes).backward()
    assert logits.grad is not None
    for i, own in enumerate(classes.tolist()):
        for k in range(3):
            assert bool((logits.grad[i, k] != 0).all()) == (k == own - 1)


def test_a_sure_and_right_mask_costs_nothing_whatever_other_classes_say() -> None:
    masks = torch.rand(2, 6, 6, generator=torch.Generator().manual_seed(1)) > 0.5
    logits = torch.full((2, 2, 6, 6), 50.0)
    logits[torch.arange(2), torch.tensor([0, 1])] = torch.where(masks, 50.0, -50.0)
    assert float(mask_loss(logits, masks, torch.tensor([1, 2]))) < 1e-6


def test_masks_in_boxes_are_those_pixels() -> None:
    """A bin for each pixel gives the pixels; two a pixel give each twice."""
    one = squares()
    box = torch.tensor([[18.0, 16.0, 34.0, 32.0]])
    whole = one.numbers[18:34, 16:32] == 8
    assert torch.equal(masks_in(one.numbers, box, torch.tensor([8]), (16, 16))[0], whole)
    twice = whole.repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(masks_in(one.numbers, box, torch.tensor([8]), (32, 32))[0], twice)


def test_what_is_pasted_is_what_was_cut_out() -> None:
    one = squares()
    for box, number in ((one.boxes[0], 3), (torch.tensor([17.0, 15.0, 35.0, 31.0]), 8)):
        size = (box[2:] - box[:2]).int().tolist()
        mask = masks_in(one.numbers, box[None], torch.tensor([number]), size)[0].double()
        window, inside = pasted(box, mask, one.numbers.shape)
        page = np.zeros(one.numbers.shape, bool)
        page[window] = inside
        assert (page == (one.numbers == number).numpy()).all()


def test_a_mask_counts_where_centres_of_pixels_lie_in_the_box() -> None:
    window, inside = pasted(torch.tensor([1.4, -2.0, 4.6, 2.4]), torch.ones(28, 28), (6, 6))
    assert window == (slice(1, 5), slice(0, 3))
    assert inside.tolist() == [[True, True, False]] * 4  # 1.5..4.5 lie inside 1.4..4.6; of 0.5, 1.5, 2.5 two do
    window, inside = pasted(torch.tensor([1.6, 0.0, 4.4, 2.0]), torch.ones(28, 28), (6, 6))
    assert inside[:, 0].tolist() == [False, True, True, False]


def test_units_of_codes_and_back() -> None:
    codes = torch.randn(5, 4, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(from_units(in_units(codes)), codes)
    torch.testing.assert_close(in_units(torch.tensor([[0.1, 0.1, 0.2, 0.2]])), torch.ones(1, 4))


def test_proposals_are_anchors_where_codes_are_zero() -> None:
    """The best come first, boxes are cut at the picture, and of two that overlap one stays."""
    anchors = [torch.tensor([[0.0, 0.0, 8.0, 8.0], [0.0, 1.0, 8.0, 9.0], [30.0, 30.0, 44.0, 44.0]])]
    logits, codes = torch.tensor([1.0, 2.0, 0.0]), torch.zeros(3, 4)
    found = proposed(logits, codes, anchors, (40, 37), before=9, most=9, overlap=0.7)
    assert found.tolist() == [[0.0, 1.0, 8.0, 9.0], [30.0, 30.0, 40.0, 37.0]]
    assert len(proposed(logits, codes, anchors, (40, 37), before=9, most=9, overlap=1.0)) == 3
    assert len(proposed(logits, codes, anchors, (40, 37), before=9, most=1, overlap=1.0)) == 1


@pytest.mark.parametrize("n_axes", [2, 3])
def test_every_weight_learns(n_axes: int) -> None:
    """Odd sizes, two classes, one picture without an object."""
    spec = small(2, n_axes)
    net = build(spec, 0)
    if n_axes == 2:
        one = squares()
    else:
        numbers = torch.zeros(12, 19, 17, dtype=torch.int64)
        numbers[2:8, 3:11, 4:12] = 5
        one = Objects(torch.tensor([[2.0, 3, 4, 8, 11, 12]]), torch.tensor([5]), torch.tensor([2]), numbers)
    none = Objects(one.boxes[:0], one.ids[:0], one.classes[:0], one.numbers * 0)
    shape = tuple(one.numbers.shape)
    images = torch.randn(2, 3, *shape, generator=torch.Generator().manual_seed(3))
    terms = MaskRCNNLoss(net, LessonSettings())(Batch(images, [one, none], 5))
    assert set(terms) == {"objects", "proposals", "classes", "boxes", "masks"}
    sum(terms.values()).backward()  # type: ignore[union-attr]
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []
    again = MaskRCNNLoss(net, LessonSettings())(Batch(images, [one, none], 5))
    assert {name: float(term.detach()) for name, term in again.items()} == {
        name: float(term.detach()) for name, term in terms.items()
    }


def test_pictures_without_objects_are_learnt_from() -> None:
    net, one = build(small(), 0), squares()
    none = Objects(one.boxes[:0], one.ids[:0], one.classes[:0], one.numbers * 0)
    terms = MaskRCNNLoss(net, LessonSettings())(Batch(torch.zeros(1, 3, 40, 37), [none], 0))
    assert all(bool(torch.isfinite(term)) for term in terms.values())
    assert [float(terms[name].detach()) for name in ("boxes", "masks", "proposals")] == [0, 0, 0]


def test_objects_found_are_numbered_from_the_best_and_share_no_pixel() -> None:
    net = build(small(2), 0).eval()
    image = torch.randn(3, 41, 37, generator=torch.Generator().manual_seed(4))
    found = find_objects(net, image, FindSettings(score=0.0, kept=0.2))
    n = len(found.scores)
    assert n > 1
    assert found.numbers.shape == (41, 37)
    assert np.unique(found.numbers[found.numbers > 0]).tolist() == list(range(1, n + 1))
    assert (np.diff(found.scores) <= 0).all()
    assert set(found.classes.tolist()) <= {1, 2}
    least = float(np.median(found.scores))
    few, cut = find_objects(net, image, FindSettings(score=least, kept=0.2)), found.above(least)
    assert (few.numbers == cut.numbers).all()
    assert (few.scores == cut.scores).all()


def test_a_spec_as_json_and_back() -> None:
    spec = small(2)
    assert from_json(MaskRCNNSpec, to_json(spec)) == spec


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"levels": (1, 0)}, "levels"),
        ({"levels": (0, 9)}, "0..3"),
        ({"anchors": (4.0, 8.0)}, "as many for each"),
        ({"anchors": (8.0, 4.0, 2.0)}, "from small to large"),
    ],
)
def test_settings_that_do_not_fit_are_refused(changes: dict[str, object], told: str) -> None:
    with pytest.raises(SettingError, match=told.replace(".", r"\.")):
        MaskRCNNSettings(**changes)  # type: ignore[arg-type]

"""The network of the detector: what it says before it has learnt, in which order, of which sizes; anchors planned."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from small_detector import TINY, detector

from hyperseg.core import SettingError
from hyperseg.core.settings import from_json, to_json
from hyperseg.detection.network import Answer, DetectorSpec, alike_axes, detector_spec, flat, planned_anchors
from hyperseg.detection.settings import DetectorSettings


@pytest.mark.parametrize("n_axes", [2, 3])
def test_at_first_it_says_the_prior_everywhere(n_axes: int) -> None:
    net = detector(n_axes)
    logits, codes = flat(net(torch.randn(2, 1, *(16,) * n_axes)))
    torch.testing.assert_close(logits.sigmoid(), torch.full_like(logits, 0.01), atol=2e-3, rtol=0)
    assert codes.abs().max() < 0.2


@pytest.mark.parametrize("shape", [(16, 16, 16), (17, 12, 15), (12, 20)])
def test_it_answers_at_every_anchor_of_any_image(shape: tuple[int, ...]) -> None:
    net = detector(len(shape))
    answer = net(torch.randn(1, 1, *shape))
    anchors = net.anchors.boxes(shape)
    for logits, codes, own in zip(answer.logits, answer.codes, anchors, strict=True):
        assert logits[0].numel() == len(own)
        assert codes.shape == (*logits.shape[:2], 2 * len(shape), *logits.shape[2:])
    assert flat(answer)[1].shape == (1, sum(map(len, anchors)), 2 * len(shape))


def test_flat_answers_are_in_the_order_of_the_anchors() -> None:
    """Maps that hold the centres of their cells, flattened, are the centres of the anchors."""
    net, shape = detector(), (8, 12, 16)
    logits, codes = [], []
    for stride, cells in zip(net.anchors.strides, net.anchors.cells(shape), strict=True):
        along = [(torch.arange(n) + 0.5) * step for n, step in zip(cells, stride, strict=True)]
        centres = torch.stack(torch.meshgrid(*along, indexing="ij"))
        each = net.anchors.per_cell
        codes.append(torch.cat((centres, centres))[None, None].expand(1, each, -1, -1, -1, -1))
        logits.append(centres[0][None, None].expand(1, each, -1, -1, -1))
    found, places = flat(Answer(logits, codes))
    anchors = torch.cat(net.anchors.boxes(shape))
    middle = (anchors[:, :3] + anchors[:, 3:]) / 2
    torch.testing.assert_close(places[0, :, :3], middle)
    torch.testing.assert_close(found[0], middle[:, 0])


def test_one_head_answers_at_all_levels() -> None:
    """A change of the head changes all levels; a change of one neck changes its own."""
    net, x = detector(), torch.randn(1, 1, 16, 16, 16)
    before = net(x).logits
    with torch.no_grad():
        net.score.last.layer.bias.add_(1)  # type: ignore[operator, union-attr]
    for old, new in zip(before, net(x).logits, strict=True):
        torch.testing.assert_close(new, old + 1)


def test_a_spec_survives_json() -> None:
    spec = detector_spec(2, 3, DetectorSettings(anchors=(4.0, 6.0, 9.0, 14.0)), alike=(0, 1, 1))
    assert from_json(DetectorSpec, to_json(spec)) == spec
    assert spec.strides == ((2, 2, 2), (4, 4, 4))
    assert spec.stride == (8, 8, 8)


def test_planned_anchors_span_the_boxes() -> None:
    sides = torch.logspace(0.5, 1.5, 50, dtype=torch.float64)[:, None].expand(-1, 3)
    shapes = planned_anchors(torch.cat((torch.zeros_like(sides), sides), 1), 4, (0, 0, 0))
    assert all(len(set(shape)) == 1 for shape in shapes)
    means = [shape[0] for shape in shapes]
    assert means[0] == pytest.approx(float(sides[:, 0].log().quantile(0.1).exp()), rel=1e-3)
    assert means[-1] == pytest.approx(float(sides[:, 0].log().quantile(0.9).exp()), rel=1e-3)
    ratios = [b / a for a, b in pairwise(means)]
    assert ratios == pytest.approx([ratios[0]] * 3, rel=1e-3)


def test_axes_that_are_not_alike_have_sides_of_their_own() -> None:
    boxes = torch.tensor([[0.0, 0, 0, 2, 9, 7], [1, 1, 1, 3, 8, 10]])
    for low, *wide in planned_anchors(boxes, 2, (0, 1, 1)):
        assert low < wide[0] == wide[1]


def test_anchors_of_equal_boxes_differ() -> None:
    shapes = planned_anchors(torch.tensor([[0.0, 0, 0, 5, 5, 5]]), 4, (0, 0, 0))
    assert len(set(shapes)) == 4
    assert shapes[0][0] < 5 < shapes[-1][0]


def test_spacings_say_which_axes_are_alike() -> None:
    assert alike_axes((2.5, 0.7, 0.7003)) == (0, 1, 1)
    assert alike_axes((1, 1, 1)) == (0, 0, 0)


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(SettingError, match="planned from training boxes"):
        detector_spec(1, 3, DetectorSettings())
    with pytest.raises(SettingError, match="levels"):
        DetectorSettings(levels=(1, 0))
    with pytest.raises(SettingError, match="levels"):
        DetectorSettings(widths=(8, 8), levels=(2,))
    with pytest.raises(SettingError, match="anchors"):
        DetectorSettings(anchors=(4.0, 6.0, 8.0))
    spec = detector_spec(1, 3, TINY)
    with pytest.raises(SettingError, match="differ from each other"):
        DetectorSpec(spec.backbone, (0,), (((4.0,) * 3, (4.0,) * 3),))

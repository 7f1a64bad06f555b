"""The same boxes by MONAI, where it is installed."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from hyperseg.boxes.anchors import Anchors
from hyperseg.boxes.codes import decode, encode
from hyperseg.boxes.matching import match
from hyperseg.boxes.overlap import iou
from hyperseg.boxes.suppression import suppressed

AXES = pytest.mark.parametrize("n", [2, 3])


def oracle(name: str) -> Any:
    return pytest.importorskip(name, reason="MONAI is not installed: it is an oracle of tests only")


def boxes_within(count: int, n: int, seed: int, side: int = 64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    size = 4 + 20 * torch.rand(count, n, generator=generator)
    lo = torch.rand(count, n, generator=generator) * (side - size)
    return torch.cat([lo, lo + size], 1)


@AXES
def test_overlap_and_suppression_are_monai_s(n: int) -> None:
    other = oracle("monai.data.box_utils")
    a, b = boxes_within(40, n, 0, side=36), boxes_within(30, n, 1, side=36)
    torch.testing.assert_close(iou(a, b), other.box_iou(a, b))
    scores = torch.rand(40, generator=torch.Generator().manual_seed(2))
    kept = other.non_max_suppression(a, scores, nms_thresh=0.1)
    assert suppressed(a, scores, overlap=0.1).tolist() == kept.tolist()


@AXES
def test_codes_are_monai_s(n: int) -> None:
    coder = oracle("monai.apps.detection.utils.box_coder").BoxCoder(weights=(1.0,) * (2 * n))
    boxes, anchors = boxes_within(20, n, 3), boxes_within(20, n, 4)
    codes = encode(boxes, anchors)
    torch.testing.assert_close(codes, coder.encode_single(boxes, anchors))
    torch.testing.assert_close(decode(codes, anchors), coder.decode_single(codes, anchors))


@AXES
def test_matching_is_monai_s(n: int) -> None:
    matcher = oracle("monai.apps.detection.utils.ATSS_matcher").ATSSMatcher(num_candidates=4)
    sizes = ((8.0,) * n, tuple(6.0 + 4 * a for a in range(n)))
    anchors = Anchors((sizes, tuple(tuple(2 * s for s in size) for size in sizes)), ((4,) * n, (8,) * n))
    levels, boxes = anchors.boxes((64,) * n), boxes_within(12, n, 5)
    _, other = matcher.compute_matches(boxes, torch.cat(levels), [len(level) // 2 for level in levels], 2)
    assert torch.equal(match(levels, boxes, every=False), other.clamp(min=-1))


def test_anchors_are_monai_s_in_another_order() -> None:
    """MONAI lists the sizes of a cell one after the other."""
    module = oracle("monai.apps.detection.utils.anchor_utils")
    sizes, shape = ((6.0, 8.0, 4.0), (10.0, 10.0, 6.0)), (16, 24, 8)
    other = module.AnchorGeneratorWithAnchorShape(feature_map_scales=(1,), base_anchor_shapes=sizes)
    (theirs,) = other(torch.zeros(1, 1, *shape), [torch.zeros(1, 2, 4, 6, 2)])
    (ours,) = Anchors((sizes,), ((4, 4, 4),)).boxes(shape)
    mine = ours.reshape(2, -1, 6).transpose(0, 1).reshape(-1, 6)
    torch.testing.assert_close(mine, theirs)

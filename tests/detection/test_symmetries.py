"""Flips and rotations: a group, with exact inverses, under which anchors, boxes and their assignment go along."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from hyperseg.boxes.anchors import Anchors
from hyperseg.boxes.codes import decode, encode
from hyperseg.boxes.matching import match
from hyperseg.core import SettingError
from hyperseg.detection.symmetries import Symmetry, drawn, symmetries

CUBIC = Anchors((((4.0,) * 3, (7.0,) * 3), ((8.0,) * 3, (12.0,) * 3)), ((2,) * 3, (4,) * 3))
PAIRED = Anchors((((4.0, 6.0), (6.0, 4.0)),), ((2, 2),))
SIDE = 16


def group(anchors: Anchors = CUBIC) -> tuple[Symmetry, ...]:
    n = anchors.n_axes
    return symmetries((SIDE,) * n, anchors, stride=anchors.strides[-1])


def maps(anchors: Anchors, extra: tuple[int, ...] = ()) -> list[torch.Tensor]:
    """Random anchor maps; `extra` axes stand behind that of the anchors."""
    generator = torch.Generator().manual_seed(0)
    cells = anchors.cells((SIDE,) * anchors.n_axes)
    return [torch.randn(2, anchors.per_cell, *extra, *own, generator=generator) for own in cells]


@pytest.mark.parametrize(("anchors", "count"), [(CUBIC, 48), (PAIRED, 8)])
def test_they_are_all_of_the_cube_and_the_square_and_the_first_does_nothing(anchors: Anchors, count: int) -> None:
    found = group(anchors)
    assert len(set(found)) == count
    image = torch.arange(SIDE**anchors.n_axes).view((SIDE,) * anchors.n_axes)
    assert torch.equal(found[0].image(image), image)
    assert len({tuple(turn.image(image).flatten().tolist()) for turn in found}) == count


@pytest.mark.parametrize("anchors", [CUBIC, PAIRED])
def test_inverses_are_exact(anchors: Anchors) -> None:
    logits, codes = maps(anchors), maps(anchors, (2 * anchors.n_axes,))
    image = torch.randn(1, 2, *(SIDE,) * anchors.n_axes)
    for turn in group(anchors):
        back = turn.inverse
        assert torch.equal(back.image(turn.image(image)), image)
        for ours, given in (
            (back.maps(turn.maps(logits, anchors.sizes), anchors.sizes), logits),
            (back.codes(turn.codes(codes, anchors.sizes), anchors.sizes), codes),
        ):
            assert all(torch.equal(a, b) for a, b in zip(ours, given, strict=True))


def test_an_uneven_image_comes_back_too() -> None:
    image = torch.randn(1, 3, 4, 5)
    turn = Symmetry((2, 0, 1), (True, False, True))
    assert turn.image(image).shape == (1, *turn.shape((3, 4, 5)))
    assert torch.equal(turn.inverse.image(turn.image(image)), image)


def test_a_box_goes_where_its_voxels_go() -> None:
    box = torch.tensor([[1.0, 4, 6, 5, 6, 13]])
    mask = torch.zeros(SIDE, SIDE, SIDE)
    mask[1:5, 4:6, 6:13] = 1
    for turn in group():
        inside = turn.image(mask).nonzero()
        expected = torch.cat((inside.min(0).values, inside.max(0).values + 1)).float()
        assert torch.equal(turn.boxes(box, mask.shape)[0], expected)


@pytest.mark.parametrize("anchors", [CUBIC, PAIRED])
def test_boxes_turned_then_assigned_are_boxes_assigned_then_turned(anchors: Anchors) -> None:
    """Anchors that stand for an object, which object, and its codes; boxes without ties."""
    n, shape = anchors.n_axes, (SIDE,) * anchors.n_axes
    rng = np.random.default_rng(1)
    low = rng.uniform(0, 9, (3, n))
    boxes = torch.from_numpy(np.hstack([low, low + rng.uniform(3, 7, (3, n))])).float()
    every, cells = anchors.boxes(shape), anchors.cells(shape)

    def assigned(given: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        which = match(every, given)
        codes = encode(given[which.clamp(min=0)], torch.cat(every)) * (which >= 0)[:, None]
        counts = [len(level) for level in every]
        on_maps = [part.view(1, anchors.per_cell, *own) for part, own in zip(which.split(counts), cells, strict=True)]
        of_codes = [
            part.view(1, anchors.per_cell, *own, 2 * n).movedim(-1, 2)
            for part, own in zip(codes.split(counts), cells, strict=True)
        ]
        return on_maps, of_codes

    which, codes = assigned(boxes)
    assert sum(int((one >= 0).sum()) for one in which) >= 3
    for turn in group(anchors):
        turned_which, turned_codes = assigned(turn.boxes(boxes, shape))
        for ours, given in zip(turn.maps(which, anchors.sizes), turned_which, strict=True):
            assert torch.equal(ours, given)
        for ours, given in zip(turn.codes(codes, anchors.sizes), turned_codes, strict=True):
            torch.testing.assert_close(ours, given, atol=1e-5, rtol=0)


def test_turned_codes_give_turned_boxes() -> None:
    anchors, shape = CUBIC, (SIDE,) * 3
    every = torch.cat(anchors.boxes(shape))
    codes = [0.1 * one for one in maps(anchors, (6,))]

    def boxes(given: list[torch.Tensor]) -> torch.Tensor:
        flat = torch.cat([one[:1].movedim(2, -1).reshape(-1, 6) for one in given])
        return decode(flat, every)

    turn = Symmetry((1, 2, 0), (True, False, True))
    ours = boxes(turn.codes(codes, anchors.sizes))
    moved = turn.boxes(boxes(codes), shape)
    for row in moved[::97]:  # the same boxes, in another order
        assert (ours - row).abs().amax(1).min() < 1e-4


def test_axes_are_exchanged_only_where_everything_is_alike() -> None:
    flat = Anchors((((4.0, 8.0, 8.0),),), ((2, 2, 2),))
    assert len(symmetries((16, 16, 16), flat, stride=(2, 2, 2))) == 16  # flips, and one exchange
    assert len(symmetries((16, 16, 16), CUBIC, stride=(4, 4, 4), alike=(0, 1, 1))) == 16
    assert len(symmetries((16, 16, 8), CUBIC, stride=(4, 4, 4))) == 16
    assert len(symmetries((16, 12, 8), CUBIC, stride=(4, 4, 4))) == 8
    paired = symmetries((16, 16), Anchors((((4.0, 6.0), (5.0, 4.0)),), ((2, 2),)), stride=(2, 2))
    assert len(paired) == 4  # no anchor is the turned other one


def test_a_patch_that_cells_do_not_fill_is_refused() -> None:
    with pytest.raises(SettingError, match="multiples"):
        symmetries((15, 16, 16), CUBIC, stride=(4, 4, 4))


def test_draws_are_different_as_long_as_there_are_enough() -> None:
    rng = np.random.default_rng(0)
    assert len(set(drawn(group(), 48, rng))) == 48
    assert len(drawn(group(PAIRED), 9, rng)) == 9
    same = [drawn(group(), 4, np.random.default_rng(3)) for _ in range(2)]
    assert same[0] == same[1]


def test_they_form_a_group() -> None:
    image = torch.arange(64).view(4, 4, 4)
    known = {tuple(turn.image(image).flatten().tolist()) for turn in group()}
    for a, b in itertools.product(group()[::7], group()[::5]):
        assert tuple(b.image(a.image(image)).flatten().tolist()) in known

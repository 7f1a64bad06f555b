"""A part of a case is brought back as it is in the whole, and scores of a whole case are never in memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from hyperseg.medical.export.restore import Back, decided, placed, restore, restored

PARTS = [((0, 20), (0, 14), (0, 9)), ((3, 11), (0, 14), (8, 9)), ((19, 20), (2, 3), (4, 7))]


def way(read: tuple[int, ...], size: tuple[int, ...], orders: tuple[int, ...] = (1, 1, 1)) -> Back:
    """Of a case whose axes are turned around, within a border of zeros."""
    axes = (2, 0, 1)
    shape = tuple(size[axes.index(a)] + 3 for a in range(3))
    box = tuple((1, n - 2) for n in shape)
    return Back(shape, box, axes, (1.0,) * 3, read, orders)


def scores(read: tuple[int, ...], k: int = 4) -> Tensor:
    return torch.randn((k, *read), generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("read", [(20, 14, 9), (9, 21, 9), (31, 10, 4)])
@pytest.mark.parametrize("orders", [(1, 1, 1), (0, 1, 1), (0, 0, 0)])
def test_a_part_is_what_it_is_in_the_whole(
    part: tuple[tuple[int, int], ...], read: tuple[int, ...], orders: tuple[int, ...]
) -> None:
    """To the last bit, from no other scores than those of its neighbourhood; around it nothing is written."""
    back, logits = way(read, (20, 14, 9), orders), scores(read)
    whole = restore(logits, back)
    one = back.within(part, (2, 3, 3))
    here = logits[(slice(None), *(slice(*side) for side in one.seen))]
    found = np.full(back.shape, 9, np.int16)
    assert decided(restored(here.split(2, 1), one), one, found) is found
    inside, expected = (a[tuple(slice(*s) for s in back.box)].transpose(back.axes) for a in (found, whole))
    cut = tuple(slice(*side) for side in part)
    assert (inside[cut] == expected[cut]).all()
    assert (found != 9).sum() == expected[cut].size


def test_scores_of_the_whole_case_lie_where_its_classes_do() -> None:
    """With the numbers that were asked for around the box, whatever the order of axes."""
    back, logits = way((9, 21, 9), (20, 14, 9)), scores((9, 21, 9))
    found = placed(restored(logits.split(2, 1), back), back, (9.0, 0.0, -1.0, 0.5))
    assert found.shape == (4, *back.shape)
    assert (found.argmax(0) == restore(logits, back)).all()
    assert found[:, 0, 0, 0].tolist() == [9, 0, -1, 0.5]
    flat = Back((6, 5), ((1, 5), (0, 5)), (1, 0), (1.0, 1.0), (5, 4), (1, 1))
    one = placed(restored([scores((5, 4), 1)], flat), flat, (7.0,))
    assert (one[0, 1:5] == scores((5, 4), 1)[0].numpy().T).all()
    assert (one[0, [0, 5]] == 7).all()


def test_a_part_sees_a_patch_at_least_where_the_case_has_one() -> None:
    back = way((20, 14, 9), (20, 14, 9))
    assert back.within(((0, 1), (6, 7), (8, 9)), (8, 8, 16)).seen == ((0, 8), (2, 10), (0, 9))
    assert back.within(((4, 19), (0, 14), (0, 9)), (8, 8, 8)).seen == ((4, 19), (0, 14), (0, 9))
    assert back.within(((4, 5), (0, 14), (0, 9)), (8, 8)).seen == ((4, 5), (0, 14), (0, 9)), "planes"


def test_of_equal_scores_the_first_wins() -> None:
    logits = torch.zeros(3, 2, 2, 2)
    logits[1:, 1] = 1.0
    assert restore(logits, Back((2, 2, 2), ((0, 2),) * 3, (0, 1, 2), (1.0,) * 3, (2, 2, 2), (1, 1, 1))).tolist() == [
        [[0, 0], [0, 0]],
        [[1, 1], [1, 1]],
    ]


class Largest(TorchFunctionMode):
    """Notes the largest tensor of fractions that is made."""

    def __init__(self) -> None:
        super().__init__()
        self.numbers = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        made = [x for x in (out if isinstance(out, tuple) else (out,)) if isinstance(x, Tensor)]
        sizes = [Tensor.nelement(x) for x in made if x.dtype == torch.float32]
        self.numbers = max([self.numbers, *sizes])
        return out


def test_no_scores_of_a_whole_case_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of blending, resampling and deciding together: K numbers for a window's length of slices, and no more."""
    from hyperseg.medical.training import V2
    from hyperseg.recipes.segment.sliding import TOGETHER, averaged, slide

    monkeypatch.setitem(TOGETHER, "cpu", 1)
    k, read, size, patch = 10, (64, 9, 10), (70, 12, 12), (8, 8, 8)
    back = way(read, size)

    class Net(torch.nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x * (i - 3) for i in range(k)], 1)

    image = scores(read, 1)
    with Largest() as noted:
        slabs = slide(averaged([Net()], V2.inference), image, patch, n_classes=k)
        found = decided(restored(slabs, back), back)
    assert len(np.unique(found)) > 1
    assert noted.numbers == k * patch[0] * read[1] * read[2]
    assert noted.numbers < k * np.prod(size) / 10

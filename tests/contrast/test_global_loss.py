"""The global loss: equal to loops, its value at collapse, what it does not change under, and what it refuses."""

from __future__ import annotations

import math
from typing import NamedTuple

import pytest
import torch
from torch import Tensor
from written_losses import written_global

from hyperseg.contrast.global_loss import collapse_value, global_loss
from hyperseg.contrast.pairs import PAIRS, Pairs, masks, views, volumes_of
from hyperseg.core import SettingError

SIZES = [(12, 4), (8, 4), (12, 3)]  # slices of a batch, and partitions


class Batch(NamedTuple):
    z: Tensor
    image: Tensor
    volume: Tensor
    partition: Tensor

    def of(self, order: Tensor) -> Batch:
        return Batch(*(one[order] for one in self))


def batch(slices: int, parts: int, pairs: Pairs, *, seed: int = 0) -> Batch:
    """Random embeddings; all first views of slices, then all second ones, ..."""
    n = views(pairs).number
    z = torch.randn(slices * n, 7, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    image = torch.arange(slices)
    return Batch(z, *(one.repeat(n) for one in (image, image // parts, image % parts)))


@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.parametrize(("slices", "parts"), SIZES)
def test_it_is_what_loops_give(slices: int, parts: int, pairs: Pairs) -> None:
    found = batch(slices, parts, pairs)
    by_view = {
        (int(v), int(p), i // slices): z for i, (z, v, p) in enumerate(zip(found.z, *found[2:], strict=True))
    }  # fmt: skip
    assert float(global_loss(*found, pairs=pairs)) == pytest.approx(written_global(by_view, pairs, 0.1), abs=1e-12)


@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.parametrize("parts", [3, 4, 6])
def test_no_view_of_the_same_partition_is_held_apart(parts: int, pairs: Pairs) -> None:
    _, image, volume, partition = batch(3 * parts, parts, pairs)
    found = masks(image, volume, partition, pairs=pairs)
    own = image if pairs == "gr" else partition
    assert not (found.negative & (own[:, None] == own)).any()
    assert (found.negative == (own[:, None] != own)).all()  # and everything else is


@pytest.mark.parametrize("pairs", PAIRS)
@pytest.mark.parametrize("parts", [3, 4, 6])
def test_every_view_takes_part(parts: int, pairs: Pairs) -> None:
    """No view is left out as an anchor, as the one that an anchor is drawn to, or among the others."""
    found = masks(*batch(3 * parts, parts, pairs)[1:], pairs=pairs)
    for mask in found:
        assert mask.any(0).all()
        assert mask.any(1).all()
    loss = batch(3 * parts, parts, pairs)
    loss.z.requires_grad_()
    global_loss(*loss, pairs=pairs).backward()
    assert loss.z.grad is not None
    assert (loss.z.grad.abs().amax(1) > 0).all()


def test_pairs_of_gd_are_the_eight_of_two_volumes() -> None:
    """Of x_i, x_i', x_j, x_j': all but the original of one with the changed view of the other."""
    _, image, volume, partition = batch(8, 4, "gd")
    positive = masks(image, volume, partition, pairs="gd").positive
    here = (partition == 2).nonzero().flatten()
    assert here.tolist() == [2, 6, 10, 14]  # x_i, x_j, x_i', x_j'
    assert int(positive[here][:, here].sum()) == int(positive[here].sum()) == 8
    assert not positive[2, 14]
    assert not positive[6, 10]


@pytest.mark.parametrize(
    ("pairs", "slices", "negatives", "value"), [("gd-", 12, 27, 3.3322), ("gd", 24, 36, 3.6109), ("gd", 12, 18, 2.9444)]
)
def test_equal_embeddings_have_a_known_loss(pairs: Pairs, slices: int, negatives: int, value: float) -> None:
    _, *index = batch(slices, 4, pairs)
    loss = global_loss(torch.ones(len(index[0]), 5, dtype=torch.float64), *index, pairs=pairs)
    assert float(loss) == pytest.approx(math.log1p(negatives), abs=1e-12)
    assert float(loss) == pytest.approx(value, abs=5e-5)
    assert collapse_value(*index, pairs=pairs) == pytest.approx(float(loss), abs=1e-12)


@pytest.mark.parametrize("n", [2, 5, 12])
def test_equal_embeddings_of_two_views_have_the_loss_of_simclr(n: int) -> None:
    _, *index = batch(n, 1, "gr")
    loss = global_loss(torch.ones(2 * n, 3, dtype=torch.float64), *index, pairs="gr")
    assert float(loss) == pytest.approx(math.log(2 * n - 1), abs=1e-12)
    assert collapse_value(*index, pairs="gr") == pytest.approx(math.log(2 * n - 1), abs=1e-12)


def test_two_views_are_monai_s_simclr() -> None:
    pytest.importorskip("monai", reason="MONAI is the oracle here")
    from monai.losses import ContrastiveLoss

    found = batch(12, 4, "gr")
    theirs = ContrastiveLoss(temperature=0.1)(*found.z.float().chunk(2))
    assert float(global_loss(*found, pairs="gr")) == pytest.approx(float(theirs), abs=1e-5)


@pytest.mark.parametrize("n", [3, 12])
def test_two_views_are_the_cross_entropy_of_simclr(n: int) -> None:
    found = batch(n, 1, "gr")
    z = torch.nn.functional.normalize(found.z)
    scores = (z @ z.T / 0.1).fill_diagonal_(-torch.inf)
    other = (torch.arange(2 * n) + n) % (2 * n)
    assert torch.allclose(global_loss(*found, pairs="gr"), torch.nn.functional.cross_entropy(scores, other), atol=1e-12)


@pytest.mark.parametrize("pairs", PAIRS)
def test_neither_the_order_of_volumes_nor_a_rotation_matters(pairs: Pairs) -> None:
    found = batch(12, 4, pairs)
    loss = global_loss(*found, pairs=pairs)
    order = torch.arange(len(found.z)).unflatten(0, (-1, 3, 4))[:, [2, 0, 1]].flatten()
    renamed = found.of(order)._replace(image=99 - found.image[order], volume=7 * found.volume[order])
    assert torch.allclose(global_loss(*renamed, pairs=pairs), loss, atol=1e-12)
    turn, _ = torch.linalg.qr(torch.randn(7, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64))
    assert torch.allclose(global_loss(3 * found.z @ turn, *found[1:], pairs=pairs), loss, atol=1e-12)


@pytest.mark.parametrize("pairs", PAIRS)
def test_it_falls_when_a_pair_comes_together(pairs: Pairs) -> None:
    found = batch(12, 4, pairs)
    z = torch.nn.functional.normalize(found.z)
    z[12] = z[0] + z[12]  # the second view of the first slice half way towards the first
    assert global_loss(z, *found[1:], pairs=pairs) < global_loss(*found, pairs=pairs)


def test_half_precision_is_computed_in_float32() -> None:
    found = batch(12, 4, "gd")
    exact = global_loss(found.z.bfloat16().double(), *found[1:], pairs="gd")
    half = global_loss(found.z.bfloat16(), *found[1:], pairs="gd")
    assert half.dtype == torch.float32
    assert float(half) == pytest.approx(float(exact), abs=1e-5)


@pytest.mark.parametrize(
    ("pairs", "slices", "parts", "word"), [("gd-", 3, 1, "partitions"), ("gd", 4, 4, "volumes"), ("gr", 1, 1, "slices")]
)
def test_batches_without_a_contrast_are_refused(pairs: Pairs, slices: int, parts: int, word: str) -> None:
    with pytest.raises(SettingError, match=word):
        global_loss(*batch(slices, parts, pairs), pairs=pairs)


def test_single_views_unknown_pairs_and_other_sizes_are_refused() -> None:
    z, *index = batch(12, 4, "gr")
    with pytest.raises(SettingError, match="2 views of every slice"):
        global_loss(z[:12], *(one[:12] for one in index), pairs="gr")
    with pytest.raises(SettingError, match="gr, gd-, gd"):
        global_loss(z, *index, pairs="gx")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="24 views"):
        global_loss(z[:5], *index, pairs="gr")
    with pytest.raises(SettingError, match="temperature"):
        global_loss(z, *index, pairs="gr", temperature=0.0)


def test_what_a_strategy_asks_of_a_batch() -> None:
    assert [(views(pairs).original, views(pairs).augmented, volumes_of(pairs)) for pairs in PAIRS] == [
        (False, 2, 1), (True, 2, 1), (True, 1, 2)
    ]  # fmt: skip

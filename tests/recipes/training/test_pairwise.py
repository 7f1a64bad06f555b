"""Piecewise training of the deep CRF: heads are trained where something can follow them, pairs are one image."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.core.runtime import Runtime
from hyperseg.crf.piecewise import Pairwise
from hyperseg.crf.settings import DeepCRF
from hyperseg.recipes.refiners.deep_crf import DeepCrfSettings
from hyperseg.recipes.training.pairwise import learn_pairwise

TINY = DeepCrfSettings(crf=DeepCRF(hidden=16), steps=8, batch=32, least_edges=5)


@pytest.mark.parametrize(
    ("every", "with_val", "forced", "heads", "trained"),
    [
        (1, False, False, (1.0, 0.0), True),  # classes meet: trusted
        (4, False, False, (1.0, 0.0), False),  # they do not, and nobody can speak for the heads
        (4, True, False, (1.0, 0.0), True),
        (4, True, False, (0.0,), False),
        (4, True, True, (1.0, 0.0), False),
    ],
)
def test_heads_are_trained_where_something_can_follow_them(
    toy: Scene, every: int, with_val: bool, forced: bool, heads: tuple[float, ...], trained: bool
) -> None:
    row, column = np.indices(toy.shape)
    toy = toy.with_(labels=((row // 3 + column // 3) % 3).astype(np.int16))
    assert toy.labels is not None
    train = (toy.labels >= 0) & (row % every == 0) & (column % every == 0)
    val = (toy.labels >= 0) & ~train & with_val
    split = Split(train, val, (toy.labels >= 0) & ~train & ~val, "grid", 0)
    probs = np.full((*toy.shape, toy.n_classes), 1 / toy.n_classes, np.float32)
    map = SegmentationMap(probs, toy.classes, toy.colours)
    features = torch.randn(5, *toy.shape, generator=torch.Generator().manual_seed(0))
    settings = replace(TINY, forced=forced, heads=heads)
    pairwise, told = learn_pairwise(map, toy, split, features, settings, runtime=Runtime(quiet=True))
    assert told["heads_trusted"] == (every == 1)
    assert not pairwise.training
    scores = [weight for name, weight in pairwise.heads.named_parameters() if ".score." in name]
    assert any(bool((weight != 0).any()) for weight in scores) == trained


def test_pairs_as_pixels_of_one_image_are_scored_as_one_by_one() -> None:
    torch.manual_seed(0)
    pairwise = Pairwise(5, 3, hidden=4).double()
    for weight in pairwise.parameters():
        torch.nn.init.normal_(weight)
    first, second = torch.randn(2, 7, 5, dtype=torch.float64)
    alone = pairwise(first[..., None, None], second[..., None, None], "below")[..., 0, 0]
    together = pairwise(first.T[None, :, None], second.T[None, :, None], "below")[0, :, :, 0]
    torch.testing.assert_close(together.movedim(-1, 0), alone)

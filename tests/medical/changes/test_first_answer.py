"""The first answer of a cascade, disturbed: against SciPy's morphology, within its limits, and the identity."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from hyperseg.medical.changes.first_answer import OPERATIONS, Operation, channels_of, disturb, reshaped, without_a_piece
from hyperseg.medical.training import STAGE1, Stage1Noise

NEVER = Stage1Noise((1, 8), 0.0, 0.0, 0.15)


def blobs(seed: int = 0, shape: tuple[int, ...] = (20, 24, 18)) -> np.ndarray:
    """Smooth pieces of two classes in background."""
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 2)
    return np.digitize(field, np.quantile(field, [0.6, 0.8])).astype(np.int16)


def ball(radius: int, axes: int) -> np.ndarray:
    return sum(x**2 for x in np.ogrid[(slice(-radius, radius + 1),) * axes]) <= radius**2


def test_channels_are_one_for_each_foreground_class() -> None:
    labels = torch.from_numpy(blobs())
    found = channels_of(labels, 4)
    assert found.shape == (3, *labels.shape)
    assert torch.equal(found.sum(0), (labels > 0).float())
    assert torch.equal((found * torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1, 1)).sum(0).short(), labels)


@pytest.mark.parametrize(("shape", "radius"), [((20, 24, 18), 2), ((40, 37), 2), ((60, 70), 12)])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_balls_are_those_of_scipy(operation: Operation, shape: tuple[int, ...], radius: int) -> None:
    """Away from the border, whose other side counts for nothing here."""
    axes = len(shape)
    one = np.pad((blobs(shape=shape) == 0).astype(np.int16), 2 * radius + 1)
    name = {"erode": "erosion", "dilate": "dilation", "open": "opening", "close": "closing"}[operation]
    expected = getattr(ndimage, f"binary_{name}")(one == 1, ball(radius, axes))
    found = reshaped(one, 1, operation, radius)
    assert ((found == 1) == expected).all()
    assert expected.sum() != one.sum()
    assert radius > 2 or expected.any()


def test_what_is_won_is_taken_from_others_and_what_is_lost_is_background() -> None:
    labels = blobs()
    grown = reshaped(labels, 2, "dilate", 1)
    assert set(labels[grown != labels]) == {0, 1}
    assert set(grown[grown != labels]) == {2}
    less = reshaped(labels, 1, "erode", 1)
    assert set(labels[less != labels]) == {1}
    assert set(less[less != labels]) == {0}
    for operation in OPERATIONS:
        assert (reshaped(labels, 3, operation, 4) == labels).all()
        assert (reshaped(np.ones_like(labels), 1, operation, 4) == 1).all()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.15, 1.0])
def test_no_piece_above_its_share_is_removed(share: float) -> None:
    labels = blobs(3)
    most = round(share * labels.size)
    taken = set()
    for seed in range(200):
        found = without_a_piece(labels, 1, most, np.random.default_rng(seed))
        gone = found != labels
        assert gone.sum() <= most
        if gone.any():
            assert set(labels[gone]) == {1}
            assert not found[gone].any()
            assert ndimage.label(labels == 1)[1] == ndimage.label(found == 1)[1] + 1, "one whole piece"
            taken.add(int(gone.sum()))
    pieces, n = ndimage.label(labels == 1)
    assert taken <= (all_of := {int(size) for size in np.bincount(pieces.ravel())[1:] if size <= most})
    assert len(taken) >= 0.8 * len(all_of)
    assert n > 3


def test_probability_zero_is_the_identity() -> None:
    labels = blobs()
    for seed in range(20):
        assert (disturb(labels, NEVER, 3, np.random.default_rng(seed)) == labels).all()


def test_shape_and_classes_stay_and_the_array_is_left_alone() -> None:
    labels = blobs()
    before, changed = labels.copy(), 0
    for seed in range(80):
        found = disturb(labels, STAGE1, 3, np.random.default_rng(seed))
        assert (found.shape, found.dtype) == (labels.shape, labels.dtype)
        assert set(np.unique(found)) <= {0, 1, 2}
        changed += bool((found != labels).any())
    assert (labels == before).all()
    assert changed / 80 == pytest.approx(1 - 0.6 * 0.8, abs=0.15)
    a, b = (disturb(labels, replace(STAGE1, p=1.0), 3, np.random.default_rng(5)) for _ in range(2))
    assert (a == b).all()

"""The leak report: brute force on tiny masks, published splits as golden values, exact limits."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.io import loadmat

from hyperseg.core import LabelError, SettingError, Split
from hyperseg.data.leak import leak
from hyperseg.data.splits import SPLITS

blocks, parcels = SPLITS["blocks"], SPLITS["parcels"]
Mask = NDArray[np.bool_]


def as_split(train: Mask, test: Mask) -> Split:
    return Split(train=train, val=np.zeros_like(train), test=test & ~train, how="by hand", seed=0)


def brute_force(train: Mask, test: Mask, window: int) -> tuple[float, float]:
    """Windows as sets of pixels, every pair compared."""
    r = window // 2

    def pixels(y: int, x: int) -> set[tuple[int, int]]:
        return {(y + i, x + j) for i in range(-r, r + 1) for j in range(-r, r + 1)}

    centres = [(int(y), int(x)) for y, x in np.argwhere(train)]
    windows = [pixels(*c) for c in centres]
    tested = [pixels(int(y), int(x)) for y, x in np.argwhere(test)]
    a = [any(c in w for c in centres) for w in tested]
    b = [any(v & w for v in windows) for w in tested]
    return sum(a) / len(a), sum(b) / len(b)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 10_000), height=st.integers(1, 9), width=st.integers(2, 9), window=st.sampled_from([1, 3, 5, 7])
)
def test_leak_is_the_double_loop_over_windows(seed: int, height: int, width: int, window: int) -> None:
    rng = np.random.default_rng(seed)
    train = rng.random((height, width)) < 0.08
    test = ~train & (rng.random((height, width)) < 0.6)
    if not test.any():
        test.flat[int(np.argmin(train))] = True
        train &= ~test
    found = leak(as_split(train, test), window=window)
    assert (found.a, found.b) == pytest.approx(brute_force(train, test, window), abs=1e-12)
    assert found.n_test == test.sum()


def test_limits() -> None:
    train = np.zeros((21, 21), bool)
    train[10, 10] = True
    everything = as_split(train, np.ones_like(train))
    one = leak(everything, window=1)
    assert (one.a, one.b) == (0.0, 0.0), "a single pixel sees only itself"
    five = leak(everything, window=5)
    assert five.a == pytest.approx(24 / 440)
    assert five.b == pytest.approx(80 / 440)
    assert leak(everything, window=41).a == 1.0
    assert np.isnan(leak(as_split(train, ~np.ones_like(train)), window=5).a)


def test_leak_per_class() -> None:
    labels = np.zeros((8, 30), np.int16)
    labels[:, 15:] = 1
    labels[0, 29] = -1
    train = np.zeros(labels.shape, bool)
    train[:, 0] = True
    found = leak(as_split(train, ~train & (labels >= 0)), window=3, labels=labels)
    assert found.a_per_class == pytest.approx((1 / 14, 0.0))


@pytest.mark.parametrize("window", [0, 4, -3])
def test_a_window_has_a_centre(window: int) -> None:
    with pytest.raises(SettingError, match="odd"):
        leak(as_split(np.eye(5, dtype=bool), np.ones((5, 5), bool)), window=window)
    with pytest.raises(LabelError, match="grid"):
        leak(as_split(np.eye(5, dtype=bool), np.ones((5, 5), bool)), window=3, labels=np.zeros((4, 5), np.int16))


@pytest.mark.parametrize("window", [5, 9, 13])
def test_guards_do_what_they_say(window: int) -> None:
    labels = np.kron(np.random.default_rng(1).integers(0, 4, (10, 10)), np.ones((12, 12), int)).astype(np.int16)
    strict = blocks(labels, 4, block=40, guard=window - 1, seed=0)
    assert leak(strict, window=window).b == 0.0
    hidden = parcels(labels, 4, guard=window // 2, seed=0)
    assert leak(hidden, window=window).a == 0.0
    assert leak(parcels(labels, 4, guard=window - 1, seed=0), window=window).b == 0.0
    assert leak(parcels(labels, 4, guard=0, cap=10_000, seed=0), window=window).a > 0.0


FILES = {
    "pavia 2774": ("pavia_university/TRpaviaU_in_gt2774.mat", "pavia_university/TSpaviaU_40002.mat"),
    "pavia 3921": ("pavia_university/TRpaviaU_official3921.mat", "pavia_university/TSpaviaU_40002.mat"),
    "houston official": ("houston2013/TRLabel.mat", "houston2013/TSLabel.mat"),
}


def published(folder: Path, name: str) -> Split:
    """The masks as published, pixels outside the ground truth included, as behind the golden values."""
    if name in FILES:
        return as_split(*(loadmat(folder / file)[Path(file).stem[:8]] > 0 for file in FILES[name]))
    masks = np.load(folder / "indian_pines" / "disjoint_split_stdids.npz")
    return as_split(masks["train"] > 0, masks["test"] > 0)


WINDOWS = (7, 9, 11, 15, 25)
GOLDEN = {
    "indian pines 695": ((78.9, 90.1, 95.8, 99.6, 100.0), (98.3, 100.0, 100.0, 100.0, 100.0)),
    "pavia 2774": ((9.8, 13.2, 16.7, 23.5, 41.5), (20.0, 27.1, 34.4, 47.6, 68.5)),
    "pavia 3921": ((10.1, 13.6, 17.3, 24.7, 44.3), None),
    "houston official": ((6.7, 10.8, 15.0, 23.2, 41.0), (19.2, 27.0, 34.1, 47.2, 72.2)),
}


@pytest.mark.shared_data
@pytest.mark.parametrize("name", GOLDEN)
def test_published_splits_leak_what_was_measured(shared_data: Path, name: str) -> None:
    split = published(shared_data / "hsi", name)
    found = [leak(split, window=w) for w in WINDOWS]
    a, b = GOLDEN[name]
    assert [100 * f.a for f in found] == pytest.approx(a, abs=0.1)
    if b is not None:
        assert [100 * f.b for f in found] == pytest.approx(b, abs=0.1)

"""How much of the training set a test patch can see."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError, SettingError, Split
from hyperseg.data.splits.drawing import near


@dataclass(frozen=True)
class Leak:
    """What a split gives away to a model that looks at `window` x `window` pixels.

    Attributes:
        window: side of the patch or receptive field in pixels (odd).
        a: share (0..1) of test pixels with a training pixel inside their own window: what the model can read off.
        b: share (0..1) of test pixels whose window shares any pixel with a training pixel's window; b >= a.
        n_test: number of test pixels; with none, a and b are NaN.
        a_per_class: `a` of every class (NaN for a class without test pixels), where labels were given.
    """

    window: int
    a: float
    b: float
    n_test: int
    a_per_class: tuple[float, ...] | None = None

    def __str__(self) -> str:
        if self.n_test == 0:
            return f"leak at {self.window}x{self.window}: no test pixels"
        return (
            f"leak at {self.window}x{self.window}: {100 * self.a:.1f} % of the test pixels have a training "
            f"pixel in their window, {100 * self.b:.1f} % share pixels with a training window"
        )


def leak(split: Split, *, window: int, labels: NDArray[np.int16] | None = None) -> Leak:
    """Measure the leak of a split (definitions A and B).

    Two windows of side p share a pixel exactly when their centres are less than p apart (Chebyshev). So A asks for
    a training pixel within (p - 1) / 2 of a test pixel, B for one within p - 1; outside the scene there is nothing.

    Args:
        split: its training and test masks are used; validation pixels do not train and do not count.
        window: side p in pixels, odd.
        labels: (*S) integers, -1 unlabelled; adds the share per class.

    Raises:
        SettingError: a window that is even or below 1.
        LabelError: labels of another shape than the split.

    Source: definition A measures what the survey "Information Leakage in Deep Learning-Based Hyperspectral
        Image Classification" (Remote Sensing 2023, 15, 3793) describes; B is the stricter overlap of windows.
    """
    if window < 1 or window % 2 == 0:
        raise SettingError(f"window = {window} has no centre pixel: give an odd number of at least 1.")
    seen = near(split.train, window // 2)[split.test]
    shared = near(split.train, window - 1)[split.test]
    per_class = None
    if labels is not None:
        if labels.shape != split.test.shape:
            raise LabelError(f"labels of shape {labels.shape} do not lie on the split's grid {split.test.shape}.")
        classes = labels[split.test]
        n_classes = int(labels.max()) + 1
        per_class = tuple(_share(seen[classes == k]) for k in range(n_classes))
    return Leak(window=window, a=_share(seen), b=_share(shared), n_test=int(seen.size), a_per_class=per_class)


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean()) if hits.size else float("nan")

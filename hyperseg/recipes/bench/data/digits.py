"""The 1797 handwritten digits that scikit-learn carries: 8 x 8 pixels, 17 grey levels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hyperseg.recipes.bench.data.pictures import Choice, Pictures, divided, pictures, scaled

NAME = "digits"
LEVELS, N_TEST = 17, 500
NOTE = "1797 digits of 8 x 8 pixels and 17 grey levels, 1297 to learn from and 500 to test, of the same writers."


def load_digits(folder: Path | None, choice: Choice) -> Pictures:
    """The digits; they need no folder.

    Source: Alpaydin & Kaynak, "Optical Recognition of Handwritten Digits", UCI repository; its test part, 13 writers.
    """
    from sklearn.datasets import load_digits as load

    found = load()
    values, labels = scaled(np.asarray(found.images)[:, None], LEVELS), np.asarray(found.target)
    train, test = divided(labels, N_TEST)
    return pictures(
        NAME, (values[train], labels[train]), (values[test], labels[test]),
        classes=tuple(str(k) for k in range(10)), note=NOTE, levels=LEVELS,
    )  # fmt: skip

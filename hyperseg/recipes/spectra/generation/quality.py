"""How good generated samples are: what can be learned from them, and how far their distribution lies from real ones."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.metrics.generation import frechet_distance

Float64 = NDArray[np.float64]
Labels = NDArray[np.int64]


def learned_from(train: Float64, labels: Labels, test: Float64, truth: Labels, *, seed: int) -> dict[str, float]:
    """Accuracy on (m, d) real held-out samples of a classifier trained on (n, d) others, real or generated.

    An RBF support vector machine with usual settings (C = 10), the same for both.

    Source: Esteban, Hyland & Raetsch, "Real-valued (medical) time series generation with recurrent conditional GANs",
        2017: train on synthetic, test on real.
    """
    from sklearn.svm import SVC

    found = SVC(C=10.0, gamma="scale", random_state=seed).fit(train, labels).predict(test)
    recall = [float((found[truth == k] == k).mean()) for k in np.unique(truth)]
    return {"oa": float((found == truth).mean()), "aa": float(np.mean(recall))}


def judged(
    made: Float64,
    labels: Labels,
    train: Float64,
    train_labels: Labels,
    test: Float64,
    test_labels: Labels,
    *,
    seed: int,
    control: Float64 | None = None,
) -> dict[str, Any]:
    """What generated samples are worth beside the real ones they were learned from.

    Args:
        made, train, test: (n, d) components: generated, learned from, and held out; those generated have the classes
            of those learned from, in the same numbers.
        control: (n, d) as `made`, of a simpler model that has to be beaten.
    """
    several = len(np.unique(train_labels)) > 1
    out: dict[str, Any] = {
        "frechet": frechet_distance(made, test), "frechet_floor": frechet_distance(train, test),
        "samples": len(made), "held_out": len(test),
    }  # fmt: skip
    if control is not None:
        out["frechet_gaussian"] = frechet_distance(control, test)
        if several:
            out["trained_on_gaussian"] = learned_from(control, labels, test, test_labels, seed=seed)
    if several:
        out["trained_on_generated"] = learned_from(made, labels, test, test_labels, seed=seed)
        out["trained_on_real"] = learned_from(train, train_labels, test, test_labels, seed=seed)
    return out

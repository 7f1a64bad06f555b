"""How near estimated depth is to true depth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import SettingError

NEAR = 1.25  # a pixel is right where the larger of two depths is below this many times the smaller


def delta1(pred_z: ArrayLike, true_z: ArrayLike) -> float:
    """Share of the pixels where max(pred / true, true / pred) < 1.25: from 0 to 1, more is better.

    Args:
        pred_z, true_z: depths above zero, of one shape and unit. Pixels whose true depth is NaN are left out.

    Raises:
        SettingError: shapes that differ, no pixel with a depth, or depths that are not above zero and finite.

    Source: Eigen, Puhrsch, Fergus, "Depth Map Prediction from a Single Image using a Multi-Scale Deep Network", NeurIPS
        2014, as the two figures below.
    """
    pred, true = _known(pred_z, true_z)
    return float(np.mean(np.maximum(pred / true, true / pred) < NEAR))


def abs_rel(pred_z: ArrayLike, true_z: ArrayLike) -> float:
    """Mean of |pred - true| / true, see `delta1`: less is better."""
    pred, true = _known(pred_z, true_z)
    return float(np.mean(np.abs(pred - true) / true))


def rmse(pred_z: ArrayLike, true_z: ArrayLike) -> float:
    """Root of the mean of (pred - true)^2, in the unit of the depths, see `delta1`: less is better."""
    pred, true = _known(pred_z, true_z)
    return float(np.sqrt(np.mean(np.square(pred - true))))


def _known(pred_z: ArrayLike, true_z: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    """Both where the true depth is known, as float64."""
    pred, true = np.asarray(pred_z, np.float64), np.asarray(true_z, np.float64)
    if pred.shape != true.shape:
        raise SettingError(f"depths of shape {pred.shape} cannot be compared with depths of shape {true.shape}.")
    known = ~np.isnan(true)
    if not known.any():
        raise SettingError("no pixel has a true depth: all are NaN, nothing can be compared.")
    pred, true = pred[known], true[known]
    for what, values in (("estimated", pred), ("true", true)):
        if not (np.isfinite(values) & (values > 0)).all():
            wrong = int((~(np.isfinite(values) & (values > 0))).sum())
            raise SettingError(
                f"{wrong} of {values.size} {what} depths are not above zero and finite: give depths along the axis, "
                "and NaN where the true depth is unknown."
            )
    return pred, true

"""Scores of maps and their comparison. NumPy and SciPy only, no torch."""

from hyperseg.metrics.comparison import Paired, paired
from hyperseg.metrics.scores import (
    Repeats,
    Scores,
    boundary_accuracy,
    confusion,
    expected_calibration_error,
    mean_and_std,
    scores,
)

__all__ = [
    "Paired",
    "Repeats",
    "Scores",
    "boundary_accuracy",
    "confusion",
    "expected_calibration_error",
    "mean_and_std",
    "paired",
    "scores",
]

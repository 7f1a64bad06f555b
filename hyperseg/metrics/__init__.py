"""Scores of maps and their comparison. NumPy and SciPy only, no torch."""

from hyperseg.metrics.calibration import expected_calibration_error
from hyperseg.metrics.comparison import paired
from hyperseg.metrics.scores import Scores, boundary_accuracy, confusion, mean_and_std, scores

__all__ = [
    "Scores", "boundary_accuracy", "confusion", "expected_calibration_error", "mean_and_std", "paired", "scores"
]  # fmt: skip

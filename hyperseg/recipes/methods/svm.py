"""The baseline that a network has to beat: a support vector machine with an RBF kernel, on single spectra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hyperseg.recipes.methods.classical import classical_method


def fitter() -> Callable[..., Any]:
    from hyperseg.hsi.classical import fit_svm

    return fit_svm


SVM = classical_method("svm", fitter)

"""A random forest on single spectra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hyperseg.recipes.methods.classical import classical_method


def fitter() -> Callable[..., Any]:
    from hyperseg.hsi.classical import fit_random_forest

    return fit_random_forest


RF = classical_method("rf", fitter)

"""Preprocessing on a device is preprocessing in NumPy, broken values included."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hyperseg.core import SceneError
from hyperseg.data.preprocess import Preprocess, fit_preprocess

BANDS = 12
KINDS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "int64", "float16", "float32", "float64")
FITS: tuple[dict[str, Any], ...] = (
    {},
    {"good_bands": np.arange(BANDS) % 5 != 2},
    {"n_components": 4},
    {"whiten_within": np.arange(60) % 3, "good_bands": np.arange(BANDS) != 7},
)


def raw(dtype: str, *shape: int, seed: int = 0) -> np.ndarray:
    low, high = (-90, 90) if dtype in ("int8", "float16") else (0, 250) if dtype == "uint8" else (100, 9000)
    return np.random.default_rng(seed).uniform(low, high, (*shape, BANDS)).astype(dtype)


def same(preprocess: Preprocess, values: np.ndarray) -> None:
    expected = preprocess(values)
    made = preprocess.on("cpu")(torch.from_numpy(values))
    assert made.dtype == torch.float32
    np.testing.assert_allclose(made.numpy(), expected, rtol=1e-6, atol=1e-6 * max(1, np.abs(expected).max(initial=0)))


@pytest.mark.parametrize("options", FITS, ids=["all", "dropped", "components", "whitened"])
@pytest.mark.parametrize("dtype", KINDS)
def test_it_equals_the_form_in_numpy(dtype: str, options: dict[str, Any]) -> None:
    preprocess = fit_preprocess(raw(dtype, 60), **options)
    for values in (raw(dtype, 7, 5, seed=1), raw(dtype, 2, 3, 4, seed=2), raw(dtype, 0, 3)):
        before = values.copy()
        same(preprocess, values)
        np.testing.assert_array_equal(values, before)  # what was given is left alone
    same(replace(preprocess, std=np.ones_like(preprocess.std)), raw(dtype, 7, 5, seed=1))


@pytest.mark.parametrize("options", FITS, ids=["all", "dropped", "components", "whitened"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_broken_values_become_the_training_mean(dtype: str, options: dict[str, Any]) -> None:
    preprocess = fit_preprocess(raw(dtype, 60), **options)
    values = raw(dtype, 6, 5, seed=3)
    values[0, 0, 0], values[0, 1, 3], values[0, 2, :], values[0, 3, 4] = np.nan, np.inf, -np.inf, 6e4
    if dtype != "float16":
        values[1, 0, 5], values[1, 1, 6] = 1e30, -3e38
    same(preprocess, values)
    assert torch.isfinite(preprocess.on("cpu")(torch.from_numpy(values))).all()
    # a spread below float32's range makes infinities of what is only large
    same(replace(preprocess, std=np.full_like(preprocess.std, 1e-38)), values)


def test_a_gpu_does_not_look_before_it_mends(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way that asks nothing of the values gives what the way that looks first gives."""
    preprocess = fit_preprocess(raw("float32", 60))
    values = raw("float32", 6, 5)
    values[0, 0, 0] = np.nan
    looked = preprocess.on("cpu")(torch.from_numpy(values))
    monkeypatch.setattr("hyperseg.data.device_preprocess.looks_first", lambda x: False)
    np.testing.assert_array_equal(preprocess.on("cpu")(torch.from_numpy(values)), looked)


def test_other_bands_are_refused() -> None:
    preprocess = fit_preprocess(raw("float32", 60))
    with pytest.raises(SceneError, match="has 5 bands, this preprocessing was fitted on 12"):
        preprocess.on("cpu")(torch.zeros(3, 5))

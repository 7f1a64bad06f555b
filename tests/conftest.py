"""Fixtures every test may use: the real data folder (skips with a reason where it is absent)."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# two workers on two cores: one thread each, set before torch is imported; notebooks inherit it
os.environ.setdefault("OMP_NUM_THREADS", "1")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data (not part of the project): HYPERSEG_DATA, or `shared/data` beside the checkout."""
    candidates = [Path(os.environ["HYPERSEG_DATA"])] if "HYPERSEG_DATA" in os.environ else []
    candidates += [ROOT.parent / "shared" / "data", ROOT / "shared" / "data"]
    for folder in candidates:
        if (folder / "hsi").is_dir():
            return folder
    pytest.skip("real data folder absent: set HYPERSEG_DATA to a folder with hsi/indian_pines and the like")


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., Path]:
    """Write shapely geometries (or None) with columns as a vector file in tmp_path; returns its path."""
    import shapely
    from pyogrio.raw import write

    def draw(
        name: str,
        shapes: Sequence[Any],
        columns: Mapping[str, Sequence[Any]] | None = None,
        *,
        crs: str | None = "EPSG:32633",
        layer: str | None = None,
        kind: str = "Unknown",
        append: bool = False,
    ) -> Path:
        columns = columns or {}
        text = [any(isinstance(v, str) or v is None for v in values) for values in columns.values()]
        values = [np.array(v, object if t else None) for v, t in zip(columns.values(), text, strict=True)]
        wkb = np.array([None if s is None else shapely.to_wkb(s) for s in shapes], object)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is no CRS is what some tests are about
            write(
                tmp_path / name,
                wkb,
                values,
                list(columns),
                geometry_type=kind,
                crs=crs,
                layer=layer,
                append=append,
            )
        return tmp_path / name

    return draw

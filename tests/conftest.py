"""Fixtures every test may use: the real data folder (skips with a reason where it is absent)."""

from __future__ import annotations

import os
from pathlib import Path

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

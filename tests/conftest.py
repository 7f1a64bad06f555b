"""Fixtures every test may use: a toy scene, quick runs, the command line, and the real data where it is at hand."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

# two workers on two cores: one thread each, set before torch is imported; notebooks inherit it
os.environ.setdefault("OMP_NUM_THREADS", "1")

from running import Answer, Hyperseg, Quick, Run

from hyperseg.cli import main
from hyperseg.core import Scene
from hyperseg.core.settings import find_leaf
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.simulated.scenes import toy_scene

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
            write(tmp_path / name, wkb, values, list(columns), geometry_type=kind, crs=crs, layer=layer, append=append)
        return tmp_path / name

    return draw


@pytest.fixture(scope="session")
def toy() -> Scene:
    """24 x 21 pixels, 16 bands, 3 classes."""
    return toy_scene(shape=(24, 21), n_bands=16)


@pytest.fixture
def files(toy: Scene, tmp_path: Path) -> tuple[str, ...]:
    """cube.npy and gt.npy of the toy scene in the working folder: the words that name them."""
    assert toy.labels is not None
    np.save(tmp_path / "cube.npy", np.asarray(toy.cube))
    np.save(tmp_path / "gt.npy", toy.labels + 1)
    return ("cube.npy", "--labels", "gt.npy")


@pytest.fixture(scope="session")
def quick() -> Quick:
    """Settings of a run of a second: few steps, no baseline, no refiner, one repeat; options override."""

    def settings(*, steps: int = 4, changes: Mapping[str, Any] | None = None, **options: Any) -> RunSettings:
        usual: dict[str, Any] = {"split": "random_per_class:8", "baselines": (), "refine": (), "repeats": 1}
        found = RunSettings(**{**usual, **options})
        short = {"epochs": 1, "min_steps": steps, "batch": 16}
        known = {name: n for name, n in short.items() if find_leaf(found.method_settings, name)}
        return found.with_({f"{found.method}.{name}": n for name, n in known.items()} | dict(changes or {}))

    return settings


@pytest.fixture(scope="session")
def run() -> Run:
    """Classify quietly and without pictures; the run folder."""
    from hyperseg.recipes.run.classify import classify

    def run(scene: Scene, settings: RunSettings, out: Path | None, **options: Any) -> Path:
        how: dict[str, Any] = {"quiet": True, "device": "cpu", "pictures": False}
        return classify(scene, settings, out=out, **(how | options))[0].root

    return run


@pytest.fixture
def hyperseg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Hyperseg:
    """Run `hyperseg WORDS...` in tmp_path."""
    import torch

    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)

    def hyperseg(*words: str | Path) -> Answer:
        monkeypatch.setattr(sys, "argv", ["hyperseg", *map(str, words)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return hyperseg

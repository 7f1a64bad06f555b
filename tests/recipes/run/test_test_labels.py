"""Test labels decide nothing that a run writes but its scores: other ones give the same bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperseg.core import Scene
from hyperseg.recipes.run.classify import classify
from hyperseg.recipes.run.inputs import Masks
from hyperseg.recipes.run.settings import RunSettings

LAYERS = ("map.tif", "confidence.tif", "entropy.tif", "applicability.tif")


def patches(test_labels: str) -> tuple[Scene, Masks]:
    """Training squares of two classes in a field of test pixels, whose labels join the squares or part them."""
    rng = np.random.default_rng(0)
    y, x = np.indices((40, 40))
    labels = (x // 10 % 2).astype(np.int16)
    train = (x % 10 < 6) & (y % 10 < 6)
    spectra = rng.uniform(0.1, 0.6, (2, 20))[labels]
    fields = rng.normal(0, 0.05, (4, 4, 20)).repeat(10, 0).repeat(10, 1)
    cube = (spectra + fields + 0.1 * rng.normal(size=(40, 40, 20))).astype(np.float32)
    other = {"true": labels, "all of one": labels * 0, "shuffled": rng.permutation(labels.ravel()).reshape(40, 40)}
    given = np.where(train, labels, other[test_labels]).astype(np.int16)
    return Scene(cube, given, classes=("a", "b"), colours=((200, 0, 0), (0, 0, 200)), name="patches"), Masks(train)


@pytest.mark.parametrize("options", [{}, {"refine": ("deconv", "trees", "temperature")}, {"split": "fixed:0.2"}])
def test_test_labels_decide_nothing(tmp_path: Path, options: dict[str, Any]) -> None:
    chosen: dict[str, Any] = {"method": "lda", "split": "fixed", "baselines": (), "repeats": 1} | options
    settings = RunSettings(**chosen)
    if "deconv" in (settings.refine or ()):
        settings = settings.with_({"deconv.steps": 4})
    found = {}
    for which in ("true", "all of one", "shuffled"):
        scene, masks = patches(which)
        folder, _ = classify(
            scene, settings, out=tmp_path / which, masks=masks, quiet=True, pictures=False, device="cpu"
        )
        found[which] = {name: (folder.root / name).read_bytes() for name in LAYERS}
    for which in ("all of one", "shuffled"):
        assert [name for name in LAYERS if found[which][name] != found["true"][name]] == []

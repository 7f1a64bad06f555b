"""Real pictures of a user's folder: what the judge learns from, what samples are compared with, or one clear line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from untrained_depth import SMALL

from hyperseg.core import RunError
from hyperseg.recipes.depth.folder import ROOMS, DepthRun, Record
from hyperseg.recipes.depth.judge_training import JudgeSettings
from hyperseg.recipes.depth.scores.real import check_judge, real_pictures

NAMES = ("a", "b", "c", "d")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rgbd")
    rng = np.random.default_rng(0)
    for sub in ("color", "depth"):
        (root / sub).mkdir()
    for name in NAMES:
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(root / "color" / f"{name}.png")
        millimetres = rng.integers(1000, 5000, (40, 48)).astype(np.uint16)
        Image.fromarray(millimetres).save(root / "depth" / f"{name}.png")
    return root


def run_of(folder: str, crops: int) -> DepthRun:
    settings = replace(SMALL, crops=crops)
    return DepthRun(Path("nowhere"), Record(folder, 0, settings, "mm", None, 1.0, 5.0, NAMES[:3], ("a",), ("d",)))


def test_too_few_pictures_that_no_head_has_seen_are_refused(folder: Path) -> None:
    with pytest.raises(RunError, match="a judge needs 32 squares") as caught:
        check_judge(run_of(str(folder), crops=8), JudgeSettings())
    assert "3 pictures (24 squares)" in str(caught.value)
    check_judge(run_of(str(folder), crops=11), JudgeSettings())
    check_judge(run_of(ROOMS, crops=1), JudgeSettings())


def test_sets_of_real_pictures_share_none(folder: Path) -> None:
    run = run_of(str(folder), crops=16)
    sets = [real_pictures(run, 10, 2)(k)[0] for k in range(3)]
    assert all(x.shape == (10, 3, 16, 16) for x in sets)
    first, *others = [{one.tobytes() for one in x} for x in sets]
    assert all(first.isdisjoint(other) for other in others)
    with pytest.raises(RunError, match="Give -n 16 or less"):
        real_pictures(run, 100, 2)


def test_rooms_of_different_sets_differ() -> None:
    pictures = real_pictures(run_of(ROOMS, 1), 2, 1)
    seen = {one.tobytes() for k in (0, 1) for one in pictures(k)[0]}
    assert len(seen) == 4

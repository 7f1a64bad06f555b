"""`predict --uncertainty`: disagreement of masks, or entropy; beside the same classes, on the grid of the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from drawing import known, pictures, trained
from PIL import Image
from running import Hyperseg

from hyperseg.recipes.segment.prediction.answer import entropy


@pytest.fixture(autouse=True)
def methods(monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch)


def opened(file: Path) -> np.ndarray:
    return np.asarray(Image.open(file))


def test_masks_that_disagree(hyperseg: Hyperseg, tmp_path: Path) -> None:
    """One of three masks lies a pixel to the side: both sides of it are told, and nothing else."""
    trained(tmp_path / "run", pictures(tmp_path / "data"))
    words = ("segment", "predict", "run", "data/images", "--device", "cpu")
    answer = hyperseg(*words, "--out", "told", "--uncertainty", "--overlays")
    assert answer.code == 0, answer.err
    assert "disagreement of the samples" in answer.err
    assert hyperseg(*words, "--out", "plain", "--quiet", "--overlays").code == 0
    p = np.array([2, 1]) / 3
    expected = round(255 * float(-(p * np.log2(p)).sum()))
    for name in ("c0.png", "c3.png"):
        labels, doubt = opened(tmp_path / "told" / name), opened(tmp_path / "told" / "uncertainty" / name)
        assert (labels == opened(tmp_path / "plain" / name)).all()
        assert set(np.unique(doubt)) == {0, expected}
        assert set(np.flatnonzero(doubt.any(0))) == {6, 14}
        plain, more = (opened(tmp_path / place / "overlays" / name) for place in ("plain", "told"))
        assert (plain == more[: len(plain)]).all()
        assert len(more) > len(plain)
    assert "exists" in hyperseg(*words, "--out", "told", "--uncertainty").error
    assert "leave one of them out" in hyperseg(*words, "--out", "x", "--uncertainty", "--region-first").error
    assert not (tmp_path / "x").exists()


def test_the_entropy_of_one_answer(hyperseg: Hyperseg, tmp_path: Path) -> None:
    """It says 0.9 everywhere."""
    trained(tmp_path / "run", pictures(tmp_path / "data"), "once")
    answer = hyperseg("segment", "predict", "run", "data/images", "--out", "out", "--device", "cpu", "--uncertainty")
    assert "entropy over ln K, 0 to 255 for 0 to 1" in answer.err
    expected = 255 * float(entropy(np.array([[0.1], [0.9]], np.float32))[0])
    assert np.unique(opened(tmp_path / "out" / "uncertainty" / "c1.png")) == pytest.approx([round(expected)])

"""Objects by `hyperseg segment train`, `predict` and `score`: from a folder to scores, and one-line refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from discs import TINY, write_numbered
from running import Hyperseg

from hyperseg.cli.segment.predict import FORMATS
from hyperseg.recipes.instances import predicting

SETS = [f"--set={name}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for name, v in TINY.items()]
QUICK = ("--method=mask-rcnn", "--alone", "--device=cpu", "--quiet")


@pytest.fixture
def nuclei(tmp_path: Path) -> str:
    write_numbered(tmp_path / "nuclei", 6)
    return "nuclei"


def test_from_a_folder_to_scores(hyperseg: Hyperseg, nuclei: str, tmp_path: Path) -> None:
    done = hyperseg("segment", "train", nuclei, "--steps=2", *QUICK, *SETS)
    assert done.code == 0, done.err
    for word in ("AP50", "PQ", "mask-rcnn", "report.html", "segment predict nuclei-run"):
        assert word in done.out
    assert hyperseg("segment", "train", nuclei, "--resume", "--alone", "--quiet").code == 0
    done = hyperseg(
        "segment", "predict", "nuclei-run", nuclei, "--out=found", "--set=score=0.02", "--format=tif", "--quiet"
    )
    assert done.code == 0, done.err
    assert (tmp_path / "found" / "p3.tif").is_file()
    done = hyperseg("segment", "score", "found", nuclei, "--out=m.json", "--quiet")
    assert done.code == 0, done.err
    assert "6 pictures" in done.out
    assert json.loads((tmp_path / "m.json").read_text())["scores"]["pictures"] == 6
    assert "--region-first" in hyperseg("segment", "predict", "nuclei-run", nuclei, "--out=x", "--region-first").error
    told = hyperseg("segment", "predict", "nuclei-run", nuclei, "--out=x", "--set=training.lr=1", "--quiet").error
    assert "decided by training" in told
    assert "--target" in hyperseg("segment", "score", "found", nuclei, "--target=cup").error
    assert FORMATS == predicting.FORMATS


@pytest.mark.parametrize(
    "given",
    [
        "--plan=p.json", "--config=2d", "--trick=tta", "--weights=w", "--labelled=2", "--mirror", "--watts=3",
        "--spacing=1,1", "--target=cup", "--fold=all", "--samples=3",
    ],
)  # fmt: skip
def test_options_that_nobody_would_look_at_are_refused(hyperseg: Hyperseg, nuclei: str, given: str) -> None:
    assert given.partition("=")[0] in hyperseg("segment", "train", nuclei, "--steps=1", given, *QUICK).error


def test_the_other_methods_tell_classes(hyperseg: Hyperseg, nuclei: str, tmp_path: Path) -> None:
    assert "no setting named network.lr" in hyperseg("segment", "train", nuclei, "--set=network.lr=1", *QUICK).error
    (tmp_path / "empty").mkdir()
    assert "mask-rcnn" in hyperseg("segment", "train", "--help").out

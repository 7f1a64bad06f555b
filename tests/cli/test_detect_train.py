"""`hyperseg detect train` and `predict`: from a folder to boxes in files, help that teaches, one-line refusals."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from running import Hyperseg

from hyperseg.cli.detect import predict, train
from hyperseg.recipes.detection import predicting, starting
from hyperseg.recipes.detection.settings import DetectSettings

SIDE, N, WITHOUT = 24, 5, 1
QUICK = (
    "--steps", "2", "--set", "widths=4,8", "--set", "head_width=4", "--set", "patch=16,16,16", "--set", "views=2",
    "--device", "cpu", "--quiet",
)  # fmt: skip


@pytest.fixture
def scans(tmp_path: Path) -> str:
    """Volumes of 24 x 24 x 24 voxels with a bright box; boxes.csv tells those of all but the last."""
    lines = ["case,lo_0,hi_0,lo_1,hi_1,lo_2,hi_2"]
    (tmp_path / "scans").mkdir()
    for i in range(N + WITHOUT):
        rng = np.random.default_rng(i)
        image, lo = rng.normal(0, 0.3, (SIDE,) * 3).astype(np.float32), rng.integers(1, SIDE - 7, 3)
        image[tuple(slice(a, a + 5) for a in lo)] += 3
        np.save(tmp_path / "scans" / f"s{i}.npy", image)
        if i < N:
            lines.append(",".join([f"s{i}", *(f"{a},{a + 5}" for a in lo)]))
    (tmp_path / "scans" / "boxes.csv").write_text("\n".join(lines) + "\n")
    return "scans"


def test_from_a_folder_to_scores(hyperseg: Hyperseg, scans: str, tmp_path: Path) -> None:
    done = hyperseg("detect", "train", scans, "--labelled", "2", "--spacing", "2,1,1", *QUICK)
    assert done.code == 0, done.err
    for word in (
        "focalmix",
        "supervised",
        "CPM",
        "mAP",
        "report.html",
        "a box counts from",
        "detect predict scans-run",
    ):
        assert word in done.out
    assert len({len(line) for line in done.out.splitlines()[:3]}) <= 2  # a table that fits
    found = hyperseg("detect", "predict", "scans-run", scans, "--threshold", "0", "--overlays", "--quiet")
    assert found.code == 0, found.err
    assert (tmp_path / "scans-found" / "overlays" / "s0.png").is_file()
    rows = list(csv.DictReader((tmp_path / "scans-found" / "boxes.csv").read_text().splitlines()))
    assert {row["case"] for row in rows} == {f"s{i}" for i in range(N + WITHOUT)}
    for row in rows:
        lo, hi, mm = float(row["lo_0"]), float(row["hi_0"]), float(row["centre_mm_0"])
        assert mm == pytest.approx(lo + hi, abs=0.01)  # voxels are 2 mm long
    both = json.loads((tmp_path / "scans-found" / "boxes.json").read_text())
    assert len(both["boxes"]) == len(rows)
    scored = hyperseg("detect", "score", "scans-found", scans)
    assert scored.code == 0, scored.err
    assert "CPM" in scored.out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--minutes", "1"), "contradict each other"),
        (("--labelled", "9"), "1 to 3 can be labelled"),
        (("--unlabelled", "none"), "--method supervised"),
        (("--unlabelled", "nowhere"), "nowhere"),
        (("--boxes", "nowhere.csv"), "nowhere.csv"),
        (("--test", "1.5"), "--test"),
        (("--set", "veiws=2"), "Did you mean"),
        (("--set", "patch=15,15,15"), "multiples of"),
        (("--method", "supervised", "--set", "unlabelled=true"), "classification=focal"),
        (("--resume", "--overwrite"), "give one of them"),
    ],
)
def test_refusals(hyperseg: Hyperseg, scans: str, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    done = hyperseg("detect", "train", scans, "--out", "run", *QUICK, *words)
    assert told in done.error
    assert not (tmp_path / "run").exists()


def test_boxes_that_do_not_fit_are_told_by_line(hyperseg: Hyperseg, scans: str, tmp_path: Path) -> None:
    file = tmp_path / scans / "boxes.csv"
    file.write_text(file.read_text() + "s0,1,4,1,4,20,40\n")
    assert "s0" in hyperseg("detect", "train", scans, *QUICK).error


def test_predict_refuses(hyperseg: Hyperseg, scans: str, tmp_path: Path) -> None:
    assert "does not exist" in hyperseg("detect", "predict", "nowhere", scans).error
    assert "is no run" in hyperseg("detect", "predict", scans, scans).error


@pytest.mark.parametrize("command", ["train", "predict"])
def test_help_teaches(hyperseg: Hyperseg, command: str) -> None:
    answer = hyperseg("detect", command, "--help")
    assert answer.code == 0
    examples = answer.out.partition("Examples:")[2].split("\n")
    assert examples[1].strip() == "hyperseg detect simulate nodules"
    assert "hyperseg detect train nodules --labelled 5" in answer.out
    if command == "train":
        assert "focalmix.image_mixup=true" in answer.out.replace("True", "true")


def test_defaults_are_those_of_the_recipe() -> None:
    assert train.MINUTES == starting.MINUTES
    assert predict.MOST == predicting.MOST
    assert train.typed(("views=2",), DetectSettings()) == {"focalmix.views": 2}
    assert DetectSettings().focalmix.views != 2

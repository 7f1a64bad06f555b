"""Training of detectors: who is held out never matters, an interrupted run goes on to the same bytes, and runs last."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hyperseg import detect
from hyperseg.core import DataFileError, RunError, SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.io.detections.folder import open_boxes
from hyperseg.io.detections.table import Found, read_boxes, write_boxes
from hyperseg.recipes.detection.folder import WEIGHTS, read_run
from hyperseg.recipes.detection.starting import Order
from hyperseg.recipes.detection.training import train_detectors

SIDE, N, WITHOUT = 24, 7, 2
TINY: dict[str, Any] = {
    "detector.widths": (4, 8), "detector.head_width": 4, "training.patch": (16, 16, 16), "focalmix.views": 2,
}  # fmt: skip


def volume(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Noise and one or two bright boxes."""
    image = rng.normal(0, 0.3, (SIDE,) * 3).astype(np.float32)
    boxes = []
    for _ in range(int(rng.integers(1, 3))):
        lo = rng.integers(1, SIDE - 8, 3)
        hi = lo + rng.integers(4, 7, 3)
        image[tuple(slice(a, b) for a, b in zip(lo, hi, strict=True))] += 3
        boxes.append((*lo, *hi))
    return image, np.array(boxes, np.float64)


def write(root: Path, change: Callable[[str, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]) -> Path:
    """Volumes c0, c1 ... with boxes and u0, u1 without; `change` is asked for each."""
    rng, found = np.random.default_rng(0), []
    root.mkdir()
    for i in range(N + WITHOUT):
        name = f"c{i}" if i < N else f"u{i}"
        image, boxes = change(name, *volume(rng))
        np.save(root / f"{name}.npy", image)
        if i < N:
            found.append(Found(name, boxes))
    write_boxes(root / "boxes.csv", found)
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("detect") / "data", lambda name, image, boxes: (image, boxes))


def trained(folder: Path, out: Path, **more: Any) -> detect.DetectRun:
    given: dict[str, Any] = {"labelled": 3, "steps": 4, "settings": TINY, "device": "cpu", "quiet": True, "seed": 1}
    return detect.train(folder, out, **given | more)


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> detect.DetectRun:
    return trained(folder, tmp_path_factory.mktemp("run") / "run")


def weights(run: detect.DetectRun) -> list[bytes]:
    return [(one.root / WEIGHTS).read_bytes() for one in (run, *run.beside.values())]


def test_a_run_says_what_it_is_and_what_it_is_worth(run: detect.DetectRun) -> None:
    read = read_run(run.root)
    assert read == run
    part = read.record.division
    assert (len(part.labelled), len(part.held_out), len(part.unlabelled)) == (3, 2, 2 + WITHOUT)
    assert list(read.beside) == ["supervised"]
    scores = json.loads((run.root / "metrics.json").read_text())["scores"]
    assert list(scores) == ["focalmix", "supervised"]
    assert all(0 <= one["cpm"] <= 1 and len(one["sensitivities"]) == 7 for one in scores.values())
    assert scores == read.record.found["scores"]
    page = (run.root / "report.html").read_text()
    assert "supervised" in page
    assert all(name in page for name in part.held_out)
    assert page.count("data:image/png") >= 3
    assert [one.case for one in read_boxes(run.root / "held-out.csv")] == list(part.held_out)
    assert not (run.root / "cache").exists()


def test_the_twin_differs_in_its_lesson_alone(run: detect.DetectRun) -> None:
    twin = run.beside["supervised"]
    assert (twin.record.division, twin.record.plan) == (run.record.division, run.record.plan)
    assert (twin.record.seed, twin.record.steps) == (run.record.seed, run.record.steps)
    mine, its = weights(run)
    assert mine != its


def test_an_interrupted_run_goes_on_to_the_same_bytes(
    run: detect.DetectRun, folder: Path, tmp_path: Path
) -> None:  # fmt: skip
    """Stopped in the method's training, and again in that of its twin."""
    opened = open_boxes(folder)
    order = Order("focalmix", TINY, steps=4, labelled=3)
    stops = [("focalmix", 2), ("supervised", 3)]

    def stop(label: str, done: int) -> None:
        if stops and (label, done) == stops[0]:
            stops.pop(0)
            raise KeyboardInterrupt

    runtime = Runtime(1, "cpu", run_precision(), quiet=True, on_step=stop)
    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            train_detectors(opened, tmp_path / "run", order, runtime, resume=resume)
    assert list((tmp_path / "run" / "beside" / "supervised").glob("unfinished-*"))
    again = trained(folder, tmp_path / "run", resume=True, steps=None, labelled=None)
    assert weights(again) == weights(run)
    assert not list((tmp_path / "run").rglob("unfinished-*"))


def run_precision() -> Any:
    from hyperseg.engine.device import choose_precision

    return choose_precision("cpu")


def test_labels_that_are_hidden_never_reach_training(run: detect.DetectRun, tmp_path: Path) -> None:
    """Other boxes and images of held-out cases, and other boxes of unlabelled ones, leave the weights as they are."""
    part = run.record.division

    def change(name: str, image: np.ndarray, boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if name in part.held_out:
            return image[::-1].copy() * 2, boxes[:1] * 0.5
        return image, boxes[:1] + 1 if name in part.unlabelled else boxes

    other = trained(write(tmp_path / "data", change), tmp_path / "run")
    assert other.record.division == part
    assert weights(other) == weights(run)


def test_alone_and_supervised(folder: Path, tmp_path: Path, run: detect.DetectRun) -> None:
    """The twin alone is the twin beside: it looks at the same and learns the same."""
    own = {name: value for name, value in TINY.items() if name != "focalmix.views"}  # which it does not look at
    alone = trained(folder, tmp_path / "alone", method="supervised", settings=own)
    assert alone.beside == {}
    assert weights(alone) == weights(run)[1:]
    assert trained(folder, tmp_path / "mix", alone=True, steps=1).beside == {}


def test_minutes_become_steps(folder: Path, tmp_path: Path) -> None:
    done = trained(folder, tmp_path / "run", minutes=0.001, steps=None, alone=True)
    assert done.record.steps == 10
    assert done.record.found["expected_s"] > 0


def test_predictions_are_those_of_the_run_and_scored(run: detect.DetectRun, folder: Path, tmp_path: Path) -> None:
    found = detect.predict(run.root, folder, out=tmp_path / "found", threshold=0.0, overlays=True, quiet=True)
    assert len(found.found) == N + WITHOUT
    held_out = {one.case: one for one in read_boxes(run.root / "held-out.csv")}
    for name, one in held_out.items():
        assert np.allclose(found.found[name].boxes, one.boxes, atol=1e-3)
        assert one.scores is not None
        assert np.allclose(found.found[name].scores, one.scores, rtol=1e-5)
    again = {one.case: one for one in read_boxes(tmp_path / "found")}
    assert list(again) == sorted(again)
    assert len(list((tmp_path / "found" / "overlays").glob("*.png"))) == N + WITHOUT
    moved = shutil.copytree(run.root, tmp_path / "moved")
    other = detect.predict(moved, folder / "c0.npy", out=tmp_path / "other", threshold=0.0, quiet=True)
    assert np.array_equal(other.found["c0"].boxes, found.found["c0"].boxes)
    twin = detect.predict(run.root / "beside" / "supervised", folder / "c0.npy", out=tmp_path / "twin", quiet=True)
    assert list(twin.found) == ["c0"]
    with pytest.raises(DataFileError, match="exists"):
        detect.predict(run, folder, out=tmp_path / "found", quiet=True)


def test_volumes_of_other_voxels_are_resampled_and_boxes_come_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    """Boxes are in voxels and in the world of each file, whatever grid was looked at."""
    nibabel = pytest.importorskip("nibabel")
    rng, found, affine = np.random.default_rng(0), [], np.diag([-2.0, 1.0, 1.0, 1.0])
    (tmp_path / "data").mkdir()
    for i in range(4):
        image, boxes = volume(rng)
        thick = i == 3
        mine = np.diag([-4.0, 1.0, 1.0, 1.0]) if thick else affine
        nibabel.save(nibabel.Nifti1Image(image[::2] if thick else image, mine), tmp_path / "data" / f"c{i}.nii.gz")
        found.append(Found(f"c{i}", boxes * ([0.5, 1, 1, 0.5, 1, 1] if thick else 1)))
    write_boxes(tmp_path / "data" / "boxes.csv", found)
    done = trained(
        tmp_path / "data", tmp_path / "run", labelled=None, test=0, steps=1, method="supervised",
        settings={"detector.widths": (4, 8), "detector.head_width": 4, "training.patch": (8, 16, 16)},
    )  # fmt: skip
    assert done.record.plan.spacing == (2.0, 1.0, 1.0)
    assert len(done.record.division.labelled) == 4
    assert "is not known" in (done.root / "report.html").read_text()
    told = detect.predict(done, tmp_path / "data" / "c3.nii.gz", out=tmp_path / "f", threshold=0, quiet=True)
    np.save(tmp_path / "plain.npy", image)
    cautions = []
    for spacing in ((), (4.0, 1.0, 1.0)):
        out = tmp_path / f"plain{len(spacing)}"
        detect.predict(done, tmp_path / "plain.npy", out=out, spacing=spacing)
        cautions.append("--spacing says it" in " ".join(capsys.readouterr().err.split()))
    assert cautions == [True, False]
    boxes = told.found["c3"].boxes
    assert len(boxes) == 100
    assert boxes.min() >= 0
    assert (boxes.max(0) <= np.tile([12, 24, 24], 2)).all()
    assert boxes[:, 1].max() > 12
    entry = json.loads((tmp_path / "f" / "boxes.json").read_text())["boxes"][0]
    centre = (np.array(entry["lo"]) + entry["hi"]) / 2
    assert np.allclose(entry["world_mm"], (centre - 0.5) * [-4, 1, 1], atol=0.01)
    assert np.allclose(entry["centre_mm"], centre * [4, 1, 1], atol=0.01)


def test_images_of_another_kind_are_refused_before_any_work(run: detect.DetectRun, tmp_path: Path) -> None:
    for array, told in ((np.zeros((30, 30, 30, 2)), "has 2 channels"), (np.zeros((30, 30)), "has 2 axes")):
        np.save(tmp_path / "x.npy", array)
        with pytest.raises(DataFileError, match=told):
            detect.predict(run, tmp_path / "x.npy", out=tmp_path / "found", quiet=True)
    assert not (tmp_path / "found").exists()


def test_held_out_images_under_other_names_are_left_out(
    run: detect.DetectRun, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    """The same bytes as held-out cases, and the folder itself, add nothing to what is learnt from."""
    part = run.record.division
    (tmp_path / "more").mkdir()
    for i, name in enumerate((*part.held_out, part.labelled[0], part.unlabelled[0])):
        shutil.copy(folder / f"{name}.npy", tmp_path / "more" / f"x{i}.npy")
    for pool, told in ((tmp_path / "more", "2 of them as one that is held out"), (folder, "9 cases left out")):
        other = trained(folder, tmp_path / f"run-{pool.name}", unlabelled=pool, alone=True, quiet=False)
        assert other.record.division.unlabelled == part.unlabelled
        assert weights(other) == weights(run)[:1]
        assert told in " ".join(capsys.readouterr().err.split())


def test_one_image_of_which_nothing_can_be_seen_stops_all_before_any_work(
    run: detect.DetectRun, folder: Path, tmp_path: Path
) -> None:  # fmt: skip
    part = run.record.division
    for name in (part.held_out[0], part.labelled[0]):
        data = shutil.copytree(folder, tmp_path / name)
        np.save(data / f"{name}.npy", np.full((SIDE,) * 3, np.nan, np.float32))
        with pytest.raises(DataFileError, match=f"{name}.npy: holds no finite number"):
            trained(data, tmp_path / f"run-{name}")
        with pytest.raises(DataFileError, match="no finite number"):
            detect.predict(run, data, out=tmp_path / "found", quiet=True)
    assert not (tmp_path / "found").exists()


def test_what_cannot_be_done_is_said_before_training(folder: Path, run: detect.DetectRun, tmp_path: Path) -> None:
    out = tmp_path / "run"
    faults: tuple[tuple[dict[str, Any], str], ...] = (
        ({"labelled": None, "unlabelled": "none"}, "--method supervised"), ({"labelled": 6}, "1 to 5"),
        ({"method": "focalmax"}, "Did you mean focalmix"), ({"settings": {"veiws": 2}}, "Did you mean views"),
        ({"minutes": 1.0}, "contradict"), ({"minutes": float("nan"), "steps": None}, "above 0"),
        ({"minutes": float("inf"), "steps": None}, "above 0"),
    )  # fmt: skip
    for more, told in faults:
        with pytest.raises(SettingError, match=told):
            trained(folder, out, **more)
    assert not out.exists()
    with pytest.raises(RunError, match="--resume"):
        trained(folder, run.root)
    others: tuple[tuple[dict[str, Any], str], ...] = (
        ({"steps": 5}, "--steps 4"), ({"seed": 2, "steps": None}, "seed 1, not 2"),
        ({"settings": TINY | {"focalmix.views": 3}}, "other settings"),
    )  # fmt: skip
    for more, told in others:
        with pytest.raises(RunError, match=told):
            trained(folder, run.root, resume=True, **more)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("x")
    with pytest.raises(RunError, match=r"no run"):
        trained(folder, tmp_path / "mine", overwrite=True)

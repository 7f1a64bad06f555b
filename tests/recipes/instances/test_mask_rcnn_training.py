"""Mask R-CNN on folders of discs: finds them, goes on to the same bytes, predicts the same from disk, refuses the rest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray
from PIL import Image

from hyperseg import instances, segment
from hyperseg.cli.main import main
from hyperseg.cli.segment.predict import FORMATS
from hyperseg.core import DataFileError, HypersegError, LabelError, RunError, SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.io.instances import read_instance_boxes, read_instances
from hyperseg.recipes.instances import predicting
from hyperseg.recipes.instances.folder import WEIGHTS
from hyperseg.recipes.instances.patches import batches
from hyperseg.recipes.instances.pictures import Example, read_example
from hyperseg.recipes.instances.planning import make_plan
from hyperseg.recipes.instances.scoring import score_instances
from hyperseg.recipes.instances.settings import InstanceSettings, TrainingSettings
from hyperseg.recipes.instances.starting import Order
from hyperseg.recipes.instances.training import train_instances

SIDE, N = 40, 10
TINY: dict[str, Any] = {
    "network.widths": (8, 16), "network.levels": (0, 1), "network.neck_width": 16, "network.hidden": 32,
    "network.mask_depth": 1, "training.patch": 40, "training.zoom": (1.0, 1.0), "training.lr": 5e-3,
    "lesson.proposals": 50, "lesson.boxes_drawn": 32, "lesson.masks_drawn": 8, "training.average": 0.9,
}  # fmt: skip
TYPED = [f"--set={name}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for name, v in TINY.items()]


def discs(rng: np.random.Generator) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """A picture of two or three bright discs that may touch, and their numbers."""
    numbers, places = np.zeros((SIDE, SIDE), np.uint16), np.indices((SIDE, SIDE))
    for i in range(int(rng.integers(2, 4))):
        middle, radius = rng.integers(5, SIDE - 5, 2), rng.integers(4, 7)
        inside = ((places - middle[:, None, None]) ** 2).sum(0) < radius**2
        numbers[inside & (numbers == 0)] = i + 1
    image = np.where(numbers > 0, 180, 40) + rng.normal(0, 10, numbers.shape)
    return image.clip(0, 255).astype(np.uint8), numbers


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root, rng = tmp_path_factory.mktemp("discs") / "data", np.random.default_rng(0)
    root.mkdir()
    for i in range(N):
        image, numbers = discs(rng)
        Image.fromarray(image).save(root / f"p{i}.png")
        Image.fromarray(numbers).save(root / f"p{i}_inst.png")
    return root


def trained(folder: Path, out: Path, steps: int = 8, **more: Any) -> instances.InstanceRun:
    return instances.train(folder, out, settings=TINY, steps=steps, alone=True, device="cpu", quiet=True, **more)


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> instances.InstanceRun:
    out = tmp_path_factory.mktemp("run") / "run"
    return instances.train(folder, out, settings=TINY, steps=150, device="cpu", quiet=True)


def test_discs_are_found(run: instances.InstanceRun) -> None:
    own = run.scores["mask-rcnn"]
    assert own["pq"] > 0.6
    assert own["ap50"] > 0.7
    assert set(run.scores) == {"mask-rcnn", "watershed"}
    page = (run.root / "report.html").read_text(encoding="utf-8")
    assert "watershed" in page
    assert json.loads((run.root / "metrics.json").read_text())["scores"]["mask-rcnn"]["pq"] == own["pq"]


def test_held_out_maps_score_as_the_run_says(run: instances.InstanceRun, folder: Path) -> None:
    """Written, read and scored again: the same PQ; boxes are those of the pixels."""
    found = score_instances(run.root / "held-out", folder)
    assert found.numbers["pq"] == run.scores["mask-rcnn"]["pq"]
    name = run.record.held_out[0]
    numbers = read_instances(run.root / "held-out" / f"{name}.png")
    for one in read_instance_boxes(run.root / "held-out" / f"{name}.boxes.json"):
        rows, columns = np.nonzero(numbers == one.id)
        assert one.box == (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1)
        assert one.score is not None
        assert one.score >= run.record.settings.find.score


def test_the_same_from_disk(run: instances.InstanceRun, folder: Path, tmp_path: Path) -> None:
    """A prediction by the command writes the bytes of the held-out maps, and so does one from Python again."""
    name = run.record.held_out[0]
    told = CliRunner().invoke(
        main, ["segment", "predict", str(run.root), str(folder / f"{name}.png"), "--out", str(tmp_path / "a"), "--quiet"]
    )
    assert told.exit_code == 0, told.output
    instances.predict(run, folder, out=tmp_path / "b", device="cpu", quiet=True)
    for file in (f"{name}.png", f"{name}.boxes.json"):
        content = (run.root / "held-out" / file).read_bytes()
        assert (tmp_path / "a" / file).read_bytes() == content
        assert (tmp_path / "b" / file).read_bytes() == content
    more = instances.predict(
        run, folder / f"{name}.png", out=tmp_path / "c", form="tif", settings={"score": 0.1}, overlays=True,
        device="cpu", quiet=True,
    )  # fmt: skip
    assert {path.name for path in more.files} == {f"{name}.tif", f"{name}.boxes.json", f"{name}.png"}
    assert (read_instances(tmp_path / "c" / f"{name}.tif") == more.found[name].numbers).all()


def test_an_interrupted_training_goes_on_to_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    whole = trained(folder, tmp_path / "whole")

    def stop(text: str, done: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    order = Order("mask-rcnn", TINY, steps=8, alone=True)
    with pytest.raises(KeyboardInterrupt):
        train_instances(folder, tmp_path / "parts", order, Runtime(quiet=True, on_step=stop))
    with pytest.raises(RunError, match="has not ended"):
        instances.predict(tmp_path / "parts", folder, out=tmp_path / "none")
    with pytest.raises(RunError, match="other settings"):
        trained(folder, tmp_path / "parts", resume=True, seed=0, fold=None, method="mask-rcnn", steps=8) if (
            TINY.update({"training.lr": 1e-3}) is None
        ) else None
    TINY["training.lr"] = 5e-3
    parts = trained(folder, tmp_path / "parts", resume=True)
    for file in (WEIGHTS, f"held-out/{parts.record.held_out[0]}.png"):
        assert (parts.root / file).read_bytes() == (whole.root / file).read_bytes()
    assert not list(parts.root.glob("unfinished*"))
    with pytest.raises(RunError, match="is there already"):
        trained(folder, tmp_path / "parts")


def test_who_is_held_out_never_matters(folder: Path, tmp_path: Path) -> None:
    """Other pixels and objects in a held-out picture: the same weights."""
    first = trained(folder, tmp_path / "a", steps=2)
    (tmp_path / "data").mkdir()
    for file in folder.iterdir():
        (tmp_path / "data" / file.name).write_bytes(file.read_bytes())
    for name in first.record.held_out:
        image, numbers = discs(np.random.default_rng(99))
        Image.fromarray(image).save(tmp_path / "data" / f"{name}.png")
        Image.fromarray(numbers).save(tmp_path / "data" / f"{name}_inst.png")
    other = trained(tmp_path / "data", tmp_path / "b", steps=2)
    assert (first.root / WEIGHTS).read_bytes() == (other.root / WEIGHTS).read_bytes()


def test_patches_are_whole_and_follow_from_seed_and_step() -> None:
    """Boxes lie around the numbers of the patch, whatever was turned, zoomed or filled behind a small picture."""
    image, numbers = discs(np.random.default_rng(3))
    one = Example("one", image[None, :30].astype(np.float32), numbers[:30].astype(np.int32))
    settings = InstanceSettings(training=TrainingSettings(patch=48, zoom=(0.5, 2.0)))
    plan = make_plan([one], settings, channels=1, n_classes=1, device="cpu")
    draw = batches([one], plan, settings.training, 0)
    for step in range(6):
        batch = draw(step)
        assert batch.images.shape == (2, 1, 48, 48)
        for objects in batch.objects:
            for box, number in zip(objects.boxes.int().tolist(), objects.ids.tolist(), strict=True):
                rows, columns = np.nonzero((objects.numbers == number).numpy())
                assert box == [rows.min(), columns.min(), rows.max() + 1, columns.max() + 1]
        again = draw(step)
        assert bool((again.images == batch.images).all())
        assert again.seed == batch.seed


def without_numbers(root: Path) -> Path:
    root.mkdir()
    for i in range(6):
        image, numbers = discs(np.random.default_rng(i))
        Image.fromarray(image).save(root / f"p{i}.png")
        Image.fromarray((numbers > 0).astype(np.uint8) * 255).save(root / f"p{i}_inst.png")
    return root


def test_what_cannot_be_learnt_is_refused_before_training(folder: Path, tmp_path: Path) -> None:
    def refused(data: Path, kind: type[HypersegError], told: str, **more: Any) -> None:
        with pytest.raises(kind, match=told) as caught:
            trained(data, tmp_path / "run", steps=1, **more)
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "run").exists()

    refused(without_numbers(tmp_path / "masks"), LabelError, "masks without numbers")
    refused(folder, SettingError, "folds, 0 to 4", fold=5)
    refused(folder, SettingError, "tells classes", method="unet")
    classes = tmp_path / "classes"
    classes.mkdir()
    for i in range(5):
        image, numbers = discs(np.random.default_rng(i))
        Image.fromarray(image).save(classes / f"p{i}.png")
        Image.fromarray(numbers).save(classes / f"p{i}_mask.png")
    refused(classes, LabelError, "its labels are classes")
    small = tmp_path / "small"
    small.mkdir()
    for i in range(5):
        Image.fromarray(discs(np.random.default_rng(i))[0][:3]).save(small / f"p{i}.png")
        Image.fromarray(discs(np.random.default_rng(i))[1][:3] + np.arange(SIDE, dtype=np.uint16) % 2).save(
            small / f"p{i}_inst.png"
        )
    refused(small, DataFileError, "has 3x40 pixels")
    volumes = tmp_path / "volumes"
    volumes.mkdir()
    for i in range(5):
        np.save(volumes / f"p{i}.npy", np.random.default_rng(i).normal(size=(8, 9, 10)).astype(np.float32))
        np.save(volumes / f"p{i}_inst.npy", np.arange(720).reshape(8, 9, 10) % 3)
    refused(volumes, DataFileError, "is a volume")
    with pytest.raises(SettingError, match="one by one"):
        segment.train(folder, tmp_path / "run", method="mask-rcnn", steps=1)


def test_no_object_to_learn_from(folder: Path, tmp_path: Path) -> None:
    """All objects lie in pictures that are held out."""
    held = trained(folder, tmp_path / "run", steps=1).record.held_out
    data = tmp_path / "data"
    data.mkdir()
    for file in folder.iterdir():
        (data / file.name).write_bytes(file.read_bytes())
        if file.stem.endswith("_inst") and file.stem.removesuffix("_inst") not in held:
            Image.fromarray(np.zeros((SIDE, SIDE), np.uint16)).save(data / file.name)
    with pytest.raises(LabelError, match="none of 8 pictures to learn from holds an object"):
        trained(data, tmp_path / "none", steps=1)


@pytest.mark.parametrize(
    "given",
    [
        ["--plan=p.json"], ["--config=2d"], ["--trick=tta"], ["--weights=w"], ["--labelled=2"], ["--mirror"],
        ["--watts=3"], ["--spacing=1,1"], ["--target=cup"], ["--fold=all"], ["--samples=3"],
    ],
)  # fmt: skip
def test_options_that_nobody_would_look_at_are_refused(given: list[str], folder: Path, tmp_path: Path) -> None:
    words = ["segment", "train", str(folder), "--method=mask-rcnn", f"--out={tmp_path / 'run'}", "--steps=1", *given]
    told = CliRunner().invoke(main, words)
    assert told.exit_code != 0
    assert given[0].partition("=")[0] in str(told.exception) + told.output
    assert not (tmp_path / "run").exists()


def test_the_commands(run: instances.InstanceRun, folder: Path, tmp_path: Path) -> None:
    words = ["segment", "train", str(folder), "--method=mask-rcnn", f"--out={tmp_path / 'run'}", "--steps=2", "--alone"]
    told = CliRunner().invoke(main, [*words, *TYPED, "--quiet"])
    assert told.exit_code == 0, told.output
    assert "AP50" in told.output
    assert CliRunner().invoke(main, [*words, "--resume", "--quiet"]).exit_code == 0
    again = [word for word in words if not word.startswith("--method")]
    assert CliRunner().invoke(main, [*again, "--resume", "--quiet"]).exit_code == 0
    told = CliRunner().invoke(
        main, ["segment", "score", str(run.root / "held-out"), str(folder), "--out", str(tmp_path / "m.json"), "--quiet"]
    )
    assert told.exit_code == 0, told.output
    numbers = json.loads((tmp_path / "m.json").read_text())["scores"]
    assert numbers["pq"] == run.scores["mask-rcnn"]["pq"]
    told = CliRunner().invoke(main, ["segment", "predict", str(run.root), str(folder), "--out=x", "--region-first"])
    assert told.exit_code != 0
    assert "--region-first" in str(told.exception) + told.output
    assert FORMATS == predicting.FORMATS


def test_maps_without_scores_have_no_ap(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    for i in range(3):
        (tmp_path / "found" / f"p{i}.png").write_bytes((folder / f"p{i}_inst.png").read_bytes())
    found = score_instances(tmp_path / "found", folder)
    assert found.numbers["pq"] == found.numbers["nuclei_score"] == 1
    assert "ap" not in found.numbers
    assert "AP is left out" in found.notes[0]


def test_scales_of_a_picture_do_not_matter(folder: Path, tmp_path: Path) -> None:
    """Twice as bright, 16 bits: the same picture to the network, to rounding."""
    opened = segment.open_cases(folder)
    case = opened.cases[0]
    Image.fromarray(np.asarray(Image.open(case.images[0])).astype(np.uint16) * 200).save(tmp_path / "q.png")
    from dataclasses import replace

    other = read_example(replace(case, images=(tmp_path / "q.png",)), 1)
    np.testing.assert_allclose(other.image, read_example(case, 1).image, atol=1e-5)

"""Mask R-CNN on folders of discs: finds them, goes on to the same bytes, predicts the same from disk, refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from discs import SIDE, TINY, numbered_discs, write_numbered
from PIL import Image

from hyperseg import instances, segment
from hyperseg.core import DataFileError, HypersegError, LabelError, RunError, SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.io.instances import read_instance_boxes, read_instances
from hyperseg.recipes.instances.folder import WEIGHTS
from hyperseg.recipes.instances.patches import batches
from hyperseg.recipes.instances.pictures import Example, read_example
from hyperseg.recipes.instances.planning import make_plan
from hyperseg.recipes.instances.scoring import score_instances
from hyperseg.recipes.instances.settings import InstanceSettings, TrainingSettings
from hyperseg.recipes.instances.starting import Order
from hyperseg.recipes.instances.training import train_instances

N = 10


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_numbered(tmp_path_factory.mktemp("discs") / "data", N)


def trained(folder: Path, out: Path, steps: int = 6, **more: Any) -> instances.InstanceRun:
    asked = {"settings": TINY, "steps": steps, **more}
    return instances.train(folder, out, alone=True, device="cpu", quiet=True, **asked)


@pytest.fixture(scope="module")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> instances.InstanceRun:
    out = tmp_path_factory.mktemp("run") / "run"
    return instances.train(folder, out, settings=TINY, steps=110, device="cpu", quiet=True)


def test_discs_are_found(run: instances.InstanceRun) -> None:
    own = run.scores["mask-rcnn"]
    assert own["pq"] > 0.8
    assert own["ap50"] > 0.8
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
    """A prediction writes the bytes of the held-out maps."""
    name = run.record.held_out[0]
    instances.predict(run, folder, out=tmp_path / "b", device="cpu", quiet=True)
    for file in (f"{name}.png", f"{name}.boxes.json"):
        content = (run.root / "held-out" / file).read_bytes()
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
        if done == 4:
            raise KeyboardInterrupt

    order = Order("mask-rcnn", TINY, steps=6, alone=True)
    with pytest.raises(KeyboardInterrupt):
        train_instances(folder, tmp_path / "parts", order, Runtime(quiet=True, on_step=stop))
    with pytest.raises(RunError, match="has not ended"):
        instances.predict(tmp_path / "parts", folder, out=tmp_path / "none")
    with pytest.raises(RunError, match="other settings"):
        trained(folder, tmp_path / "parts", resume=True, settings={"training.lr": 1e-3})
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
        image, numbers = numbered_discs(np.random.default_rng(99))
        Image.fromarray(image).save(tmp_path / "data" / f"{name}.png")
        Image.fromarray(numbers).save(tmp_path / "data" / f"{name}_inst.png")
    other = trained(tmp_path / "data", tmp_path / "b", steps=2)
    assert (first.root / WEIGHTS).read_bytes() == (other.root / WEIGHTS).read_bytes()


def test_patches_are_whole_and_follow_from_seed_and_step() -> None:
    """Boxes lie around the numbers of the patch, whatever was turned, zoomed or filled behind a small picture."""
    image, numbers = numbered_discs(np.random.default_rng(3))
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
    for file in write_numbered(root, 6).glob("*_inst.png"):
        Image.fromarray((np.asarray(Image.open(file)) > 0).astype(np.uint8) * 255).save(file)
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
    classes = write_numbered(tmp_path / "classes", 6, label="mask")
    refused(classes, LabelError, "its labels are classes")
    small = write_numbered(tmp_path / "small", 6)
    for file in small.iterdir():
        Image.fromarray(np.asarray(Image.open(file))[10:11]).save(file)
    refused(small, DataFileError, "has 1x40 pixels")
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
    other = read_example(replace(case, images=(tmp_path / "q.png",)), 1)
    np.testing.assert_allclose(other.image, read_example(case, 1).image, atol=1e-5)

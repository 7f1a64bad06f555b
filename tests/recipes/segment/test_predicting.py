"""From a run and images to files: on the image's grid, with its codes; pairs, cascades, refusals, the command."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from running import Hyperseg
from torch import Tensor, nn

from hyperseg.backbone import seeded
from hyperseg.core import Grid, RunError, Scene, SceneError, SettingError
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.fingerprint import Fingerprint, Intensity
from hyperseg.medical.networks import build_unet
from hyperseg.medical.plan import Plan, make_plan
from hyperseg.recipes.segment.folder import Record, SegmentRun, write_fold, write_run
from hyperseg.recipes.segment.predicting import parse_folds, predict_case, predict_images

CLASSES = ("background", "a", "b")


class Thresholds(nn.Module):
    """Class 1 where the first channel is above 0, class 2 where it is above 1."""

    def forward(self, x: Tensor) -> Tensor:
        x = x[:, :1]
        return torch.cat([0 * x, x, 2 * x - 1], 1)


class Shifted(nn.Module):
    """Looks to one side."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([0 * x, x.roll(1, 2) + x.roll(2, 4), 2 * x.roll(3, 3) - 1], 1)


def thin(configuration: Configuration) -> Configuration:
    spec = configuration.backbone
    return replace(configuration, backbone=replace(spec, widths=(3,) * len(spec.widths)))


def plan_for(spacing: tuple[float, ...], size: tuple[int, ...], *, unit: str = "mm", channels: int = 1) -> Plan:
    seen = Fingerprint(
        (spacing,) * 3, (size,) * 3, 1.0, tuple(f"c{i}" for i in range(channels)),
        (Intensity(1.0, 1.0, 0.0, 2.0),) * channels, CLASSES, (9, 9, 9), unit,
    )  # fmt: skip
    made = make_plan(seen)
    return replace(made, configurations=tuple(map(thin, made.configurations)))


def run_of(root: Path, plan: Plan, *, names: tuple[str, ...] = ("3d",), folds: int = 2, **more: object) -> SegmentRun:
    record = Record(
        "data", plan.facts.classes, (0, 10, 20), plan.facts.channels, 0, (("x",), ("y",)),
        trained={name: list(range(folds)) for name in names}, **more,
    )  # fmt: skip
    run = write_run(root, plan, record)
    for name in names:
        for fold in range(folds):
            with seeded(fold):
                net = build_unet(plan.configuration(name), 3)
            write_fold(run, name, fold, net.state_dict(), {})
    return run


def bright(size: tuple[int, ...], spacing: tuple[float, ...]) -> Scene:
    cube = np.random.default_rng(0).normal(size=size).astype(np.float32)[..., None]
    return Scene(cube, classes=CLASSES, grid=Grid(spacing, "mm"))


def test_a_network_that_looks_at_voxels_alone_gives_its_rule() -> None:
    """Whatever the windows, the mirrors, the order of axes and the number of folds; at the plan's own spacing."""
    plan, scene = plan_for((1.0, 4.0, 1.0), (20, 9, 24)), bright((30, 7, 40), (1.0, 4.0, 1.0))
    values = np.asarray(scene.cube)[..., 0]
    z = torch.from_numpy((values - values.mean()) / values.std())
    expected = Thresholds()(z[None, None])[0].argmax(0).numpy()
    assert len(np.unique(expected)) == 3
    for name in ("3d", "2d"):
        for mirror in (True, False):
            found = predict_case(scene, plan, {name: [Thresholds().eval()] * 2}, [name], mirror=mirror)
            assert (found == expected).mean() > 0.9999
    found = predict_case(scene, plan, {n: [Thresholds()] for n in ("2d", "3d")}, ["2d", "3d"], mirror=False)
    assert (found == expected).mean() > 0.9999


def test_mirrored_cases_have_mirrored_predictions() -> None:
    plan, scene = plan_for((1.0, 1.0, 1.0), (16, 20, 18)), bright((16, 20, 18), (1.0, 1.0, 1.0))
    net = Shifted()
    patch = plan.configuration("3d").patch
    assert all((p - n) % 2 == 0 for p, n in zip(patch, scene.shape, strict=True)), "padding is the same on both sides"
    found = predict_case(scene, plan, {"3d": [net]}, ["3d"])
    turned = scene.with_(cube=np.ascontiguousarray(np.asarray(scene.cube)[::-1, :, ::-1]))
    again = predict_case(turned, plan, {"3d": [net]}, ["3d"])
    assert (again == found[::-1, :, ::-1]).mean() > 0.999
    assert len(np.unique(found)) == 3
    one_way = predict_case(scene, plan, {"3d": [net]}, ["3d"], mirror=False)
    other = predict_case(turned, plan, {"3d": [net]}, ["3d"], mirror=False)
    assert (other == one_way[::-1, :, ::-1]).mean() < 0.9


def test_a_cascade_reads_the_answer_of_its_first_network() -> None:
    """The second one says what the first said; it is told in channels behind those of the image."""
    plan = plan_for((1.0, 1.0, 1.0), (24, 24, 24))
    first = replace(plan.configuration("3d"), name="3d_low")
    second = replace(plan.configuration("3d"), name="3d_cascade", after="3d_low")
    plan = replace(plan, configurations=(*plan.configurations, first, second))

    class Repeat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            assert x.shape[1] == 3
            return torch.cat([torch.full_like(x[:, :1], 0.5), x[:, 1:]], 1)

    scene = bright((20, 22, 24), (1.0, 1.0, 1.0))
    nets = {"3d_low": [Thresholds()], "3d_cascade": [Repeat()]}
    found = predict_case(scene, plan, nets, ["3d_cascade"], mirror=False)
    assert (found == predict_case(scene, plan, nets, ["3d_low"], mirror=False)).all()


def test_parts_that_are_done_are_told() -> None:
    plan, scene = plan_for((1.0, 1.0, 1.0), (16, 16, 16)), bright((30, 20, 20), (1.0, 1.0, 1.0))
    told: list[float] = []
    nets = {name: [Thresholds()] for name in ("2d", "3d")}
    predict_case(scene, plan, nets, ["2d", "3d"], mirror=False, share=told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.fixture
def volumes(tmp_path: Path) -> Path:
    """Two NIfTI volumes of which one runs the other way, oblique and with other voxels than planned."""
    nibabel = pytest.importorskip("nibabel")
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(np.eye(3) + 0.1 * rng.normal(size=(3, 3)))
    (tmp_path / "in").mkdir()
    for name, sign in (("p1", 1.0), ("p2", -1.0)):
        affine = np.eye(4)
        affine[:3, :3] = turn * np.sign(np.diag(turn)) * (0.5 * sign, 1.0, 2.0)
        nibabel.save(nibabel.Nifti1Image(rng.normal(size=(20, 14, 9)).astype(np.float32), affine),
                     tmp_path / "in" / f"{name}.nii.gz")  # fmt: skip
    return tmp_path / "in"


def test_files_have_the_grid_of_their_images(volumes: Path, tmp_path: Path, hyperseg: Hyperseg) -> None:
    import nibabel

    run_of(tmp_path / "run", plan_for((1.0, 1.0, 1.0), (18, 14, 10)), largest=((1, 2),))
    answer = hyperseg("segment", "predict", "run", "in", "--out", "out", "--overlays")
    assert answer.code == 0, answer.err
    assert re.search(r"[\d.e-]+ s a case: network [\d.e-]+, the rest [\d.e-]+ \(", answer.err)
    assert answer.out.splitlines() == ["out/p1.nii.gz", "out/p2.nii.gz"]
    for name in ("p1", "p2"):
        image, made = (nibabel.load(folder / f"{name}.nii.gz") for folder in (volumes, tmp_path / "out"))
        assert made.shape == image.shape
        np.testing.assert_allclose(made.affine, image.affine, atol=1e-6)
        assert set(np.unique(made.dataobj)) <= {0, 10, 20}
        assert (tmp_path / "out" / "overlays" / f"{name}.png").stat().st_size > 500
    again = hyperseg("segment", "predict", "run", "in", "--out", "out")
    assert "--overwrite" in again.error
    words = ("--out", "out", "--overwrite", "--folds", "1", "--no-mirror", "--device", "cpu")
    assert hyperseg("segment", "predict", "run", "in", *words, "--quiet").err == ""
    answer = hyperseg("segment", "predict", "run", "in", *words, "--region-first")
    assert re.search(r"region first: [\d.]+ % of the voxels were predicted", answer.err)


def test_pictures(tmp_path: Path, hyperseg: Hyperseg) -> None:
    from PIL import Image

    run_of(tmp_path / "run", plan_for((1.0, 1.0), (24, 24), unit="px"), names=("2d",))
    (tmp_path / "in").mkdir()
    values = np.random.default_rng(0).integers(1, 255, (30, 21)).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "in" / "cell.png")
    answer = hyperseg("segment", "predict", "run", "in/cell.png", "--out", "out", "--overlays")
    assert answer.code == 0, answer.err
    with Image.open(tmp_path / "out" / "cell.png") as made:
        assert made.size == (21, 30)
    answer = hyperseg("segment", "predict", "run", "in", "--out", "in", "--overwrite")
    assert "is read here" in answer.error


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("none", "in"), "does not exist"),
        (("run", "nowhere"), "nowhere"),
        (("run", "in", "--folds", "5"), "fold 5"),
        (("run", "in", "--folds", "a"), "numbers with commas"),
        (("run", "arrays"), "does not have a spacing in millimetres"),
        (("run", "flat"), "is a picture, the run was trained on volumes"),
        (("run", "many"), "2 channels, the run was trained on 1: c0"),
        (("run", "three"), "3 channels, the run was trained on 1: c0"),
        (("run", "broken"), "b.nii.gz"),
    ],
)
def test_refusals_come_before_any_work(
    volumes: Path, tmp_path: Path, hyperseg: Hyperseg, words: tuple[str, ...], told: str
) -> None:
    import nibabel

    run_of(tmp_path / "run", plan_for((1.0, 1.0, 1.0), (18, 14, 10)))
    for name in ("arrays", "flat", "many", "three", "broken"):
        (tmp_path / name).mkdir()
    np.save(tmp_path / "arrays" / "a.npy", np.ones((9, 9, 9)))
    np.save(tmp_path / "flat" / "a.npy", np.ones((9, 9)))
    nibabel.save(nibabel.Nifti1Image(np.ones((9, 9, 9, 2), np.float32), np.eye(4)), tmp_path / "many" / "m.nii")
    nibabel.save(nibabel.Nifti1Image(np.ones((9, 9, 9, 3), np.float32), np.eye(4)), tmp_path / "three" / "t.nii")
    (tmp_path / "broken" / "b.nii.gz").write_bytes(b"no gzip")
    answer = hyperseg("segment", "predict", *words, "--out", "out")
    assert told in answer.error
    assert not (tmp_path / "out").exists()


def test_channels_are_those_of_the_run_whatever_their_order(tmp_path: Path, hyperseg: Hyperseg) -> None:
    """The networks look at the first channel alone: numbers in the run's order and words in any give the same."""
    nibabel = pytest.importorskip("nibabel")
    plan = plan_for((1.0, 1.0, 1.0), (18, 14, 10), channels=2)
    plan = replace(plan, facts=replace(plan.facts, channels=("t1", "flair")))
    run_of(tmp_path / "run", plan, folds=1)
    cubes = np.random.default_rng(0).normal(size=(2, 18, 14, 10)).astype(np.float32)
    for folder, ends in (("words", ("T1", "flair")), ("numbers", ("0000", "0001")), ("others", ("t1", "pd"))):
        (tmp_path / folder).mkdir()
        for end, cube in zip(ends, cubes, strict=True):
            nibabel.save(nibabel.Nifti1Image(cube, np.eye(4)), tmp_path / folder / f"q_{end}.nii.gz")
    told = {name: hyperseg("segment", "predict", "run", name, "--out", f"{name}.out") for name in ("words", "numbers")}
    assert "0000 = t1, 0001 = flair" in told["numbers"].err
    assert "0000" not in told["words"].err
    made = [np.asarray(nibabel.load(tmp_path / f"{name}.out" / "q.nii.gz").dataobj) for name in told]
    np.testing.assert_array_equal(*made)
    assert len(np.unique(made[0])) > 1
    answer = hyperseg("segment", "predict", "run", "others", "--out", "out")
    assert "q has the channels pd, t1; the run was trained on t1, flair" in answer.error


def test_folds_by_their_numbers() -> None:
    assert parse_folds(None) is None
    assert parse_folds("0, 2") == (0, 2)
    with pytest.raises(SettingError, match="0,1"):
        parse_folds("0;2")


def test_a_run_without_networks_and_other_channels(volumes: Path, tmp_path: Path) -> None:
    run = run_of(tmp_path / "run", plan_for((1.0, 1.0, 1.0), (18, 14, 10)), folds=0)
    with pytest.raises(RunError, match="no trained network of 3d"):
        predict_images(run.root, volumes, out=tmp_path / "out")
    run = run_of(tmp_path / "two", plan_for((1.0, 1.0, 1.0), (18, 14, 10), channels=2))
    with pytest.raises(SceneError, match="p1 has 1 channel, the run was trained on 2: c0, c1"):
        predict_images(run.root, volumes, out=tmp_path / "out")
    run = run_of(tmp_path / "three", plan_for((1.0, 1.0, 1.0), (18, 14, 10), channels=3))
    with pytest.raises(SceneError, match="p1 has 1 channel, the run was trained on 3: c0, c1, c2"):
        predict_images(run.root, volumes, out=tmp_path / "out")


@pytest.mark.gpu
def test_a_card_gives_what_the_cpu_gives() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    plan, scene = plan_for((1.0, 1.0, 1.0), (24, 24, 24)), bright((30, 26, 28), (1.25, 1.0, 1.0))
    with seeded(0):
        net = build_unet(plan.configuration("3d"), 3).eval()
    expected = predict_case(scene, plan, {"3d": [net]}, ["3d"])
    found = predict_case(scene, plan, {"3d": [net.to("cuda")]}, ["3d"], device="cuda")
    assert (found == expected).mean() > 0.999

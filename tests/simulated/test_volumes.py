"""Invented scans: what is known of their shapes holds on any grid, files keep their place, same seed, same bytes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from scipy.ndimage import label

from hyperseg.core import DataFileError, SettingError
from hyperseg.io.cases import open_cases, read_case
from hyperseg.simulated.volumes import (
    CLASSES,
    POSE_MM,
    ROUGH,
    Patient,
    Scan,
    draw_patient,
    draw_waves,
    grown,
    scan,
    toy_scans,
    write_toy_volumes,
)


def patient(rough: float = ROUGH) -> Patient:
    drawn = draw_patient(np.random.default_rng(3))
    return replace(drawn, organs=tuple(replace(organ, rough=rough) for organ in drawn.organs))


def volume_mm3(made: Scan, class_: int) -> float:
    return float((made.labels == class_).sum() * abs(np.linalg.det(made.affine[:3, :3])))


def middle_mm(made: Scan, class_: int) -> np.ndarray:
    places = np.argwhere(made.labels == class_).mean(0)
    return made.affine[:3, :3] @ places + made.affine[:3, 3]


@pytest.mark.parametrize("class_", [1, 2])
def test_an_organ_without_roughness_is_the_ellipsoid(class_: int) -> None:
    smooth = patient(rough=0.0)
    organ = smooth.organs[class_ - 1]
    for spacing in ((1.0, 1.0, 1.0), (0.9, 0.9, 1.7)):
        made = scan(smooth, np.random.default_rng(0), spacing=spacing)
        assert volume_mm3(made, class_) == pytest.approx(4 / 3 * np.pi * organ.axes.prod(), rel=0.02)
        rng = np.random.default_rng(0)
        rng.uniform(size=2)  # the spacing, which is drawn in any case
        pose = rng.normal(0, POSE_MM / 2, 3)
        assert np.allclose(middle_mm(made, class_), organ.centre + pose, atol=0.1)


def test_the_truth_hardly_depends_on_the_grid() -> None:
    fine, coarse = (scan(patient(), np.random.default_rng(0), spacing=s) for s in ((0.8,) * 3, (1.6, 1.6, 3.0)))
    for class_ in (1, 2):
        assert volume_mm3(coarse, class_) == pytest.approx(volume_mm3(fine, class_), rel=0.08)
        assert np.allclose(middle_mm(coarse, class_), middle_mm(fine, class_), atol=0.4)


def test_growing_scales_an_organ_about_its_middle() -> None:
    before, after = patient(), grown(patient(), 1.25)
    organ, larger = before.organs[0], after.organs[0]
    points = organ.centre + np.random.default_rng(0).normal(0, 6, (500, 3))
    inside = organ.holds(points)
    assert inside.any()
    assert not inside.all()
    assert (larger.holds(organ.centre + 1.25 * (points - organ.centre)) == inside).all()


def test_waves_have_mean_zero_and_variance_one() -> None:
    points = np.random.default_rng(1).uniform(-1e4, 1e4, (200_000, 3))
    values = draw_waves(6, 16.0, np.random.default_rng(0))(points)
    assert values.mean() == pytest.approx(0, abs=0.01)
    assert values.var() == pytest.approx(1, abs=0.02)


def test_organs_are_in_one_piece_and_decoys_are_no_organs() -> None:
    for name, made in toy_scans(6, seed=5):
        for class_ in (1, 2):
            assert label(made.labels == class_)[1] == 1, name
        bright = made.image > np.percentile(made.image[made.labels == 1], 20)
        assert label(bright & (made.labels == 0))[1] > 0, name


def test_every_other_patient_comes_twice() -> None:
    names = [name for name, _ in toy_scans(5, first=3)]
    assert names == [
        "patient03_visit1", "patient03_visit2", "patient04_visit1", "patient05_visit1", "patient05_visit2"
    ]  # fmt: skip
    assert [name for name, _ in toy_scans(1)] == ["patient01_visit1"]


def test_files_hold_the_scans_on_their_place(tmp_path: Path) -> None:
    root = write_toy_volumes(tmp_path / "toys", 3, seed=2)
    folder = open_cases(root)
    assert [case.group for case in folder.cases] == ["patient01", "patient01", "patient02"]
    spacings = set()
    for (name, made), case in zip(toy_scans(3, seed=2), folder.cases, strict=True):
        assert case.name == name
        for kind, array in (("images", made.image), ("labels", made.labels)):
            image = nib.load(root / kind / f"{name}.nii.gz")
            assert np.array_equal(np.asanyarray(image.dataobj), array)
            assert np.allclose(image.affine, made.affine, atol=1e-5)
            assert nib.aff2axcodes(image.affine) == ("L", "A", "S")
            assert image.header.get_xyzt_units()[0] == "mm"
        scene = read_case(folder, case)
        assert np.allclose(scene.grid.spacing, np.abs(np.diag(made.affine)[[2, 1, 0]]), atol=1e-5)
        assert np.array_equal(scene.labels, made.labels[::-1].T)
        spacings.add(scene.grid.spacing)
    assert len(spacings) == 3


def test_the_same_seed_gives_the_same_bytes_and_another_one_others(tmp_path: Path) -> None:
    def contents(name: str, seed: int) -> dict[str, bytes]:
        root = write_toy_volumes(tmp_path / name, 2, seed=seed)
        return {str(file.relative_to(root)): file.read_bytes() for file in root.rglob("*.gz")}

    first, again, other = contents("a", 0), contents("b", 0), contents("c", 1)
    assert first == again
    assert first.keys() == other.keys()
    assert not any(first[name] == other[name] for name in first)


def test_more_scans_begin_with_the_same_ones() -> None:
    few, many = dict(toy_scans(2, seed=4)), dict(toy_scans(3, seed=4))
    assert all(np.array_equal(few[name].image, many[name].image) for name in few)


def test_the_decathlon_layout_names_classes(tmp_path: Path) -> None:
    root = write_toy_volumes(tmp_path / "toys", 2, layout="decathlon")
    folder = open_cases(root)
    assert (folder.classes, folder.codes, folder.channels) == (CLASSES, (0, 1, 2), ("MRI",))
    assert json.loads((root / "dataset.json").read_text())["numTraining"] == len(folder.cases) == 2


def test_what_is_there_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataFileError, match="is there already"):
        write_toy_volumes(tmp_path, 1)
    with pytest.raises(SettingError, match="layout is folders or decathlon"):
        write_toy_volumes(tmp_path / "new", 1, layout="bids")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="from 1 on"):
        write_toy_volumes(tmp_path / "new", 0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]

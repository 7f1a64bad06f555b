"""A target's spectrum from files, pixels and classes, and places from tables: values, and clear refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hyperseg.core import DataFileError, Grid, LabelError, Scene, SettingError
from hyperseg.recipes.detection.scene.positions import objects_of, read_places
from hyperseg.recipes.detection.scene.spectrum import target_from_class, target_from_file, target_from_pixels, to_bands

NM = np.linspace(500, 900, 5)
LABELS = np.full((20, 30), -1, np.int16)
LABELS[2:4, 5] = 1
LABELS[10:, :] = 0
CUBE = np.random.default_rng(0).uniform(0.2, 0.6, (20, 30, 5))
SCENE = Scene(CUBE, labels=LABELS, classes=("grass", "roof"), colours=((0, 0, 0),) * 2, wavelengths_nm=NM, name="made")


def write(folder: Path, text: str, name: str = "target.csv") -> str:
    path = folder / name
    path.write_text(text)
    return str(path)


def test_two_columns_one_column_a_row_and_npy_say_the_same(tmp_path: Path) -> None:
    values = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    np.save(tmp_path / "t.npy", np.stack([NM, values], 1))
    spelled = [
        write(tmp_path, "wavelength,reflectance\n" + "".join(f"{w},{v}\n" for w, v in zip(NM, values, strict=True))),
        write(tmp_path, "".join(f"{w / 1000} {v}\n" for w, v in zip(NM, values, strict=True)), "um.txt"),
        write(tmp_path, "# a roof\n" + "\n".join(map(str, values)), "one.txt"),
        write(tmp_path, ";".join(map(str, values)), "row.txt"),
        str(tmp_path / "t.npy"),
    ]
    for coding in ("latin-1", "utf-16"):  # as spreadsheets write it
        (tmp_path / f"{coding}.csv").write_bytes(("Größe\n" + "\n".join(map(str, values))).encode(coding))
        spelled.append(str(tmp_path / f"{coding}.csv"))
    for text in spelled:
        np.testing.assert_allclose(target_from_file(text, SCENE).spectrum, values)


def test_a_fine_spectrum_is_averaged_over_bands_and_a_linear_one_stays(tmp_path: Path) -> None:
    fine = np.arange(400.0, 1000.0)
    np.testing.assert_allclose(to_bands(fine, 2 * fine + 1, NM), 2 * NM + 1, atol=1.01)
    coarse = np.array([300.0, 1200.0])
    np.testing.assert_allclose(to_bands(coarse, coarse, NM), NM)
    outside = to_bands(np.arange(700.0, 1000.0), np.ones(300), NM)
    np.testing.assert_array_equal(np.isfinite(outside), [False, False, True, True, True])


def test_other_units_are_brought_to_the_scenes_brightness_and_told() -> None:
    percent = Scene(1e4 * CUBE, wavelengths_nm=NM, name="counts")
    made = target_from_pixels(np.ones((20, 30), bool), percent)
    assert not made.cautions


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("1\n2\n3\n", SettingError, "3 values, and made has 5 bands"),
        ("1500,1\n1600,2\n", SettingError, "0 % of the good bands"),
        ("1,2,3\n4,5,6\n", DataFileError, "two columns"),
        ("1,2\nroof,3\n", DataFileError, "words among the numbers"),
        ("nothing here\n", DataFileError, "no numbers"),
        ("0\n0\n0\n0\n0\n", SettingError, "0 or no number"),
    ],
)
def test_what_is_no_spectrum_of_this_scene_is_refused(
    tmp_path: Path, text: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        target_from_file(write(tmp_path, text), SCENE)


def test_units_that_differ_are_scaled_with_a_caution(tmp_path: Path) -> None:
    counts = Scene(1e4 * CUBE, wavelengths_nm=NM, name="counts")
    made = target_from_file(write(tmp_path, "0.1\n0.2\n0.3\n0.4\n0.5\n"), counts)
    assert "other units" in made.cautions[0]
    np.testing.assert_allclose(made.spectrum / made.spectrum[0], [1, 2, 3, 4, 5])
    scaled = target_from_file(write(tmp_path, "0.1\n0.2\n0.3\n0.4\n0.5\n"), counts.with_(scale=1e4))
    np.testing.assert_allclose(scaled.spectrum, 1e4 * np.array([0.1, 0.2, 0.3, 0.4, 0.5]))


def test_classes_and_pixels_give_their_mean() -> None:
    made = target_from_class("ROOF", SCENE)
    np.testing.assert_allclose(made.spectrum, CUBE[2:4, 5].mean(0), rtol=1e-6)
    np.testing.assert_array_equal(made.known, SCENE.labels == 1)
    with pytest.raises(LabelError, match=r"no class 'roofs'.*roof"):
        target_from_class("roofs", SCENE)
    with pytest.raises(LabelError, match="give --labels"):
        target_from_class("roof", Scene(CUBE, name="bare"))
    with pytest.raises(LabelError, match="none of the target pixels"):
        target_from_pixels(np.ones((20, 30), bool), SCENE.with_(valid=np.zeros((20, 30), bool)))


def test_places_by_rows_and_by_the_map(tmp_path: Path) -> None:
    found = read_places(write(tmp_path, "Row,Column,what\n3,4,a\n19,29,b\n"), SCENE)
    assert sorted(map(tuple, np.argwhere(found))) == [(3, 4), (19, 29)]
    placed = SCENE.with_(grid=Grid((2.0, 2.0), "m", "EPSG:32616", (2.0, 0.0, 100.0, 0.0, -2.0, 500.0)))
    found = read_places(write(tmp_path, "x,y\n109,493\n"), placed)
    assert list(map(tuple, np.argwhere(found))) == [(3, 4)]
    with pytest.raises(LabelError, match="has none"):
        read_places(write(tmp_path, "x,y\n109,493\n"), SCENE)
    with pytest.raises(LabelError, match="rows and columns swapped"):
        read_places(write(tmp_path, "row,column\n25,4\n"), SCENE)
    for coding in ("latin-1", "utf-16", "utf-8-sig"):
        (tmp_path / "excel.csv").write_bytes("Row;Column;Größe\n3,0;4;groß\n19;29;x\n".encode(coding))
        found = read_places(str(tmp_path / "excel.csv"), SCENE)
        assert sorted(map(tuple, np.argwhere(found))) == [(3, 4), (19, 29)]
    for cell in ("nan", "", "a", "inf"):
        with pytest.raises(DataFileError, match="line 3: a position is"):
            read_places(write(tmp_path, f"row,column\n1,2\n{cell},4\n"), SCENE)
    for far, grounded in (
        ("row,column\n1e30,4\n", SCENE),
        ("x,y\n1e300,1e308\n", placed),
        ("row,column\n-2,4\n", SCENE),
    ):
        with pytest.raises(LabelError, match=r"1 position outside") as caught:
            read_places(write(tmp_path, far), grounded)
        assert "swapped" not in str(caught.value)
    with pytest.raises(DataFileError, match="columns row and column"):
        read_places(write(tmp_path, "a,b\n1,2\n"), SCENE)


def test_objects_are_pixels_that_touch() -> None:
    mask = np.zeros((9, 9), bool)
    mask[1, 1] = mask[2, 2] = mask[7, 5] = True
    boxes, sizes = objects_of(mask)
    np.testing.assert_array_equal(boxes, [[1, 1, 3, 3], [7, 5, 8, 6]])
    np.testing.assert_array_equal(sizes, [2, 1])

"""Axes of a scene are those of the body, and a prediction lies where its image lies."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from volumes import mask, oblique, picture, pictures, volume, volumes, write_nifti, write_picture

from hyperseg.core import DataFileError, LabelError
from hyperseg.io.cases import Case, CaseFolder, open_cases, read_case, write_prediction

ORDERS = list(itertools.permutations((0, 1, 2)))
SIGNS = [(1, 1, 1), (-1, -1, 1), (1, -1, -1)]


def folder_of(case: Case, codes: tuple[int, ...] = (0, 1, 2)) -> CaseFolder:
    return CaseFolder(Path(), "", (case,), (), ("image",), ("background", "a", "b")[: len(codes)], codes)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("signs", SIGNS)
def test_axes_are_up_front_right(tmp_path: Path, order: tuple[int, int, int], signs: tuple[int, int, int]) -> None:
    """A voxel further up, further in front and further right has larger indices, whatever the file's axes are."""
    shape = (4, 5, 6)
    affine = oblique(order, signs)
    places = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1) @ affine[:3, :3].T + affine[:3, 3]
    for body in (2, 1, 0):
        path = write_nifti(tmp_path / f"{body}.nii.gz", places[..., body].astype(np.float32), affine)
        scene = read_case(folder_of(Case("x", (path,))), Case("x", (path,)))
        along = np.diff(np.asarray(scene.cube)[..., 0], axis=2 - body)
        size = scene.grid.spacing[2 - body]
        assert (along > 0.9 * size).all()
        assert (along <= 1.0001 * size).all()
    assert scene.grid.unit == "mm"
    by_body = {order[axis]: size for axis, size in enumerate((0.5, 1.0, 3.0))}
    np.testing.assert_allclose(scene.grid.spacing, [by_body[2], by_body[1], by_body[0]], rtol=1e-6)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("ending", [".nii.gz", ".nii"])
def test_a_label_read_and_written_is_the_same_file(tmp_path: Path, order: tuple[int, int, int], ending: str) -> None:
    """Codes, affine and header survive, on an oblique affine."""
    affine = oblique(order, (-1, 1, -1))
    codes = np.random.default_rng(0).choice([0, 3, 7], (4, 5, 6)).astype(np.uint8)
    image = write_nifti(tmp_path / f"image{ending}", volume(0, (4, 5, 6)), affine)
    label = write_nifti(tmp_path / f"label{ending}", codes, affine)
    case = Case("x", (image,), label)
    scene = read_case(folder_of(case, (0, 3, 7)), case)
    assert scene.labels is not None
    target = tmp_path / f"out{ending}"
    write_prediction(target, scene.labels, like=image, codes=scene.codes)
    there = nib.load(target)
    np.testing.assert_array_equal(np.asarray(there.dataobj), codes)
    np.testing.assert_array_equal(there.affine, nib.load(image).affine)
    header = nib.load(image).header.copy()
    header.set_data_dtype(np.uint8)
    header["vox_offset"], there.header["vox_offset"] = 0, 0
    for key in header:
        np.testing.assert_array_equal(there.header[key], header[key], err_msg=key)


def test_the_same_prediction_is_the_same_bytes(tmp_path: Path) -> None:
    image = write_nifti(tmp_path / "i.nii.gz", volume())
    for name in ("a", "b"):
        write_prediction(tmp_path / f"{name}.nii.gz", np.zeros((3, 4, 5), np.int16), like=image)
    assert (tmp_path / "a.nii.gz").read_bytes() == (tmp_path / "b.nii.gz").read_bytes()


def test_a_place_that_nobody_states_is_not_invented(tmp_path: Path) -> None:
    image = write_nifti(tmp_path / "i.nii.gz", volume(), np.diag([2.0, 3, 4, 1]), code=0)
    case = Case("x", (image,))
    scene = read_case(folder_of(case), case)
    np.testing.assert_array_equal(np.asarray(scene.cube)[..., 0], volume().T)
    assert scene.grid.spacing == (4.0, 3.0, 2.0)
    write_prediction(tmp_path / "o.nii.gz", np.zeros((3, 4, 5), np.int16), like=image)
    header = nib.load(tmp_path / "o.nii.gz").header
    assert (int(header["sform_code"]), int(header["qform_code"])) == (0, 0)


def test_types_of_numbers(tmp_path: Path) -> None:
    """A file's own type where its values are stored as they are, float32 where the header scales them."""
    path = write_nifti(tmp_path / "plain.nii.gz", volume())
    case = Case("x", (path,))
    assert read_case(folder_of(case), case).cube.dtype == np.int16
    image = nib.Nifti1Image(volume(), np.eye(4))
    image.header.set_slope_inter(0.5, -3)  # of what is stored
    nib.save(image, tmp_path / "scaled.nii")
    case = Case("x", (tmp_path / "scaled.nii",))
    scene = read_case(folder_of(case), case)
    assert scene.cube.dtype == np.float32
    np.testing.assert_allclose(np.asarray(scene.cube)[..., 0], volume().T * 0.5 - 3)
    swapped = nib.Nifti1Image(volume().astype(">i2"), np.eye(4), nib.Nifti1Header(endianness=">"))
    nib.save(swapped, tmp_path / "big.nii.gz")
    case = Case("x", (tmp_path / "big.nii.gz",))
    np.testing.assert_array_equal(np.asarray(read_case(folder_of(case), case).cube)[..., 0], volume().T)


def test_predictions_of_pictures(tmp_path: Path) -> None:
    folder = open_cases(pictures(tmp_path, full=255))
    scene = read_case(folder, folder.cases[0])
    assert scene.labels is not None
    target = tmp_path / "out.png"
    write_prediction(target, scene.labels, like=folder.cases[0].images[0], codes=scene.codes)
    np.testing.assert_array_equal(open_png(target), mask(255))


def open_png(path: Path) -> np.ndarray:
    from PIL import Image

    with Image.open(path) as image:
        return np.asarray(image)


def test_no_input_is_written_over(tmp_path: Path) -> None:
    folder = open_cases(volumes(tmp_path))
    case = folder.cases[0]
    assert case.label is not None
    before = case.label.read_bytes(), case.images[0].read_bytes()
    labels = np.zeros((3, 4, 5), np.int16)
    with pytest.raises(DataFileError, match="is read here"):
        write_prediction(case.images[0], labels, like=case.images[0], overwrite=True)
    with pytest.raises(DataFileError, match="is read here"):
        write_prediction(case.label, labels, like=case.images[0], inputs=case.files, overwrite=True)
    with pytest.raises(DataFileError, match="exists"):
        write_prediction(case.label, labels, like=case.images[0])
    assert before == (case.label.read_bytes(), case.images[0].read_bytes())


def test_predictions_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    image = write_nifti(tmp_path / "i.nii.gz", volume())
    with pytest.raises(LabelError, match=r"4x4x4.*5x4x3"):
        write_prediction(tmp_path / "o.nii.gz", np.zeros((4, 4, 4), np.int16), like=image)
    with pytest.raises(LabelError, match=r"0\.\.1"):
        write_prediction(tmp_path / "o.nii.gz", np.full((3, 4, 5), 2), like=image, codes=(0, 5))
    with pytest.raises(DataFileError, match=r"\.nii\.gz"):
        write_prediction(tmp_path / "o.png", np.zeros((3, 4, 5), np.int16), like=image)
    assert [path.name for path in tmp_path.iterdir()] == ["i.nii.gz"]


def test_the_label_counts_in_the_axes_of_its_image(tmp_path: Path) -> None:
    """A label whose header lost its place belongs to the image voxel by voxel."""
    image = write_nifti(tmp_path / "i.nii.gz", volume(), oblique((2, 0, 1)))
    codes = np.random.default_rng(1).integers(0, 3, (5, 4, 3)).astype(np.uint8)
    label = write_nifti(tmp_path / "l.nii.gz", codes, np.diag([0.5, 1, 3, 1]), code=0)
    same = write_nifti(tmp_path / "s.nii.gz", codes, oblique((2, 0, 1)))
    a, b = (read_case(folder_of(case), case).labels for case in (Case("x", (image,), label), Case("x", (image,), same)))
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("bytes_left", [-1, -20, 60, 10, 0])
def test_a_cut_volume_is_told(tmp_path: Path, bytes_left: int) -> None:
    path = write_nifti(tmp_path / "i.nii.gz", volume())
    path.write_bytes(path.read_bytes()[:bytes_left])
    case = Case("x", (path,))
    with pytest.raises(DataFileError, match=r"i\.nii\.gz") as error:
        read_case(folder_of(case), case)
    assert "again" in str(error.value)


def test_odd_volumes_are_refused(tmp_path: Path) -> None:
    five = write_nifti(tmp_path / "five.nii.gz", np.zeros((2, 2, 2, 2, 2), np.uint8))
    (tmp_path / "text.nii.gz").write_bytes(gzip.compress(b"no volume" * 100))
    colours = np.zeros((2, 2, 2), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    nib.save(nib.Nifti1Image(colours, np.eye(4)), tmp_path / "rgb.nii.gz")
    for path, word in (
        (five, "axes"),
        (tmp_path / "text.nii.gz", "no NIfTI"),
        (tmp_path / "rgb.nii.gz", "real numbers"),
    ):
        case = Case("x", (path,))
        with pytest.raises(DataFileError, match=word):
            read_case(folder_of(case), case)


def test_kinds_of_pictures(tmp_path: Path) -> None:
    grey = write_picture(tmp_path / "g.png", picture())
    rgba = write_picture(tmp_path / "rgba.png", picture(1, (8, 6, 4)))
    deep = write_picture(tmp_path / "deep.png", picture().astype(np.uint16) * 100)
    for path, expected in ((grey, picture()[..., None]), (rgba, picture(1, (8, 6, 4))[..., :3])):
        case = Case("x", (path,))
        folder = CaseFolder(tmp_path, "", (case,), (), ("c",) * expected.shape[-1])
        np.testing.assert_array_equal(read_case(folder, case).cube, expected)
    case = Case("x", (deep,))
    assert read_case(folder_of(case), case).cube.dtype == np.uint16

"""Folders of volumes with boxes: tables and masks give the same boxes, who is unlabelled, and what is refused."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from hyperseg.core import DataFileError, HypersegError, LabelError, SettingError
from hyperseg.io.detections.folder import open_boxes, open_images, read_image
from hyperseg.io.detections.masks import boxes_of

SHAPE = (10, 12, 14)
BOXES = {"a": [[1, 2, 3, 4, 6, 7], [6, 7, 8, 9, 10, 13]], "b": [[0, 0, 0, 2, 3, 4]], "c": []}
HEAD = "case,lo_0,lo_1,lo_2,hi_0,hi_1,hi_2\n"


def line(case: str, box: list[int] | None) -> str:
    return f"{case},{','.join(map(str, box or [''] * 6))}\n"


def table(*, of: dict[str, list[list[int]]] = BOXES) -> str:
    return HEAD + "".join(line(case, box) for case, boxes in of.items() for box in boxes or [None])


def mask_of(boxes: list[list[int]], shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    mask = np.zeros(shape, np.uint8)
    for k, box in enumerate(boxes, start=1):
        n = len(shape)
        mask[tuple(slice(a, b) for a, b in zip(box[:n], box[n:], strict=True))] = k
    return mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Volumes a to d in images/; boxes.csv names a, b and c."""
    (tmp_path / "images").mkdir()
    rng = np.random.default_rng(0)
    for name in "abcd":
        np.save(tmp_path / "images" / f"{name}.npy", rng.normal(size=SHAPE).astype(np.float32))
    (tmp_path / "boxes.csv").write_text(table())
    return tmp_path


def test_who_is_named_is_labelled_and_the_rest_is_not(folder: Path) -> None:
    found = open_boxes(folder)
    assert [case.name for case in found.cases] == ["a", "b", "c"]
    assert [case.name for case in found.unlabelled] == ["d"]
    for case in found.cases:
        assert case.boxes is not None
        assert case.boxes.tolist() == BOXES[case.name]
        assert (case.shape, case.spacing, case.affine) == (SHAPE, (), None)
    assert found.n_axes == 3
    assert found.boxes == 3
    assert "boxes.csv names are labelled (3, 1 of them without an object), all others are unlabelled (1)" in found.rule
    found.check(unlabelled=True)


@pytest.mark.parametrize("layout", ["folders", "pairs", "packed", "table"])
def test_masks_and_tables_give_the_same_boxes(tmp_path: Path, layout: str) -> None:
    for name, boxes in BOXES.items():
        image, mask = np.zeros(SHAPE, np.float32), mask_of(boxes)
        match layout:
            case "folders":
                for kind, array in (("images", image), ("labels", mask)):
                    (tmp_path / kind).mkdir(exist_ok=True)
                    np.save(tmp_path / kind / f"{name}.npy", array)
            case "pairs":
                np.save(tmp_path / f"{name}.npy", image)
                np.save(tmp_path / f"{name}_mask.npy", mask > 0)
            case "packed":
                np.savez(tmp_path / f"{name}.npz", image=image, mask=mask)
            case "table":
                np.save(tmp_path / f"{name}.npy", image)
                (tmp_path / "boxes.csv").write_text(table())
    found = open_boxes(tmp_path)
    assert {case.name: case.boxes.tolist() for case in found.cases if case.boxes is not None} == BOXES
    assert not found.unlabelled
    image, spacing = read_image(found.cases[0])
    assert (image.shape, image.dtype, spacing) == ((1, *SHAPE), np.float32, (1.0, 1.0, 1.0))
    with pytest.raises(DataFileError, match="no unlabelled volumes: all 3 volumes have boxes"):
        found.check(unlabelled=True)


def test_parts_are_joined_over_corners_and_numbers_stand_apart() -> None:
    mask = np.zeros((6, 6), np.int32)
    mask[1, 1] = mask[2, 2] = 7
    mask[2, 3] = 4
    mask[5, 5] = 7
    assert boxes_of(mask).tolist() == [[1, 1, 3, 4], [5, 5, 6, 6]]
    assert sorted(boxes_of(mask, instances=True).tolist()) == [[1, 1, 6, 6], [2, 3, 3, 4]]
    assert boxes_of(np.zeros((4, 4), np.uint8)).shape == boxes_of(np.zeros((4, 4), int), instances=True).shape == (0, 4)
    assert boxes_of(np.ones((4, 4), np.uint8), instances=True).tolist() == [[0, 0, 4, 4]]


def test_instance_maps_keep_what_touches_apart(tmp_path: Path) -> None:
    for kind in ("images", "instances"):
        (tmp_path / kind).mkdir()
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "images" / "a.png")
    Image.fromarray(mask_of([[1, 1, 4, 4], [4, 1, 6, 5]], (8, 8))).save(tmp_path / "instances" / "a.png")
    (case,) = open_boxes(tmp_path).cases
    assert case.boxes is not None
    assert case.boxes.tolist() == [[1, 1, 4, 4], [4, 1, 6, 5]]
    assert case.shape == (8, 8)


def nifti(path: Path, affine: np.ndarray, shape: tuple[int, ...] = SHAPE) -> None:
    path.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(np.zeros(shape, np.int16), affine), path)


def test_world_coordinates_go_through_the_affine_of_the_file(tmp_path: Path) -> None:
    """A box in voxels, its centre in NIfTI's world and that in ITK's world name the same place."""
    affine = np.array([[-0.5, 0, 0, 30.0], [0, 2.0, 0, -10], [0, 0, 1.0, 7], [0, 0, 0, 1]])
    nifti(tmp_path / "images" / "a.nii.gz", affine)
    x, y, z = (affine @ [5, 6, 7, 1])[:3]
    tables = {
        "world.csv": f"case,x_mm,y_mm,z_mm,diameter_mm\na,{x},{y},{z},2\n",
        "luna.csv": f"seriesuid,coordX,coordY,coordZ,diameter_mm\na,{-x},{-y},{z},2\n",
        "mm.csv": "case,centre_mm_0,centre_mm_1,centre_mm_2,size_mm_0,size_mm_1,size_mm_2\na,2.75,13,7.5,2,2,2\n",
    }
    for name, text in tables.items():
        (tmp_path / name).write_text(text)
        (case,) = open_boxes(tmp_path, boxes=tmp_path / name).cases
        assert case.spacing == (0.5, 2.0, 1.0)
        assert case.boxes is not None
        assert case.boxes[0] == pytest.approx([3.5, 6, 6.5, 7.5, 7, 8.5])
    assert "left, posterior, superior" in open_boxes(tmp_path, boxes=tmp_path / "luna.csv").rule


@pytest.mark.parametrize(
    ("added", "told"),
    [
        (line("d", [1, 2, 3, 11, 6, 7]), "(1, 2, 3) to (11, 6, 7) reaches out of the volume of 10 x 12 x 14 voxels"),
        (line("d", [10, 2, 3, 14, 6, 7]), "With its axes reversed it would lie inside: are they swapped?"),
        (line("d", [-1, 2, 3, 4, 6, 7]), "reaches out"),
        (line("scan_d", [1, 2, 3, 4, 6, 7]), "no volume is called so"),
        (line("D", [1, 2, 3, 4, 6, 7]), "line 6, D: no volume is called so. Did you mean d?"),
        (line("dd", [1, 2, 3, 4, 6, 7]), "line 6, dd: no volume is called so. Did you mean d?"),
    ],
)
def test_a_box_that_does_not_fit_is_told(folder: Path, added: str, told: str) -> None:
    (folder / "boxes.csv").write_text(table() + added)
    with pytest.raises(LabelError) as caught:
        open_boxes(folder)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


def test_several_boxes_that_do_not_fit_have_a_line_each(folder: Path) -> None:
    wrong = [("d", [1, 2, 3, 11, 6, 7]), ("e", [1, 2, 3, 4, 6, 7]), ("d", [4, 2, 3, 4, 6, 7])]
    (folder / "boxes.csv").write_text(table() + "".join(line(name, box) for name, box in wrong))
    with pytest.raises(LabelError) as caught:
        open_boxes(folder)
    first, *rest = str(caught.value).splitlines()
    assert first.endswith("boxes.csv: 3 faults:")
    assert len(rest) == 3


def test_stated_shapes_and_axes_are_compared(folder: Path) -> None:
    (folder / "boxes.csv").write_text(
        "case,lo_0,lo_1,lo_2,hi_0,hi_1,hi_2,shape_0,shape_1,shape_2\na,1,2,3,4,5,6,14,12,10\n"
    )
    with pytest.raises(LabelError, match=r"states a volume of 14 x 12 x 10 voxels, a\.npy has 10 x 12 x 14"):
        open_boxes(folder)
    (folder / "boxes.csv").write_text("case,lo_0,lo_1,hi_0,hi_1\na,1,2,3,4\n")
    with pytest.raises(LabelError, match="a box of 2 axes in an image of 10 x 12 x 14"):
        open_boxes(folder)


def test_images_that_do_not_fit_together_or_cannot_be_read_are_told(folder: Path) -> None:
    np.save(folder / "images" / "d.npy", np.zeros((20, 20)))
    (folder / "images" / "e.npy").write_bytes(b"nothing")
    with pytest.raises(LabelError) as caught:
        open_boxes(folder)
    assert "d.npy: has 2 axes, most have 3" in str(caught.value)
    assert "e.npy: " in str(caught.value)


def test_a_name_that_two_files_have_is_told(folder: Path) -> None:
    nifti(folder / "images" / "a.nii", np.eye(4))
    with pytest.raises(HypersegError, match="stands for the same as"):
        open_boxes(folder)


def test_axes_in_another_order_than_most_are_refused_and_other_sides_are_told(tmp_path: Path) -> None:
    for name in "ab":
        nifti(tmp_path / "images" / f"{name}.nii.gz", np.eye(4))
    (tmp_path / "boxes.csv").write_text(line("a", [1, 2, 3, 4, 6, 7]).join([HEAD, ""]))
    nifti(tmp_path / "images" / "c.nii.gz", np.diag([-1.0, -1, 1, 1]))
    assert "RAS (2) and LPS (1)" in open_boxes(tmp_path).remarks[0]
    nifti(tmp_path / "images" / "d.nii.gz", np.eye(4)[[2, 1, 0, 3]])
    with pytest.raises(
        LabelError, match="d: its axes run SAR, of most volumes they are left-right, front-back, up-down"
    ):
        open_boxes(tmp_path)


def test_a_mask_of_another_shape_is_told_by_name(tmp_path: Path) -> None:
    for kind, shape in (("images", SHAPE), ("labels", SHAPE[::-1])):
        (tmp_path / kind).mkdir()
        np.save(tmp_path / kind / "a.npy", np.zeros(shape, np.uint8))
    with pytest.raises(LabelError, match=r"a\.npy: has 14x12x10 voxels instead of 10x12x14"):
        open_boxes(tmp_path)


def test_what_is_no_folder_of_boxes_is_told(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(DataFileError, match="does not exist; a folder of images"):
        open_boxes(tmp_path / "nowhere")
    (folder / "boxes.csv").rename(folder / "other.csv")
    with pytest.raises(DataFileError, match=r"4 images, but no boxes: expected boxes.csv or boxes.json, a file named"):
        open_boxes(folder)
    assert len(open_boxes(folder, boxes=folder / "other.csv").cases) == 3
    with pytest.raises(DataFileError, match=r"missing.csv: does not exist"):
        open_boxes(folder, boxes=folder / "missing.csv")
    (folder / "boxes.csv").write_text(HEAD)
    with pytest.raises(DataFileError, match="names no volume"):
        open_boxes(folder)
    (folder / "boxes.csv").write_text(HEAD + line("a", None))
    with pytest.raises(DataFileError, match="1 labelled case without any object"):
        open_boxes(folder).check(unlabelled=False)


def test_images_alone_are_opened_for_prediction(folder: Path) -> None:
    assert [case.name for case in open_images(folder)] == list("abcd")
    (one,) = open_images(folder / "images" / "a.npy", spacing=(1, 2, 3))
    assert (one.name, one.boxes, one.spacing) == ("a", None, (1, 2, 3))
    found = open_boxes(folder, looked_at=False)
    assert not found.cases
    assert len(found.unlabelled) == 4
    with pytest.raises(DataFileError):
        open_images(folder / "images" / "z.npy")


def test_draws_of_labels_are_nested_and_hold_an_object(folder: Path) -> None:
    whole = open_boxes(folder)
    for seed in range(8):
        one, two = whole.labelled(1, seed), whole.labelled(2, seed)
        assert {c.name for c in one.cases} <= {c.name for c in two.cases} or one.cases[0].name != "c"
        assert one.boxes > 0
        assert len(one.cases) == 1
        assert len(one.unlabelled) == 3
        assert all(case.boxes is None for case in one.unlabelled)
        assert [c.name for c in one.cases] == [c.name for c in whole.labelled(1, seed).cases]
    assert len({whole.labelled(1, seed).cases[0].name for seed in range(8)}) == 2  # never c, which holds nothing
    with pytest.raises(SettingError, match="4 labelled cases were asked for"):
        whole.labelled(4, 0)
    assert len(open_boxes(folder, labelled=2).cases) == 2


def test_what_is_no_number_in_an_image_becomes_its_least(folder: Path) -> None:
    image = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    image[0, 0, 1] = np.nan
    np.save(folder / "images" / "a.npy", image)
    found, _ = read_image(open_boxes(folder).cases[0])
    assert found[0, 0, 0, 1] == 0
    np.save(folder / "images" / "a.npy", np.full(SHAPE, np.nan))
    with pytest.raises(DataFileError, match="no finite number"):
        read_image(open_boxes(folder).cases[0])


def test_excluded_boxes_are_no_objects(folder: Path) -> None:
    rows = "case,lo_0,lo_1,lo_2,hi_0,hi_1,hi_2,excluded\na,1,2,3,4,6,7,no\na,6,7,8,9,10,13,yes\n"
    (folder / "boxes.csv").write_text(rows)
    (case,) = open_boxes(folder).cases
    assert case.boxes is not None
    assert case.excluded is not None
    assert (case.boxes.tolist(), case.excluded.tolist()) == ([[1, 2, 3, 4, 6, 7]], [[6, 7, 8, 9, 10, 13]])


def test_the_real_volumes_open_as_a_folder_with_masks(shared_data: Path) -> None:
    root = shared_data / "medical" / "lung_nodules_m3dv" / "full100"
    if not root.is_dir():
        pytest.skip("lung_nodules_m3dv is not among the real data")
    found = open_boxes(root)
    assert len(found.cases) == found.boxes == 16
    case = found.case("candidate1")
    assert case.boxes is not None
    with np.load(root / "candidate1.npz") as opened:
        places = np.argwhere(opened["seg"])
        voxels = opened["voxel"]
    assert case.boxes[0].tolist() == [*places.min(0), *(places.max(0) + 1)]
    assert np.array_equal(read_image(case)[0][0], voxels)

"""Tables of boxes: what is written is read again, columns say the form, and what is wrong is told by line."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from hyperseg.core import DataFileError, LabelError
from hyperseg.io.detections.columns import Row, read_table
from hyperseg.io.detections.placed import NoPlaceError, box_in, centres_mm, sizes_mm, world_mm
from hyperseg.io.detections.table import Found, read_boxes, write_boxes

OBLIQUE = np.array([[0.0, -0.7, 0.0, 20.0], [0.6, 0.0, 0.8, -30.0], [-0.8, 0.0, 0.6, 5.0], [0, 0, 0, 1]])


def boxes_of(n_axes: int, many: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 40, (many, n_axes))
    return np.concatenate([low, low + rng.uniform(1, 20, (many, n_axes))], 1).round(3)


@pytest.mark.parametrize("ending", [".csv", ".json"])
@pytest.mark.parametrize("n_axes", [2, 3])
def test_what_is_written_is_read_again(tmp_path: Path, ending: str, n_axes: int) -> None:
    spacing = (2.5, 0.7, 0.7)[-n_axes:]
    affine = OBLIQUE if n_axes == 3 else None
    rng = np.random.default_rng(1)
    given = [
        Found("b", boxes_of(n_axes, 5), rng.uniform(size=5).round(4), spacing, affine),
        Found("a", np.zeros((0, 2 * n_axes)), np.zeros(0), spacing, affine),
        Found("c", boxes_of(n_axes, 2, 1), np.array([0.5, 0.25]), spacing, affine, boxes_of(n_axes, 1, 2)),
    ]
    write_boxes(tmp_path / f"found{ending}", given)
    back = read_boxes(tmp_path / f"found{ending}")
    assert {found.case for found in back} == {"a", "b", "c"}
    for found in back:
        was = next(each for each in given if each.case == found.case)
        assert np.array_equal(found.boxes, was.boxes)
        assert found.scores is not None
        assert np.array_equal(found.scores, was.scores)
        assert (found.excluded is None) == (was.excluded is None)
        if len(found.boxes):
            assert found.spacing == pytest.approx(spacing, rel=1e-3)


@pytest.mark.parametrize("ending", [".csv", ".json"])
def test_thin_boxes_are_read_again_with_their_lengths(tmp_path: Path, ending: str) -> None:
    """Also at the border of the volume, in float32, and where 3 digits would leave nothing."""
    rng = np.random.default_rng(0)
    thin = 10.0 ** rng.uniform(-7, 1, (200, 3))
    high = np.where(rng.random((200, 3)) < 0.5, 10.0, rng.uniform(1, 10, (200, 3)))
    random = np.concatenate([high - thin, high], 1)
    border = np.array([[9.9997, 0, 0, 10, 1e-9, 10]])
    low, up = np.float32(9.9), np.float32(10)
    nearest = np.array([[np.nextafter(up, low)] * 3 + [up] * 3], np.float32)
    for boxes in (random, border, nearest):
        write_boxes(tmp_path / f"x{ending}", [Found("a", boxes, np.ones(len(boxes)), (0.7, 0.01, 1.0))])
        (found,) = read_boxes(tmp_path / f"x{ending}")
        assert (found.boxes[:, :3] < found.boxes[:, 3:]).all()
        assert np.allclose(found.boxes, boxes, rtol=0, atol=5e-4)
        assert np.allclose(found.boxes[:, 3:] - found.boxes[:, :3], boxes[:, 3:] - boxes[:, :3], rtol=2e-3, atol=1e-12)
        assert found.spacing == pytest.approx((0.7, 0.01, 1.0), rel=2e-3)


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_a_table_of_a_spreadsheet_is_read_in_any_coding_with_commas_for_points(tmp_path: Path, coding: str) -> None:
    text = "Fall;lo_0;lo_1;hi_0;hi_1;Größe\na;1,5;2;2,75;4;groß\n".replace("Fall", "case")
    (tmp_path / "boxes.csv").write_bytes(text.encode(coding))
    assert read_boxes(tmp_path)[0].boxes.tolist() == [[1.5, 2, 2.75, 4]]
    (tmp_path / "boxes.csv").write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR")
    with pytest.raises(DataFileError, match="it is no text"):
        read_boxes(tmp_path)


def test_a_folder_stands_for_its_table_and_no_scores_are_none(tmp_path: Path) -> None:
    write_boxes(tmp_path / "boxes.json", [Found("a", boxes_of(3, 2))])
    (found,) = read_boxes(tmp_path)
    assert found.scores is None
    assert found.spacing == ()
    with pytest.raises(DataFileError, match=r"holds no boxes\.csv or boxes\.json"):
        read_boxes(tmp_path.parent)


def test_millimetres_and_the_world_of_a_box_are_those_of_its_voxels(tmp_path: Path) -> None:
    """A box of the one voxel (2, 3, 4) has the centre that the affine gives to that voxel."""
    box = np.array([[2.0, 3, 4, 3, 4, 5]])
    assert np.allclose(world_mm(box, OBLIQUE), (OBLIQUE @ [2, 3, 4, 1])[:3])
    assert np.allclose(centres_mm(box, (2, 1, 0.5)), [[5, 3.5, 2.25]])
    assert np.allclose(sizes_mm(box, (2, 1, 0.5)), [[2, 1, 0.5]])
    write_boxes(tmp_path / "found.csv", [Found("a", box, np.ones(1), (1.0, 0.7, 1.0), OBLIQUE)])
    row = next(csv.DictReader((tmp_path / "found.csv").open()))
    expected = OBLIQUE @ [2, 3, 4, 1]
    assert [float(row[key]) for key in ("x_mm", "y_mm", "z_mm")] == pytest.approx(expected[:3], abs=1e-3)
    write_boxes(tmp_path / "found.json", [Found("a", box, np.ones(1), (1.0, 0.7, 1.0), OBLIQUE)])
    assert json.loads((tmp_path / "found.json").read_text())["boxes"][0]["size_mm"] == [1, 0.7, 1]


@pytest.mark.parametrize("form", ["voxels", "mm", "world", "itk"])
def test_every_form_of_a_box_means_the_same_voxels(form: str) -> None:
    spacing = np.sqrt((OBLIQUE[:3, :3] ** 2).sum(0))
    half = 6 / spacing / 2
    centre = np.array([10.0, 20.5, 12.25])
    box = np.concatenate([centre - half, centre + half])
    world = world_mm(box[None], OBLIQUE)[0]
    first, second = {
        "voxels": (box[:3], box[3:]), "mm": (centre * spacing, np.full(3, 6.0)), "world": (world, np.full(3, 6.0)),
        "itk": (world * (-1, -1, 1), np.full(3, 6.0)),
    }[form]  # fmt: skip
    row = Row("a", "line 2", first, second)
    assert np.allclose(box_in(row, form, (30, 40, 25), tuple(spacing), OBLIQUE), box)  # type: ignore[arg-type]


def test_a_ball_at_the_border_is_cut_and_one_beyond_it_is_refused() -> None:
    row = Row("a", "line 2", np.array([1.0, 5, 5]), np.full(3, 4.0))
    assert box_in(row, "mm", (10, 10, 10), (1, 1, 1), None).tolist() == [0, 3, 3, 3, 7, 7]
    with pytest.raises(
        NoPlaceError, match=r"the centre \(1, 5, 5\) \(voxels\) lies outside of the volume of 10 x 4 x 10"
    ):
        box_in(row, "mm", (10, 4, 10), (1, 1, 1), None)
    behind = Row("a", "line 2", np.array([10.0, 5, 5]), np.array([10.0005, 6, 6]))
    with pytest.raises(NoPlaceError, match="reaches out"):  # nothing would be left of it
        box_in(behind, "voxels", (10, 10, 10), (1, 1, 1), None)
    with pytest.raises(NoPlaceError, match="nothing says how large voxels are"):
        box_in(row, "mm", (10, 10, 10), (), None)
    with pytest.raises(NoPlaceError, match="no NIfTI affine"):
        box_in(row, "world", (10, 10, 10), (1, 1, 1), None)


def test_the_wrong_world_is_told_where_the_other_one_fits() -> None:
    affine = np.diag([1.0, 1, 1, 1])
    row = Row("a", "line 2", np.array([5.0, 5, 5]), np.full(3, 4.0))
    assert box_in(row, "world", (10, 10, 10), (1, 1, 1), affine).tolist() == [3.5, 3.5, 3.5, 7.5, 7.5, 7.5]
    with pytest.raises(NoPlaceError, match=r"call the columns x_mm, y_mm, z_mm, not coordX"):
        box_in(row, "itk", (10, 10, 10), (1, 1, 1), affine)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("case,lo_0,lo_1,hi_0,hi_1\na,1,2,1,4", "line 2, a: hi_0 = 1 is not above lo_0 = 1"),
        ("case,lo_0,lo_1,hi_0,hi_1\na,1,nan,2,4", "line 2, a: lo_1 is nan; a finite number"),
        ("case,lo_0,lo_1,hi_0,hi_1\na,1,b,2,4", "line 2, a: lo_1 is 'b'; a number"),
        ("case,lo_0,lo_1,hi_0,hi_1\na,1,,2,4", "line 2, a: lo_1 is empty; a box has all of its numbers"),
        ("case,lo_0,lo_1,hi_0,hi_1\na,1,2,2,4\na,1,2,2,4", "line 3, a: the same box as on line 2"),
        ("case,lo_0,lo_1,hi_0,hi_1\na,1,2,2,4\na,,,,", "line 3, a: is said to hold no object, and has one on line 2"),
        ("case,lo_0,lo_1,hi_0,hi_1\n,1,2,2,4", "line 2: has a box, but no name"),
        ("case,x_mm,y_mm,z_mm,diameter_mm\na,1,2,3,0", "diameter_mm = 0; a length above 0"),
        ("case,lo_0,lo_1,hi_0,hi_1,excluded\na,1,2,2,4,perhaps", "excluded is 'perhaps'"),
    ],
)
def test_a_wrong_line_is_told(tmp_path: Path, lines: str, told: str) -> None:
    (tmp_path / "boxes.csv").write_text(lines)
    with pytest.raises(LabelError) as caught:
        read_table(tmp_path / "boxes.csv")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("", "is empty"),
        ("case,left,top\na,1,2", "no columns of boxes (there are case, left, top)"),
        ("lo_0,hi_0\n1,2", "has no column case"),
        ("case,lo_0,lo_1,hi_0\na,1,2,3", "no column hi_1"),
        ("case,lo_0,lo_0\na,1,2", "two columns lo_0"),
        ("case,lo_0,hi_0\na,1,2", "boxes of 1 axes"),
        ("case,lo_0,lo_1,hi_0,hi_1\na,1,2", "line 2 has 3 cells, the first line 5"),
    ],
)
def test_a_table_that_is_none_is_told(tmp_path: Path, lines: str, told: str) -> None:
    (tmp_path / "boxes.csv").write_text(lines)
    with pytest.raises(DataFileError) as caught:
        read_table(tmp_path / "boxes.csv")
    assert told in str(caught.value)


def test_several_faults_have_a_line_each(tmp_path: Path) -> None:
    (tmp_path / "boxes.csv").write_text("case;lo_0;lo_1;hi_0;hi_1\n" + "\n".join(f"a;{k};2;1;4" for k in range(1, 12)))
    with pytest.raises(LabelError) as caught:
        read_table(tmp_path / "boxes.csv")
    lines = str(caught.value).splitlines()
    assert lines[0].endswith("boxes.csv: 11 faults:")
    assert len(lines) == 1 + 8 + 1
    assert lines[-1].strip() == "and 3 more"


def test_names_of_files_and_a_column_of_cases_are_understood(tmp_path: Path) -> None:
    (tmp_path / "boxes.tsv").write_text("File\tlo_0\tlo_1\thi_0\thi_1\tcases\nscans/a.nii.gz\t1\t2\t2\t4\tb.nii\n")
    table = read_table(tmp_path / "boxes.tsv")
    assert table.cases == ("a", "b")
    (tmp_path / "boxes.json").write_text(json.dumps({"boxes": [], "cases": ["a.npy"]}))
    assert read_table(tmp_path / "boxes.json").cases == ("a",)
    (tmp_path / "boxes.json").write_text(json.dumps([{"case": "a", "lo": [1, 2], "hi": [3, 4]}]))
    assert read_boxes(tmp_path / "boxes.json")[0].boxes.tolist() == [[1, 2, 3, 4]]
    (tmp_path / "boxes.json").write_text("[1, 2]")
    with pytest.raises(DataFileError, match="expected"):
        read_table(tmp_path / "boxes.json")


def test_what_cannot_be_written_is_refused(tmp_path: Path) -> None:
    one = Found("a", boxes_of(3, 1))
    with pytest.raises(DataFileError, match=r"written as \.csv or \.json"):
        write_boxes(tmp_path / "found.txt", [one])
    with pytest.raises(LabelError, match="a name of its own"):
        write_boxes(tmp_path / "found.csv", [one, one])
    with pytest.raises(LabelError, match="upper bounds are above"):
        write_boxes(tmp_path / "found.csv", [Found("a", np.array([[1.0, 1, 1, 2, 1, 2]]))])
    with pytest.raises(LabelError, match="finite"):
        write_boxes(tmp_path / "found.csv", [Found("a", boxes_of(3, 1) * np.nan)])
    (tmp_path / "luna.csv").write_text("seriesuid,coordX,coordY,coordZ,diameter_mm\na,1,2,3,4")
    with pytest.raises(DataFileError, match="as --boxes"):
        read_boxes(tmp_path / "luna.csv")

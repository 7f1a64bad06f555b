"""Maps of objects and their boxes in files, and folders whose labels number objects or do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hyperseg.core import DataFileError, LabelError
from hyperseg.io.cases import list_cases
from hyperseg.io.instances import (
    check_instance_labels,
    instances_of,
    read_instance_boxes,
    read_instance_labels,
    read_instances,
    write_instance_boxes,
    write_instances,
)


def touching() -> np.ndarray:
    found = np.zeros((6, 8), np.int32)
    found[1:4, 1:3], found[1:4, 3:7] = 1, 2
    return found


def folder(root: Path, *labels: np.ndarray, word: str = "inst") -> Path:
    for k, label in enumerate(labels):
        Image.fromarray(np.zeros((*label.shape, 3), np.uint8)).save(root / f"a{k}.png")
        Image.fromarray(label.astype(np.uint16)).save(root / f"a{k}_{word}.png")
    return root


@pytest.mark.parametrize("name", ["map.png", "map.tif"])
def test_a_map_comes_back(tmp_path: Path, name: str) -> None:
    found = touching() * 30000
    write_instances(tmp_path / name, found)
    again = read_instances(tmp_path / name)
    assert again.dtype == np.int32
    np.testing.assert_array_equal(again, found)


def test_numbers_beyond_16_bits_need_a_tif(tmp_path: Path) -> None:
    found = touching() * 60000
    write_instances(tmp_path / "map.tif", found)
    np.testing.assert_array_equal(read_instances(tmp_path / "map.tif"), found)
    with pytest.raises(LabelError, match=r"Write a \.tif"):
        write_instances(tmp_path / "map.png", found)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.tif"]


def test_what_is_no_map_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataFileError, match=r"\.png or \.tif"):
        write_instances(tmp_path / "map.jpg", touching())
    with pytest.raises(LabelError, match="numbers from -2 to 0"):
        write_instances(tmp_path / "map.png", -touching())
    with pytest.raises(LabelError, match="whole numbers"):
        write_instances(tmp_path / "map.png", touching() / 2)
    with pytest.raises(LabelError, match="rows, columns"):
        write_instances(tmp_path / "map.png", touching()[None])


def test_boxes_come_back(tmp_path: Path) -> None:
    found = instances_of(touching(), (0.5, 0.25), "nucleus")
    assert found[1].box == (1, 3, 4, 7)
    assert [each.area_px for each in found] == [6, 12]
    write_instance_boxes(tmp_path / "boxes.json", found)
    assert read_instance_boxes(tmp_path / "boxes.json") == found
    bare = instances_of(touching())
    write_instance_boxes(tmp_path / "boxes.json", bare)
    assert read_instance_boxes(tmp_path / "boxes.json") == bare
    with pytest.raises(LabelError, match="2 objects"):
        instances_of(touching(), (1.0,))
    (tmp_path / "boxes.json").write_text('{"a": 1}')
    with pytest.raises(DataFileError, match="A list was expected"):
        read_instance_boxes(tmp_path / "boxes.json")


def test_labels_that_number_objects_are_read(tmp_path: Path) -> None:
    alone = np.minimum(touching(), 1)
    cases = list_cases(folder(tmp_path, alone, touching())).cases
    check_instance_labels(cases)
    np.testing.assert_array_equal(read_instance_labels(cases[0]), alone)
    np.testing.assert_array_equal(read_instance_labels(cases[1]), touching())


def test_a_mask_for_each_object_is_counted_on(tmp_path: Path) -> None:
    found = touching()
    folder(tmp_path, 255 * (found == 2), word="mask_0")
    Image.fromarray((255 * (found > 0)).astype(np.uint8)).save(tmp_path / "a0_mask_1.png")
    cases = list_cases(tmp_path).cases
    check_instance_labels(cases)
    np.testing.assert_array_equal(read_instance_labels(cases[0]), np.where(found == 2, 255, 256 * found))


@pytest.mark.parametrize("value", [1, 255])
def test_masks_without_numbers_are_refused(tmp_path: Path, value: int) -> None:
    cases = list_cases(folder(tmp_path, *[value * (touching() > 0)] * 2, word="mask")).cases
    with pytest.raises(LabelError, match=f"a0_mask.*2 labels holds the values 0 and {value} alone.*number for each"):
        check_instance_labels(cases)


def test_labels_without_objects_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LabelError, match="nothing but background"):
        check_instance_labels(list_cases(folder(tmp_path, 0 * touching())).cases)
    with pytest.raises(LabelError, match="no case has a label"):
        check_instance_labels(())


def test_a_label_of_another_size_is_told(tmp_path: Path) -> None:
    folder(tmp_path, touching())
    Image.fromarray(np.ones((3, 3), np.uint8)).save(tmp_path / "a0_inst.png")
    with pytest.raises(LabelError, match="another shape"):
        read_instance_labels(list_cases(tmp_path).cases[0])


@pytest.mark.shared_data
def test_nuclei(shared_data: Path) -> None:
    root = shared_data / "medical" / "dsb2018_subset"
    if not root.is_dir():
        pytest.skip(f"no nuclei in {root}")
    listed = list_cases(root)
    assert listed.instances
    assert len(listed.cases) == 83
    check_instance_labels(listed.cases)
    assert all(read_instance_labels(case).max() > 0 for case in listed.cases[:5])

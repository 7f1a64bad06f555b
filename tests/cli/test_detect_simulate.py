"""`hyperseg detect simulate`: what is written opens as a folder with boxes, and nothing is written over."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from running import Hyperseg

from hyperseg.core import DataFileError, SettingError
from hyperseg.io.detections.folder import open_boxes, read_image
from hyperseg.io.detections.table import read_boxes
from hyperseg.recipes.detection.images.dividing import divide
from hyperseg.simulated.nodule_folder import real_pieces, write_nodules
from hyperseg.simulated.nodules import nodules
from hyperseg.simulated.pasted import Real


def test_what_is_written_opens_with_the_boxes_that_were_drawn(hyperseg: Hyperseg, tmp_path: Path) -> None:
    answer = hyperseg("detect", "simulate", "made", "--n", "4", "--labelled", "2", "--side", "32", "--seed", "3")
    assert answer.code == 0, answer.err
    assert "boxes.csv" in answer.out
    assert "in 2 of them, the others are unlabelled" in answer.out
    assert "detect train" not in answer.out  # two cannot be held out and learnt from
    assert "hyperseg detect score found made/truth.csv\n" in answer.out
    found = open_boxes(tmp_path / "made")
    drawn = nodules(4, shape=(32,) * 3, seed=3)
    assert [case.name for case in found.cases] == ["scan_001", "scan_002"]
    assert len(found.unlabelled) == 2
    for case, volume, boxes in zip(found.cases, drawn.volumes, drawn.boxes, strict=False):
        assert case.boxes is not None
        assert np.array_equal(case.boxes, boxes)
        image, spacing = read_image(case)
        assert spacing == (1, 1, 1)
        assert np.abs(image[0] / 100 - volume).max() <= 0.005 + 1e-6
    truth = read_boxes(tmp_path / "made" / "truth.csv")
    assert [len(each.boxes) for each in truth] == [len(boxes) for boxes in drawn.boxes]
    again = hyperseg("detect", "simulate", "made", "--n", "4", "--labelled", "2", "--side", "32")
    assert "is there already" in again.error


def test_same_seed_same_bytes_and_a_labelled_volume_holds_a_nodule(tmp_path: Path) -> None:
    files = []
    for name in "ab":
        for seed in range(4):  # among the first volumes of these seeds some hold none
            root = tmp_path / f"{name}{seed}"
            made = write_nodules(root, 4, labelled=1, side=24, seed=seed)
            assert made.objects[0] > 0
        files.append([path.read_bytes() for path in sorted((tmp_path / f"{name}0").rglob("*.*"))])
    assert files[0] == files[1]


def test_what_cannot_be_made_leaves_no_folder(hyperseg: Hyperseg, tmp_path: Path) -> None:
    assert "1 to 4 were expected" in hyperseg("detect", "simulate", "x", "--n", "4", "--labelled", "5").error
    assert "--n" in hyperseg("detect", "simulate", "x", "--n", "0").err
    assert "--seed" in hyperseg("detect", "simulate", "x", "--seed", "-1").err
    assert "21 voxels" in hyperseg("detect", "simulate", "x", "--side", "8").error
    assert "no file" in hyperseg("detect", "simulate", "x", "--real", ".").error
    assert not (tmp_path / "x").exists()
    with pytest.raises(SettingError):
        write_nodules(tmp_path / "x", 3, labelled=0)
    with pytest.raises(SettingError, match="0 volumes were asked for"):
        write_nodules(tmp_path / "x", 0)


def test_an_interrupted_folder_is_not_there(tmp_path: Path) -> None:
    def stop(done: int, of: int) -> None:
        assert not (tmp_path / "x").exists()
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_nodules(tmp_path / "x", 3, side=24, progress=stop)
    assert list(tmp_path.iterdir()) == []
    assert write_nodules(tmp_path / "deep" / "x", 3, side=24).labelled == 1


def test_what_is_told_fits_what_was_asked_for(hyperseg: Hyperseg) -> None:
    third = hyperseg("detect", "simulate", "third", "--n", "9", "--side", "21")
    assert "in 3 of them, the others are unlabelled" in third.out
    assert "hyperseg detect train third\n" in third.out
    every = hyperseg("detect", "simulate", "every", "--n", "4", "--labelled", "4", "--side", "21")
    assert "in all of them\n" in every.out
    assert "unlabelled" not in every.out
    assert "hyperseg detect train every --labelled 1\n" in every.out


def test_groups_of_real_pieces_share_neither_background_nor_crop(tmp_path: Path) -> None:
    """Every background and every crop has a brightness of its own, so the files themselves tell what they share."""
    n_crops, n_backgrounds = 7, 3
    masks = np.zeros((n_crops, 12, 12, 12), bool)
    masks[:, 4:8, 4:7, 4:8] = True
    crops = np.where(masks, 1000 + np.arange(n_crops)[:, None, None, None], 500)
    behind = tuple(np.full((26, 26, 26), 10 * (k + 1)) for k in range(n_backgrounds))
    pieces = Real(tuple(crops), tuple(masks), behind, names=("a", "b", "c"))
    made = write_nodules(tmp_path / "x", 24, labelled=12, side=24, real=pieces)
    assert made.groups == n_backgrounds
    found = open_boxes(tmp_path / "x")
    shared: dict[str, set[int]] = {}
    for case in (*found.cases, *found.unlabelled):
        values, counts = np.unique(read_image(case)[0], return_counts=True)
        background = int(values[counts.argmax()])  # between it and a crop's 500 lies the soft edge
        own = {background, *(int(value) for value in values if value >= 1000)}
        assert background in (10, 20, 30)
        shared.setdefault(case.group, set()).update(own)
    assert sorted(shared) == ["a", "b", "c"]
    assert sum(map(len, shared.values())) == len(set().union(*shared.values())) == n_backgrounds + n_crops
    for seed in range(4):
        division = divide(found.cases, found.unlabelled, seed=seed)
        out = {found.case(name).group for name in division.held_out}
        assert not out & {found.case(name).group for name in (*division.labelled, *division.unlabelled)}


def test_real_pieces_are_read_packed_or_not_and_crops_of_backgrounds_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "full100").mkdir()
    mask = np.zeros((40, 40, 40), bool)
    mask[20:24, 20:24, 20:24] = True
    np.savez(tmp_path / "full100" / "one.npz", voxel=np.zeros((40, 40, 40), np.uint8), seg=mask)
    crops, masks = np.full((2, 16, 16, 16), 9, np.uint8), np.zeros((2, 16, 16, 16), bool)
    masks[:, 6:10, 5:9, 7:12] = True
    file = tmp_path / "nodules32_trainval.npz"
    for seg in (masks, np.packbits(masks, axis=-1)):
        np.savez(file, voxel=crops, seg=seg, name=np.array(["one", "two"]))
        pieces = real_pieces(tmp_path)
        assert len(pieces.crops) == 1
        assert np.array_equal(pieces.masks[0], masks[1])
        assert np.array_equal(pieces.known[0], mask)
        assert pieces.names == ("one",)
    np.savez(file, voxel=crops, seg=masks[:, :5])
    with pytest.raises(DataFileError, match="equal ones were expected"):
        real_pieces(tmp_path)


def test_real_nodules_are_pasted_into_real_volumes(hyperseg: Hyperseg, tmp_path: Path, shared_data: Path) -> None:
    root = shared_data / "medical" / "lung_nodules_m3dv"
    if not root.is_dir():
        pytest.skip("lung_nodules_m3dv is not among the real data")
    answer = hyperseg("detect", "simulate", "made", "--n", "3", "--labelled", "2", "--side", "64", "--real", root)
    assert answer.code == 0, answer.err
    found = open_boxes(tmp_path / "made")
    assert (tmp_path / "made" / "groups.csv").read_text().count("scan_") == 3
    assert "which stay together" in answer.out
    assert found.boxes > 2  # the background's own, and pasted ones
    image, _ = read_image(found.cases[0])
    assert image.max() <= 255


def test_without_nibabel_arrays_are_written_with_the_same_boxes(
    hyperseg: Hyperseg, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "nibabel", None)
    answer = hyperseg("detect", "simulate", "made", "--n", "2", "--labelled", "1", "--side", "24")
    assert answer.code == 0, answer.err
    assert "nibabel is not installed" in answer.out
    (case,) = open_boxes(tmp_path / "made").cases
    assert case.images[0].name == "scan_001.npy"
    assert case.spacing == (1, 1, 1)
    assert case.boxes is not None
    assert np.array_equal(case.boxes, nodules(1, shape=(24,) * 3, seed=0).boxes[0])

"""Plans of detectors: patches hold whole cells, are alike along alike axes, and follow the boxes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hyperseg.core import LabelError, SettingError
from hyperseg.core.settings import changed, from_json, to_json
from hyperseg.detection.settings import ABLATION, PAPER, DetectorSettings, FocalMixSettings
from hyperseg.recipes.detection.planning import Plan, make_plan, plan_network
from hyperseg.recipes.detection.settings import DetectSettings, Method, settings_of, twin_of


def boxes(*sides: tuple[float, ...]) -> np.ndarray:
    return np.array([(*[3.0] * len(side), *(3 + s for s in side)) for side in sides])


def plan(
    every: np.ndarray, size: tuple[int, ...], spacing: tuple[float, ...] = (), **changes: object
) -> Plan:  # fmt: skip
    settings = settings_of("focalmix", plan_network(every, [size], "cpu"), changes)
    return make_plan(settings, every, [size], spacing, channels=1, device="cpu")


IDLE: tuple[tuple[str, dict[str, object], str], ...] = (
    ("supervised", {"views": 2}, "unlabelled is off"), ("supervised", {"teacher": "self"}, "unlabelled is off"),
    ("supervised", {"batch_unlabelled": 3}, "unlabelled is off"), ("supervised", {"gamma": 1.0}, "bce"),
    ("focalmix", {"unlabelled": False, "temperature": 0.7}, "unlabelled is off"),
    ("focalmix", {"unlabelled": False, "focalmix.weight": 2.0}, "unlabelled is off"),
    ("focalmix", {"image_mixup": False, "object_mixup": False, "eta": 0.5}, "mixup are off"),
    ("focalmix", {"object_mixup": False, "confident": 0.9}, "object_mixup is off"),
    ("focalmix", {"anchors": (4.0, 8.0), "per_level": 3}, "anchors are given"),
)  # fmt: skip


@pytest.mark.parametrize(("method", "changes", "why"), IDLE)
def test_what_would_change_nothing_is_refused(method: Method, changes: dict[str, object], why: str) -> None:
    with pytest.raises(SettingError, match=why):
        settings_of(method, DetectorSettings(), changes)


def test_every_row_of_the_ablation_and_the_paper_can_be_asked_for() -> None:
    for row in (*ABLATION.values(), PAPER):
        chosen = settings_of("focalmix", DetectorSettings(), row).focalmix
        assert {name: getattr(chosen, name) for name in row} == row
    twin = settings_of(
        "supervised", DetectorSettings(), {**ABLATION["twin"], "shaken": 0.1, "views": FocalMixSettings().views}
    )
    assert twin.focalmix.shaken == 0.1
    assert twin == twin_of(twin)


def test_levels_that_widths_do_not_have_are_told_with_both() -> None:
    with pytest.raises(SettingError, match=r"levels \(0, 1\) do not fit widths \(4,\)"):
        settings_of("focalmix", DetectorSettings(), {"detector.widths": (4,)})
    with pytest.raises(SettingError, match=r"widths \(\)"):
        DetectorSettings(widths=())


CUBES = boxes((4, 4, 4), (6, 6, 6), (12, 12, 12))


@pytest.mark.parametrize("size", [(64, 64, 64), (30, 200, 210), (300, 512, 512)])
@pytest.mark.parametrize("spacing", [(), (1.0, 1.0, 1.0), (2.5, 0.7, 0.7), (1.25, 0.703, 0.703)])
def test_patches_hold_whole_cells_and_are_alike(size: tuple[int, ...], spacing: tuple[float, ...]) -> None:
    mm = np.tile(spacing or (1.0,) * 3, 2)
    found = plan(CUBES / mm, size, spacing)
    assert all(p % s == 0 for p, s in zip(found.patch, found.spec.stride, strict=True))
    assert all(
        found.patch[a] == found.patch[b]
        for a in range(3)
        for b in range(3)
        if found.spec.alike[a] == found.spec.alike[b]
    )
    assert len(set(found.spec.alike)) == (2 if spacing and spacing[0] > 1 else 1)
    assert from_json(Plan, to_json(found)) == found


def test_long_voxels_are_not_strided_away() -> None:
    """Boxes of three slices keep as many cells across as along."""
    found = plan(boxes((3, 12, 12)), (40, 256, 256), (4.0, 1.0, 1.0))
    first = found.spec.strides[0]
    assert first[0] < first[1] == first[2]
    assert found.patch[0] < found.patch[1]


def test_patches_are_twice_as_long_as_large_boxes_where_volumes_are() -> None:
    found = plan(boxes((40, 40, 40)), (200, 200, 200))
    assert min(found.patch) >= 72
    assert max(plan(boxes((40, 40, 40)), (50, 50, 50)).patch) <= 64


def test_the_first_stride_follows_small_boxes() -> None:
    assert plan_network(boxes((2, 2, 2)), [(128,) * 3], "cpu").stem == 1
    assert plan_network(boxes((6, 6, 6)), [(128,) * 3], "cpu").stem == 2
    assert plan_network(boxes((30, 30, 30)), [(128,) * 3], "cpu").stem == 4
    assert len(plan_network(boxes((6, 6, 6)), [(20, 20, 20)], "cpu").widths) == 3
    assert len(plan_network(boxes((3, 3, 3), (30, 30, 30)), [(128,) * 3], "cpu").levels) == 3


def test_told_in_words() -> None:
    assert "patch 48x48x48, anchors" in plan(CUBES, (64, 64, 64)).told()
    assert "voxels of 2.5x0.7x0.7 mm" in plan(CUBES, (64, 64, 64), (2.5, 0.7, 0.7)).told()


def test_pictures() -> None:
    found = plan(boxes((9, 9), (12, 8)), (300, 400))
    assert found.spec.n_axes == 2
    assert found.patch == (128, 128)


def test_what_does_not_fit() -> None:
    with pytest.raises(LabelError, match="nothing to learn from"):
        plan_network(np.zeros((0, 6)), [(64, 64, 64)], "cpu")
    with pytest.raises(SettingError, match="have 3 axes"):
        plan(CUBES, (64, 64, 64), **{"training.patch": (32, 32)})
    with pytest.raises(SettingError, match="multiples of"):
        plan(CUBES, (64, 64, 64), **{"training.patch": (33, 33, 33)})
    with pytest.raises(SettingError, match="one spacing"):
        plan(CUBES, (64, 64, 64), **{"training.patch": (32, 32, 64)})


def test_the_twin_differs_in_what_it_learns_from_alone() -> None:
    mix = changed(DetectSettings(), {"focalmix.boxes": 2.0, "training.lr": 1e-3, "detector.head_depth": 2})
    twin = twin_of(mix)
    assert replace(twin, focalmix=mix.focalmix) == mix
    assert twin.focalmix.boxes == 2.0
    mixed = (twin.focalmix.unlabelled, twin.focalmix.image_mixup, twin.focalmix.object_mixup)
    assert mixed == (False, False, False)
    assert twin.focalmix.classification == "bce"

"""Whether the doubt of a map finds its errors: scored with every step, told in the report."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.core.maps import Step
from hyperseg.core.words import UNKNOWN
from hyperseg.recipes.run.outputs import merge
from hyperseg.recipes.run.repeat import score_step
from hyperseg.report.findings import Row, errors_cell

LABELS = np.array([[0, 0, 1, 1], [0, 1, 1, -1]], np.int16)
FIRST = np.array([[0.9, 0.4, 0.2, 0.3], [0.7, 0.55, 0.1, 0.5]], np.float32)  # two test pixels are wrong, the least sure
SCENE = Scene(
    np.ones((2, 4, 3), np.float32), LABELS, classes=("field", "wood"), colours=((200, 200, 0), (0, 90, 0)), name="six"
)


def scored(disagreement: np.ndarray | None = None, labels: np.ndarray = LABELS) -> dict[str, dict[str, float]]:
    none, test = np.zeros(LABELS.shape, bool), LABELS >= 0
    test[0, 0] = False
    map = SegmentationMap(np.stack([FIRST, 1 - FIRST], -1), SCENE.classes, SCENE.colours, made_by=("toy",))
    step = Step("toy", "network", replace(map, disagreement=disagreement), 1, 1.0)
    return score_step(step, replace(SCENE, labels=labels), Split(none, none, test, "by hand", 0))


def test_errors_are_counted_on_test_pixels_alone() -> None:
    assert scored()["error_auroc"] == {"confidence": 100}


def test_disagreement_is_scored_where_a_map_has_it() -> None:
    apart = np.array([[9, 0.3, 0.1, 0.4], [0.2, 0.5, 0.1, 9]], np.float32)
    found = scored(apart)["error_auroc"]
    assert list(found) == ["confidence", "disagreement"]
    assert found["disagreement"] == 100 * 7 / 8  # of 2 x 4 pairs one is in the wrong order


def test_a_map_without_errors_has_none_to_find() -> None:
    right = np.where(FIRST > 0.5, 0, 1).astype(np.int16)
    assert math.isnan(scored(labels=right)["error_auroc"]["confidence"])


def test_repeats_are_merged_and_told_in_the_report() -> None:
    right = np.where(FIRST > 0.5, 0, 1).astype(np.int16)
    both = scored(np.zeros((2, 4), np.float32))
    merged = merge([both, scored(np.ones((2, 4), np.float32)), scored(np.ones((2, 4), np.float32), right)])
    assert merged["error_auroc"]["confidence"]["values"] == [100, 100, None]
    assert errors_cell(Row("toy", "network", True, merged), 3) == "100.0 ± 0.0 / 50.0 ± 0.0"
    assert errors_cell(Row("toy", "network", True, both), 1) == "100.0 / 50.0"
    assert errors_cell(Row("toy", "network", True, {}), 1) == UNKNOWN

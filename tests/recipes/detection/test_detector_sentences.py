"""What is said of scores: who is ahead, and when that says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from hyperseg.recipes.detection.reporting.sentences import HEADS, rows, verdict


def score(cpm: float, low: float, high: float, objects: int = 40) -> dict[str, Any]:
    return {
        "cpm": cpm, "cpm_interval": [low, high], "map": 0.25, "sensitivities": [0.1] * 7, "objects": objects,
        "cases": 12,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("mix", "twin", "told"),
    [
        (score(0.8, 0.7, 0.9), score(0.5, 0.4, 0.6), "focalmix is ahead of supervised in CPM, 0.800 against 0.500"),
        (score(0.5, 0.4, 0.6), score(0.8, 0.7, 0.9), "supervised is ahead of focalmix in CPM, 0.800 against 0.500"),
        (score(0.8, 0.7, 0.9), score(0.5, 0.4, 0.6), "are apart"),
        (score(0.5, 0.4, 0.6), score(0.55, 0.4, 0.7), "the intervals overlap"),
        (score(0.8, 0.7, 0.9, 4), score(0.5, 0.4, 0.6, 4), "tell nothing"),
        (score(0.5, 0.4, 0.6), score(0.5, 0.4, 0.6), "the same CPM"),
    ],
)
def test_verdicts(mix: dict[str, Any], twin: dict[str, Any], told: str) -> None:
    assert told in verdict({"focalmix": mix, "supervised": twin})


def test_one_detector_is_not_compared() -> None:
    assert verdict({"supervised": score(0.5, 0.4, 0.6)}) == ""
    assert verdict({}) == ""
    assert all(len(row) == len(HEADS) for row in rows({"supervised": score(0.5, 0.4, 0.6)}))

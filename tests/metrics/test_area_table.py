"""Areas in words: a sample without an error is no certainty, and what nobody knows does not lead."""

from __future__ import annotations

from typing import Any

from hyperseg.metrics.area_table import area_line, area_rows


def areas(**classes: tuple[float, float, float, float]) -> dict[str, Any]:
    """Classes by name: estimate, low, high, error of the user's accuracy."""
    per_class = {
        name: {
            "mapped": estimated, "mapped_percent": 10.0, "estimated": estimated, "low": low, "high": high,
            "users": 100.0, "users_error": error, "producers": 100.0, "producers_error": error,
        }
        for name, (estimated, low, high, error) in classes.items()
    }  # fmt: skip
    return {"unit": "ha", "per_class": per_class}


def test_an_interval_without_width_is_none() -> None:
    (row,) = area_rows(areas(corn=(200.0, 200.0, 200.0, 0.0)))
    assert row["interval"] == "no error seen"
    assert row["users"] == "100.0"
    assert "200 (no error seen)" in area_line(areas(corn=(200.0, 200.0, 200.0, 0.0)))


def test_classes_without_an_interval_come_last() -> None:
    nan = float("nan")
    line = area_line(areas(woods=(900.0, nan, nan, nan), corn=(200.0, 150.0, 250.0, 3.0), hay=(5.0, 1.0, 9.0, 3.0)))
    assert line.index("corn 200 (150 – 250)") < line.index("hay") < line.index("woods 900 (no interval)")

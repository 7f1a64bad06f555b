"""The report of a refiner: with what it was applied and why, what it changed, what it learnt and cannot know."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hyperseg.core.sections import Figure, Section
from hyperseg.crf.section import deconv_sentences, deep_crf_sentences, refiner_section

NAMES = ["Alfalfa", "Corn-notill", "Woods", "Stone-Steel-Towers"]
ALONE = {"settings": None, "score": 91.0, "log_likelihood": None, "changed": 0.0}


def changes(*changed: int) -> list[dict[str, Any]]:
    """What a refiner did to every class, 2 pixels broken where it changed any."""
    return [
        {"name": name, "pixels": 1000, "changed": n, "fixed": max(n - 10, 0), "broken": 2 if n else 0}
        for name, n in zip(NAMES, changed, strict=True)
    ]


def settings(weight: float) -> dict[str, Any]:
    return {"gaussian_weight": 3.0, "bilateral_weight": weight, "inference": {"iterations": 5, "order": "parallel"}}


def tried(weight: float, score: float, **more: float) -> dict[str, Any]:
    return {"settings": settings(weight), "score": score, "log_likelihood": -0.25, "changed": 4.4} | more


@pytest.fixture
def numbers() -> dict[str, Any]:
    return {
        "name": "some",
        "engine": "lattice",
        "settings": settings(10.0),
        "validation_pixels": 1200,
        "table": [ALONE, tried(3.0, 92.25), tried(10.0, 93.75)],
        "changes": changes(0, 41, 42, 0),
    }


def section(numbers: dict[str, Any]) -> Section:
    return refiner_section(numbers, title="The refiner")


def said(numbers: dict[str, Any]) -> str:
    return " ".join(section(numbers).sentences)


def test_what_it_was_applied_with_what_it_changed_and_what_was_tried(numbers: dict[str, Any]) -> None:
    picture = Figure(b"png", "caption")
    found = refiner_section(numbers, title="The refiner", sentences=["It is new."], figures=[picture])
    # what is the same for all candidates is said once, with their table
    assert found.sentences == ("Applied with bilateral_weight = 10 (engine: lattice).", "It is new.")
    assert (found.title, found.figures, found.numbers) == ("The refiner", (picture,), numbers)
    changed, candidates = found.tables
    assert changed.columns == ("class", "test", "changed", "fixed", "broken")
    assert changed.rows == (
        ("Corn-notill", "1\u202f000", "41", "31", "2"),
        ("Woods", "1\u202f000", "42", "32", "2"),
        ("all classes", "4\u202f000", "83", "63", "4"),
    )
    assert candidates.columns == ("candidate", "bilateral_weight", "score (%)", "log-likelihood", "changed (%)")
    assert candidates.rows == (
        ("leave the map as it is", "–", "91.00", "–", "0.0"),
        ("1", "3", "92.25", "-0.250", "4.4"),
        ("2", "10", "93.75", "-0.250", "4.4"),
    )
    assert candidates.marked == 2
    assert candidates.caption == (
        "What was tried, judged on 1 200 validation pixels only. The shaded row was taken. The same for all: "
        "gaussian_weight = 3, inference iterations = 5, inference order = parallel."
    )


def test_a_refiner_that_left_the_map_alone_says_why(numbers: dict[str, Any]) -> None:
    numbers |= {"settings": None, "table": [], "validation_pixels": 0, "changes": changes(0, 0, 0, 0)}
    assert "no validation pixels to choose settings on, so it left the map as it is (engine: lattice)." in said(numbers)
    assert "It changed" not in said(numbers)
    assert section(numbers).tables == ()
    numbers["table"] = [ALONE, tried(3.0, 90.0)]
    assert "Nothing that was tried beat leaving the map alone" in said(numbers)
    assert section(numbers).tables[0].marked == 0
    # a higher score was not taken: a reader must be told why
    numbers["table"][1] = tried(3.0, 91.5, gain=0.005, gain_error=0.0125)
    assert "Nothing that was tried" not in said(numbers)
    assert "did not gain more, on average over classes" in said(numbers)
    (table,) = section(numbers).tables
    gain = table.columns.index("gain (%)")
    assert [row[gain] for row in table.rows] == ["–", "0.50 ± 1.25"]
    numbers["table"][1]["gain_error"] = math.inf
    assert section(numbers).tables[0].rows[1][gain] == "0.50 ± –"


def test_without_validation_pixels_it_is_applied_as_it_is(numbers: dict[str, Any]) -> None:
    numbers |= {"table": [], "validation_pixels": 0, "engine": None, "settings": {"strength": 1.0}}
    assert said(numbers) == "There were no validation pixels to choose on; applied with strength = 1."
    assert said(numbers | {"settings": {}}).endswith("applied as it was trained.")


def test_what_it_left_as_it_was_is_not_listed(numbers: dict[str, Any]) -> None:
    one = section(numbers | {"changes": changes(0, 41, 0, 0)}).tables[0]
    assert [row[0] for row in one.rows] == ["Corn-notill"]  # of one class there is no sum
    nothing = section(numbers | {"changes": changes(0, 0, 0, 0)})
    assert nothing.sentences[-1] == "It changed the class of no test pixel."
    assert len(nothing.tables) == 1


def test_usual_settings_stand_unless_beaten(numbers: dict[str, Any]) -> None:
    numbers["table"][1]["gain"] = 1.0
    assert "the best score among those whose gain" in section(numbers).tables[1].caption
    assert "the usual settings, unless" in section(numbers | {"usual": True}).tables[1].caption


def test_what_the_deep_crf_learnt_from_and_cannot_know() -> None:
    deep: dict[str, Any] = {
        "pairs": {"right": {"same": 1240, "different": 310}, "below": {"same": 1, "different": 280}},
        "pairs_within": 4,
        "nodes_per_class": dict(zip(NAMES, (1, 50, 50, 0), strict=True)),
        "heads_trusted": True,
    }
    found = " ".join(deep_crf_sentences(deep))
    assert "training nodes at most 4 nodes apart" in found
    assert "side by side 1 240 pairs of equal and 310 pairs of unequal classes" in found
    assert "one above the other 1 pair of equal and 280 pairs of unequal classes" in found
    assert "Fewer than 2 training nodes: Alfalfa and Stone-Steel-Towers." in found
    assert not any(word in found for word in ("correlation", "neighbours are alike", "too little"))
    deep["pairs"]["below"]["different"] = 0
    deep |= {
        "agreement": {"rank": 0.714, "asymmetry": math.nan},
        "nodes_per_class": {"Woods": 2},
        "heads_trusted": False,
    }
    found = " ".join(deep_crf_sentences(deep))
    assert "rank correlation of 0.71" in found
    assert "correlates with –." in found
    assert "Without unequal pairs one above the other it can only have learnt that neighbours are alike." in found
    assert "That is too little to learn borders from" in found
    assert "Fewer than" not in found
    assert deep_crf_sentences({}) == deconv_sentences({}) == []
    (alone,) = deep_crf_sentences({"heads_trusted": False})
    assert alone.startswith("No two labelled nodes are near each other, which is too little")


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"held_out_parts": 3}, "trained on 3 maps, each made without one of 3 parts"),
        ({"held_out_parts": 1}, "knows the training pixels better"),
        ({"band_groups": [[0, 20], [20, 38], [38, 57]]}, "in 3 groups of 18 to 20 bands."),
        ({"band_groups": [[0, 5]]}, "in 1 group of 5 bands."),
    ],
)
def test_what_a_deconvolution_learnt_from_and_how_it_reads_spectra(numbers: dict[str, Any], words: str) -> None:
    (found,) = deconv_sentences(numbers)
    assert words in found

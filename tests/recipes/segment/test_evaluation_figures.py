"""What an answer is worth: known answers with known figures, and means over images."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hyperseg.recipes.segment.evaluation.figures import Figures, Worth, worth
from hyperseg.recipes.segment.evaluation.found import Evaluation
from hyperseg.recipes.segment.prediction.answer import Answer, entropy
from hyperseg.recipes.segment.reporting.evaluation_page import (
    evaluation_figure,
    heads,
    rows,
    sections,
    verdicts,
    write_evaluation_page,
    written_doubt,
)
from hyperseg.report.segment.slices import slice_of

CODES = (0, 255)
RNG = np.random.default_rng(0)
TRUTH = np.zeros((8, 10), np.int16)
TRUTH[2:6, 3:7] = 1


def two(p: np.ndarray | float, shape: tuple[int, ...] = TRUTH.shape) -> np.ndarray:
    """(2, *S) probabilities of a class 1 of so much."""
    p = np.broadcast_to(np.asarray(p, np.float32), shape)
    return np.stack([1 - p, p])


def figures(*answers: Answer, truths: tuple[np.ndarray, ...] = (), drawn: bool = False) -> Figures:
    every = truths or (TRUTH,) * len(answers)
    worths = {f"c{i}": worth(a, t, CODES, None) for i, (a, t) in enumerate(zip(answers, every, strict=True))}
    settings = {"samples": 3, "calls": 2, "fusion": "mean"} if drawn else {}
    return Figures("one", Path("run"), Path("data"), {255: "disc"}, "px", worths, 6, settings)


def test_who_knows_the_truth_has_nothing_to_be_blamed_for() -> None:
    found = figures(Answer(TRUTH, two(TRUTH)), Answer(TRUTH, two(TRUTH)))
    assert (found.mean("dice"), found.mean("iou"), found.mean("hd95"), found.mean("assd")) == (1, 1, 0, 0)
    assert (found.micro("dice"), found.micro("iou")) == (1, 1)
    assert found.reliability.ece == found.brier == 0
    assert all(math.isnan(value) for value in found.auroc.values()), "no pixel is wrong"


def test_one_confidence_everywhere_has_a_calibration_by_hand() -> None:
    """All pixels say 0 with 0.7; 64 of 80 are 0: accuracy 0.8."""
    found = figures(Answer(np.zeros_like(TRUTH), two(0.3)))
    assert found.reliability.ece == pytest.approx(0.1, abs=1e-6)
    assert found.brier == pytest.approx(0.8 * 2 * 0.3**2 + 0.2 * 2 * 0.7**2, abs=1e-6)
    assert found.mean("dice") == 0
    assert set(found.auroc.values()) == {0.5}, "one doubt everywhere tells nothing"


def test_doubt_where_it_is_wrong_tells_every_error() -> None:
    labels = TRUTH.copy()
    labels[2, 3:7] = 0
    p = np.where(labels != TRUTH, 0.4, np.where(TRUTH == 1, 0.9, 0.05))
    answer = Answer(labels, two(p), disagreement=RNG.random(TRUTH.shape).astype(np.float32))
    found = figures(answer)
    assert found.auroc["1 - confidence"] == found.auroc["entropy"] == 1
    assert found.auroc["disagreement"] < 1
    assert written_doubt(found) == "disagreement", "also where another doubt tells more"
    assert written_doubt(figures(Answer(labels, two(p)))) == "entropy"
    page = Evaluation(Path("run"), Path("data"), "by hand", ("background", "disc"), "px", (found,))
    shown = dict(zip(heads(page), rows(page)[0], strict=True))
    assert shown["AUROC\ndoubt"] == f"{found.auroc['disagreement']:.3f}"
    assert shown["AUROC\n1-conf."] == "1.000"


def test_who_is_ahead_is_told_with_the_numbers() -> None:
    """One misses a row of the disc and is always sure; the other is right, and says 0.9 of the disc."""
    worse = TRUTH.copy()
    worse[2] = 0
    one = replace(figures(Answer(worse, two(worse))), name="a", calls=30)
    other = replace(figures(Answer(TRUTH, two(0.9 * TRUTH))), name="b", calls=1)

    def told(*networks: Figures) -> tuple[str, ...]:
        return verdicts(Evaluation(Path("run"), Path("data"), "by hand", ("background", "disc"), "px", networks))

    expected = (
        "b is ahead in Dice (1.000 against 0.857) with 1 call instead of 30; b is ahead in ECE (2.00 % against 5.00 %)."
    )
    assert told(one, other) == told(other, one) == (expected,)
    same = replace(other, name="c", calls=3)
    assert told(other, same) == ("b and c have the same Dice (1.000), with 1 call instead of 3; "
                                 "b and c have the same ECE (2.00 %).",)  # fmt: skip
    assert told(one) == ()


def test_pixels_without_a_label_count_nowhere() -> None:
    truth = TRUTH.copy()
    truth[:, 8:] = -1
    labels = TRUTH.copy()
    labels[:, 8:] = 1
    samples = (labels, labels)
    wrong = worth(Answer(labels, two(labels), samples=samples), truth, CODES, None)
    right = worth(Answer(TRUTH, two(TRUTH), samples=(TRUTH,) * 2), truth, CODES, None)
    assert wrong.overlaps == right.overlaps
    assert wrong.brier == right.brier == 0
    assert wrong.reliability.pixels.sum() == (truth >= 0).sum()
    assert (wrong.distance, wrong.diversity) == (0, 0)


def test_means_are_over_images_and_micro_over_pixels() -> None:
    """A large disc that is right, and a small one that is missed."""
    small, large = np.zeros_like(TRUTH), np.ones_like(TRUTH)
    small[0, 0] = 1
    none = np.zeros_like(TRUTH)
    found = figures(Answer(large, two(large)), Answer(none, two(none)), truths=(large, small))
    assert found.mean("dice") == 0.5
    assert found.micro("dice") == pytest.approx(2 * 80 / (2 * 80 + 1))
    assert found.micro("iou") == pytest.approx(80 / 81)
    empty = figures(Answer(none, two(none)), truths=(none,))
    assert math.isnan(empty.mean("dice"))
    assert math.isnan(empty.micro("dice"))


def test_entropy_goes_from_certain_to_no_idea() -> None:
    assert entropy(two(1.0))[0, 0] == 0
    assert entropy(np.full((5, 2, 2), 0.2, np.float32)) == pytest.approx(1)


def drawn() -> Figures:
    samples = tuple(np.roll(TRUTH, by, 1) for by in (0, 1, -1))
    mean = np.mean([two(one) for one in samples], 0, dtype=np.float32)
    compared = {"samples": {"1": samples[1], "2": TRUTH, "3": TRUTH}, "calls": {"1": samples[2], "2": TRUTH}}
    answer = Answer(TRUTH, mean, entropy(mean), samples, compared | {"fusion": {"mean": TRUTH}}, 0.25)
    return figures(answer, answer, drawn=True)


def test_what_was_compared_has_a_mean_dice_for_each_way() -> None:
    found = drawn()
    one = 2 * 12 / 32  # of 16 pixels each, 12 in common
    assert found.compared["samples"] == {"1": one, "2": 1, "3": 1}
    assert found.compared["calls"] == {"1": one, "2": 1}
    assert found.seconds == 0.25
    assert found.distance > 0
    assert found.diversity > 0


def test_the_page_and_the_table_show_all_networks(tmp_path: Path) -> None:
    first, other = (
        drawn(),
        replace(figures(Answer(TRUTH, two(0.9 * TRUTH)), Answer(TRUTH, two(0.9 * TRUTH))), name="twin"),
    )
    slices = tuple(
        slice_of(f"c{i}", i / 3, TRUTH, TRUTH, cube=RNG.random((8, 10, 1)), doubt=TRUTH / 2) for i in range(3)
    )
    found = Evaluation(Path("run"), Path("data"), "by hand", ("background", "disc"), "px", (first, other), slices)
    assert [row[0] for row in rows(found)] == ["one", "twin"]
    assert all(len(row) == len(heads(found)) for row in rows(found))
    assert rows(found)[0][1] == "1.000"
    assert len(verdicts(found)) == 1
    picture = evaluation_figure(found)
    assert picture.startswith(b"\x89PNG")
    titles = [section.title for section in sections(found, picture)]
    assert titles == ["How good and how honest", "one", "one: samples", "twin", "Image by image"]
    write_evaluation_page(tmp_path / "report.html", found, picture)
    page = (tmp_path / "report.html").read_text()
    assert all(word in page for word in ("twin", "c2", "energy distance"))
    told = found.to_json()["networks"]
    assert told["one"]["dice_by"]["samples"]["1"] == 0.75
    assert told["twin"]["energy_distance"] is None
    assert told["one"]["images"]["c0"]["classes"]["disc"]["dice"] == 1


def test_worths_hold_no_arrays_of_images() -> None:
    """So that many large images can be evaluated one at a time."""
    one = worth(Answer(TRUTH, two(TRUTH)), TRUTH, CODES, None)
    assert isinstance(one, Worth)
    assert all(len(values) == 15 for values in (one.reliability.pixels, one.reliability.right))

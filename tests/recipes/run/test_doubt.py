"""What a report says of disagreement: the threshold keeps what it promises, and silence where answers differ pays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hyperseg.core import SegmentationMap, Split
from hyperseg.recipes.run.doubt import KEPT, doubt_section, kept_threshold
from hyperseg.report.doubt import disagreement_figure
from hyperseg.simulated.scenes import toy_scene


@pytest.mark.parametrize("n", [1, 7, 10, 101])
def test_the_threshold_keeps_nine_tenths_and_no_smaller_value_does(n: int) -> None:
    values = np.random.default_rng(n).random(n).astype(np.float32)
    threshold = kept_threshold(values)
    assert threshold is not None
    assert (values <= threshold).mean() >= KEPT
    below = values[values < threshold]
    assert not below.size or (values <= below.max()).mean() < KEPT


def test_answers_that_differ_where_the_map_is_wrong_leave_only_right_pixels() -> None:
    scene = toy_scene(shape=(20, 18), n_bands=4)
    assert scene.labels is not None
    known, rows = scene.labels >= 0, np.indices(scene.shape)[0]
    split = Split(known & (rows < 5), known & (rows >= 5) & (rows < 10), known & (rows >= 10), "thirds", 0)
    said = np.where(rows % 2 == 0, scene.labels, (scene.labels + 1) % scene.n_classes)  # every second row is wrong
    probs = np.eye(scene.n_classes, dtype=np.float32)[said]
    map = SegmentationMap(probs, scene.classes, scene.colours, disagreement=(0.9 * (rows % 2)).astype(np.float32))
    section = doubt_section(map, scene, split)
    numbers = section.numbers["disagreement"]
    assert "before any refiner" in section.sentences[0]
    assert section.cautions == ()
    assert "the brightest is 0.9 and more" in section.figures[0].caption
    assert "nearly agree" not in section.figures[0].caption
    assert numbers["threshold"] == 0
    assert numbers["OA_known"] == 100
    assert numbers["unknown"] == pytest.approx(100 * (rows % 2)[split.test].mean())
    assert "100.0 % of all pairs" in " ".join(section.sentences)

    misled = doubt_section(replace(map, disagreement=(0.009 * (1 - rows % 2)).astype(np.float32)), scene, split)
    assert not any("I do not know" in sentence for sentence in misled.sentences)
    (caution,) = misled.cautions
    assert "AUROC of wrong test pixels 0.0 %" in caution
    assert "answers nearly agree" in misled.figures[0].caption

    sure = doubt_section(replace(map, probs=np.eye(scene.n_classes, dtype=np.float32)[scene.labels]), scene, split)
    assert sure.cautions == ()  # nothing is wrong

    blind = doubt_section(map, scene, replace(split, val=split.val & False))
    assert "no threshold is chosen" in " ".join(blind.sentences)
    assert blind.numbers == {"disagreement": {}}


def test_pictures_of_equal_answers_and_of_a_line_can_be_drawn() -> None:
    for values in (np.zeros((1, 30)), np.full((5, 4), np.nan), np.random.default_rng(0).random((3, 200))):
        assert disagreement_figure(values, None).startswith(b"\x89PNG")

"""`hyperseg plan`: words, table, JSON, files that are not overwritten; and what `classify` makes of the same plan."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from running import Hyperseg

from hyperseg.core.settings import from_json
from hyperseg.hsi.plan import ScenePlan

SPLIT = ("--split", "random_per_class:8")


def test_sentences_table_and_file(hyperseg: Hyperseg, files: tuple[str, ...], tmp_path: Path) -> None:
    answer = hyperseg("plan", *files, *SPLIT, "--out", "plan.json")
    assert answer.code == 0, answer.err
    made = from_json(ScenePlan, json.loads((tmp_path / "plan.json").read_text()))
    for name in ("window", "groups", "depth", "width", "batch", "steps"):
        assert f"{name.capitalize()} {getattr(made, name)}: " in answer.out
    assert "24 of 3 classes, the rarest with 8." in answer.out
    assert "written to plan.json" in answer.out
    assert "--overwrite" in hyperseg("plan", *files, *SPLIT, "--out", "plan.json").error
    shown = hyperseg("plan", *files, *SPLIT, "--json").out
    assert from_json(ScenePlan, json.loads(shown)) == made


def test_it_needs_labels(hyperseg: Hyperseg, files: tuple[str, ...]) -> None:
    assert "needs labels" in hyperseg("plan", files[0]).error


@pytest.mark.parametrize(("words", "told"), [(("window=12",), "odd"), (("depth=9", "window=9"), "halved")])
def test_choices_that_cannot_be_are_refused_before_training(
    hyperseg: Hyperseg, files: tuple[str, ...], words: tuple[str, ...], told: str
) -> None:
    sets = [word for item in words for word in ("--set", item)]
    answer = hyperseg("classify", *files, *SPLIT, "--method", "unet", *sets, "--quiet")
    assert told in answer.error


def test_classify_uses_the_plan_and_says_what_was_given(
    hyperseg: Hyperseg, files: tuple[str, ...], tmp_path: Path
) -> None:
    made = json.loads(hyperseg("plan", *files, *SPLIT, "--json").out)
    words = ("--method", "unet", "--refine", "none", "--baseline", "none", "--repeats", "1", "--no-pictures", "--quiet")
    answer = hyperseg("classify", *files, *SPLIT, *words, "--steps", "4", "--set", "batch=8", "--out", "run")
    assert answer.code == 0, answer.err
    record = json.dumps(json.loads((tmp_path / "run" / "metrics.json").read_text()))
    assert f'"window": {made["window"]}' in record
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert f"Window {made['window']}: " in page
    assert "Steps 4: given, not planned." in page
    assert "Given, not planned: batch and steps." in page

"""`hyperseg segment plan`: words, table, JSON, and files that are not overwritten."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from running import Hyperseg

from hyperseg.cli.segment.plan import PRESETS
from hyperseg.core.settings import from_json
from hyperseg.medical.plan import Plan
from hyperseg.medical.training import Preset
from hyperseg.recipes.segment.planning import read_plan


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """Three pictures of 40 x 48 pixels, in the working folder."""
    for name in ("images", "labels"):
        (tmp_path / "cells" / name).mkdir(parents=True)
    for i in range(3):
        labels = np.zeros((40, 48), np.uint8)
        labels[5:20, 10 + i : 30] = 1
        np.save(tmp_path / "cells" / "images" / f"c{i}.npy", labels * 80 + np.arange(1, 49, dtype=np.uint8))
        np.save(tmp_path / "cells" / "labels" / f"c{i}.npy", labels)
    return "cells"


def test_sentences_table_and_file(hyperseg: Hyperseg, folder: str, tmp_path: Path) -> None:
    answer = hyperseg("segment", "plan", folder, "--out", "plan.json")
    assert answer.code == 0, answer.err
    assert "2d: patch 40 x 48 pixels: the whole median image." in answer.out
    assert "written to plan.json" in answer.out
    plan = read_plan(tmp_path / "plan.json")
    assert plan.preset == "v2"
    assert plan.configuration("2d").patch == (40, 48)
    assert max(map(len, answer.out.splitlines()[-4:])) <= 80
    again = hyperseg("segment", "plan", folder, "--out", "plan.json")
    assert "--overwrite" in again.error
    assert hyperseg("segment", "plan", folder, "--out", "plan.json", "--overwrite", "--quiet").code == 0


def test_json_alone(hyperseg: Hyperseg, folder: str) -> None:
    answer = hyperseg("segment", "plan", folder, "--preset", "msd2018", "--json")
    plan = from_json(Plan, json.loads(answer.out))
    assert plan.preset == "msd2018"
    assert plan.training.optimiser.kind == "adam"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--preset", "msd2018", "--gigabytes", "8"), "fixed sizes"),
        (("--preset", "msd2018", "--patience", "8"), "fixed sizes"),
        (("--gigabytes", "0.0001"), "no network fits"),
    ],
)
def test_refusals(hyperseg: Hyperseg, folder: str, words: tuple[str, ...], told: str) -> None:
    assert told in hyperseg("segment", "plan", folder, *words).error


def test_a_folder_that_is_none(hyperseg: Hyperseg) -> None:
    assert "nowhere" in hyperseg("segment", "plan", "nowhere").error


def test_an_input_is_not_overwritten(hyperseg: Hyperseg, folder: str) -> None:
    file = Path(folder) / "images" / "c0.npy"
    before = file.read_bytes()
    assert hyperseg("segment", "plan", folder, "--out", file).code == 2
    assert file.read_bytes() == before


def test_the_presets_offered_are_those_there_are() -> None:
    assert get_args(Preset) == PRESETS

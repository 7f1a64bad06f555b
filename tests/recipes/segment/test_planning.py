"""From a folder to a plan and back from its file; the plan of a real data set."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from planned import GOLDEN

from hyperseg.core import DataFileError, SettingError
from hyperseg.core.settings import to_json
from hyperseg.io.cases import open_cases
from hyperseg.medical.plan import make_plan
from hyperseg.recipes.segment.planning import plan_cases, read_plan, take_fingerprint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four volumes of 20 x 24 x 28 voxels with a bright block each."""
    for name in ("images", "labels"):
        (tmp_path / "data" / name).mkdir(parents=True)
    for i in range(4):
        labels = np.zeros((20, 24, 28), np.uint8)
        labels[5 : 9 + i, 6:12, 7:15] = 1
        image = np.random.default_rng(i).normal(50, 5, labels.shape) + 40 * labels
        np.save(tmp_path / "data" / "images" / f"c{i}.npy", image.astype(np.float32))
        np.save(tmp_path / "data" / "labels" / f"c{i}.npy", labels)
    return tmp_path / "data"


def test_every_case_is_looked_at_once(folder: Path) -> None:
    cases, told = open_cases(folder), []
    seen = take_fingerprint(cases, progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (seen.n_cases, seen.sizes[0], seen.unit) == (4, (20, 24, 28), "px")
    assert seen.counts[1] == sum((4 + i) * 6 * 8 for i in range(4))
    assert plan_cases(cases) == make_plan(seen)


def test_patience_is_measured(folder: Path) -> None:
    plan = plan_cases(open_cases(folder), patience=0.5)
    assert plan.limit.patience_s == 0.5
    assert plan.limit.pace is not None
    assert plan.limit.pace > 0
    assert plan == make_plan(take_fingerprint(open_cases(folder)), patience=0.5, pace=plan.limit.pace)


def test_limits_are_checked_before_a_file_is_read(folder: Path) -> None:
    cases = open_cases(folder)
    for file in (folder / "images").iterdir():
        file.unlink()
    with pytest.raises(SettingError, match="fixed sizes"):
        plan_cases(cases, preset="msd2018", gigabytes=4)


def test_a_plan_from_its_file(folder: Path, tmp_path: Path) -> None:
    plan, file = plan_cases(open_cases(folder)), tmp_path / "plan.json"
    file.write_text(json.dumps(to_json(plan)))
    assert read_plan(file) == plan
    data = to_json(plan)
    data["configurations"][1]["batch"] = "two"
    file.write_text(json.dumps(data))
    with pytest.raises(DataFileError, match=r"plan\.json.*batch.*Mend"):
        read_plan(file)
    file.write_text("{")
    with pytest.raises(DataFileError, match="not a readable plan"):
        read_plan(file)
    with pytest.raises(DataFileError, match="not a readable plan"):
        read_plan(tmp_path / "none.json")


@pytest.mark.shared_data
def test_the_plan_of_the_hippocampus_is_the_golden_one(shared_data: Path) -> None:
    pytest.importorskip("nibabel")
    folder = shared_data / "medical" / "msd_task04_hippocampus"
    if not folder.is_dir():
        pytest.skip("msd_task04_hippocampus is not at hand")
    plan, row = plan_cases(open_cases(folder)), GOLDEN["Hippocampus"]
    assert (plan.spacing, plan.size, plan.facts.n_cases) == (row.spacing, row.size, row.n_cases)
    assert plan.facts.counts == (15_469_502, 445_938, 410_816)
    for name, expected in (("3d", row.solid), ("2d", row.flat)):
        one = plan.configuration(name)
        assert (one.patch, one.batch, one.topology.pools, one.values) == expected
    assert [one.name for one in plan.configurations] == ["2d", "3d"]

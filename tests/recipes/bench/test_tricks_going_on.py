"""A benchmark of tricks that goes on: with all that helped, a scene without data in places, seeds, damaged cells."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from discs import write_discs

from hyperseg.core import RunError
from hyperseg.core.settings import to_json
from hyperseg.io.write import write_json
from hyperseg.recipes.bench.rows import append_line, read_lines
from hyperseg.recipes.bench.tricks.bench import TricksBenched, bench_tricks
from hyperseg.recipes.bench.tricks.rows import Cell, read_cell
from hyperseg.recipes.segment.planning import plan_cases, read_folder
from hyperseg.simulated.scenes import toy_scene

PREPARING = ("resampling", "normalisation")


def rewritten(root: Path, score: Any) -> None:
    """Give every cell another score, by row, fold and seed."""
    file = root / "cells.jsonl"
    cells = [json.loads(line) for line in file.read_text().splitlines()]
    lines = [json.dumps(cell | {"score": score(cell["row"], cell["fold"], cell["seed"])}) for cell in cells]
    file.write_text("".join(f"{line}\n" for line in lines))


def test_tricks_that_prepare_cases_in_their_own_way_are_put_together(tmp_path: Path) -> None:
    """Cases of "all that helped" are prepared as those of no single row."""
    write_discs(tmp_path / "discs", 4, side=16)
    made = plan_cases(read_folder(tmp_path / "discs", (1.0, 1.0), quiet=True))
    small = [
        replace(one, backbone=replace(one.backbone, widths=(4, 8, 16, 16, 16, 16)[: len(one.backbone.widths)]), batch=2)
        for one in made.configurations
    ]
    write_json(tmp_path / "plan.json", to_json(replace(made, configurations=tuple(small))))
    given = {"folds": 2, "steps": 1, "spacing": (1.0, 1.0)}

    def bench(**more: Any) -> TricksBenched:
        return bench_tricks(tmp_path / "discs", out=tmp_path / "b", seeds=2, given=given, quiet=True, **more)

    first = bench(tricks=PREPARING, plan=tmp_path / "plan.json")
    assert not first.result.of("together")
    rewritten(first.root, lambda row, fold, seed: 0.4 + (0.3 + 0.002 * fold if row in PREPARING else 0.001 * seed))
    done = bench(resume=True)
    (together,) = done.result.of("together")
    assert set(together.row.tricks) == set(PREPARING)
    assert together.gain is not None
    assert together.gain.n == 4


def scene_bench(out: Path, **more: Any) -> TricksBenched:
    scene = toy_scene(shape=(24, 21), n_bands=8)
    cube = np.asarray(scene.cube[:]).astype(np.float32)
    cube[0, :3] = np.nan
    given = {"split": "random_per_class:8", "refine": (), "method": "rf", **more.pop("given", {})}
    scene = scene.with_(cube=cube, nodata=float("nan"))
    return bench_tricks(scene, out=out, seeds=2, tricks=("small-areas:pixels=3",), given=given, quiet=True, **more)


def test_a_scene_whose_nodata_is_no_number_goes_on_with_the_largest_seed(tmp_path: Path) -> None:
    given = {"seed": 2**32 - 3}  # scikit-learn takes none from 2^32
    done = scene_bench(tmp_path / "b", given=given)
    (tmp_path / "b" / "cells.jsonl").write_bytes(
        b"".join((tmp_path / "b" / "cells.jsonl").read_bytes().splitlines(keepends=True)[:3])
    )
    again = scene_bench(tmp_path / "b", resume=True)
    assert [cell.scores for cell in again.cells] == [cell.scores for cell in done.cells]


@pytest.mark.parametrize(
    ("key", "wrong", "told"),
    [
        ("score", float("nan"), "finite"), ("fold", "0", "fold is a whole number"), ("scores", {"OA": "high"}, "OA is"),
        ("learnt", 0, "learnt"), ("colour", 1, "no setting named colour"),
    ],
)  # fmt: skip
def test_a_line_that_is_json_but_no_cell_is_told_by_file_and_line(
    tmp_path: Path, key: str, wrong: object, told: str
) -> None:  # fmt: skip
    cell = Cell("baseline", 0, 0, 0.5, {"Dice": 0.5, "Dice a": None}, 1, 4, 1)
    append_line(tmp_path, asdict(cell))
    assert read_lines(tmp_path, read_cell) == [cell]
    append_line(tmp_path, asdict(cell) | {key: wrong})
    with pytest.raises(RunError, match=rf"cells.jsonl: line 2 is damaged \(.*{told}.*Remove the line"):
        read_lines(tmp_path, read_cell)

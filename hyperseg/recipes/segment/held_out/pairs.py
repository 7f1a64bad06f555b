"""Pairs of configurations, whose probabilities are averaged, on the cases that none of their networks saw.

RUN/pairs/2d + 3d.json
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from itertools import combinations
from pathlib import Path
from typing import Any

from hyperseg.core.files import make_folder
from hyperseg.core.runtime import Runtime
from hyperseg.io.cases import CaseFolder
from hyperseg.io.write import write_json
from hyperseg.recipes.segment.folder import SegmentRun
from hyperseg.recipes.segment.held_out.networks import evaluate, networks_of

PAIRS, AND = "pairs", " + "
Rows = Mapping[str, Mapping[str, Sequence[Any]]]
"""By case: its `CaseDice` as JSON has it."""


def compare_pairs(
    run: SegmentRun, folder: CaseFolder, names: Sequence[str], *, mirror: bool, runtime: Runtime
) -> None:  # fmt: skip
    """Predict every case by all pairs of configurations, fold by fold; what was done before is not done again.

    Probabilities are not kept from when each was predicted by itself: of a set of volumes they are hundreds of
    gigabytes. Predicting anew takes as long as both together.

    Args:
        names: configurations that are trained on all folds.
        mirror, runtime: see `evaluate`.
    """
    for pair in combinations(names, 2):
        file, done = _file(run.root, pair), dict(pair_rows(run.root, pair))
        for fold, cases in enumerate(run.record.folds):
            missing = [name for name in cases if name not in done]
            if not missing:
                continue
            found = evaluate(
                run, folder, pair, networks_of(run, pair, fold, runtime), missing, mirror=mirror, runtime=runtime,
                title=f"{AND.join(pair)}, fold {fold}",
            )  # fmt: skip
            done |= {name: asdict(case) for name, case in found.items()}
            make_folder(file.parent)
            write_json(file, done)


def pair_rows(root: Path, pair: Sequence[str]) -> Rows:
    """What has been found of a pair; nothing where it was not looked at."""
    try:
        rows: Rows = json.loads(_file(root, pair).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return rows


def forget_pairs(root: Path, names: Collection[str]) -> None:
    """Remove what was found of pairs with one of these configurations: their networks are others now."""
    for file in (root / PAIRS).glob("*.json"):
        if set(file.stem.split(AND)) & set(names):
            file.unlink()


def _file(root: Path, pair: Sequence[str]) -> Path:
    return root / PAIRS / f"{AND.join(pair)}.json"

"""Cases prepared once for a configuration, on disk as long as a training lasts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hyperseg.io.cases import CaseFolder, read_case
from hyperseg.io.write import write_json
from hyperseg.io.write.runs import seal
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.patches import StoredCase, store
from hyperseg.medical.plan import Plan
from hyperseg.medical.prepare import prepare

INDEX = "cases.json"  # written when all cases are there
Progress = Callable[[int, int], None]


def cache_cases(
    folder: CaseFolder, plan: Plan, configuration: Configuration, where: Path, prints: Mapping[str, str], *,
    progress: Progress | None = None,
) -> dict[str, StoredCase]:  # fmt: skip
    """Prepare every labelled case of a folder, one in memory at a time, or find what an earlier call has left there.

    Args:
        folder, plan, configuration: whose cases, and for which network.
        where: they are kept.
        prints: of `prints_of`: cases that were prepared from other files, or by another plan, are prepared anew.
        progress: told how many cases of how many are done.

    Raises:
        SceneError, LabelError, DataFileError: a case that cannot be used, by name.
    """
    head = {"plan": seal(plan), "prints": [[case.name, prints[case.name]] for case in folder.cases]}
    there = _stored(where, head)
    if there is not None:
        return there
    shutil.rmtree(where, ignore_errors=True)  # answers of a first network too
    found = {}
    for done, case in enumerate(folder.cases, start=1):
        prepared = prepare(read_case(folder, case), plan, configuration, labels=True)
        assert prepared.labels is not None
        at = where / f"case{done}"  # names of cases may be too long, or hold what a folder cannot
        found[case.name] = store(at, case.name, prepared.image, prepared.labels, len(plan.facts.classes))
        if progress is not None:
            progress(done, len(folder.cases))
    rows = [[c.name, c.folder.name, c.n_channels, c.shape, c.starts] for c in found.values()]
    write_json(where / INDEX, {**head, "cases": rows})
    return found


def _stored(where: Path, head: Mapping[str, Any]) -> dict[str, StoredCase] | None:
    """What was prepared from such files by such a plan; None where there is none, or not all of it."""
    try:
        index = json.loads((where / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(index, dict) or any(index.get(key) != value for key, value in head.items()):
        return None
    rows = index["cases"]
    return {row[0]: StoredCase(row[0], where / row[1], row[2], tuple(row[3]), tuple(row[4])) for row in rows}

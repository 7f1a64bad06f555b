"""Cases prepared once for a configuration, on disk as long as a training lasts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from hyperseg.io.cases import CaseFolder, read_case
from hyperseg.io.write import write_json
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.patches import StoredCase, store
from hyperseg.medical.plan import Plan
from hyperseg.medical.prepare import prepare

INDEX = "cases.json"  # written when all cases are there
Progress = Callable[[int, int], None]


def cache_cases(
    folder: CaseFolder, plan: Plan, configuration: Configuration, where: Path, *, progress: Progress | None = None
) -> dict[str, StoredCase]:
    """Prepare every labelled case of a folder, one in memory at a time, or find what an earlier call has left there.

    Raises:
        SceneError, LabelError, DataFileError: a case that cannot be used, by name.
    """
    names = [case.name for case in folder.cases]
    there = _stored(where)
    if list(there) == names:
        return there
    found = {}
    for done, case in enumerate(folder.cases, start=1):
        prepared = prepare(read_case(folder, case), plan, configuration, labels=True)
        assert prepared.labels is not None
        at = where / f"case{done}"  # names of cases may be too long, or hold what a folder cannot
        found[case.name] = store(at, case.name, prepared.image, prepared.labels, len(plan.facts.classes))
        if progress is not None:
            progress(done, len(names))
    rows = [[c.name, c.folder.name, c.n_channels, c.shape, c.starts] for c in found.values()]
    write_json(where / INDEX, rows)
    return found


def _stored(where: Path) -> dict[str, StoredCase]:
    try:
        rows = json.loads((where / INDEX).read_text(encoding="utf-8"))
    except OSError:
        return {}
    return {row[0]: StoredCase(row[0], where / row[1], row[2], tuple(row[3]), tuple(row[4])) for row in rows}

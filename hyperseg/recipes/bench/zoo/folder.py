"""The folder of a benchmark of networks; locked, resumed and overwritten as those of samplers and tricks.

DIR/bench.json       settings, data, plan, versions
DIR/cells.jsonl      a line for every finished cell, written at once
DIR/cache/           prepared cases; removed at the end
DIR/table.csv, table.md, front.png, report.html
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperseg.core import RunError, SettingError
from hyperseg.core.lock import LOCK
from hyperseg.core.settings import from_json, to_json
from hyperseg.core.words import one_line
from hyperseg.io.write import write_json
from hyperseg.medical.plan import Plan
from hyperseg.recipes.bench.folder import BENCH, REPORT, TABLE_CSV, TABLE_MD, read_head
from hyperseg.recipes.bench.rows import CELLS
from hyperseg.recipes.bench.zoo.settings import ZooBenchSettings

KIND, FORMAT = "bench-zoo", 1
FRONT = "front.png"
CACHE = "cache"
FILES = (BENCH, CELLS, TABLE_CSV, TABLE_MD, FRONT, REPORT, LOCK)
FOLDERS = (CACHE,)


@dataclass(frozen=True)
class Begun:
    """What stands in a folder.

    Attributes:
        settings: that it was begun with, the steps among them.
        data: what was compared on: name, and a checksum of each case or of the scene.
        members: that were asked for, see `choosing.check_names`.
        seeds: of each fold; of a scene the number of splits.
        plan: of a folder, or None.
        found: everything else of bench.json.
    """

    settings: ZooBenchSettings
    data: dict[str, Any]
    members: tuple[str, ...]
    seeds: int
    plan: Plan | None
    found: dict[str, Any]


def read_zoo(root: Path) -> Begun:
    """The benchmark of networks in a folder.

    Raises:
        RunError: none, or one that is damaged or of another version.
    """
    data = read_head(root, KIND, FORMAT, "networks")
    try:
        settings = from_json(ZooBenchSettings, data["settings"], "the settings")
        plan = None if data["plan"] is None else from_json(Plan, data["plan"], "the plan")
        known = ("kind", "format", "finished", "settings", "data", "members", "seeds", "plan")
        rest = {k: v for k, v in data.items() if k not in known}
        return Begun(settings, dict(data["data"]), tuple(map(str, data["members"])), int(data["seeds"]), plan, rest)
    except (KeyError, TypeError, ValueError, SettingError) as error:
        raise RunError(
            f"{root / BENCH}: damaged ({one_line(str(error), 100)}). Begin anew with --overwrite."
        ) from error


def write_zoo(root: Path, begun: Begun, *, finished: bool) -> None:
    """Write bench.json, whole or not at all; finished, prepared cases are removed."""
    head = {"kind": KIND, "format": FORMAT, "finished": finished}
    of = {
        "settings": to_json(begun.settings), "data": begun.data, "seeds": begun.seeds, "members": list(begun.members),
        "plan": None if begun.plan is None else to_json(begun.plan),
    }  # fmt: skip
    write_json(root / BENCH, {**head, **of, **begun.found})
    if finished:
        shutil.rmtree(root / CACHE, ignore_errors=True)

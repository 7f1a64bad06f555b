"""The folder of a benchmark of networks; locked, resumed and overwritten as those of samplers and tricks.

DIR/bench.json       settings, data, plan, versions
DIR/cells.jsonl      a line for every finished cell, written at once
DIR/cache/           prepared cases; removed at the end
DIR/table.csv, table.md, front.png, report.html
"""

from __future__ import annotations

from hyperseg.core.lock import LOCK
from hyperseg.recipes.bench.comparing.begun import CACHE, Kept
from hyperseg.recipes.bench.folder import BENCH, REPORT, TABLE_CSV, TABLE_MD
from hyperseg.recipes.bench.rows import CELLS
from hyperseg.recipes.bench.zoo.settings import ZooBenchSettings

FRONT = "front.png"
FILES = (BENCH, CELLS, TABLE_CSV, TABLE_MD, FRONT, REPORT, LOCK)
FOLDERS = (CACHE,)
KEPT = Kept("bench-zoo", 1, "networks", ZooBenchSettings, key="members")

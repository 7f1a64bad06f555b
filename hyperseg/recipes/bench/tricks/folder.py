"""The folder of a benchmark of tricks; locked, resumed and overwritten as that of samplers.

DIR/bench.json       settings, data, plan, versions
DIR/cells.jsonl      a line for every finished cell, written at once
DIR/networks/        the baseline's networks of a folder, for tricks that train nothing
DIR/cache/           prepared cases; removed at the end
DIR/table.csv, table.md, gains.png, report.html
"""

from __future__ import annotations

from hyperseg.core.lock import LOCK
from hyperseg.recipes.bench.comparing.begun import CACHE, Kept
from hyperseg.recipes.bench.folder import BENCH, REPORT, TABLE_CSV, TABLE_MD
from hyperseg.recipes.bench.rows import CELLS
from hyperseg.recipes.bench.tricks.settings import TricksSettings

GAINS = "gains.png"
NETWORKS = "networks"
FILES = (BENCH, CELLS, TABLE_CSV, TABLE_MD, GAINS, REPORT, LOCK)
FOLDERS = (NETWORKS, CACHE)
KEPT = Kept("bench-tricks", 1, "tricks", TricksSettings, key="tricks")

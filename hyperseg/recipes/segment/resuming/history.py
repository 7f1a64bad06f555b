"""How a fold was trained, from its history.json."""

from __future__ import annotations

import json
from typing import Any

from hyperseg.core import RunError
from hyperseg.recipes.segment.folder import HISTORY, SegmentRun, fold_folder

NEEDED = ("at", "cases", "losses", "optimiser", "patch_dice", "seconds", "steps", "validated")


def read_history(run: SegmentRun, configuration: str, fold: int) -> dict[str, Any]:
    """The history of a trained fold, with all that summary and report read.

    Raises:
        RunError: it is not there, is no JSON, or lacks something.
    """
    file = fold_folder(run.root, configuration, fold) / HISTORY
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        found = None
    if not isinstance(found, dict) or any(key not in found for key in NEEDED):
        raise RunError(
            f"{file}: missing, damaged, or written by another version. Train this fold again: remove {file.parent}, "
            "then hyperseg segment train ... --resume."
        )
    return found

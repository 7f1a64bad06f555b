"""The map that a user names: a file, or the folder of a run for the map in it."""

from __future__ import annotations

from pathlib import Path

from hyperseg.core import RunError
from hyperseg.io.formats import is_data
from hyperseg.io.write.targets import RECORD
from hyperseg.recipes.run.folder import UNFINISHED

MAP, GROUPS_FILE = "map.tif", "map-groups.tif"


def map_of(source: str | Path) -> str | Path:
    """The map in a folder that is no data file of its own (as Zarr is); anything else as it is.

    Raises:
        RunError: the folder is one of a run, and holds no map.
    """
    folder = Path(source)
    if not folder.is_dir() or is_data(folder):
        return source
    if (folder / MAP).is_file():
        return folder / MAP
    if (folder / UNFINISHED).is_dir():
        raise RunError(
            f"{folder}: this run has not ended and has no {MAP}: repeat its `hyperseg classify ...` with --out "
            f"{folder} --resume."
        )
    if (folder / RECORD).is_file():
        raise RunError(f"{folder}: this run has no {MAP} any more. Train again with --from {folder / RECORD}.")
    return folder / MAP

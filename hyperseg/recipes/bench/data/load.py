"""The table of data with a name, and the one function that loads them or a folder."""

from __future__ import annotations

from pathlib import Path

from hyperseg.core import DataFileError
from hyperseg.core.parts import Entry, Parts
from hyperseg.core.words import did_you_mean
from hyperseg.recipes.bench.data.pictures import Pictures

HOME = "hyperseg.recipes.bench.data"
PICTURES = Parts(
    "data set", {"digits": Entry(f"{HOME}.digits:load_digits", "1797 handwritten digits, 8 x 8, always at hand")}
)


def load_pictures(name_or_dir: str, *, folder: Path | None = None) -> Pictures:
    """A set by its name, or the images of a folder.

    Args:
        name_or_dir: one of `PICTURES`, or a folder.
        folder: where the files of a named set are; None takes HYPERSEG_DATA.

    Raises:
        DataFileError: neither a name nor a folder, or files that are missing, broken, too few or of mixed size.
    """
    if name_or_dir in PICTURES:
        found: Pictures = PICTURES[name_or_dir](folder)
        return found
    raise DataFileError(
        f"{name_or_dir}: no data set and no folder of images; the sets are {', '.join(PICTURES)}."
        f"{did_you_mean(name_or_dir, PICTURES)}"
    )

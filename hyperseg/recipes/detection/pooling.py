"""Further images without boxes, from a folder of their own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hyperseg.io.detections.case import BoxCase, BoxFolder
from hyperseg.io.detections.folder import open_images

NONE = "none"  # no image without boxes, not even those of the folder itself


def with_pool(folder: BoxFolder, pool: str | Path | None, spacing: Sequence[float] = ()) -> BoxFolder:
    """The folder with the images of `pool` as unlabelled ones; boxes there are not looked at.

    Args:
        folder: with boxes.
        pool: a folder; "none" takes the folder's own unlabelled images away; None leaves it as it is.
        spacing: of images there that do not say theirs.

    Raises:
        DataFileError: no image there.
    """
    if pool is None:
        return folder
    if str(pool) == NONE:
        return replace(folder, unlabelled=())
    taken = {case.name for case in (*folder.cases, *folder.unlabelled)}
    more = _named_apart(open_images(pool, spacing=tuple(spacing)), taken, Path(pool).resolve().name)
    rule = f"{folder.rule} {len(more)} more without boxes from {pool}."
    return replace(folder, unlabelled=(*folder.unlabelled, *more), rule=rule)


def _named_apart(cases: Sequence[BoxCase], taken: set[str], folder: str) -> list[BoxCase]:
    """The cases, those of a name that is taken with their folder's name before it."""
    return [replace(case, name=f"{folder}-{case.name}" if case.name in taken else case.name) for case in cases]

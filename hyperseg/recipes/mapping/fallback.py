"""The map of answers beside a map: what it falls back to, and the file it goes to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hyperseg.core import Scene, SettingError
from hyperseg.core.groups import SURE, ClassGroups, Fallback
from hyperseg.io.labels.groups import read_groups
from hyperseg.io.write import MapWriter
from hyperseg.io.write.groups import answer_legend
from hyperseg.recipes.run.load import LoadedRun


def chosen_fallback(run: LoadedRun, folder: Path, *, groups: Path | str | None, sure: float | None) -> Fallback | None:
    """What the maps of a run fall back to: groups and threshold of the run, unless others are given.

    Args:
        run: the run in `folder`.
        groups: a TOML file with the groups of its classes, or None.
        sure: the probability an answer must have, or None.

    Raises:
        DataFileError, LabelError: what is wrong with the file.
        SettingError: there are no groups and `sure` is given, or it is no probability.
    """
    found = run.fallback
    if groups is not None:
        table = ClassGroups.of(read_groups(groups), run.classes, origin=groups)
        found = Fallback(table, SURE if found is None else found.sure)
    if found is None and sure is not None:
        raise SettingError(
            f"sure {sure:g}: the classes of the run {folder} have no groups to fall back to. Give groups with "
            "--class-groups FILE, or leave sure out."
        )
    return found if found is None or sure is None else replace(found, sure=sure)


def answer_writer(
    path: Path | None, scene: Scene, run: LoadedRun, fallback: Fallback | None, made_by: tuple[str, ...]
) -> MapWriter | None:
    """What writes the answers of a map to `path`; None without a fallback."""
    if fallback is None or path is None:
        return None
    legend = answer_legend(fallback, run.classes, run.colours, run.codes)
    return MapWriter(path, scene.shape, grid=scene.grid, made_by=made_by, **legend._asdict())

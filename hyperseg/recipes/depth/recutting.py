"""Pictures of a run, made again: rooms as they were, squares of the same pictures of a folder."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from hyperseg.io.depths import Pairs, open_pairs
from hyperseg.recipes.depth.folder import ROOMS, DepthRun
from hyperseg.recipes.depth.pictures import Array, Pictures, from_pairs, from_rooms


def learnt_pictures(run: DepthRun, most: int) -> Array:
    """(n, 3, s, s) some of the pictures that the denoiser learnt from, for samplers that look at data first."""
    record = run.record
    if record.folder == ROOMS:
        return from_rooms(min(most, record.settings.pictures), record.settings.size, record.seed).images
    return squares(run, only=record.learnt).images[:most]


def pairs_of(run: DepthRun) -> Pairs:
    """The folder of a run, opened as it was.

    Raises:
        DataFileError: it is gone, or damaged.
    """
    record = run.record
    return open_pairs(Path(record.folder), unit=record.unit, per_metre=record.per_metre)  # type: ignore[arg-type]


def squares(run: DepthRun, *, only: Collection[str] | None = None, without: Collection[str] = ()) -> Pictures:
    """Squares of some of a folder's pictures, with the bounds of depth that the run was trained with.

    The largest square of a picture is as it was; places of further ones depend on which pictures are asked for.

    Args:
        only: names; None for all.
        without: names that are left out.
    """
    pairs, record = pairs_of(run), run.record
    which = [i for i, name in enumerate(pairs.names) if name not in without and (only is None or name in only)]
    of = record.settings
    return from_pairs(pairs.some(which), of.size, crops=of.crops, seed=record.seed, bounds=(record.z_min, record.z_max))

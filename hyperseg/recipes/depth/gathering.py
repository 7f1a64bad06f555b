"""What a run of depth learns from and is tried on: rendered rooms or a folder, divided by the seed alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, SettingError
from hyperseg.core.words import counted
from hyperseg.data.inverse_depth import InverseDepth
from hyperseg.io.depths import Pairs, Unit, open_pairs
from hyperseg.recipes.depth.pictures import Pictures, from_pairs, from_rooms
from hyperseg.recipes.depth.settings import DepthSettings

Maps = NDArray[np.float32]
HELD_SHARE = 0.2  # of the pictures with depth in a folder, at most
PRINT_BYTES = 8
AT_ONCE = 100  # rooms between two signs of progress
WHOLE_ENOUGH = 0.5  # of a depth map is known, or the prior does not learn from it


@dataclass(frozen=True)
class Data:
    """Pictures and depth of a run.

    Attributes:
        images: (n, 3, s, s) from -1 to 1, that the denoiser learns from; the labelled ones first.
        y: (k, s, s) inverse depth of the k labelled ones, NaN where unknown.
        more_y: (n - k, s, s) that of the others, which no head learns from; NaN where unknown.
        held_images, held_y: those that nothing learns from.
        bounds: of inverse depth.
        unit: "m", "disparity", or "units" of the rooms.
        learnt, labelled, held_out: names, each once.
        prints: checksums of a folder's files.
        remarks: what was found, for who waits.
    """

    images: Maps
    y: Maps
    more_y: Maps
    held_images: Maps
    held_y: Maps
    bounds: InverseDepth
    unit: str
    learnt: tuple[str, ...]
    labelled: tuple[str, ...]
    held_out: tuple[str, ...]
    prints: dict[str, str]
    remarks: tuple[str, ...]


def check_counts(settings: DepthSettings) -> None:
    """Refuse more labelled rooms than there are rooms.

    Raises:
        SettingError: labelled > pictures.
    """
    if settings.labelled > settings.pictures:
        raise SettingError(
            f"labelled {settings.labelled}: only {counted(settings.pictures, 'room')} are rendered. Give fewer "
            "labelled ones, or more pictures."
        )


def gather_rooms(settings: DepthSettings, seed: int, progress: Callable[[int, int], None]) -> Data:
    """Rooms 0 to n - 1 of a seed to learn from, of which the first are labelled, and those behind them held out."""
    check_counts(settings)
    n, total, parts = settings.pictures, settings.pictures + settings.held_out, list[Pictures]()
    for first in range(0, total, AT_ONCE):
        parts.append(from_rooms(min(AT_ONCE, total - first), settings.size, seed, first=first))
        progress(min(first + AT_ONCE, total), total)
    images, y = np.concatenate([p.images for p in parts]), np.concatenate([p.y for p in parts])
    told = f"rooms 0 to {n - 1} of seed {seed} to learn from, {n} to {total - 1} held out"
    k = settings.labelled
    return Data(
        images[:n], y[:k], y[k:n], images[n:], y[n:], parts[0].bounds, parts[0].unit, (), (), (), {}, (told,)
    )  # fmt: skip


def gather_folder(
    folder: Path, settings: DepthSettings, seed: int, *, unit: Unit, per_metre: float | None, asked: int | None
) -> Data:
    """Squares of a folder's pictures; a fifth of those with depth is held out, whole pictures with all their squares.

    Args:
        asked: how many labelled pictures the user wants; None: as the settings say, or all where there are fewer.

    Raises:
        DataFileError: see `open_pairs`; one picture with depth alone.
        SettingError: more labelled pictures than there are.
    """
    pairs = open_pairs(folder, unit=unit, per_metre=per_metre)
    n = len(pairs)
    if n < 2:
        raise DataFileError(f"{folder}: one picture has depth; two or more were expected, one of them is held out.")
    order = np.random.default_rng([seed, n]).permutation(n)
    held = max(1, min(settings.held_out, int(HELD_SHARE * n)))
    if asked is not None and asked > n - held:
        raise SettingError(
            f"labelled {asked}: {folder} has {counted(n, 'picture')} with depth, of which {held} held out: "
            f"1 to {n - held} can be labelled."
        )
    taken = min(settings.labelled if asked is None else asked, n - held)
    out, own = sorted(order[:held].tolist()), sorted(order[held : held + taken].tolist())
    rest = [i for i in range(len(pairs.names)) if i not in {*out, *own}]
    cut = partial(from_pairs, size=settings.size, crops=settings.crops, seed=seed)
    labelled = cut(pairs.some(own))  # these alone decide how depth is scaled
    others = cut(pairs.some(rest), bounds=(labelled.z_min, labelled.z_max)) if rest else _none(labelled)
    held_out = cut(pairs.some(out), bounds=(labelled.z_min, labelled.z_max))
    told = (
        f"{counted(taken, 'picture')} whose depth is told to the heads, {len(rest)} others to learn from, {held} held "
        f"out; {counted(settings.crops, 'square')} of each (seed {seed}); z_min {labelled.z_min:.4g}, z_max "
        f"{labelled.z_max:.4g}: percentiles 1 and 99 of inverse depth"
    )
    return Data(
        np.concatenate([labelled.images, others.images]), labelled.y, others.y, held_out.images, held_out.y,
        labelled.bounds, labelled.unit, tuple(pairs.names[i] for i in (*own, *rest)),
        tuple(pairs.names[i] for i in own), tuple(pairs.names[i] for i in out), _prints(pairs),
        (*pairs.remarks, told),
    )  # fmt: skip


def _none(of: Pictures) -> Pictures:
    return replace(of, images=of.images[:0], y=of.y[:0], names=())


def _prints(pairs: Pairs) -> dict[str, str]:
    """A checksum of each picture's bytes, and of its depth's."""
    found = {}
    for name, match in zip(pairs.names, pairs.matches, strict=True):
        made = hashlib.blake2b(digest_size=PRINT_BYTES)
        for file in (match.picture, match.depth):
            made.update(b"" if file is None else hashlib.blake2b(file.read_bytes()).digest())
        found[name] = made.hexdigest()
    return found


def whole_maps(y: Maps) -> Maps:
    """(k, s, s) depth maps that are known on half of their pixels or more, the rest from the nearest known pixel.

    Raises:
        DataFileError: there is no such map.
    """
    from scipy.ndimage import distance_transform_edt

    found = []
    for one in y:
        unknown = ~np.isfinite(one)
        if unknown.mean() > 1 - WHOLE_ENOUGH:
            continue
        rows, columns = distance_transform_edt(unknown, return_distances=False, return_indices=True)
        found.append(one[rows, columns])
    if not found:
        raise DataFileError(
            "no depth map to learn from is known on half of its pixels: give --set prior.learns=predicted, so that the "
            "prior learns from what the strong head says, or --set prior.steps=0, to leave it out."
        )
    return np.stack(found)

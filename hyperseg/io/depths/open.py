"""`open_pairs`: a folder of pictures with depth, looked through before any work begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError
from hyperseg.core.words import counted, listed
from hyperseg.io.depths.decode import decode_depth, decode_picture, orientation_of, size_of
from hyperseg.io.depths.names import OTHER_VIEW, Found, Match, find_pairs
from hyperseg.io.depths.unit import DOUBTFUL, Meaning, Unit, check_plausible, check_unit, in_metres, meaning_of

SURVEYED = 256  # depth maps that are read before work begins; of more, as many that lie evenly among them
SIDEWAYS = 5  # orientations of EXIF from which on a viewer shows columns as rows
APART = 100.0  # medians so many times each other's are of two units


@dataclass(frozen=True)
class Pairs:
    """Pictures with depth, and pictures without; files are read when they are asked for.

    Attributes:
        names: of all pictures, those with depth first.
        unit: "m" (metres), or "disparity": inverse depth up to a factor.
        remarks: what was found and judged, for who wants to know: one line each.
        matches: the files.
        given: unit and numbers per metre as the user gave them.
    """

    names: tuple[str, ...]
    unit: Literal["m", "disparity"]
    remarks: tuple[str, ...]
    matches: tuple[Match, ...]
    given: tuple[Unit, float | None] = ("auto", None)

    def __len__(self) -> int:
        """How many pictures have depth."""
        return sum(match.depth is not None for match in self.matches)

    def some(self, which: Sequence[int]) -> Pairs:
        """Some of the pictures, by number."""
        return replace(
            self, matches=tuple(self.matches[i] for i in which), names=tuple(self.names[i] for i in which)
        )  # fmt: skip

    def pair(self, i: int) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Picture (h, w, 3) and depth (h, w) in `unit`, NaN where there is none.

        Raises:
            DataFileError: unreadable, of different sizes, or no depth at all in the map.
        """
        match = self.matches[i]
        if match.depth is None:
            raise IndexError(f"picture {i} ({match.name}) has no depth")
        z, meaning = _read(match.depth, *self.given, match.disparity)
        rgb = decode_picture(match.picture)
        if rgb.shape[:2] != z.shape and orientation_of(match.picture) != 1:  # the depth may be of what viewers show
            rgb = decode_picture(match.picture, upright=True)
        _check_sizes(match, rgb.shape[:2], z.shape)
        if meaning.unit != self.unit:
            raise DataFileError(f"{match.depth}: holds {meaning.said}, other files here do not. Give the unit.")
        return rgb, z

    def picture(self, i: int) -> NDArray[np.uint8]:
        """Picture (h, w, 3); from `len` on those without depth.

        Raises:
            DataFileError: unreadable.
        """
        return decode_picture(self.matches[i].picture, upright=True)


def open_pairs(folder: str | Path, *, unit: Unit = "auto", per_metre: float | None = None) -> Pairs:
    """Pictures with depth in a folder.

    Sizes are compared, and up to 256 depth maps are read to judge their unit, before anything is given back.

    Args:
        folder: color/ and depth/ (or rgb/, images/; disparity/), or NAME.png beside NAME_depth.png or NAME_disp.npz.
        unit: of the depth; "auto" judges, see `unit.meaning_of`.
        per_metre: instead of a unit, how many of the numbers are one metre: 5000 for TUM.

    Raises:
        DataFileError: no pairs, a file that cannot be read, depth of another size than its picture, no depth in a
            map, a range that no camera sees, or files of different units.
        SettingError: an unknown unit, or a unit and a number per metre.
    """
    check_unit(unit, per_metre)
    place = Path(folder)
    found = find_pairs(place)
    for match in found.pairs:
        _check_sizes(match, size_of(match.picture), None if match.depth is None else size_of(match.depth))
    step = max(1, -(-len(found.pairs) // SURVEYED))
    seen = [_seen(match, unit, per_metre) for match in found.pairs[::step]]
    _check_alike(seen)
    matches = (*found.pairs, *found.alone)
    remarks = (*_told_files(found), *_told_range(seen, len(found.pairs)))
    names = tuple(match.name for match in matches)
    return Pairs(names, seen[0].meaning.unit, remarks, matches, (unit, per_metre))


def read_depth(file: str | Path, unit: Unit = "auto", *, per_metre: float | None = None) -> NDArray[np.float32]:
    """(h, w) float32 depth of a file in metres, or disparity; NaN where there is none.

    Raises:
        DataFileError: unreadable, no depth in it, or a range that no camera sees.
        SettingError: as `open_pairs`.
    """
    check_unit(unit, per_metre)
    z, meaning = _read(Path(file), unit, per_metre, False)
    check_plausible(float(np.nanmedian(z)), Path(file), meaning)
    return z


@dataclass(frozen=True)
class _Seen:
    """What was seen in one depth map: its least, middle and greatest number, and the share without one."""

    file: Path
    meaning: Meaning
    least: float
    median: float
    most: float
    holes: float


def _seen(match: Match, unit: Unit, per_metre: float | None) -> _Seen:
    assert match.depth is not None
    z, meaning = _read(match.depth, unit, per_metre, match.disparity)
    known = z[np.isfinite(z)]
    return _Seen(
        match.depth, meaning, float(known.min()), float(np.median(known)), float(known.max()), 1 - known.size / z.size
    )


def _read(
    file: Path, unit: Unit, per_metre: float | None, disparity: bool
) -> tuple[NDArray[np.float32], Meaning]:  # fmt: skip
    raw = decode_depth(file)
    meaning = meaning_of(raw, file, unit=unit, per_metre=per_metre, disparity=disparity)
    z = in_metres(raw, meaning)
    if not np.isfinite(z).any():
        raise DataFileError(
            f"{file}: holds no depth at all (each of its {z.size} numbers is 0, below 0 or not finite). "
            "Take it away, and its picture counts as one without depth."
        )
    return z, meaning


def _check_sizes(match: Match, picture: tuple[int, ...] | None, depth: tuple[int, ...] | None) -> None:
    if picture is None or depth is None or picture == depth:
        return
    if picture[::-1] == depth and orientation_of(match.picture) >= SIDEWAYS:
        return
    assert match.depth is not None
    raise DataFileError(
        f"{match.depth}: has {depth[0]}x{depth[1]} pixels, its picture {match.picture.name} has "
        f"{picture[0]}x{picture[1]}; depth for each pixel of the picture was expected. Bring both to one size."
    )


def _check_alike(seen: list[_Seen]) -> None:
    """Refuse metres beside disparity, and medians that are a thousand times each other's; then what no camera sees."""
    first = seen[0]
    for one in seen:
        if one.meaning.unit != first.meaning.unit:
            raise DataFileError(
                f"{one.file}: holds {one.meaning.said}, {first.file.name} holds {first.meaning.said}; one kind in "
                "a folder was expected. Keep them apart, or give the unit."
            )
    low, high = min(seen, key=lambda one: one.median), max(seen, key=lambda one: one.median)
    if high.median >= APART * low.median:
        name = "m" if first.meaning.unit == "m" else "of disparity"
        raise DataFileError(
            f"{high.file}: its median is {high.median:.4g} {name}, that of {low.file.name} {low.median:.4g}, "
            f"{high.median / low.median:.3g} times less: the files are in two units. Bring them to one."
        )
    for one in seen:
        check_plausible(one.median, one.file, one.meaning)


def _told_files(found: Found) -> list[str]:
    said = []
    if found.alone:
        names = listed([match.picture.name for match in found.alone], most=3)
        said.append(f"{counted(len(found.alone), 'picture')} without depth ({names}): used as unlabelled")
    if views := [match.picture.name for match in found.alone if match.picture.stem.lower().endswith(OTHER_VIEW)]:
        said.append(
            f"{listed(views, most=3)}: by the name another view, for which the depth of the first does not hold"
        )
    if found.stray:
        names = listed([path.name for path in found.stray], most=3)
        said.append(f"{counted(len(found.stray), 'depth map')} without a picture ({names}): left out")
    return said


def _told_range(seen: list[_Seen], n: int) -> list[str]:
    medians = np.median([one.median for one in seen])
    least, most = min(one.least for one in seen), max(one.most for one in seen)
    holes = float(np.mean([one.holes for one in seen]))
    kinds = sorted({one.meaning.said for one in seen})
    name = " m" if seen[0].meaning.unit == "m" else ""
    counts = f"{counted(n, 'picture')} with depth" + (f" ({len(seen)} looked at)" if len(seen) < n else "")
    said = [
        f"{counts}: {least:.4g} to {most:.4g}{name}, median {medians:.4g}{name}, {100 * holes:.1f} % without depth; "
        f"read as {listed(kinds)}"
    ]
    if doubtful := [one for one in seen if _doubtful(one)]:
        said.append(
            f"{doubtful[0].file.name}: a median of {doubtful[0].median:.3g} m is far for a room; where 5000 (TUM) or "
            "8000 (SUN, near things) of its numbers are one metre, give that"
        )
    return said


def _doubtful(one: _Seen) -> bool:
    return one.meaning.unit == "m" and one.meaning.said.startswith("millimetres, as whole") and one.median > DOUBTFUL

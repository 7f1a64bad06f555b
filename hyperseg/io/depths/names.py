"""Which files of a folder are pictures, which are depth, and which of them belong together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from hyperseg.core import DataFileError
from hyperseg.core.words import counted, some
from hyperseg.io.cases.names import without_word

PICTURE_ENDINGS = (".png", ".jpg", ".jpeg", ".ppm", ".bmp", ".tif", ".tiff")
DEPTH_ENDINGS = (".png", ".pgm", ".tif", ".tiff", ".npy", ".npz", ".pfm")
ONLY_DEPTH = (".npy", ".npz", ".pfm", ".pgm")  # no picture is ever in one of these
PICTURE_FOLDERS = ("color", "colour", "colors", "colours", "rgb", "image", "images", "img", "imgs", "left")
DISPARITY_FOLDERS = ("disparity", "disparities", "disp", "disps")
DEPTH_FOLDERS = ("depth", "depths", *DISPARITY_FOLDERS)
PICTURE_WORDS = "colou?rs?|rgb|images?|imgs?|left"
DISPARITY_WORDS = "disparit(?:y|ies)|disps?"
DEPTH_WORDS = f"depths?|{DISPARITY_WORDS}"
OTHER_VIEW = "right"
EXPECTED = (
    "color/ with pictures and depth/ (or disparity/) with files of the same names, or NAME.png (or NAME_color.png) "
    "beside NAME_depth.png (or NAME_disp.npz)"
)


@dataclass(frozen=True)
class Match:
    """A picture and, where there is one, its depth.

    Attributes:
        name: what the names of both have in common.
        picture: its file.
        depth: its file, or None.
        disparity: the name of the file or of its folder says that it holds disparity.
    """

    name: str
    picture: Path
    depth: Path | None = None
    disparity: bool = False


@dataclass(frozen=True)
class Found:
    """The files of a folder.

    Attributes:
        pairs: pictures with depth, by name.
        alone: pictures without.
        stray: depth without a picture.
    """

    pairs: tuple[Match, ...]
    alone: tuple[Match, ...]
    stray: tuple[Path, ...]


def find_pairs(folder: Path) -> Found:
    """Which files of a folder belong together, by their names alone.

    Raises:
        DataFileError: no such folder, no pairs in it, or two files for one place.
    """
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "does not exist"
        raise DataFileError(f"{folder}: {what}; a folder was expected that holds {EXPECTED}.")
    inner = {path.name.lower(): path for path in _listed(folder) if path.is_dir()}
    of_pictures = [inner[name] for name in PICTURE_FOLDERS if name in inner]
    of_depth = [inner[name] for name in DEPTH_FOLDERS if name in inner]
    for kind, folders in (("pictures", of_pictures), ("depth", of_depth)):
        if len(folders) > 1:
            names = " and ".join(f"{path.name}/" for path in folders)
            raise DataFileError(f"{folder}: holds {names}, two folders of {kind}. Leave one of them there.")
    if of_pictures and of_depth:
        pictures = _files(of_pictures[0], PICTURE_ENDINGS)
        depths = _files(of_depth[0], DEPTH_ENDINGS)
        disparity = of_depth[0].name.lower() in DISPARITY_FOLDERS
    else:
        depths = [path for path in _files(folder, DEPTH_ENDINGS) if _is_depth(path)]
        taken = set(depths)
        pictures = [path for path in _files(folder, PICTURE_ENDINGS) if path not in taken]
        disparity = False
    found = _matched(pictures, depths, disparity)
    if not found.pairs:
        raise DataFileError(f"{folder}: no picture with depth was found ({_held(found, inner)}). Expected: {EXPECTED}.")
    return found


def _held(found: Found, inner: Iterable[str]) -> str:
    """What a folder holds that gave no pair."""
    if found.alone and found.stray:
        return f"the names of {found.alone[0].picture.name} and {found.stray[0].name} do not agree"
    if found.alone or found.stray:
        n, kind = (len(found.alone), "picture") if found.alone else (len(found.stray), "depth map")
        return f"it holds only {counted(n, kind)}"
    return f"it holds {some([f'{name}/' for name in sorted(inner)], 4)}" if inner else "it holds no such files"


def _matched(pictures: list[Path], depths: list[Path], disparity: bool) -> Found:
    of_picture = _by_name(pictures, lambda path: _bare(path.stem, PICTURE_WORDS))
    of_depth = _by_name(depths, lambda path: _bare(path.stem, DEPTH_WORDS))
    pairs, alone = [], []
    for name, picture in of_picture.items():
        depth = of_depth.get(name)
        if depth is None:
            alone.append(Match(name, picture))
        else:
            says = disparity or without_word(depth.stem, DISPARITY_WORDS) is not None
            pairs.append(Match(name, picture, depth, says))
    return Found(tuple(pairs), tuple(alone), tuple(of_depth[name] for name in of_depth if name not in of_picture))


def _by_name(paths: list[Path], name_of: Callable[[Path], str]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in paths:
        first = found.setdefault(name_of(path), path)
        if first is not path:
            raise DataFileError(f"{path}: {first.name} is of the same name; one file for each was expected.")
    return found


def _bare(stem: str, words: str) -> str:
    """The stem without such a word at its end or beginning."""
    return (without_word(stem, words) or (stem, 0))[0]


def _is_depth(path: Path) -> bool:
    return path.suffix.lower() in ONLY_DEPTH or without_word(path.stem, DEPTH_WORDS) is not None


def _files(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    return [
        path
        for path in _listed(folder)
        if path.suffix.lower() in endings and not path.name.startswith(".") and path.is_file()
    ]


def _listed(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise DataFileError(f"{folder}: cannot be listed ({error.strerror}). Check its rights.") from error

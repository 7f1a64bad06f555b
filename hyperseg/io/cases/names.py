"""What a file's name says: its format, its channel, whether it is an image or a label, and of which case."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from hyperseg.core import DataFileError

VOLUMES = (".nii.gz", ".nii")
PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
ARRAYS = (".npy",)
PACKED = (".h5", ".hdf5", ".npz")  # image and label in one file
ENDINGS = (*VOLUMES, *PICTURES, *ARRAYS, *PACKED)
KNOWN = ".nii.gz, .nii, .png, .jpg, .tif, .bmp, .npy, .npz, .h5"

LABEL_WORDS = "masks?|labels?|segs?|segmentations?|gt|groundtruth|ground_truth|annotations?|annot|inst|instances?"
IMAGE_WORDS = "images?|imgs?|volumes?|scans?"
_AFTER = r"[ _.\-](?:{words})(?:[ _.\-]?(?P<n>\d+))?"
_BEFORE = r"(?:{words})[ _.\-]"
OBJECTS = re.compile(r"(^|[ _.\-])inst(ances?)?($|[ _.\-])", re.IGNORECASE)
NUMBERED = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
SEQUENCE = re.compile(
    r"(?P<case>.+?)[_\-.](?P<channel>t1|t1c|t1ce|t1gd|t1n|t1w|t2|t2f|t2w|t2s|flair|pd|adc|dwi|cbf|cbv|mtt|ct|pet|suv|"
    r"red|green|blue|nir|dapi|gfp)",
    re.IGNORECASE,
)


def ending_of(path: Path) -> str:
    """How the name ends, of the `ENDINGS`; empty for others, and for hidden files."""
    name = path.name.lower()
    return "" if name.startswith(".") else next((end for end in ENDINGS if name.endswith(end)), "")


def stem_of(path: Path) -> str:
    """The name without its format."""
    return path.name[: len(path.name) - len(ending_of(path))]


def files_in(folder: Path) -> list[Path]:
    """The images and labels in a folder, by name; hidden files and other formats are left out.

    Raises:
        DataFileError: the folder cannot be read.
    """
    try:
        return sorted(path for path in folder.iterdir() if ending_of(path) and path.is_file())
    except OSError as error:
        raise DataFileError(f"{folder}: cannot be listed ({error.strerror}). Check its rights.") from error


def without_word(stem: str, words: str) -> tuple[str, int] | None:
    """The stem without such a word at its end or its beginning, and the number behind it (0); None without one."""
    after = re.fullmatch(f"(?P<case>.+?){_AFTER.format(words=words)}", stem, re.IGNORECASE)
    if after:
        return after["case"], int(after["n"] or 0)
    before = re.fullmatch(f"{_BEFORE.format(words=words)}(?P<case>.+)", stem, re.IGNORECASE)
    return (before["case"], 0) if before else None


def by_channel(
    files: Iterable[Path], labels: Iterable[Path] = ()
) -> tuple[dict[str, dict[str, Path]], bool, list[tuple[Path, Path]]]:
    """Files by case and channel, the channel from `_0000` or `_t1` at the end of a name; "" where no name has one.

    Numbers count where every case has a 0000 and no label has a name with one (scan_0001.png with scan_0001.png are
    cases); words such as t1 where some case has two of them: a set of one sequence has no channels to tell apart.

    Returns:
        {case: {channel: file}}, whether names were taken apart, and files left out for another of the same name, each
        with that one.
    """
    paths = list(files)
    taken = {name for path in labels for name in (stem_of(path), (without_word(stem_of(path), LABEL_WORDS) or "x")[0])}
    if not any(stem_of(path) in taken for path in paths):
        for pattern, fewest in ((NUMBERED, 1), (SEQUENCE, 2)):
            matches = [(path, pattern.fullmatch(stem_of(path))) for path in paths]
            found, twice = _placed((m["case"], m["channel"].lower(), path) for path, m in matches if m)
            if not paths or not all(match for _, match in matches) or max(map(len, found.values())) < fewest:
                continue
            if pattern is SEQUENCE or all("0000" in channels for channels in found.values()):
                return found, True, twice
    found, twice = _placed((stem_of(path), "", path) for path in paths)
    return found, False, twice


def _placed(named: Iterable[tuple[str, str, Path]]) -> tuple[dict[str, dict[str, Path]], list[tuple[Path, Path]]]:
    """Files by case and channel; a second file of one place is kept apart, beside the first."""
    found: dict[str, dict[str, Path]] = {}
    twice = []
    for case, channel, path in named:
        first = found.setdefault(case, {}).setdefault(channel, path)
        if first is not path:
            twice.append((path, first))
    return found, twice


def case_of_label(path: Path, images: Mapping[str, object], plain: Mapping[str, str]) -> tuple[str, int] | None:
    """Which of the `images` (by case) a label belongs to, and its number among several masks; None for none.

    The same name, or the same after a word for labels is taken off it, or after words for images are taken off theirs.

    Args:
        path: of the label.
        images: cases by the names of their images.
        plain: such a name by itself without its word for images.
    """
    stem = stem_of(path)
    if stem in images:
        return stem, 0
    numbered = NUMBERED.fullmatch(stem)
    if numbered and numbered["case"] in images:
        return numbered["case"], int(numbered["channel"])
    name, number = without_word(stem, LABEL_WORDS) or (stem, 0)
    if name in images:
        return name, number
    return (plain[name], number) if name in plain else None


def plain_names(images: Iterable[str]) -> dict[str, str]:
    """Cases by what is left of the names of their images when a word for images is taken off."""
    found = ((without_word(name, IMAGE_WORDS), name) for name in images)
    return {match[0]: name for match, name in found if match}

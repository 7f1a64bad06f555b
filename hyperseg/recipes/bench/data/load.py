"""The table of data with a name, and the one function that loads them or a folder."""

from __future__ import annotations

import os
from pathlib import Path

from hyperseg.core import DataFileError, SettingError
from hyperseg.core.parts import Entry, Parts
from hyperseg.core.settings import from_json, hints_of, parsed
from hyperseg.core.words import did_you_mean
from hyperseg.recipes.bench.data.pictures import Choice, Pictures

HOME = "hyperseg.recipes.bench.data"
PICTURES = Parts(
    "data set",
    {
        "digits": Entry(f"{HOME}.digits:load_digits", "1797 handwritten digits, 8 x 8, always at hand"),
        "cifar10": Entry(f"{HOME}.cifar10:load_cifar10", "CIFAR-10 as JPEG, 50 000 + 10 000 images, 32 x 32 x 3"),
        "indian-pines": Entry(f"{HOME}.pines:load_patches", "Indian Pines: patches of 9 x 9 pixels, 3 components"),
        "indian-pines-spectra": Entry(f"{HOME}.pines:load_spectra", "Indian Pines: spectra of labelled pixels"),
    },
)
"""Each is (folder or None, Choice) -> Pictures; the choice may be looked at to read less."""
SPELLED = "NAME:size=16,classes=2,n=2000"


def load_pictures(name_or_dir: str, *, folder: Path | None = None) -> Pictures:
    """A set by its name, or the images of a folder.

    Args:
        name_or_dir: one of `PICTURES`, or a folder; behind a colon what is taken of it, see `Choice`.
        folder: where the files of a named set are; None looks in HYPERSEG_DATA.

    Raises:
        DataFileError: neither a name nor a folder, or files that are missing, broken, too few or of mixed size.
        SettingError: a choice that the set does not allow.
    """
    name, choice = _parsed(name_or_dir)
    if name in PICTURES:
        found: Pictures = PICTURES[name](folder, choice)
    elif Path(name).is_dir():
        from hyperseg.recipes.bench.data.folder import load_folder

        found = load_folder(Path(name))
    else:
        what = "is a file" if os.path.exists(name) else "no such folder"
        raise DataFileError(
            f"{name}: {what}; a folder of images or one of the sets {', '.join(PICTURES)} was expected."
            f"{did_you_mean(name, PICTURES)}"
        )
    return found.subset(choice)


def name_of(name_or_dir: str) -> str:
    """The name that `load_pictures` gives what it loads, without loading it.

    Raises:
        SettingError: a choice that is not understood.
    """
    name, choice = _parsed(name_or_dir)
    if name in PICTURES:
        return choice.name_of(name)
    from hyperseg.recipes.bench.data.folder import folder_name

    return choice.name_of(folder_name(Path(name)))


def _parsed(text: str) -> tuple[str, Choice]:
    name, colon, rest = text.rpartition(":")
    if not colon or os.path.exists(text) or "=" not in rest:
        return text, Choice()
    hints, given = hints_of(Choice), {}
    for word in rest.split(","):
        key, _, value = (part.strip() for part in word.partition("="))
        if not value or key in given or key not in hints:
            raise SettingError(
                f"{text}: {word!r} is not understood; it is spelled {SPELLED}.{did_you_mean(key, hints)}"
            )
        given[key] = parsed(value, hints[key], key)
    return name, from_json(Choice, given, name)

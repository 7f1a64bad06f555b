"""The public data sets: find a card, look where its files are, check their content, open them as a `Scene`.

Files are recognised by content (shape, value range, label histogram), not by checksum: copies of these scenes
travel in several packings, and what matters is that the numbers are the published ones.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, DataFileError, Grid, Scene, SettingError
from hyperseg.core.words import nearest
from hyperseg.io.card import Card, FileEntry, read_card

CACHE_VARIABLE = "HYPERSEG_CACHE"
_BUILT_IN = {"indian-pines": ("tensorly", "datasets/data", ("Indian_pines_corrected.npy", "Indian_pines_gt.npy"))}


@lru_cache(maxsize=1)
def cards() -> Mapping[str, Card]:
    """All cards by name, in alphabetical order; read once."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "datasets", package.parent / "datasets"):  # in a wheel; in a checkout
        paths = sorted(folder.glob("*.toml"))
        if paths:
            return {card.name: card for card in map(read_card, paths)}
    raise DataFileError(f"no data set cards in {package / 'datasets'}: the installation is incomplete.")


def find_card(name_or_alias: str) -> Card | None:
    """The card of that name, title or alias (case, blanks and dashes do not matter), or None."""
    return _known().get(_plain(name_or_alias))


def load_card(name: str) -> Card:
    """The card of that name, title or alias.

    Raises:
        SettingError: for an unknown name, with the known ones and the nearest.
    """
    card = find_card(name)
    if card is None:
        raise SettingError(unknown_card(name))
    return card


def unknown_card(name: str) -> str:
    """That no data set is called so, with the nearest name and all of them."""
    near = nearest(_plain(name), _known(), cutoff=0.5)
    hint = f" Did you mean {_known()[near].name}?" if near else ""
    return f"no data set is called {name!r}.{hint} Known: {', '.join(cards())}."


def cache_folder() -> Path:
    """Where downloaded files lie: HYPERSEG_CACHE, or the user's cache folder of the operating system."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("hyperseg"))


def locate(card: Card, *, cache: Path | str | None = None) -> dict[str, Path]:
    """Files of the card that are there, by their name on the card; a `.npy` of the same stem counts too.

    Looks in `cache` (or the cache folder) and in its subfolder named like the card.
    """
    folder = cache_folder() if cache is None else Path(cache).expanduser()
    found = {}
    for entry in card.files:
        names = (Path(entry.name), Path(entry.name).with_suffix(".npy"))
        present = [p for where in (folder / card.name, folder) for p in map(where.joinpath, names) if p.is_file()]
        if present:
            found[entry.name] = present[0]
    return found


def built_in_files(card: Card) -> dict[str, Path]:
    """Files an installed package carries, by their name on the card; the package is not imported."""
    if card.name not in _BUILT_IN:
        return {}
    package, folder, names = _BUILT_IN[card.name]
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        return {}
    paths = {e.name: Path(spec.origin).parent / folder / name for e, name in zip(card.files, names, strict=True)}
    return paths if all(path.is_file() for path in paths.values()) else {}


Whereabouts = Literal["built in", "in cache", "incomplete", "not here"]


def whereabouts(card: Card, *, cache: Path | str | None = None) -> Whereabouts:
    """Where the files are: in an installed package, all in the cache, only some of them, or nowhere."""
    if built_in_files(card):
        return "built in"
    found = locate(card, cache=cache)
    if len(found) == len(card.files):
        return "in cache"
    return "incomplete" if found else "not here"


def open_card(card: Card, *, cache: Path | str | None = None) -> Scene:
    """Load cube and labels of a data set and check that they are what the card says.

    Files come from the folder `cache`. Where it holds none of them, and by default, the copy that an installed
    package carries is taken; by default, the cache folder comes after that.

    Returns:
        A scene with int16 labels (file code 0 becomes -1), classes, colours, wavelengths and licence.

    Raises:
        DataFileError: for missing files (with where to get them) and for files of other content.
    """
    found = {} if cache is None else locate(card, cache=cache)
    found = found or built_in_files(card) or locate(card, cache=cache)
    missing = [entry.name for entry in card.files if entry.name not in found]
    if missing:
        folder = (cache_folder() / card.name) if cache is None else Path(cache).expanduser()
        raise DataFileError(f"{card.title}: {', '.join(missing)} not found. {by_hand(card, folder)}")
    (cube,) = (read_file(entry, found[entry.name]) for entry in card.files if entry.role == "cube")
    parts = [np.asarray(read_file(e, found[e.name])) for e in card.files if e.role == "labels"]
    labels = to_labels(card, parts)
    verify_cube(card, cube)
    verify_labels(card, labels)
    where = ", ".join(str(found[entry.name]) for entry in card.files)
    approximate = " Band centres are approximate." if card.wavelength_kind == "approximate" else ""
    return Scene(
        cube=cube,
        labels=labels,
        classes=card.class_names,
        codes=tuple(entry.code for entry in card.classes),
        colours=card.colours,
        groups=card.groups,
        grid=Grid(spacing=(card.pixel_m, card.pixel_m), unit="m"),
        wavelengths_nm=np.array(card.wavelengths_nm) if card.wavelengths_nm else None,
        good_bands=card.good_bands(),
        rgb_bands=card.rgb_bands,
        name=card.name,
        source=f"{card.citation}. Licence: {card.licence}.{approximate} Files: {where}",
    )


def by_hand(card: Card, folder: Path) -> str:
    """One sentence: where to get the files, how they are called, where to put them."""
    names = ", ".join(entry.name for entry in card.files)
    fetchable = all(entry.url for entry in card.files)
    first = f"Run `hyperseg datasets fetch {card.name}`, or get" if fetchable else "Get"
    return f"{first} {names} by hand from {card.sources[-1]} and put them into {folder}."


def read_file(entry: FileEntry, path: Path) -> Any:
    """The array of one file of a card; a file with a single array is read whatever that array is called."""
    if path.suffix == ".npy":
        try:
            return np.load(path, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise DataFileError(f"{path}: not a readable .npy array ({error}). Fetch it again.") from error
    from hyperseg.io.read import read_array

    ndim = 3 if entry.role == "cube" else 2
    try:
        return read_array(path, key=entry.key, ndim=ndim)
    except DataFileError as named:
        try:
            return read_array(path, ndim=ndim)
        except DataFileError:
            raise named from None


def to_labels(card: Card, raw: list[NDArray[Any]]) -> NDArray[np.int16]:
    """Translate the codes of the label file (or of several, merged) to classes 0..K-1, 0 to -1.

    Codes other than those of the card are accepted where they run from 1 to K.

    Raises:
        DataFileError: for shapes that differ from the card's and codes that are not its own.
    """
    for array in raw:
        if array.shape != card.size:
            raise DataFileError(f"{card.title}: the labels have shape {array.shape}, expected {card.size}.")
    merged = np.zeros(card.size, np.int64)
    for array in raw:
        merged = np.where(merged == 0, array.astype(np.int64), merged)
    codes = [entry.code for entry in card.classes]
    found = set(np.unique(merged).tolist()) - {0}
    if not found <= set(codes):
        codes = list(range(1, len(codes) + 1))
    if not found <= set(codes):
        strange = sorted(found - {entry.code for entry in card.classes})
        raise DataFileError(f"{card.title}: label codes {strange} are not on the card, expected 0 and {codes}.")
    labels = np.full(card.size, UNLABELLED, np.int16)
    for k, code in enumerate(codes):
        labels[merged == code] = k
    return labels


def verify_cube(card: Card, cube: Any) -> None:
    """Check shape and values of the cube: the exact extremes where the card knows them, else only bounds.

    Raises:
        DataFileError: with what was found and what was expected; so does `verify_labels`.
    """
    shape, expected = tuple(cube.shape), (*card.size, card.bands)
    if shape != expected:
        hint = " The axes look permuted." if sorted(shape) == sorted(expected) else ""
        raise DataFileError(f"{card.title}: the cube has shape {shape}, expected {expected}.{hint}")
    values = np.asarray(cube[:])
    low, high = float(values.min()), float(values.max())
    right = (low, high) == (card.low, card.high) if card.exact else card.low <= low < high <= card.high
    if not right:  # NaN fails every comparison
        limits = "exactly" if card.exact else "different values within"
        raise DataFileError(
            f"{card.title}: the cube's values run from {low:g} to {high:g}, expected {limits} "
            f"{card.low:g} to {card.high:g}. It is damaged or a scaled copy: take that of the source page."
        )


def verify_labels(card: Card, labels: NDArray[np.int16]) -> None:
    """Check shape and histogram of the translated labels."""
    if labels.shape != card.size:
        raise DataFileError(f"{card.title}: the labels have shape {labels.shape}, expected {card.size}.")
    found = np.bincount(labels[labels != UNLABELLED], minlength=len(card.classes))
    if found.tolist() != list(card.counts):
        pairs = zip(card.class_names, found.tolist(), card.counts, strict=False)
        wrong = "; ".join(f"{name}: {n} pixels, expected {m}" for name, n, m in pairs if n != m)
        doubt = "" if card.counts_measured else " Or the card is wrong: its counts are quoted, not measured."
        raise DataFileError(
            f"{card.title}: {int(found.sum())} labelled pixels, expected {card.labelled} ({wrong}). "
            f"This is another version of the ground truth, or a damaged file.{doubt}"
        )


def _known() -> dict[str, Card]:
    """Cards by name, title and alias, as `_plain` spells them."""
    return {_plain(word): card for card in cards().values() for word in (card.name, card.title, *card.aliases)}


def _plain(name: str) -> str:
    return "".join(letter for letter in name.casefold() if letter.isalnum())

"""Download the files of a card: retried, checked by content, fetched again only where missing or damaged."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hyperseg.core import DataFileError
from hyperseg.io.card import Card, FileEntry
from hyperseg.io.catalog import by_hand, cache_folder, locate, read_file, to_labels, verify_cube, verify_labels


def fetch(
    card: Card,
    *,
    cache: Path | str | None = None,
    tries: int = 3,
    wait_s: float = 2.0,
    progress: Any = None,
    tell: Callable[[str], None] = lambda message: None,
) -> dict[str, Path]:
    """Bring the files of a data set to this machine.

    A file that is there and right is left alone. A damaged one is set aside as `NAME.damaged` and fetched
    again; where that fails it gets its name back. pooch downloads to a temporary name and renames, so an
    interrupted download leaves nothing that looks whole.

    Args:
        card: from `load_card`.
        cache: folder to put them into; by default a folder of the card's name in the cache folder.
        tries: attempts per file.
        wait_s: seconds before the second attempt, doubled for each further one.
        progress: a pooch progress bar (attribute `total`; methods `update`, `reset`, `close`), or None.
        tell: called with one line per file.

    Returns:
        Paths by file name.

    Raises:
        DataFileError: without an address or a network, saying where to get the files by hand and where to put
            them; and for a download whose content is not the published data.
    """
    folder = (cache_folder() / card.name) if cache is None else Path(cache).expanduser()
    present = locate(card, cache=cache)
    paths = {}
    for entry in card.files:
        path, aside = present.get(entry.name), None
        if path is not None:
            fault = _fault(card, entry, path)
            if not fault:
                tell(f"{entry.name}: already here ({path})")
                paths[entry.name] = path
                continue
            aside = path.rename(path.with_name(path.name + ".damaged"))
            tell(f"{path} is damaged and is fetched again. {fault}")
        try:
            paths[entry.name] = _download(card, entry, folder, tries=tries, wait_s=wait_s, progress=progress)
        except DataFileError:
            if aside is not None and path is not None:
                aside.rename(path)
            raise
        tell(f"{entry.name}: fetched to {paths[entry.name]}")
    parts = [np.asarray(read_file(e, paths[e.name])) for e in card.files if e.role == "labels"]
    verify_labels(card, to_labels(card, parts))
    return paths


def _download(card: Card, entry: FileEntry, folder: Path, *, tries: int, wait_s: float, progress: Any) -> Path:
    if entry.url is None:
        raise DataFileError(f"{card.title}: {entry.name} has no public download address. {by_hand(card, folder)}")
    import pooch

    pooch.get_logger().setLevel("ERROR")
    failure: Exception | None = None
    for attempt in range(tries):
        if attempt:
            time.sleep(wait_s * 2 ** (attempt - 1))
        try:
            how = {"known_hash": None, "downloader": pooch.HTTPDownloader(progressbar=progress or False)}
            path = Path(pooch.retrieve(url=entry.url, fname=entry.name, path=folder, **how))  # the content is checked
            break
        except (OSError, ValueError) as error:  # requests' errors are OSErrors
            failure = error
    else:
        raise DataFileError(
            f"{card.title}: could not download {entry.name} from {entry.url} in {tries} tries "
            f"({type(failure).__name__}: {failure}). {by_hand(card, folder)}"
        ) from failure
    fault = _fault(card, entry, path)
    if fault:
        aside = path.replace(path.with_name(path.name + ".damaged"))
        raise DataFileError(
            f"{card.title}: what {entry.url} returned for {entry.name} is not the published data; "
            f"it is kept as {aside}. {fault} {by_hand(card, folder)}"
        )
    return path


def _fault(card: Card, entry: FileEntry, path: Path) -> str:
    """Why a file is not the card's, or an empty string."""
    try:
        array = read_file(entry, path)
        if entry.role == "cube":
            verify_cube(card, array)
        else:
            labels = to_labels(card, [np.asarray(array)])
            if len(card.files) == 2:  # label files that make up one ground truth are right only together
                verify_labels(card, labels)
    except DataFileError as error:
        return str(error)
    return ""

"""Checksums of cases: a run goes on with the very files that it was begun with."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from hyperseg.engine.progress import counted_progress
from hyperseg.io.cases import Case, CaseFolder
from hyperseg.io.paths import split_key

SIZE = 8  # bytes of a checksum


def prints_of(folder: CaseFolder, *, quiet: bool) -> dict[str, str]:
    """A checksum of each labelled case: of what its files hold, and of what is said beside them.

    Bytes are read, not dates: a copy of a data set is the same one, a mended label is another.

    Raises:
        OSError: a file cannot be read.
    """
    digest = cache(_digest)  # many cases may lie in one file
    found = {}
    with counted_progress(f"Checksums of {folder.root}", unit="cases", quiet=quiet) as progress:
        for case in folder.cases:
            made = hashlib.blake2b(repr((folder.ignore, folder.instances, case.spacing)).encode(), digest_size=SIZE)
            for name in case.files:
                file, key = split_key(name)
                made.update(digest(file))
                made.update((key or "").encode())
            found[case.name] = made.hexdigest()
            progress(len(found), len(folder.cases))
    return found


def image_prints(folder: CaseFolder, cases: Iterable[Case], *, quiet: bool) -> dict[str, str]:
    """A checksum of the images of each case, labelled or not: a copy has the same, wherever it lies.

    Raises:
        OSError: a file cannot be read.
    """
    digest, found, listed = cache(_digest), dict[str, str](), list(cases)
    with counted_progress(f"Checksums of images of {folder.root}", unit="cases", quiet=quiet) as progress:
        for case in listed:
            made = hashlib.blake2b(digest_size=SIZE)
            for file, key in map(split_key, case.images):
                made.update(digest(file) + (key or "").encode())
            found[case.name] = made.hexdigest()
            progress(len(found), len(listed))
    return found


def _digest(path: Path) -> bytes:
    """Of a file's bytes; of a folder (an array in chunks) those of all its files with their names."""
    if path.is_dir():
        made = hashlib.blake2b()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            made.update(file.relative_to(path).as_posix().encode() + _digest(file))
        return made.digest()
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "blake2b").digest()

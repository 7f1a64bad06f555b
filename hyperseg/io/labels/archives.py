"""Vector files in zip archives: which file in it is meant, and how GDAL is to open it."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from hyperseg.core import DataFileError
from hyperseg.core.words import did_you_mean, some

ZIPS = (".zip",)
SPELLINGS = ("/vsizip/", "zip://")


def split_archive(text: str) -> tuple[Path, str] | None:
    """The archive and the file in it ("" for the only one) that "/vsizip/FILE.zip/INNER" spells; None for other names.

    "/vsizip//data/f.zip/f.shp" is the archive /data/f.zip, "/vsizip/data/f.zip/f.shp" is data/f.zip, as GDAL has it.
    "zip://data/f.zip!f.shp" is understood too, and a plain name that ends in .zip.
    """
    spelt = next((s for s in SPELLINGS if text.startswith(s)), "")
    rest = text[len(spelt) :].strip("{}").replace("!", "/") if spelt else text
    head, suffix, inner = rest.partition(".zip") if ".zip" in rest else rest.partition(".ZIP")
    if not suffix or (inner and not inner.startswith("/")) or (inner and not spelt):
        return None
    file = Path(head + suffix)
    if spelt and not os.path.exists(file) and os.path.exists(Path("/", file)):  # a path drops one of two slashes
        file = Path("/", file)
    return file, inner.strip("/")


def members(archive: Path) -> list[str]:
    """Names of the files in an archive; what systems put beside is left out.

    Raises:
        DataFileError: as `reading_zip`.
    """
    with reading_zip(archive) as file:
        names = [entry.filename for entry in file.infolist() if not entry.is_dir()]
    return [n for n in names if not any(part[:1] in ".~" or part == "__MACOSX" for part in PurePosixPath(n).parts)]


def of_kind(names: Iterable[str], suffixes: tuple[str, ...]) -> list[str]:
    """The names that end in one of the suffixes; .json, which may be anything, only where nothing else does."""
    found = [n for n in names if n.lower().endswith(suffixes)]
    return [n for n in found if not n.lower().endswith(".json")] or found


def chosen(archive: Path, inner: str, suffixes: tuple[str, ...], expected: str) -> str:
    """The file in an archive that is meant: the one named (its name, path or stem), or the only one that can be.

    Raises:
        DataFileError: no archive, none in it, none of this name, or several.
    """
    found = of_kind(members(archive), suffixes)
    if inner:
        fits = [n for n in found if inner in (n, PurePosixPath(n).name, PurePosixPath(n).stem)]
        if len(fits) == 1:
            return fits[0]
        what = "several files" if fits else "no vector file"
        raise DataFileError(f"{archive}: holds {what} called {inner!r}; it holds {some(found, 12) or 'none'}."
                            f"{did_you_mean(inner, found)}")  # fmt: skip
    if len(found) == 1:
        return found[0]
    if not found:
        raise DataFileError(f"{archive}: holds no vector file ({expected}). Unpack it, and name what is meant.")
    raise DataFileError(
        f"{archive}: holds {len(found)} vector files and only you know which is meant: {some(found, 12)}. Name one as "
        f"/vsizip/{archive}/{found[0]}"
    )


def gdal_name(archive: Path, inner: str) -> str:
    """How GDAL is told to open a file of an archive."""
    return f"/vsizip/{archive.absolute()}/{inner}"


@contextmanager
def reading_zip(archive: Path) -> Iterator[zipfile.ZipFile]:
    """An open archive.

    Raises:
        DataFileError: it is none, is damaged, or asks for a password.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            if any(entry.flag_bits & 1 for entry in file.infolist()):
                raise DataFileError(f"{archive}: is encrypted; unpack it with its password, and name the file in it.")
            yield file
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, OSError, ValueError) as error:
        raise DataFileError(f"{archive}: is no zip archive that can be read ({error}). Copy it again.") from error

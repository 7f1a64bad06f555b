"""What a user's word for a file means: FILE:KEY, a file in an archive, one of GDAL's virtual files (/vsizip/)."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

from hyperseg.core import DataFileError
from hyperseg.io.labels import archives

AnyPath = str | os.PathLike[str]
VIRTUAL = re.compile(r"/vsi[a-z0-9_]+[/?]")
PACKED = re.compile(r"(/vsi(?:zip|tar|7z|rar)/)(/.+?\.(?:zip|kmz|tar|tar\.gz|tgz|7z|rar))(/.*|)", re.IGNORECASE)
SIDES = (".aux.xml", ".ovr", ".msk", ".hdr", ".tfw", ".wld", ".prj", ".imd", ".rpb")  # what GDAL looks for
RASTERS = (".tif", ".tiff", ".jp2")
MOST_MEMBERS = 10_000


def split_key(text: AnyPath) -> tuple[Path, str | None]:
    """Split "FILE:KEY" into the file and the array's name in it.

    A path that exists as given is taken as it is; the colon of a Windows drive or of a URL is none of ours. Of a zip
    archive with one raster, that raster is meant.
    """
    whole = os.fspath(text)
    if VIRTUAL.match(whole):
        folder, slash, name = whole.rpartition("/")
        file, _, key = name.partition(":")
        return virtual(folder + slash + file), key or None
    if os.path.exists(whole):
        return _unpacked(Path(whole)), None
    head, colon, key = whole.rpartition(":")
    drive = len(head) == 1 and head.isalpha() and key[:1] in ("/", "\\")
    if not colon or not head or not key or drive or key.startswith("//"):
        return Path(whole), None
    return _unpacked(Path(head)), key


def virtual(name: str) -> Path:
    """A path for one of GDAL's virtual files; its slashes count, and a path keeps no two of them in a row."""
    if packed := PACKED.fullmatch(name):
        return Path(f"{packed[1]}{{{packed[2]}}}{packed[3]}")
    for start in ("/vsigzip/", "/vsisubfile/"):
        if name.startswith(start + "/"):
            return Path(start + os.path.relpath(name.removeprefix(start)))
    return Path(name)


def is_virtual(path: Path) -> bool:
    """Whether GDAL alone knows how to reach it."""
    return VIRTUAL.match(os.fspath(path)) is not None


def for_gdal(name: AnyPath) -> str:
    """The name that GDAL is to open: of a URL, with both of its slashes."""
    return re.sub(r"^(/vsi\w+/(?:https?|ftp):)/(?=[^/])", r"\1//", os.fspath(name))


def refuse_pipes(path: Path) -> None:
    """Refuse a raster with a side file that is none: GDAL would wait for what a pipe never says.

    Raises:
        DataFileError: there is one.
    """
    for side in (*(path.with_name(path.name + end) for end in SIDES), *(path.with_suffix(end) for end in SIDES)):
        if os.path.exists(side) and not (side.is_file() or side.is_dir()):
            raise DataFileError(
                f"{side}: is no regular file but a pipe, socket or device; remove it from {path.parent}."
            )


def archive_of(path: Path) -> tuple[str, str] | None:
    """The kind of an archive and the command that unpacks it; None for other files."""
    with suppress(OSError), path.open("rb") as file:
        start = file.read(265)
        name = path.name
        tarred = start[257:262] == b"ustar" or name.lower().endswith((".tar.gz", ".tgz", ".tar.bz2", ".tar.xz"))
        if start[:4] == b"PK\3\4":
            return "zip archive", f"unzip {name}"
        if (tarred and start[:2] in (b"\x1f\x8b", b"BZ", b"\xfd7")) or start[257:262] == b"ustar":
            return "tar archive", f"tar xf {name}"
        if start[:2] == b"\x1f\x8b":
            return "gzip archive", f"gunzip {name}"
        if start[:6] == b"7z\xbc\xaf\x27\x1c":
            return "7z archive", f"7z x {name}"
        if start[:4] == b"Rar!":
            return "rar archive", f"unrar x {name}"
    return None


def members(path: Path) -> list[str]:
    """Names of the files in a zip archive, without what systems put beside; none where it cannot be read."""
    with suppress(DataFileError):
        return archives.members(path)[:MOST_MEMBERS]
    return []


def rasters_in(path: Path) -> list[str]:
    """Rasters among the members of a zip archive that GDAL opens where they are."""
    names = members(path)
    plain = [name for name in names if name.lower().endswith(RASTERS)]
    stems = {name[:-4] for name in names if name.lower().endswith(".hdr")}
    others = [name for name in names if name not in plain and not name.lower().endswith((".hdr", ".xml"))]
    return plain + [name for name in others if {name, name.rpartition(".")[0]} & stems]


def _unpacked(path: Path) -> Path:
    if path.suffix.lower() != ".zip" or not os.path.isfile(path):
        return path
    found = rasters_in(path)
    return virtual(f"/vsizip/{path}/{found[0]}") if len(found) == 1 else path

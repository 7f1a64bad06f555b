"""What a command may write: never one of its inputs, and what stands there already only when told to."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from hyperseg.core import DataFileError
from hyperseg.core.files import sweep
from hyperseg.io.formats.envi import DATA_SUFFIXES
from hyperseg.io.formats.windows import import_rasterio
from hyperseg.io.labels.vectors import split_layer
from hyperseg.io.paths import SIDES, refuse_pipes, split_key

ARCHIVED = re.compile("^/vsi[a-z0-9]+/")
RECORD = "run.json"  # a folder that holds it is a run's
# what stands beside a file and belongs to it: behind its whole name, and in place of its suffix
BEHIND = (*SIDES, ".ovr.aux.xml")
INSTEAD = (
    *SIDES, ".qml", ".rrd", ".tifw", ".xml", ".cpg", ".shp", ".shx", ".dbf", ".sbn", ".sbx", ".qix", ".dat", ".map",
    ".id", ".ind", ".mif", ".mid", ".tab",
)  # fmt: skip
RUN_FILES = frozenset(
    (RECORD, "map.tif", "map.tif.aux.xml", "map.qml", "map.png", "confidence.tif", "confidence.qml", "entropy.tif",
     "entropy.qml", "disagreement.tif", "disagreement.qml", "applicability.tif", "applicability.qml", "map-groups.tif",
     "map-groups.tif.aux.xml", "map-groups.qml", "areas.csv", "model.safetensors", "metrics.json", "report.html")
)  # fmt: skip
RUN_INPUTS = ("scene", "labels", "class_groups", "train_mask", "test_mask", "pool")


def check_targets(
    targets: Iterable[Path], *, inputs: Iterable[str | os.PathLike[str]], overwrite: bool = False
) -> None:
    """Refuse, before any work, to write what must not be written.

    A target is never an input, a file that belongs to one (header, side file, part of a Shapefile, source of a VRT),
    a file of a finished run, or what such a run was made from; nor are two targets one file. Anything else that exists
    is replaced only with `overwrite`. What killed processes left under temporary names of a target is removed.

    Args:
        targets: every file that will be written, those beside the named ones included.
        inputs: what is read, as the user named it: FILE, FILE:KEY, a run folder, a data set.
        overwrite: the user wants existing files replaced.

    Raises:
        DataFileError: naming the target, and what it would destroy.
    """
    kept = {_place(file): why for name in inputs for file, why in files_of(name)}
    seen: set[str] = set()
    for target in targets:
        there = _place(target)
        if there in seen:
            raise DataFileError(f"{target}: two outputs would write it; give them different names.")
        seen.add(there)
        reason = kept.get(there) or _inside(target, kept) or _of_a_run(target)
        if reason is None and os.path.lexists(target):
            reason = next((why for file, why in kept.items() if _same(target, file)), None)
        if reason is not None:
            raise DataFileError(f"{target}: {reason}, and would be overwritten; choose another name or folder.")
        if os.path.lexists(target) and not target.is_dir() and not overwrite:
            raise DataFileError(f"{target}: exists; choose another name, or give --overwrite to replace it.")
        sweep(target)


def files_of(name: str | os.PathLike[str]) -> Iterator[tuple[Path, str]]:
    """Every file that an input consists of, and what it is to it; of a run also what that was made from."""
    path = split_layer(split_key(name)[0])[0]
    if not os.path.exists(path):  # a data set by its name, or what lies in an archive
        inside = Path(ARCHIVED.sub("", os.fspath(name)))
        yield from ((parent, "is read here") for parent in inside.parents if parent.is_file())
        return
    record = (path if path.is_dir() else path.parent) / RECORD
    if record.is_file():
        made = f"is what the run {record.parent} was made from"
        yield from ((file, made) for stated in _made_from(record) for file in _with_companions(stated))
    if not path.is_dir():
        yield from ((file, f"belongs to {name}, which is read here") for file in _with_companions(path))
    yield path, "is read here"


def _with_companions(path: Path) -> Iterator[Path]:
    """A file, and those that belong to it: beside it and beside what it is a link to, in capitals too."""
    for place in dict.fromkeys(map(Path, (os.path.abspath(path), os.path.realpath(path)))):
        yield place
        stem = place.with_suffix("").name
        ends = INSTEAD + (DATA_SUFFIXES if place.suffix.lower() in (".hdr", *DATA_SUFFIXES) else ())
        names = {(place.name + end).lower() for end in BEHIND} | {(stem + end).lower() for end in ends}
        if place.parent.is_dir():
            yield from (file for file in place.parent.iterdir() if file.name.lower() in names and file.is_file())
    if path.suffix.lower() in (".vrt", ".tif", ".tiff") and path.is_file():
        try:
            refuse_pipes(path)  # GDAL would wait for them
            with import_rasterio().open(path) as source:
                yield from map(Path, source.files)
        except Exception:  # whoever reads it says what is wrong with it
            return


def _made_from(record: Path) -> Iterator[Path]:
    """The files that a run names as its inputs."""
    try:
        inputs = json.loads(record.read_text(encoding="utf-8")).get("inputs", {})
        named = [inputs.get(key) for key in RUN_INPUTS]
        folder = Path(inputs.get("folder") or ".")
    except (OSError, ValueError, AttributeError, TypeError):
        return
    # a folder that was moved has its files where they lay beside the run
    bases = (folder, Path(), *list(record.absolute().parents)[1:5])
    for name in filter(lambda name: isinstance(name, str), named):
        for base in bases:
            path = split_layer(split_key(base / name)[0])[0]
            if os.path.exists(path):
                yield path


def _of_a_run(target: Path) -> str | None:
    """Why a file is not replaced that stands in the folder of a run."""
    its = target.name in RUN_FILES and os.path.lexists(target) and (target.parent / RECORD).is_file()
    return f"belongs to the run {target.parent}" if its else None


def _inside(target: Path, kept: dict[str, str]) -> str | None:
    """Why nothing is written over inside a folder that is read (a Zarr store, say)."""
    above = {str(parent) for parent in Path(_place(target)).parents} if os.path.lexists(target) else set()
    return next((why for file, why in kept.items() if file in above and not (Path(file) / RECORD).is_file()), None)


def _place(path: Path) -> str:
    return os.path.realpath(path)


def _same(a: Path, b: str) -> bool:
    try:
        return os.path.samefile(a, b)
    except OSError:
        return False

"""Folders of runs: whether one may be written, the record that lies in it, and the seal of the plan it was made by."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from hyperseg.core import RunError, SettingError
from hyperseg.core.files import make_folder
from hyperseg.core.lock import LOCK
from hyperseg.core.settings import from_json, to_json
from hyperseg.core.words import one_line
from hyperseg.io.write.files import write_json
from hyperseg.io.write.targets import RECORD

Record = TypeVar("Record")

OTHERS = {
    "instances": "finds objects one by one, segment predict takes it",
    "detect": "finds boxes, detect predict takes it",
    "depth": "makes pictures and reads their depth, depth sample takes it",
    "segment": "tells classes, segment predict takes it",
}  # kinds of runs in folders, and what may be done with them


def refuse_existing(root: Path, read: Callable[[Path], Any], *, resume: bool, overwrite: bool) -> None:
    """Nothing that is there is written over unless it is a run, and the user says so.

    Args:
        read: the run in a folder, or RunError: nothing but a run goes on, or is ever removed.

    Raises:
        RunError: the folder holds something.
        SettingError: both wishes at once.
    """
    if resume and overwrite:
        raise SettingError("--resume goes on with a run, --overwrite removes it: give one of them.")
    if not root.exists() or (root.is_dir() and all(entry.name == LOCK for entry in root.iterdir())):
        return  # a lock alone is of a process that was killed at once, or of one that holds it still
    if not resume and not overwrite:
        more = " --resume goes on with it," if (root / RECORD).exists() else ""
        raise RunError(f"{root}: is there already;{more} --overwrite replaces a run, --out takes another folder.")
    read(root)


def read_record(root: Path, *, kind: str, version: int, command: str) -> dict[str, Any]:
    """The record of a run of this kind, as JSON.

    Args:
        root: the run's folder.
        kind, version: what the record says of itself, as "kind" and "format".
        command: that makes such runs, for messages.

    Raises:
        RunError: no folder, no such run, one that is damaged, or of another version.
    """
    file = root / RECORD
    if not file.is_file():
        what = "is no run" if root.is_dir() else "is not a folder" if root.exists() else "does not exist"
        raise RunError(f"{root}: {what}; a folder made by {command} was expected.")
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{file}: damaged ({one_line(str(error), 100)}). Train again.") from error
    if not isinstance(data, dict) or data.get("kind") != kind:
        of_scene = isinstance(data, dict) and "kind" not in data and "method" in data
        other = "; hyperseg map applies runs of hyperseg classify" if of_scene else ""
        if isinstance(data, dict) and data.get("kind") in OTHERS:
            other = f": it {OTHERS[data['kind']]}"
        raise RunError(f"{root}: is no run of {command}{other}.")
    if data.get("format") != version:
        raise RunError(f"{file}: has format {data.get('format')}, this version reads {version}. Train again.")
    return data


def read_recorded(root: Path, cls: type[Record], *, kind: str, version: int, command: str) -> Record:
    """The record of a run as a dataclass, see `read_record`.

    Raises:
        RunError: no such run, or one that is damaged.
    """
    data = read_record(root, kind=kind, version=version, command=command)
    try:
        own = {name: value for name, value in data.items() if name not in ("kind", "format")}
        return from_json(cls, own, "the record")
    except SettingError as error:
        raise RunError(f"{root}: damaged: {error}") from error


def write_recorded(root: Path, record: Any, *, kind: str, version: int, command: str) -> None:
    """Write the record of a run, a dataclass, whole or not at all.

    Raises:
        DataFileError: the folder cannot be written.
        RunError: it holds a run of another kind.
    """
    make_folder(root)
    if (root / RECORD).exists():
        read_record(root, kind=kind, version=version, command=command)
    write_json(root / RECORD, {"kind": kind, "format": version, **to_json(record)})


def check_prints(
    root: Path, begun: Mapping[str, str], now: Mapping[str, str], *, remedy: str, one: str = "case"
) -> None:
    """Cases are those that a run was begun with; runs of earlier versions say nothing of theirs, and go on.

    Args:
        begun, now: checksums by name.
        remedy: what to do, the end of the message.
        one: what a case is called.

    Raises:
        RunError: a case that is new, is gone, or has changed: the first by name.
    """
    if not begun:
        return
    for name in sorted({*begun, *now}):
        if begun.get(name) != now.get(name):
            what = "is new" if name not in begun else "is gone" if name not in now else "has other values"
            raise RunError(f"{root}: {one} {name} {what} since this run was begun. {remedy}")


def budget_begun(root: Path, asked: Mapping[str, float] | None, begun: Mapping[str, float]) -> dict[str, Any]:
    """Minutes and steps of a run that goes on, one of them None: those that it was begun with.

    Args:
        asked: the budget that somebody gave, or None.

    Raises:
        RunError: another one than it was begun with, whose steps are fixed already.
    """
    if asked is not None and asked != begun:
        told = " ".join(f"--{name} {value:g}" for name, value in begun.items())
        raise RunError(f"{root}: was begun with {told}. Resume so, or train into another folder.")
    return {"minutes": begun.get("minutes"), "steps": int(begun["steps"]) if "steps" in begun else None}


def seal(plan: Any) -> str:
    """A checksum (SHA-256) of the plan, a dataclass, that weights belong to."""
    as_read = to_json(from_json(type(plan), to_json(plan)))  # 1 and 1.0 are one number
    return hashlib.sha256(json.dumps(as_read, sort_keys=True).encode()).hexdigest()

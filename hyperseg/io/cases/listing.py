"""`Listing`: images and labels of a folder, paired; and what the ways to pair them share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hyperseg.core.words import listed
from hyperseg.io.cases.case import Case, Fault
from hyperseg.io.cases.names import stem_of

TWICE = "name twice"  # the kind of fault


@dataclass(frozen=True)
class Listing:
    """Images and labels of a folder, paired; fields as in `CaseFolder`. `told` are parts of its rule."""

    layout: str
    cases: tuple[Case, ...]
    unlabelled: tuple[Case, ...] = ()
    channels: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    instances: bool = False
    faults: tuple[Fault, ...] = ()


def folders_of(root: Path) -> dict[str, Path]:
    """Subfolders by their names in lower case, hidden ones left out."""
    return {path.name.lower(): path for path in sorted(root.iterdir()) if path.is_dir() and path.name[0] != "."}


def name_twice(file: Path, first: Path) -> Fault:
    """The fault of a file that stands for the same as another: which one is meant, nobody can tell."""
    return Fault(
        str(file), f"stands for the same as {first.name}", "one file of each name",
        "Rename one of them, or move it away.", "error", TWICE,
    )  # fmt: skip


def names_twice(files: Iterable[Path]) -> list[Fault]:
    """A fault for each file that differs from another in its format alone."""
    seen: dict[str, Path] = {}
    return [name_twice(path, first) for path in files if (first := seen.setdefault(stem_of(path), path)) is not path]


def missing_channels(name: str, file: Path, absent: Sequence[str]) -> Fault:
    """The fault of a case that lacks files of channels."""
    return Fault(
        str(file), f"{name} has no file for the channel {listed(absent)}", "a file for every channel",
        "Add the files, or leave the case out.", "error", "missing channel",
    )  # fmt: skip

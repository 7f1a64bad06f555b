"""What stands in the folder of a comparison, how it is kept, and what is refused before one goes on."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperseg.core import RunError, SettingError
from hyperseg.core.settings import from_json, to_json
from hyperseg.core.words import one_line
from hyperseg.io.write import write_json
from hyperseg.medical.plan import Plan
from hyperseg.recipes.bench.folder import BENCH, read_head

CACHE = "cache"  # of prepared cases, until all is finished


@dataclass(frozen=True)
class Begun:
    """What stands in a folder.

    Attributes:
        settings: that it was begun with, the steps among them.
        data: what was compared on: name, and a checksum of each case or of the scene.
        asked: rows that were asked for, as they are always spelled.
        seeds: of each fold; of a scene the number of splits.
        plan: of a folder, or None.
        found: everything else of bench.json.
    """

    settings: Any
    data: dict[str, Any]
    asked: tuple[str, ...]
    seeds: int
    plan: Plan | None
    found: dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """How comparisons of one kind are kept in bench.json.

    Attributes:
        kind, version: what it says of itself, as "kind" and "format".
        rows: what its rows are called.
        settings: their class.
        key: under which it says which rows were asked for.
    """

    kind: str
    version: int
    rows: str
    settings: type
    key: str

    def read(self, root: Path) -> Begun:
        """The comparison in a folder.

        Raises:
            RunError: none, or one that is damaged or of another version.
        """
        data = read_head(root, self.kind, self.version, self.rows)
        try:
            settings: Any = from_json(self.settings, data["settings"], "the settings")
            asked = tuple(map(str, data[self.key]))
            plan = None if data["plan"] is None else from_json(Plan, data["plan"], "the plan")
            known = ("kind", "format", "finished", "settings", "data", self.key, "seeds", "plan")
            rest = {k: v for k, v in data.items() if k not in known}
            return Begun(settings, dict(data["data"]), asked, int(data["seeds"]), plan, rest)
        except (KeyError, TypeError, ValueError, SettingError) as error:
            raise RunError(
                f"{root / BENCH}: damaged ({one_line(str(error), 100)}). Begin anew with --overwrite."
            ) from error

    def write(self, root: Path, begun: Begun, *, finished: bool) -> None:
        """Write bench.json, whole or not at all; finished, prepared cases are removed."""
        head = {"kind": self.kind, "format": self.version, "finished": finished}
        of = {
            "settings": to_json(begun.settings), "data": begun.data, "seeds": begun.seeds,
            self.key: list(begun.asked), "plan": None if begun.plan is None else to_json(begun.plan),
        }  # fmt: skip
        write_json(root / BENCH, {**head, **of, **begun.found})
        if finished:
            shutil.rmtree(root / CACHE, ignore_errors=True)


def refuse_foreign(
    given: Mapping[str, Any], *, scene: bool, of_folders: Mapping[str, str], of_scenes: Mapping[str, str]
) -> None:
    """Refuse options that say nothing here.

    Args:
        of_folders, of_scenes: settings by name, as their options are spelled.

    Raises:
        SettingError: naming the first of them.
    """
    foreign, what = (of_folders, "folders") if scene else (of_scenes, "scenes")
    for name, shown in foreign.items():
        if given.get(name) not in (None, ()):
            other = "a scene" if scene else "a folder of images or volumes"
            raise SettingError(f"{shown} is of {what}, and this is {other}: leave it out.")


def refuse_other_place(root: Path, begun: Begun, data: Mapping[str, Any], device: str) -> None:
    """Refuse to go on with other data than a benchmark was begun with, or on a device of another kind.

    Raises:
        RunError: naming the first thing that differs.
    """
    for name in sorted({*begun.data, *data} - {"name"}):
        if begun.data.get(name) == data.get(name):
            continue
        before, after = begun.data.get(name), data.get(name)
        what = f"{name} {before}, now {after}"
        if isinstance(before, dict) and isinstance(after, dict):
            which = next(key for key in sorted({*before, *after}) if before.get(key) != after.get(key))
            what = f"another {which} ({name})"
        raise RunError(
            f"{root}: this benchmark was begun with {one_line(str(what), 120)}. Give the data it was begun with, or "
            "take another --out."
        )
    if begun.found.get("device") != device.partition(":")[0]:
        raise RunError(f"{root}: was begun on {begun.found.get('device')}: go on with --device of that kind.")

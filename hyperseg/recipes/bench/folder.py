"""The folder of a benchmark: made without writing over anything, for one process, and taken up again.

DIR/bench.json           settings, data, versions, what was measured of data and model
DIR/cells.jsonl          a line for every finished cell, written at once
DIR/model.safetensors    averaged weights and the last ones; model-heads: with what some samplers need besides
DIR/judge/               the network of the features, and what it says of the training data
DIR/unfinished/          states of trainings; removed at the end
DIR/table.csv, table.md, pareto.png, samples.png, report.html
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from hyperseg.core import RunError, SettingError
from hyperseg.core.files import make_folder, sweep
from hyperseg.core.lock import LOCK, take
from hyperseg.core.settings import from_json, to_json
from hyperseg.core.words import one_line
from hyperseg.dpm.stored import MODEL
from hyperseg.io.write import write_json
from hyperseg.recipes.bench.rows import CELLS
from hyperseg.recipes.bench.settings import BenchSettings
from hyperseg.recipes.run.folder import Interrupted

BENCH, KIND, FORMAT = "bench.json", "bench-samplers", 1
HEADS = "model-heads.safetensors"
TABLE_CSV, TABLE_MD, PARETO, SAMPLES, REPORT = "table.csv", "table.md", "pareto.png", "samples.png", "report.html"
UNFINISHED, JUDGE = "unfinished", "judge"
FILES = (BENCH, CELLS, MODEL, HEADS, TABLE_CSV, TABLE_MD, PARETO, SAMPLES, REPORT, LOCK)
FOLDERS = (UNFINISHED, JUDGE)
Found = TypeVar("Found")


@dataclass(frozen=True)
class Begun:
    """What stands in a folder.

    Attributes:
        settings: that it was begun with.
        data: name, checksum and counts of the data.
        found: everything else of bench.json.
    """

    settings: BenchSettings
    data: dict[str, Any]
    found: dict[str, Any]

    @property
    def asked(self) -> dict[str, Any]:
        """Samplers and calls that it was begun with; empty where an earlier version began it."""
        return dict(self.found.get("asked") or {})


def standing(root: Path, *, resume: bool, overwrite: bool) -> Begun | None:
    """The benchmark of samplers in a folder that is to go on, see `there`."""
    return there(root, read_bench, resume=resume, overwrite=overwrite)


def there(root: Path, read: Callable[[Path], Found], *, resume: bool, overwrite: bool) -> Found | None:
    """The benchmark in a folder that is to go on; None where one is to begin. Nothing is written or removed.

    Args:
        root: the folder.
        read: of a benchmark of the kind that is asked for; raises RunError for any other.
        resume, overwrite: as the user wishes.

    Raises:
        SettingError: both wishes at once.
        RunError: the folder holds something else, a benchmark that nobody spoke of, or nothing to go on with.
    """
    if resume and overwrite:
        raise SettingError("--resume goes on with a benchmark, --overwrite removes it: give one of them.")
    empty = not root.exists() or (root.is_dir() and not any(root.iterdir()))
    if empty and resume:
        raise RunError(f"{root}: holds no benchmark to go on with. Leave --resume out to begin one.")
    if empty:
        return None
    if (root / BENCH).exists() and not (resume or overwrite):
        raise RunError(
            f"{root}: holds a benchmark already. --resume goes on with it or adds cells, --overwrite removes it, "
            "--out takes another folder."
        )
    begun = read(root)  # nothing but a benchmark goes on, or is ever removed
    return begun if resume else None


def read_bench(root: Path) -> Begun:
    """What stands in a folder.

    Raises:
        RunError: no benchmark, or one that is damaged or of another version.
    """
    data = read_head(root, KIND, FORMAT, "samplers")
    file = root / BENCH
    try:
        begun = from_json(BenchSettings, data["settings"], "the settings")
        return Begun(begun, dict(data["data"]), {k: v for k, v in data.items() if k not in ("settings", "data")})
    except (KeyError, TypeError, ValueError, SettingError) as error:
        raise RunError(f"{file}: damaged ({one_line(str(error), 100)}). Begin anew with --overwrite.") from error


def read_head(root: Path, kind: str, format: int, of: str) -> dict[str, Any]:
    """What bench.json of a benchmark of this kind holds.

    Raises:
        RunError: no benchmark, or one that is damaged, of another kind or version.
    """
    file = root / BENCH
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{root}: holds no benchmark that can be read ({BENCH}: {one_line(str(error), 80)}). Choose another --out."
        ) from error
    if not isinstance(data, dict) or data.get("kind") != kind or data.get("format") != format:
        raise RunError(f"{file}: is of no benchmark of {of} that this version reads. Choose another --out.")
    return data


@contextmanager
def at_work(
    root: Path, *, overwrite: bool, files: Sequence[str] = FILES, folders: Sequence[str] = FOLDERS
) -> Iterator[None]:
    """The folder, made where it is not there and locked; with `overwrite` emptied of a benchmark's own files first.

    Args:
        root: the folder.
        overwrite: remove what an earlier benchmark of this kind left.
        files, folders: names of what such a benchmark writes.

    Raises:
        RunError: another process is at work there.
        DataFileError: it cannot be made.
        Interrupted: for a KeyboardInterrupt; what is finished stays.
    """
    make_folder(root)
    lock = take(root)
    try:
        sweep(root)
        if overwrite:
            for name in files:
                if name != LOCK:
                    (root / name).unlink(missing_ok=True)
            for name in folders:
                shutil.rmtree(root / name, ignore_errors=True)
        yield
    except KeyboardInterrupt as stop:
        raise Interrupted(root) from stop
    except Exception as error:
        if (root / BENCH).exists():
            error.add_note(f"What is finished is kept: repeat the command with --out {root} --resume to go on.")
        raise
    finally:
        lock.release()


def write_bench(
    root: Path, settings: BenchSettings, data: Mapping[str, Any], found: Mapping[str, Any], *, finished: bool
) -> None:
    """Write bench.json, whole or not at all; finished, states of trainings are removed."""
    head = {"kind": KIND, "format": FORMAT, "finished": finished}
    rest = {k: v for k, v in found.items() if k not in head}
    write_json(root / BENCH, {**head, "settings": to_json(settings), "data": dict(data), **rest})
    if finished:
        with suppress(OSError):
            shutil.rmtree(root / UNFINISHED)

"""The folder of a run: created without overwriting, for one process, taken up again, removed where it is empty."""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

from hyperseg.core import DataFileError, RunError
from hyperseg.core.files import TEMPORARY, sweep
from hyperseg.core.lock import LOCK, Lock, take
from hyperseg.io.write import write_json

METRICS, UNFINISHED, STARTED = "metrics.json", "unfinished", "started.json"

log = logging.getLogger(__name__)


class Interrupted(KeyboardInterrupt):
    """Ctrl-C during a run whose folder can be taken up again.

    Attributes:
        folder: the run folder.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(f"{folder}: interrupted; it can be resumed.")
        self.folder = folder


@dataclass(frozen=True)
class RunFolder:
    """Paths inside a run folder.

    Attributes:
        root: the folder.
        made: False where the (empty) folder was there before the run.
        lock: what keeps other processes out until the run ends.
    """

    root: Path
    made: bool = True
    lock: Lock | None = None

    @property
    def unfinished(self) -> Path:
        """Training states and finished repeats of a run that has not ended; removed at its end."""
        return self.root / UNFINISHED

    def __truediv__(self, name: str) -> Path:
        return self.root / name


def open_run(out: Path | None, *, default: str, resume: bool, started: Mapping[str, Any]) -> RunFolder:
    """Create the folder of a run, or take up an unfinished one.

    Without `out` the folder is runs/DEFAULT, with -2, -3, ... where that exists. A folder that holds a run is
    never written into, except to resume it.

    Args:
        out: the folder, or None.
        default: name of the folder under runs/ where there is no `out`.
        resume: take up an unfinished run: `out`, or the latest of runs/DEFAULT, runs/DEFAULT-2, ...
        started: JSON: everything that decides the result; a resumed run must have been started with the same.

    Raises:
        RunError: `out` holds something already or cannot be written, another process is at work there, there is
            nothing to resume, or the run to resume was started with something else.
    """
    if resume:
        return _taken_up(Path("runs") / default if out is None else out, named=out is not None, started=started)
    folder = _numbered(default) if out is None else _created(out)
    try:
        folder.unfinished.mkdir()
    except FileExistsError as error:  # begun in between by another process: nothing of it is ours
        raise RunError(f"{folder.root}: another run has just begun here; choose another --out.") from error
    except OSError as error:
        _remove_made(folder)
        raise _not_created(folder.root, error) from error
    try:
        folder = replace(folder, lock=take(folder.unfinished))
        write_json(folder.unfinished / STARTED, started)
    except OSError as error:
        discard(folder)
        raise _not_created(folder.root, error) from error
    except DataFileError:
        discard(folder)
        raise
    return folder


@contextmanager
def going_on(folder: RunFolder) -> Iterator[None]:
    """What ends a run early leaves it ready to be resumed, or leaves nothing where nothing was achieved.

    Raises:
        Interrupted: for a KeyboardInterrupt.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        raise Interrupted(folder.root) from stop
    except Exception as error:
        if any(p.name != STARTED for p in folder.unfinished.glob("[!.]*")):
            error.add_note(f"The run is kept: repeat the command with --out {folder.root} --resume to go on.")
        else:
            discard(folder)
        raise
    finally:
        if folder.lock is not None:
            folder.lock.release()


def discard(folder: RunFolder) -> None:
    """Remove what `open_run` created."""
    shutil.rmtree(folder.unfinished, ignore_errors=True)
    if folder.lock is not None:
        folder.lock.release()
    _remove_made(folder)


def _remove_made(folder: RunFolder) -> None:
    if folder.made:
        with suppress(OSError):  # somebody put something into it: not ours to remove
            folder.root.rmdir()


def _created(out: Path) -> RunFolder:
    try:
        made = not out.exists()
        if not made and (not out.is_dir() or any(out.iterdir())):
            raise RunError(
                f"{out}: exists and is not empty; a run never overwrites another. "
                "Choose another --out, or continue an interrupted run with --resume."
            )
        if made:
            out.mkdir(parents=True)
    except FileExistsError as error:
        raise RunError(f"{out}: another run has just begun here; choose another --out.") from error
    except OSError as error:
        raise _not_created(out, error) from error
    return RunFolder(out, made)


def _numbered(default: str) -> RunFolder:
    """The first of runs/DEFAULT, runs/DEFAULT-2, ... that is free; two runs started at once get one each."""
    for n in count(1):
        root = Path("runs") / (default if n == 1 else f"{default}-{n}")
        try:
            root.mkdir(parents=True)
        except FileExistsError as error:
            if not root.parent.is_dir():
                raise _not_created(root, error) from error
            if (root / UNFINISHED).is_dir() and not (root / METRICS).exists():
                log.info("%s holds a run that has not ended: --resume goes on with it", root)
        except OSError as error:
            raise _not_created(root, error) from error
        else:
            return RunFolder(root)
    raise AssertionError("unreachable")


def _not_created(root: Path, error: OSError) -> RunError:
    reason = error.strerror or type(error).__name__
    return RunError(f"{root}: the folder cannot be created ({reason}). Choose a writable --out.")


def _taken_up(base: Path, *, named: bool, started: Mapping[str, Any]) -> RunFolder:
    """The unfinished run `base`, or the latest of its numbered siblings where the user named no folder."""
    found = base
    if not named and base.parent.is_dir():
        numbered = re.compile(re.escape(base.name) + r"(-\d+)?")
        runs = [p for p in base.parent.iterdir() if numbered.fullmatch(p.name) and (p / UNFINISHED).is_dir()]
        runs = [p for p in runs if not (p / METRICS).exists()]
        found = max(runs, key=lambda p: p.stat().st_mtime, default=base)
    folder = RunFolder(found)
    ended = (found / METRICS).exists()  # written last; what was unfinished may be half removed
    if ended or not _was_begun(folder):
        state = "has ended" if ended else "is no run" if found.exists() else "does not exist"
        raise RunError(
            f"{found}: nothing to resume, this run {state}. Start it without --resume, or name another --out."
        )
    try:
        folder = replace(folder, lock=take(folder.unfinished))
    except OSError as error:
        raise _not_created(folder.unfinished, error) from error
    try:
        sweep(folder.root)
        sweep(folder.unfinished)
        _check_started(folder, started)
    except BaseException:
        assert folder.lock is not None
        folder.lock.release()
        raise
    return folder


def _was_begun(folder: RunFolder) -> bool:
    """Whether a folder holds a run that has not ended: it says how it was started, or there is nothing else in it."""
    if not folder.unfinished.is_dir() or folder.unfinished.is_symlink():
        return False
    if (folder.unfinished / STARTED).is_file():
        return True
    inside = [p.name for p in folder.unfinished.iterdir() if p.name != LOCK and not TEMPORARY.fullmatch(p.name)]
    return not inside and [p.name for p in folder.root.iterdir()] == [UNFINISHED]


def _check_started(folder: RunFolder, started: Mapping[str, Any]) -> None:
    """Refuse a run that was started with something else."""
    file = folder.unfinished / STARTED
    if not file.exists():  # stopped before anything was written
        write_json(file, started)
        return
    before, now = _flat(_read_json(file)), _flat(json.loads(json.dumps(started)))
    changed = [
        f"{key} {before.get(key)} (now {now.get(key)})" for key in {**before, **now} if before.get(key) != now.get(key)
    ]
    if changed:
        raise RunError(
            f"{folder.root}: the interrupted run was started with {', '.join(changed[:6])}. Resume it with the same "
            "scene and options, or choose another --out."
        )


def _flat(data: Any, name: str = "") -> dict[str, Any]:
    """Nested dicts as one: {"settings.train.lr": 0.001}."""
    if not isinstance(data, dict):
        return {name: data}
    return {k: v for key, value in data.items() for k, v in _flat(value, f"{name}.{key}".strip(".")).items()}


def _read_json(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(
            f"{file}: damaged ({error}); this run cannot be resumed. Remove {file.parent.parent} and start again."
        ) from error

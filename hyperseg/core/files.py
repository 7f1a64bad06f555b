"""Files that appear whole or not at all, and what a killed process leaves of them."""

from __future__ import annotations

import os
import re
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hyperseg.core.errors import DataFileError

HOST = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname()) or "host"
TEMPORARY = re.compile(r"\.(?P<stem>.+)\.(?P<host>[A-Za-z0-9-]+)\.(?P<pid>\d+)\.tmp(\..*)?")
LONGEST_STEM = 100  # of a temporary name: file systems end names at 255 bytes
OF_ANOTHER_HOST_S = 24 * 3600.0  # what a process elsewhere has not touched for this long is nobody's


def make_folder(folder: Path) -> None:
    """Make a folder for output, and those above it, where it is not there.

    Raises:
        DataFileError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataFileError(
            f"{folder}: the folder cannot be created ({error.strerror}). Choose a writable --out."
        ) from error


@contextmanager
def replaced(target: Path) -> Iterator[Path]:
    """Yield a temporary name beside `target`; rename it to `target` on success, remove it on any failure.

    Whatever stood at `target` stays untouched until the new file is complete, also through Ctrl-C. What killed
    processes left under temporary names of this target is removed first.

    Raises:
        OSError: as the body or the rename raise it; who writes knows how to say it.
    """
    sweep(target)
    temporary = temporary_beside(target)
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        with suppress(OSError):  # after the rename there is nothing to remove
            temporary.unlink()


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """Yield an empty folder beside `target`, which is not there yet; rename it to `target` on success.

    On any failure, also through Ctrl-C, it is removed. What killed processes left is removed first.

    Raises:
        OSError: as `replaced`.
    """
    sweep(target)
    temporary = temporary_beside(target)
    try:
        temporary.mkdir()
        yield temporary
        os.rename(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def temporary_beside(target: Path) -> Path:
    """The name under which this process writes what will be called `target`."""
    return target.with_name(f".{_stem(target)}.{HOST}.{os.getpid()}.tmp{target.suffix}")


def sweep(target: Path) -> None:
    """Remove temporary files and folders of `target` whose process is gone; a folder's own for all that lies in it."""
    folder, stem = (target, None) if target.is_dir() else (target.parent, _stem(target))
    with suppress(OSError):
        for entry in os.scandir(folder):
            found = TEMPORARY.fullmatch(entry.name)
            if found and stem in (None, found["stem"]) and _is_nobodys(entry, found["host"], int(found["pid"])):
                if entry.is_dir(follow_symlinks=False):
                    shutil.rmtree(entry.path, ignore_errors=True)
                else:
                    os.unlink(entry.path)


def runs(pid: int) -> bool:
    """Whether a process of this machine is there; where that cannot be asked (Windows), it is taken to be."""
    if os.name == "nt":  # there os.kill ends the process
        return True
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):
        return True
    return True


def _stem(target: Path) -> str:
    return target.stem[:LONGEST_STEM]


def _is_nobodys(entry: os.DirEntry[str], host: str, pid: int) -> bool:
    if host == HOST:
        return not runs(pid)
    return time.time() - entry.stat(follow_symlinks=False).st_mtime > OF_ANOTHER_HOST_S

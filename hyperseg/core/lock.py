"""One process at a time in a folder: the others are told who is there."""

from __future__ import annotations

import json
import logging
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from hyperseg.core.errors import RunError
from hyperseg.core.files import HOST, runs

log = logging.getLogger(__name__)
LOCK = ".lock"


@dataclass(frozen=True)
class Lock:
    """A lock that this process holds; it ends with the process, however that ends."""

    file: Path
    handle: BinaryIO

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process it is None: a lock stays with its holder."""
        return type(None), ()

    def release(self) -> None:
        """Give the lock up and remove its file, if that is still ours; a second time nothing happens."""
        if self.handle.closed:
            return
        with suppress(OSError):
            if os.path.samestat(os.stat(self.file), os.fstat(self.handle.fileno())):
                self.file.unlink()
        self.handle.close()


def take(folder: Path) -> Lock:
    """Lock a folder that exists.

    The lock is the operating system's, on a file with the process and machine of its holder. One whose holder has died
    is taken over with a note.

    Raises:
        RunError: another process is at work there.
        OSError: the file cannot be written.
    """
    file = folder / LOCK
    while True:
        handle = os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, 0o644), "r+b")
        try:
            free = _locked(handle)
            holder = _holder(handle)
            if not free:
                raise RunError(_busy(folder, holder))
            with suppress(OSError):
                if os.path.samestat(os.stat(file), os.fstat(handle.fileno())):  # else it was removed in between
                    break
            handle.close()
        except BaseException:
            handle.close()
            raise
    if holder is not None:
        log.info("%s: the process that worked here (%s) is gone: its lock is taken over", folder, _told(holder))
    lock = Lock(file, handle)
    try:
        handle.seek(0)
        handle.truncate()
        handle.write(json.dumps({"pid": os.getpid(), "host": HOST, "since": time.time()}).encode())
        handle.flush()
    except BaseException:  # a full disk: no file is left behind
        with suppress(OSError):
            lock.release()
        raise
    return lock


def _locked(handle: BinaryIO) -> bool:
    """Take the system's lock; where it has none for this folder, a holder that still runs on this machine counts."""
    try:
        import fcntl

        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except (ImportError, OSError):
        holder = _holder(handle)
        return holder is None or (holder.get("host") == HOST and not runs(int(holder.get("pid", 0))))
    return True


def _holder(handle: BinaryIO) -> dict[str, Any] | None:
    handle.seek(0)
    try:
        found = json.loads(handle.read(1000))
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("pid"), int) else None


def _told(holder: dict[str, Any]) -> str:
    return f"process {holder['pid']} on {holder.get('host')}"


def _busy(folder: Path, holder: dict[str, Any] | None) -> str:
    who = "another process" if holder is None else _told(holder)
    return f"{folder}: {who} is at work here. Wait for it, stop it, or choose another --out."

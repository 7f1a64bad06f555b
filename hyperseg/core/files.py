"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def replaced(target: Path) -> Iterator[Path]:
    """Yield a temporary name beside `target`; rename it to `target` on success, remove it on any failure.

    Whatever stood at `target` stays untouched until the new file is complete, also through Ctrl-C.

    Raises:
        OSError: as the body or the rename raise it; who writes knows how to say it.
    """
    temporary = target.with_name(f".{target.stem}.{os.getpid()}.tmp{target.suffix}")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        with suppress(OSError):  # after the rename there is nothing to remove
            temporary.unlink()

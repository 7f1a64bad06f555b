"""The command line in several processes under torchrun: one of them talks, and all end together."""

from __future__ import annotations

import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import Any, NoReturn

LET_FIRST_SPEAK_S = 1.0


def several() -> bool:
    """Whether torchrun started more than one process."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def talks() -> bool:
    """Whether this process is the one that tells the user how things go."""
    return not several() or os.environ.get("RANK", "0") == "0"


@contextmanager
def said_after(seconds: float, text: str, *, quiet: bool) -> Iterator[None]:
    """Say what is being done if it takes longer than that."""
    timer = Timer(seconds, lambda: print(text, file=sys.stderr, flush=True))
    timer.daemon = True
    if not quiet:
        timer.start()
    try:
        yield
    finally:
        timer.cancel()


def prepare_to_end() -> None:
    """Let torchrun's request to stop, sent when another process failed, end this one without a word."""
    from hyperseg.engine.distributed import Elsewhere

    def stop(*_: Any) -> NoReturn:
        raise Elsewhere("torchrun stops this process.")

    signal.signal(signal.SIGTERM, stop)
    if not talks():
        logging.getLogger("hyperseg").addHandler(logging.NullHandler())


def tells(error: Exception) -> bool:
    """Whether this process tells the user of this error: of several that fail alike, the first."""
    if not several():
        return True
    from hyperseg.engine.distributed import Elsewhere, first_to_fail

    return not (isinstance(error, Elsewhere) and not talks()) and first_to_fail()


def end(code: int, *, told: bool) -> NoReturn:
    """End the process; one that has told nothing first gives the one that has the time to finish.

    torchrun stops all processes as soon as one has ended with an error.
    """
    if several() and not told:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        time.sleep(LET_FIRST_SPEAK_S)
    sys.exit(code)


def refuse_several(command: str) -> None:
    """Raise where torchrun started a command that does nothing together."""
    if several() and command != "classify":
        from hyperseg.core.errors import SettingError

        how = "; --workers maps in several" if command == "map" else ""
        raise SettingError(
            f"hyperseg {command} is for one process, torchrun started {os.environ['WORLD_SIZE']}: start it without "
            f"torchrun{how}."
        )

"""Ctrl-C between steps, not inside them."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupt:
    """Context in which the first Ctrl-C only sets `asked`; a second one raises KeyboardInterrupt at once.

    A step cut in half cannot be resumed to the same bytes, so the training loop looks at `asked` between
    steps. Outside the main thread, or where somebody else handles the signal, nothing is changed.
    """

    def __init__(self) -> None:
        self.asked = False
        self._installed = False

    def __enter__(self) -> Interrupt:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._note)
            self._installed = True
        return self

    def __exit__(self, *_: object) -> None:
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

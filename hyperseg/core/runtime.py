"""Where and how visibly something is fitted or mapped: one argument instead of six."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Literal

from hyperseg.core.errors import SettingError

Precision = Literal["fp32", "bf16"]


@dataclass(frozen=True)
class Runtime:
    """Where, how precisely and how visibly.

    Attributes:
        seed: of weights, batches and dropout.
        device: where networks are.
        precision: of their arithmetic.
        checkpoints: stem of the files of interrupted training, which is continued where they exist; or None.
        tag: in front of every progress bar.
        quiet: no progress bars.
        on_step: called with the text of a training's bar and the steps done after every step; a KeyboardInterrupt in it
            ends the training as Ctrl-C does.
    """

    seed: int = 0
    device: str = "cpu"
    precision: Precision = "fp32"
    checkpoints: Path | None = None
    tag: str = ""
    quiet: bool = False
    on_step: Callable[[str, int], None] | None = None

    def checkpoint(self, name: str) -> Path | None:
        """The file of the unfinished training called `name`."""
        stem = self.checkpoints
        return None if stem is None else stem.with_name(f"{stem.name}-{name}.pt")

    def goes_on(self, name: str) -> bool:
        """Whether the training called `name` was interrupted, and continues from the state that it left."""
        file = self.checkpoint(name)
        return file is not None and file.exists()

    def within(self, tag: str, name: str) -> Runtime:
        """The same for work inside this one: its bars say `tag`, its files have `name` in theirs."""
        stem = self.checkpoints
        inner = None if stem is None else stem.with_name(f"{stem.name}-{name}")
        return replace(self, tag=f"{self.tag}, {tag}" if self.tag else tag, checkpoints=inner)

    def label(self, text: str) -> str:
        """The text of a progress bar."""
        return f"{self.tag}: {text}" if self.tag else text


def check_minutes(minutes: float | None) -> None:
    """Refuse a training of so many minutes where that is no length of time; None says nothing.

    Raises:
        SettingError: NaN, infinity, zero or less.
    """
    if minutes is not None and not (isfinite(minutes) and minutes > 0):
        raise SettingError(f"--minutes {minutes:g}: a number above 0 was expected, as 0.5 or 20.")

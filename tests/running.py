"""What the shared fixtures give: answers of the command line, quick settings, finished runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hyperseg.recipes.run.settings import RunSettings


@dataclass(frozen=True)
class Answer:
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of an error a user can act on."""
        lines = [line for line in self.err.splitlines() if not line.startswith(("Note: ", "Reading "))]
        assert self.code == 2, (self.code, self.out, self.err)
        assert len(lines) == 1, self.err
        assert lines[0].startswith("Error: ")
        assert "Traceback" not in self.err
        assert self.out == ""
        return lines[0].removeprefix("Error: ")


Hyperseg = Callable[..., Answer]
Quick = Callable[..., RunSettings]
Run = Callable[..., Path]

"""Parts that stop a run where a test wants it, as Ctrl-C does; they stand in the tables as any part does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from running import Hyperseg

from hyperseg.core.parts import Entry, Method, Refiner, Saved
from hyperseg.core.sections import Section
from hyperseg.core.settings import settings
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.refiners import REFINERS

Started = Callable[..., dict[str, Any]]
UNTRAINED = ("--baseline", "halt", "--quiet")  # words of a run that ends with the first training


@dataclass
class Stop:
    """Where the refiner stops ("check", "fit" or "apply"), and how often it passes there before."""

    at: str = ""
    passes: int = 0

    def reach(self, at: str) -> None:
        if self.at == at:
            if self.passes == 0:
                raise KeyboardInterrupt
            self.passes -= 1


STOP = Stop()


@settings
class Plain:
    """No settings."""


@dataclass(frozen=True)
class Same:
    """Leaves every map as it is."""

    name: str = "halt"
    reach_px: int = 0
    margin_px: int = 0
    exact: bool = True
    changes_nothing: bool = False

    def window_px(self, before: int) -> int:
        return before

    def joined(self, map: Any, scene: Any, train: Any) -> None:
        return None

    def apply(self, map: Any, scene: Any, runtime: Any) -> Any:
        STOP.reach("apply")
        return map

    def saved(self) -> Saved:
        return Saved()

    def section(self, *given: Any) -> Section:
        return Section("Halt", ("It did not stop.",))


def fit(*given: Any) -> Same:
    STOP.reach("fit")
    return Same()


def never(*given: Any) -> Any:
    raise KeyboardInterrupt


METHOD = Method("halt", Plain, never, never)
REFINER = Refiner("halt", Plain, fit, lambda saved, model: Same(), lambda *given: STOP.reach("check"))


@pytest.fixture
def stop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stop]:
    """A refiner `halt` that stops where it is told, and a method `halt` that cannot be trained."""
    monkeypatch.setitem(METHODS.entries, "halt", Entry("halting:METHOD", "stops"))
    monkeypatch.setitem(REFINERS.entries, "halt", Entry("halting:REFINER", "stops where it is told"))
    yield STOP
    STOP.at, STOP.passes = "", 0


@pytest.fixture
def started(hyperseg: Hyperseg, stop: Stop, tmp_path: Path) -> Started:
    """Words of classify -> what that run was started with; it is stopped before anything is trained."""

    def started(*words: str) -> dict[str, Any]:
        answer = hyperseg("classify", *words, *UNTRAINED, "--out", "begun")
        assert answer.code == 130, answer.err
        found: dict[str, Any] = json.loads((tmp_path / "begun/unfinished/started.json").read_text())
        shutil.rmtree(tmp_path / "begun")
        return found

    return started

"""Parts that stand in for others, a cube that tells what is read of it, and Ctrl-C at a step of a training."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest

from hyperseg.core.parts import Entry, Parts
from hyperseg.crf.settings import DenseCRF
from hyperseg.recipes.refiners.dense_crf import DENSE_CRF


@contextmanager
def line(table: Parts, name: str, part: Any) -> Iterator[None]:
    """A line of a table, new or in place of its own, that leads to this part."""
    module = ModuleType(f"fake_{name}")
    module.__dict__["PART"] = part
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, module.__name__, module)
        patch.setitem(table.entries, name, Entry(f"{module.__name__}:PART", "a fake"))
        yield


def _eager(*given: Any) -> Any:
    return replace(DENSE_CRF.fit(*given), chosen=DenseCRF(bilateral_weight=3.0, iterations=3))


EAGER = replace(DENSE_CRF, fit=_eager)  # changes every map, whatever validation pixels say


def stopping(step: int, label: str = "") -> Callable[[str, int], None]:
    """For `on_step`: Ctrl-C after this step of the training whose bar says `label`."""

    def on_step(text: str, done: int) -> None:
        if label in text and done == step:
            raise KeyboardInterrupt

    return on_step


class Watched:
    """A cube; whoever reads of it is told to `on_read` first."""

    def __init__(self, cube: Any, on_read: Callable[[Any], None]) -> None:
        self.cube, self.on_read = cube, on_read
        self.shape, self.dtype = cube.shape, cube.dtype

    def __getitem__(self, key: Any) -> Any:
        self.on_read(key)
        return self.cube[key]

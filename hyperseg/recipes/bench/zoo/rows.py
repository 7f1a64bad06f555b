"""Rows of the table: networks of the zoo, peers, baselines; and cells: a row, a fold, a seed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from hyperseg.core import SettingError
from hyperseg.core.settings import converted, from_json
from hyperseg.core.words import one_line

Kind = Literal["network", "peer", "baseline"]
OF_SCORES = float | None
At = tuple[str, int, int]


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        key: its name: a network as it is spelled, a peer, or a baseline.
        kind: a baseline is fitted in its own way; networks and peers have one recipe.
        family: of a network.
    """

    key: str
    kind: Kind
    family: str = ""


@dataclass(frozen=True)
class Cell:
    """What came of a training and its test.

    Attributes:
        row: key of the row.
        fold, seed: numbers from 0; of a scene the split is the fold.
        score: what rows are compared by: mean Dice, or OA in percent; None where there was nothing to find, or where
            the training failed.
        scores: all that was measured, by name.
        steps: of the training; 0 of baselines, which have their own way.
        learnt, tested: cases (pixels) learnt from and tested on.
        training_s: seconds of the training; prediction_s: of the map, or of all held-out cases.
        parameters: numbers that are learnt; None where that says nothing.
        madds: multiply-adds of one window, see `counting.madds_of`; None where it is no network.
        peak: bytes that training and test needed beside what the process held; None where the system does not tell.
        note: why there is no score.
    """

    row: str
    fold: int
    seed: int
    score: float | None
    scores: dict[str, float | None] = field(default_factory=dict)
    steps: int = 0
    learnt: int = 0
    tested: int = 0
    training_s: float = 0.0
    prediction_s: float = 0.0
    parameters: int | None = None
    madds: int | None = None
    peak: int | None = None
    note: str = ""

    @property
    def at(self) -> At:
        return self.row, self.fold, self.seed


@dataclass(frozen=True)
class Task:
    """A cell that is to be made."""

    row: Row
    fold: int
    seed: int
    steps: int

    @property
    def at(self) -> At:
        return self.row.key, self.fold, self.seed


def read_cell(data: dict[str, Any]) -> Cell:
    """A cell from its JSON.

    Raises:
        SettingError: other names or types than those of `Cell`, or numbers that no cell has.
    """
    cell = from_json(Cell, data, "the cell")
    if min(cell.fold, cell.seed, cell.steps, cell.learnt, cell.tested) < 0:
        raise SettingError("fold, seed, steps, learnt and tested are whole numbers from 0.")
    return replace(cell, scores={name: converted(value, OF_SCORES, name) for name, value in cell.scores.items()})


def failed(task: Task, why: BaseException) -> Cell:
    """The cell of a training that ended in an error; it is made again when the benchmark goes on."""
    return Cell(task.row.key, task.fold, task.seed, None, steps=task.steps, note=told(why))


def told(why: BaseException) -> str:
    """An error in one line."""
    return one_line(f"{type(why).__name__}: {why}", 200)


def latest(cells: Iterable[Cell]) -> dict[At, Cell]:
    """Cells by their place; of several the last, as a cell that failed may have been made again."""
    return {cell.at: cell for cell in cells}


def tasks_of(rows: Sequence[Row], done: Iterable[At], *, folds: int, seeds: int, steps: int) -> list[Task]:
    """What is left to do: seed by seed and fold by fold, so that an interrupted benchmark has whole blocks."""
    there = set(done)
    return [
        Task(row, fold, seed, 0 if row.kind == "baseline" else steps)
        for seed in range(seeds) for fold in range(folds) for row in rows
        if (row.key, fold, seed) not in there
    ]  # fmt: skip

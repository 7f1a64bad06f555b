"""Rows of the table: the baseline, every trick alone, all that helped; and cells: a row, a fold, a seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from hyperseg.core import HypersegError, SettingError
from hyperseg.core.settings import converted, from_json
from hyperseg.recipes.tricks import TRICKS
from hyperseg.recipes.tricks.choosing import parse_trick, parse_tricks, spelled_tricks

BASELINE, COMBINED = "baseline", "all that helped"
ALL = "all"
PLUS = " + "
OF_SCORES = float | None


@dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        key: its name: the baseline's, or its tricks as they are spelled.
        tricks: that are added to the baseline.
        family, phase: of a single trick.
        trains: False where the baseline's networks serve.
    """

    key: str
    tricks: tuple[str, ...] = ()
    family: str = ""
    phase: str = ""
    trains: bool = True


PLAIN = Row(BASELINE)


@dataclass(frozen=True)
class Cell:
    """What came of a training and its test.

    Attributes:
        row: key of the row.
        fold, seed: numbers from 0; of a scene the split is the fold.
        score: what rows are compared by: mean Dice, or OA in percent; None where there was nothing to find.
        scores: all that was measured, by name.
        steps: of the training; 0 are the method's own.
        learnt, tested: cases (pixels) learnt from and tested on.
        training_s, prediction_s: seconds; of rows that do not train the training is the baseline's.
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

    @property
    def at(self) -> tuple[str, int, int]:
        return self.row, self.fold, self.seed


@dataclass(frozen=True)
class Task:
    """One training and all that it serves.

    Attributes:
        trained: the row whose networks are trained.
        rows: those that are scored with them.
        fold, seed: see `Cell`.
        steps: of the training.
    """

    trained: Row
    rows: tuple[Row, ...]
    fold: int
    seed: int
    steps: int


def read_cell(data: dict[str, Any]) -> Cell:
    """A cell from its JSON.

    Raises:
        SettingError: other names or types than those of `Cell`, or numbers that no cell has.
    """
    cell = from_json(Cell, data, "the cell")
    if min(cell.fold, cell.seed, cell.steps, cell.learnt - 1, cell.tested) < 0:
        raise SettingError("fold, seed, steps and tested are whole numbers from 0, learnt is one from 1.")
    return replace(cell, scores={name: converted(value, OF_SCORES, name) for name, value in cell.scores.items()})


def check_spelling(asked: Sequence[str]) -> tuple[str, ...]:
    """What is asked for, always spelled in the same way.

    Args:
        asked: tricks as they are spelled, and `ALL`, which is every trick of the table.

    Raises:
        SettingError: an unknown trick (the nearest one is told) or setting.
    """
    found = [ALL if text.strip().lower() == ALL else spelled_tricks([text])[0] for text in asked]
    return tuple(dict.fromkeys(found))


def chosen_rows(
    asked: Sequence[str], fits: Callable[[tuple[str, ...]], None]
) -> tuple[tuple[Row, ...], tuple[str, ...]]:  # fmt: skip
    """The rows of single tricks, and why others are left out, in sentences.

    Args:
        asked: of `check_spelling`; of all tricks those that need something given or do not fit are left out.
        fits: raises for tricks that do not fit method or data.

    Raises:
        HypersegError: a trick that was asked for by its name does not fit.
    """
    rows: dict[str, Row] = {}
    left_out = []
    for text, named in dict([(name, False) for name in TRICKS if ALL in asked] + [(t, True) for t in asked]).items():
        if text == ALL:
            continue
        try:
            row = _row(text)
            fits(row.tricks)
        except HypersegError as why:
            if named:
                raise
            left_out.append(f"left out: {text}: {why}")
            continue
        rows[row.key] = row
    order = list(TRICKS)
    return tuple(sorted(rows.values(), key=lambda row: order.index(parse_trick(row.key)[0].name))), tuple(left_out)


def _row(text: str) -> Row:
    (spelled,) = spelled_tricks([text])
    trick, _ = parse_trick(spelled)
    return Row(spelled, (spelled,), trick.family, trick.phase, trick.trains)


def combined(rows: Iterable[tuple[Row, float]]) -> Row | None:
    """The row of all that helped: of a family the trick with the largest gain; None for fewer than two tricks.

    Args:
        rows: those that helped, with their gains.
    """
    best: dict[str, tuple[Row, float]] = {}
    for row, gain in rows:
        group = row.family or parse_trick(row.key)[0].name
        if group not in best or gain > best[group][1]:
            best[group] = row, gain
    if len(best) < 2:
        return None
    tricks = spelled_tricks(trick for row, _ in best.values() for trick in row.tricks)
    return Row(PLUS.join(tricks), tricks, trains=any(trick.trains for trick, _ in parse_tricks(tricks)))


def tasks_of(
    rows: Sequence[Row], done: Iterable[tuple[str, int, int]], *, folds: int, seeds: int, steps: int
) -> list[Task]:  # fmt: skip
    """What is left to do: fold by fold and seed by seed, so that an interrupted benchmark has whole blocks.

    Rows that do not train are done with the baseline's networks.
    """
    there = set(done)
    tasks = []
    for seed in range(seeds):
        for fold in range(folds):
            missing = [row for row in rows if (row.key, fold, seed) not in there]
            shared = tuple(row for row in missing if row == PLAIN or not row.trains)
            if shared:
                tasks.append(Task(PLAIN, shared, fold, seed, steps))
            tasks += [Task(row, (row,), fold, seed, steps) for row in missing if row not in shared]
    return tasks

"""Progress of long work on a terminal, as callables for `fit` and `predict_scene`.

Where there is no terminal (a log file, a notebook's output, a batch job) a line is printed now and then. Only
process 0 talks.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from hyperseg.engine.distributed import rank
from hyperseg.engine.fit import Report

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn

REFRESH_S = 0.1
LINES = 10
QUIET_S = 2.0  # without a terminal, work shorter than this needs no lines


@contextmanager
def training_progress(
    label: str, steps: int, *, console: Console | None = None, quiet: bool = False
) -> Iterator[Report]:
    """A bar with loss, validation score and time left; yields the `report` for `fit`.

    Args:
        label: what is trained.
        steps: steps of the run; a resumed run starts the bar where it continues.
        console: where to write; None is the standard error stream, so that results stay pipeable.
        quiet: show nothing.
    """
    with _shown(label, steps, console, quiet, unit="steps") as show:
        yield lambda done, values: show(done, _describe(values))


@contextmanager
def scene_progress(
    label: str, pixels: int, *, console: Console | None = None, quiet: bool = False
) -> Iterator[Callable[[int, int], None]]:
    """A bar of pixels done with speed and time left; yields the `progress` for `predict_scene`.

    Args:
        label: what is done to the scene.
        pixels: pixels of the scene.
        console: where to write; None is the standard error stream.
        quiet: show nothing.
    """
    with _shown(label, pixels, console, quiet, unit="pixels") as show:
        began: tuple[float, int] | None = None

        def report(done: int, _total: int) -> None:
            nonlocal began
            now = time.monotonic()
            if began is None:  # pixels done before a resumption do not count as speed
                began = now, done
            rate = (done - began[1]) / max(now - began[0], 1e-9)
            show(done, f"{rate:,.0f} px/s" if done > began[1] else "")

        yield report


def _describe(values: Mapping[str, float]) -> str:
    """Sum of the loss terms, of every phase where there are several; then the validation score in its own unit."""
    score = values.get("validation")
    sums: dict[str, float] = {}
    for name, value in values.items():
        if name != "validation" and not math.isnan(value):
            phase = name.rpartition(".")[0] or "loss"
            sums[phase] = sums.get(phase, 0.0) + value
    words = [f"{phase} {total:.4g}" for phase, total in sums.items()]
    return " ".join(words if score is None else [*words, f"validation {score:.4g}"])


@contextmanager
def _shown(
    label: str, total: int, console: Console | None, quiet: bool, *, unit: str
) -> Iterator[Callable[[int, str], None]]:
    if quiet or rank() != 0:
        yield lambda done, words: None
        return
    from rich.console import Console

    console = Console(stderr=True) if console is None else console
    with _bar(label, total, console) if console.is_terminal else _lines(label, total, console, unit) as show:
        yield show


@contextmanager
def _bar(label: str, total: int, console: Console) -> Iterator[Callable[[int, str], None]]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
    ]
    columns += [TextColumn("{task.fields[words]}", markup=False), TimeRemainingColumn()]
    with Progress(*columns, console=console, transient=True) as progress:
        task, shown = None, -math.inf

        def show(done: int, words: str) -> None:
            nonlocal task, shown
            now = time.monotonic()
            if task is None:  # made here, so that steps done before a resumption do not count as speed
                task = progress.add_task(label, total=total, completed=done, words=words)
            elif now - shown >= REFRESH_S or done >= total:
                progress.update(task, completed=done, words=words)
            else:
                return
            shown = now

        yield show


@contextmanager
def _lines(label: str, total: int, console: Console, unit: str) -> Iterator[Callable[[int, str], None]]:
    began, last = time.monotonic(), -1

    def show(done: int, words: str) -> None:
        nonlocal last
        tenth, seconds = done * LINES // max(total, 1), time.monotonic() - began
        if tenth == last or seconds < QUIET_S:
            return
        last = tenth
        line = f"{label}: {done}/{total} {unit} {words}".rstrip() + f" ({seconds:.0f} s)"
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    yield show

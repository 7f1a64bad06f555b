"""Progress of long work on a terminal, as callables for `fit` and `predict_scene`, and signs of life of any other.

Where there is no terminal (a log file, a notebook's output, a batch job) a line is printed now and then. Only
process 0 talks.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hyperseg.engine.distributed import rank
from hyperseg.engine.fit import Report

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import ProgressColumn


@dataclass(frozen=True)
class Pace:
    """How often progress is shown.

    Attributes:
        refresh_s: seconds between two drawings of a bar.
        lines, quiet_s: without a terminal: lines of the whole work, none before so many seconds.
        silence_s: the longest time without a line, there and in work without steps.
        clock: seconds since any moment.
    """

    refresh_s: float = 0.1
    lines: int = 10
    quiet_s: float = 2.0
    silence_s: float = 5.0
    clock: Callable[[], float] = time.monotonic


USUAL = Pace()
Show = Callable[[int, str], None]  # what is done, and words for the end of the line
_bars = 0  # being shown: they tell more than `working`


def say(text: str, *, console: Console | None = None, quiet: bool = False) -> None:
    """A line on standard error, for who waits; nothing when quiet."""
    if not quiet and rank() == 0:
        _error_console(console).print(text, markup=False, highlight=False, soft_wrap=True)


@contextmanager
def working(label: str, *, console: Console | None = None, quiet: bool = False, pace: Pace = USUAL) -> Iterator[None]:
    """Say that work without steps goes on: after 5 seconds, then after twice as long each time, while no bar does."""
    began, ended = pace.clock(), threading.Event()

    def tell() -> None:
        wait = pace.silence_s
        while not ended.wait(wait):
            seconds = pace.clock() - began
            if not _bars:
                say(f"{label} ({seconds:.0f} s)", console=console)
            wait = max(seconds, pace.silence_s)

    if quiet or rank() != 0:
        yield
        return
    thread = threading.Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


@contextmanager
def training_progress(
    label: str, steps: int, *, console: Console | None = None, quiet: bool = False, pace: Pace = USUAL
) -> Iterator[Report]:
    """A bar with loss, validation score and time left, on standard error if no console is given.

    Yields the `report` for `fit`. The bar of a resumed run starts where that continues.
    """
    with _shown(label, steps, console, quiet, pace, unit="steps") as show:
        yield lambda done, values: show(done, _describe(values))


@contextmanager
def scene_progress(
    label: str, pixels: int, *, console: Console | None = None, quiet: bool = False, pace: Pace = USUAL,
    unit: str = "pixels",
) -> Iterator[Callable[[int, int], None]]:  # fmt: skip
    """A bar of so many pixels (or voxels) with speed and time left, else like `training_progress`.

    Yields the `progress` for `predict_scene`.
    """
    with _shown(label, pixels, console, quiet, pace, unit=unit) as show:
        began: tuple[float, int] | None = None

        def report(done: int, _total: int) -> None:
            nonlocal began
            now = pace.clock()
            if began is None:  # pixels done before a resumption do not count as speed
                began = now, done
            rate = (done - began[1]) / max(now - began[0], 1e-9)
            show(done, f"{rate:,.0f} {'px' if unit == 'pixels' else unit}/s" if done > began[1] else "")

        yield report


@contextmanager
def counted_progress(
    label: str, *, unit: str, console: Console | None = None, quiet: bool = False, pace: Pace = USUAL
) -> Iterator[Callable[[int, int], None]]:
    """A bar of things of which the number is known at the first report; yields (done, total) -> None."""
    with ExitStack() as stack:
        show: Show | None = None

        def report(done: int, total: int) -> None:
            nonlocal show
            if show is None:
                show = stack.enter_context(_shown(label, total, console, quiet, pace, unit=unit))
            show(done, "")

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
def _shown(label: str, total: int, console: Console | None, quiet: bool, pace: Pace, *, unit: str) -> Iterator[Show]:
    if quiet or rank() != 0:
        yield lambda done, words: None
        return
    global _bars
    console = _error_console(console)
    bar = _bar if console.is_terminal else _lines
    _bars += 1
    try:
        with bar(label, total, console, pace, unit) as show:
            yield show
    finally:
        _bars -= 1


def _error_console(console: Console | None) -> Console:
    """The console given, or one on standard error: results stay pipeable."""
    from rich.console import Console

    return Console(stderr=True) if console is None else console


@contextmanager
def _bar(label: str, total: int, console: Console, pace: Pace, unit: str) -> Iterator[Show]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns: list[ProgressColumn] = [TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()]
    columns += [TextColumn("{task.fields[words]}", markup=False), TimeRemainingColumn()]
    with Progress(*columns, console=console, transient=True) as progress:
        task, shown = None, -math.inf

        def show(done: int, words: str) -> None:
            nonlocal task, shown
            now = pace.clock()
            if task is None:  # made here, so that steps done before a resumption do not count as speed
                task = progress.add_task(label, total=total, completed=done, words=words)
            elif now - shown >= pace.refresh_s or done >= total:
                progress.update(task, completed=done, words=words)
            else:
                return
            shown = now

        yield show


@contextmanager
def _lines(label: str, total: int, console: Console, pace: Pace, unit: str) -> Iterator[Show]:
    began = pace.clock()
    last, told = -1, 0.0

    def show(done: int, words: str) -> None:
        nonlocal last, told
        tenth, seconds = done * pace.lines // max(total, 1), pace.clock() - began
        if seconds < pace.quiet_s or (tenth == last and seconds < told + max(told, pace.silence_s)):
            return
        last, told = tenth, seconds
        line = f"{label}: {done}/{total} {unit} {words}".rstrip() + f" ({seconds:.0f} s)"
        console.print(line, markup=False, highlight=False, soft_wrap=True)

    yield show

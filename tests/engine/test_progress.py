"""Progress: a bar on a terminal, a few lines elsewhere, nothing when quiet."""

import io
import time

import pytest
import torch
from rich.console import Console
from torch import nn

from hyperseg.engine import Phase, fit, scene_progress, training_progress
from hyperseg.engine.progress import Pace, counted_progress, say, working

LOUD = Pace(quiet_s=0.0)  # these jobs take no time, and short jobs print no lines


def console(terminal: bool) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(file=out, force_terminal=terminal, width=120), out


def test_lines_where_there_is_no_terminal() -> None:
    where, out = console(terminal=False)
    with training_progress("[net] fit", 1000, console=where, pace=LOUD) as report:
        for step in range(1, 1001):
            report(step, {"ce": 2.0, "l2": 0.5} | ({"validation": 87.35} if step >= 500 else {}))
    lines = out.getvalue().splitlines()
    assert len(lines) == 11  # the first step, then every tenth of the run
    assert lines[0].startswith("[net] fit: 1/1000 steps loss 2.5 (")
    assert lines[5].startswith("[net] fit: 500/1000 steps loss 2.5 validation 87.35 (")
    assert lines[-1].startswith("[net] fit: 1000/1000")


def test_a_bar_on_a_terminal_shows_what_matters() -> None:
    where, out = console(terminal=True)
    with training_progress("[net] fit", 40, console=where, pace=Pace(refresh_s=0.0)) as report:
        report(30, {"ce": 1.25})  # a resumed run starts here
        report(40, {"ce": 0.5, "validation": 91.0})
    text = out.getvalue()
    assert "[net] fit" in text
    assert "40/40" in text
    assert "loss 0.5 validation 91" in text


def test_things_whose_number_is_known_later() -> None:
    where, out = console(terminal=False)
    with counted_progress("[a] check", unit="cases", console=where, pace=LOUD) as report:
        for done in range(1, 4):
            report(done, 3)
    assert [line.split(" (")[0] for line in out.getvalue().splitlines()] == [
        f"[a] check: {n}/3 cases" for n in (1, 2, 3)
    ]
    with counted_progress("check", unit="cases", console=where, pace=LOUD):
        pass  # nothing to count: nothing is shown


def test_steps_between_two_refreshes_cost_no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.progress import Progress

    updates: list[int] = []
    plain = Progress.update
    monkeypatch.setattr(Progress, "update", lambda self, *a, **k: (updates.append(1), plain(self, *a, **k))[1])
    slow = Pace(refresh_s=1e9)
    with training_progress("fit", 500, console=console(terminal=True)[0], pace=slow) as report:
        for step in range(1, 501):
            report(step, {"ce": 1.0})
    assert len(updates) == 1  # the last step is always shown


def test_short_work_prints_no_lines() -> None:
    now, (where, out) = 0.0, console(terminal=False)
    pace = Pace(quiet_s=2.0, clock=lambda: now)
    with scene_progress("map", 10, console=where, pace=pace) as done:
        for pixels in range(1, 11):
            now = pixels * 0.19
            done(pixels, 10)
    assert out.getvalue() == ""
    with scene_progress("map", 10, console=where, pace=pace) as done:
        for pixels in range(1, 11):
            now += 0.5
            done(pixels, 10)
    lines = out.getvalue().splitlines()
    assert [line.split(" pixels")[0] for line in lines] == [f"map: {n}/10" for n in range(4, 11)]
    assert lines[0] == "map: 4/10 pixels 2 px/s (2 s)"
    assert lines[-1] == "map: 10/10 pixels 2 px/s (5 s)"


@pytest.mark.parametrize("terminal", [False, True])
def test_quiet_is_silent(terminal: bool) -> None:
    where, out = console(terminal)
    with training_progress("fit", 10, console=where, quiet=True, pace=LOUD) as report:
        report(10, {"ce": 1.0})
    with scene_progress("map", 10, console=where, quiet=True, pace=LOUD) as done:
        done(10, 10)
    assert out.getvalue() == ""


def test_it_fits_fit_and_errors_pass_through() -> None:
    net = nn.Linear(1, 1)
    phase = Phase("p", lambda b: {"w": net.weight.sum()}, torch.optim.SGD(net.parameters(), lr=0.1))
    where, out = console(terminal=False)
    with training_progress("fit", 10, console=where, pace=LOUD) as report:
        fit([phase], lambda s: None, 10, modules={"n": net}, seed=0, report=report)
    assert "fit: 10/10 steps loss" in out.getvalue()
    with pytest.raises(ZeroDivisionError), training_progress("fit", 10, console=console(terminal=True)[0]) as report:
        report(1, {"ce": 1 / 0})


def test_work_without_steps_says_that_it_goes_on() -> None:
    where, out = console(terminal=False)
    pace = Pace(silence_s=0.05)
    with working("[svm] training", console=where, pace=pace):
        time.sleep(0.5)
    lines = out.getvalue().splitlines()
    assert 2 <= len(lines) <= 5  # after 0.05, 0.1, 0.2 and 0.4 s
    assert lines[0] == "[svm] training (0 s)"
    with working("short", console=where), working("quiet", console=where, quiet=True, pace=pace):
        time.sleep(0.1)
    assert out.getvalue().splitlines() == lines
    with pytest.raises(ZeroDivisionError), working("failing", console=where):
        1 / 0  # noqa: B018


def test_a_bar_tells_more_than_work_without_steps() -> None:
    where, out = console(terminal=False)
    with working("outside", console=where, pace=Pace(silence_s=0.02)), scene_progress("map", 10, console=where):
        time.sleep(0.1)
    assert out.getvalue() == ""


def test_a_slow_tenth_is_no_silence() -> None:
    now, (where, out) = 0.0, console(terminal=False)
    with scene_progress("map", 1000, console=where, pace=Pace(clock=lambda: now)) as done:
        for pixels in range(1, 50):
            now += 1.0
            done(pixels, 1000)
    assert [line.rsplit("(")[-1] for line in out.getvalue().splitlines()] == ["2 s)", "7 s)", "14 s)", "28 s)"]


def test_a_line_for_who_waits() -> None:
    where, out = console(terminal=False)
    say("[x] plan", console=where)
    say("not this", console=where, quiet=True)
    assert out.getvalue() == "[x] plan\n"

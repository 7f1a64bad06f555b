"""Energy from counters that start over, peaks of memory, and a clock without waiting."""

from __future__ import annotations

import mmap
import time
from pathlib import Path

import pytest

from hyperseg.engine.meter import Counter, counters, metered, quiet_clock
from hyperseg.engine.meter.energy import integrated
from hyperseg.engine.meter.memory import forget_peak, peak_bytes


def package(folder: Path, name: str, microjoules: int, kind: str = "package-0", full: int = 1000) -> Path:
    """A counter as Linux shows it."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    for file, text in (("name", kind), ("energy_uj", microjoules), ("max_energy_range_uj", full)):
        (place / file).write_text(f"{text}\n")
    return place


def test_a_counter_that_starts_over(tmp_path: Path) -> None:
    place = package(tmp_path, "intel-rapl:0", 900)
    package(tmp_path, "intel-rapl:0:0", 5, kind="core")
    (one,) = counters("cpu", powercap=tmp_path)
    assert one.what == "processor 0"
    assert one.joules() == 0
    (place / "energy_uj").write_text("950\n")
    assert one.joules() == pytest.approx(50e-6)
    (place / "energy_uj").write_text("30\n")  # 50 to the end, 30 from the start
    assert one.joules() == pytest.approx(130e-6)


def test_counters_of_several_processors_and_none_that_is_kept_away(tmp_path: Path) -> None:
    for name in ("intel-rapl:0", "intel-rapl:1"):
        package(tmp_path, name, 0, kind=f"package-{name[-1]}")
    (tmp_path / "intel-rapl:1" / "energy_uj").unlink()
    assert [one.what for one in counters("cpu", powercap=tmp_path)] == ["processor 0"]
    assert counters("cpu", powercap=tmp_path / "nothing") == ()


def test_watts_over_time_are_joules() -> None:
    now, power = iter((0.0, 2.0, 5.0)), iter((10.0, 20.0, 0.0))
    joules = integrated(lambda: next(power), clock=lambda: next(now))
    assert joules() == 30
    assert joules() == 30 + 30


def test_what_work_took() -> None:
    joules = iter((5.0, 12.5))
    with metered("cpu", [Counter("of a test", lambda: next(joules))]) as usage:
        time.sleep(0.02)
    assert usage.joules == 7.5
    assert 0.02 <= usage.seconds < 5
    assert 0 <= usage.waited_s < usage.seconds
    with metered("cpu", []) as usage:
        pass
    assert usage.joules is None


def test_what_failed_was_measured_too() -> None:
    with pytest.raises(KeyError), metered("cpu", []) as usage:
        raise KeyError
    assert usage.seconds > 0


def test_a_peak_is_that_of_the_work_alone() -> None:
    if not Path("/proc/self/clear_refs").exists():
        pytest.skip("only Linux forgets peaks")
    n = 64 * 2**20
    with metered("cpu", []) as before:
        pass
    with metered("cpu", []) as large:
        held = mmap.mmap(-1, n)  # pages of its own: NumPy may get some that an earlier test gave back
        held.write(b"1" * n)
        held.close()
    with metered("cpu", []) as after:
        pass
    sizes = [used.peak_bytes or 0 for used in (before, large, after)]
    assert sizes[1] - sizes[0] > 0.9 * n
    assert sizes[1] - sizes[2] > 0.9 * n
    forget_peak("cpu")
    assert (peak_bytes("cpu") or 0) <= sizes[1]


def test_a_quiet_clock_does_not_run_ahead() -> None:
    began, quiet = time.perf_counter(), quiet_clock()
    while time.perf_counter() < began + 0.05:
        pass
    assert 0 < quiet_clock() - quiet <= time.perf_counter() - began + 1e-3

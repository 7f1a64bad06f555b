"""Which cells a benchmark has: methods by network calls; what is left out and why, and what is refused at once."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from hyperseg.core import SettingError
from hyperseg.core.words import did_you_mean, listed
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.samplers.sampler import Sampler
from hyperseg.dpm.schedules.schedule import Schedule
from hyperseg.recipes.bench.settings import MANY, MOST, NFES, Asked

Kind = Literal["sampler", "raw", "chosen", "speed-up"]
FREE = "training-free"  # how the families begin that the survey counts among the speed-ups
OF_STEPS = ("share",)  # what a network can be taught to say in a schedule of steps only
EXTRA = "diffusion"  # the extra of this package with optional samplers
NAMED = "; name it in --samplers to see it."
RAW_LABEL, CHOSEN_LABEL = "raw weights", "steps chosen"


@dataclass(frozen=True)
class Cell:
    """One line of the table.

    Attributes:
        kind: a sampler; the same with weights that are no average, or on steps chosen by dynamic programming; a
            speed-up that trains.
        method: as in its table.
        asked: network calls that were asked for.
        calls: those that it takes.
    """

    kind: Kind
    method: str
    asked: int
    calls: int

    @property
    def key(self) -> str:
        return f"{self.kind}:{self.method}@{self.asked}"

    @property
    def label(self) -> str:
        """The method in the table."""
        more = {"raw": RAW_LABEL, "chosen": CHOSEN_LABEL}.get(self.kind)
        return f"{self.method}, {more}" if more else self.method


@dataclass(frozen=True)
class Planned:
    """All cells in the order in which they are made, and a line for everything left out."""

    cells: tuple[Cell, ...]
    left_out: tuple[str, ...]

    @property
    def calls(self) -> int:
        return sum(cell.calls for cell in self.cells)


def plan_cells(
    asked: Asked, schedule: Schedule, *, speedups: Mapping[str, Any], says: tuple[str, ...] = (), raw: bool = True
) -> Planned:
    """Cells for everything asked for, by rising calls.

    What is asked for by name is refused where it cannot be had; of what is asked for as "all" it is left out and told.

    Args:
        speedups: the table of methods that train.
        says: what the network says beside its prediction from the first; where that is anything, no more is added.
        raw: weights that are no average are there too.

    Raises:
        SettingError: an unknown method, one that cannot be had, or calls that a method named cannot be done with.
    """
    names = asked.methods or (*SAMPLERS, *speedups)
    for name in names:
        _check_known(name, speedups)
    nfes = tuple(sorted(set(asked.nfes or NFES)))
    cells: list[Cell] = []
    reasons: dict[str, list[str]] = {}
    few: dict[str, int] = {}
    longest: set[str] = set()  # families of which one makes the most calls
    for name in dict.fromkeys(names):
        if name in SAMPLERS:
            sampler: Sampler = SAMPLERS[name]
            reason = missing_package(sampler) or _missing_head(sampler, says, schedule)
            if reason is None and sampler.aside and not asked.methods:
                reason = sampler.aside + NAMED
            if reason is not None:
                if asked.methods:
                    raise SettingError(f"{name} {reason} Or leave it out of --samplers.")
                reasons.setdefault(reason, []).append(name)
                continue
            found = _of_sampler(sampler, nfes, schedule, asked, longest=sampler.family not in longest)
            longest |= {sampler.family for cell in found if cell.asked > MOST}
            few |= {name: sampler.nfe(sampler.least)} if not found else {}
            cells += found
        elif speedups[name].aside and not asked.methods:
            reasons.setdefault(speedups[name].aside + NAMED, []).append(name)
        else:
            cells += _of_speedup(name, speedups[name], nfes, asked)
    if not cells:
        least = listed(f"{name} {n}" for name, n in few.items())
        raise SettingError(f"nothing is left to do with {listed(map(str, nfes))} network calls; at least: {least}.")
    cells += _compared(cells, raw=raw)
    left = [f"left out: {listed(names)}: each {reason}" if len(names) > 1 else f"left out: {names[0]} {reason}"
            for reason, names in reasons.items()]  # fmt: skip
    return Planned(tuple(sorted(cells, key=lambda c: (c.kind == "speed-up", c.asked))), tuple(left))


def missing_package(sampler: Sampler) -> str | None:
    """Why a sampler cannot be used on this machine, or None."""
    if sampler.package is None or importlib.util.find_spec(sampler.package) is not None:
        return None
    return f'needs the package {sampler.package}: pip install "hyperseg[{EXTRA}]".'


def _missing_head(sampler: Sampler, says: tuple[str, ...], schedule: Schedule) -> str | None:
    """Heads are added to a network that has none; one that was trained with some keeps those."""
    if sampler.needs is None or sampler.needs in says:
        return None
    if sampler.needs in OF_STEPS and schedule.steps is None:
        return f"needs a network of a schedule of steps, and {schedule.name} is continuous: use --schedule linear."
    if not says:
        return None
    return (
        f"needs a network that says {sampler.needs!r}, and this objective trains {listed(map(repr, says))} only: use "
        "an --objective that trains no more than the prediction."
    )


def _compared(cells: Sequence[Cell], *, raw: bool) -> list[Cell]:
    """The first method of order 1 with raw weights, and the first with a bound on steps that are best in it."""
    chosen = [cell for cell in cells if cell.kind == "sampler" and cell.asked <= MANY]
    plain = next((c.method for c in chosen if SAMPLERS[c.method].order == 1), None)
    bound = next((c.method for c in chosen if _bounded(SAMPLERS[c.method])), None)
    found = [replace(cell, kind="raw") for cell in chosen if cell.method == plain and raw]
    return found + [replace(cell, kind="chosen") for cell in chosen if cell.method == bound and cell.calls > 1]


def _bounded(sampler: Sampler) -> bool:
    """Whether steps can be chosen for it: they are chosen by the bound of the smaller variance."""
    return sampler.variance == "small" and sampler.zero


def _check_known(name: str, speedups: Mapping[str, Any]) -> None:
    known = (*SAMPLERS, *speedups)
    if name not in known:
        close = did_you_mean(name, known)
        raise SettingError(
            f"--samplers {name}: no such sampler; choose from {', '.join(known)}, or all.{close} "
            "hyperseg bench samplers --list tells what each is."
        )


def _for_many(sampler: Sampler) -> bool:
    """Whether many calls are what it is made for: a process with noise that the survey's speed-ups begin from."""
    faster = sampler.family.startswith(FREE) or sampler.needs or sampler.fit or sampler.package
    return sampler.order is None and not faster


def _of_sampler(
    sampler: Sampler, nfes: Sequence[int], schedule: Schedule, asked: Asked, *, longest: bool
) -> list[Cell]:
    """Its cells; by default many calls only of what is made for them, and the most of one sampler of each family."""
    found: dict[int, Cell] = {}
    for nfe in nfes:
        if not asked.nfes and ((nfe > MANY and not _for_many(sampler)) or (nfe > MOST and not longest)):
            continue
        try:
            steps = sampler.steps(nfe)
            if sampler.on_steps and schedule.steps is not None and steps > schedule.steps:
                raise SettingError(
                    f"{sampler.name} makes no more than the {schedule.steps} steps of the schedule {schedule.name}, "
                    f"got {nfe} network calls: ask for fewer."
                )
        except SettingError:
            if asked.methods and asked.nfes:
                raise
            continue
        found[nfe] = Cell("sampler", sampler.name, nfe, sampler.nfe(steps))
    return list(found.values())


def _of_speedup(name: str, speedup: Any, nfes: Sequence[int], asked: Asked) -> list[Cell]:
    possible = tuple(speedup.nfes)
    if asked.methods and asked.nfes and not set(possible) & set(nfes):
        raise SettingError(
            f"{name} is made for {listed(map(str, possible), last='or')} network calls, got --nfe "
            f"{','.join(map(str, nfes))}: ask for one of these."
        )
    wanted = [n for n in possible if not asked.nfes or n in nfes]
    return [Cell("speed-up", name, n, n) for n in wanted]

"""Costs in words: before a run, and beside what was measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hyperseg.core.words import counted, duration, number, percent, thousands
from hyperseg.recipes.segment.costs.estimate import Estimate

GB, MB = 1e9, 1e6
RATIO = (
    "The ratio leaves out the time of waiting for a processor that other work had, as what was expected does; not "
    "where minutes of training were given."
)
BUSY = 0.1  # of the time, and more, spent waiting for a processor: worth a word
PER_STEPS = 1000  # that `plan` tells the time of
NAMES = {
    "steps": "steps of a fold", "preparing_s": "preparing all cases", "training_s": "training a fold",
    "validation_s": "predicting its cases", "total_s": "all", "training_bytes": "memory, training",
    "prediction_bytes": "memory, predicting", "watt_hours": "energy",
}  # fmt: skip
HEADS = ("cost", "expected", "was", "of it waiting", "ratio")
FROM = {
    "given": "as given by --watts or HYPERSEG_WATTS",
    "measured": "as measured while it was tried",
    "assumed": "an assumption: --watts or HYPERSEG_WATTS states yours",
}


def expected(name: str, found: Estimate, folds: int) -> str:
    """A sentence before a run."""
    each = "it" if folds == 1 else "each"
    preparing = f"{duration(found.preparing_s)} to prepare {counted(found.n_cases, 'case')}, "
    return (
        f"{name}: expected are {duration(found.seconds(folds))} for {counted(folds, 'fold')}: "
        f"{preparing if found.preparing_s else ''}{duration(found.training_s)} to train {each} "
        f"({counted(found.steps, 'step')} of {seconds(found.step_s)}), {duration(found.validation_s)} to predict its "
        f"cases; at most {size(max(found.training_bytes, found.prediction_bytes))} of memory and "
        f"{energy(found.watt_hours(folds))} ({watts(found)}).{busy(found)}"
    )


def planned(name: str, found: Estimate) -> str:
    """A sentence of a plan: a step, a thousand of them, a case."""
    training = PER_STEPS * found.step_s
    return (
        f"{name}: a training step takes {seconds(found.step_s)} here ({madds(found.step_madds)}), "
        f"{thousands(PER_STEPS)} steps {duration(training)}, {size(found.training_bytes)} of memory and "
        f"{energy(found.watts * training / 3600)}; predicting a case "
        f"{seconds(found.case_s)} with one network ({found.windows:.3g} windows of {madds(found.window_madds)}) "
        f"and {size(found.prediction_bytes)}, {seconds(found.mirrored_s)} with {counted(found.n_folds, 'fold')} and "
        f"{counted(found.mirrors, 'mirror image')} of each. "
        f"Estimated from steps tried on this machine; {watts(found)}.{busy(found)}"
    )


def busy(found: Estimate) -> str:
    """A caution where other work had the processor while it was tried."""
    if found.waiting < BUSY:
        return ""
    longer = 1 / max(1 - found.waiting, 0.01)
    then = "fewer steps fit in, as is reckoned with" if found.by_clock else f"it takes {longer:.1f} times as long"
    return (
        f" Trials waited {percent(100 * found.waiting)} of their time for a processor that other work had: if that "
        f"stays, {then}."
    )


def rows(costs: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What was expected and what was, of each configuration in run.json's `costs`; cells in words."""
    found: list[tuple[str, ...]] = []
    for name, one in costs.items():
        for what, row in one["rows"].items():
            title = f"{name}: {NAMES[what]}"
            if what == "watt_hours":
                title += f" ({one['energy']})"
            cells = (_cell(what, row[key]) for key in ("estimated", "measured"))
            waited = duration(row["waited"]) if "waited" in row else ""
            found.append((title, *cells, waited, number(row["ratio"], 2)))
    return found


def how_measured(costs: Mapping[str, Any]) -> str:
    """What the energy of the rows is."""
    told = []
    for name, one in costs.items():
        if one["energy"] == "measured":
            told.append(f"Energy of {name} was counted by the machine, all that ran on it together.")
        else:
            assumed = {"given": "as given", "measured": "as measured before", "assumed": "an assumption"}
            source = assumed[one["estimate"]["watts_from"]]
            told.append(
                f"This machine tells no energy: that of {name} is {one['estimate']['watts']:.0f} W ({source}) times "
                "the seconds, expected and measured."
            )
    return " ".join((*told, RATIO))


def watts(found: Estimate) -> str:
    """Whose watts."""
    return f"at {found.watts:.0f} W, {FROM[found.watts_from]}"


def seconds(value: float) -> str:
    """A short time."""
    return f"{1000 * value:.0f} ms" if value < 1 else duration(value)


def size(value: float) -> str:
    """Bytes."""
    return f"{value / GB:.1f} GB" if value >= GB else f"{value / MB:.0f} MB"


def energy(watt_hours: float) -> str:
    """Watt hours."""
    if watt_hours >= 1000:
        return f"{watt_hours / 1000:.1f} kWh"
    return f"{watt_hours:.1f} Wh" if watt_hours >= 1 else f"{watt_hours:.2g} Wh"


def madds(n: float) -> str:
    """Multiply-adds."""
    for unit, factor in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if n >= factor:
            return f"{n / factor:.3g} {unit} multiply-adds"
    return f"{thousands(n)} multiply-adds"


def _cell(what: str, value: float | None) -> str:
    if value is None:
        return number(None)
    if what.endswith("_s"):
        return duration(value)
    if what.endswith("_bytes"):
        return size(value)
    return energy(value) if what == "watt_hours" else thousands(value)

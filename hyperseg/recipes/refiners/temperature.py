"""Calibration by one temperature: the map stays what it is, its confidence becomes what can be expected of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.core.parts import Context, Model, Refiner, Saved
from hyperseg.core.sections import Figure, Section
from hyperseg.core.settings import option, settings
from hyperseg.core.task import Task
from hyperseg.recipes.refiners.held_out import HeldOut, held_out

if TYPE_CHECKING:
    from hyperseg.core.runtime import Runtime

NOT_FITTED = "no pixel was held out to fit it to"


@settings
class TemperatureSettings:
    """What the temperature is fitted to; chosen on parcel splits of Indian Pines, see docs/decisions.md."""

    retrain: Literal["auto", "always", "never"] = option(
        "auto",
        "Train the method once more, or twice, to hold out more parcels; auto does so only where validation pixels "
        "hold out none.",
    )
    expected: float = option(
        1.25,
        "The temperature expected before anything is held out, where parcels are: on new ground maps are too sure. "
        "Where pixels are held out one by one it is 1.",
        low=0.1,
        high=10,
    )
    spread: float = option(
        0.2,
        "Standard deviation that its logarithm is expected to have: how far it goes on the word of few parcels.",
        low=0.01,
        high=10,
    )


@dataclass(frozen=True)
class FittedTemperature:
    """A fitted temperature; see `hyperseg.core.parts.Fitted`.

    Attributes:
        temperature: above 1 maps become less sure, below 1 more; None for "leave maps alone".
        numbers: for metrics.json; empty for one taken up again.
    """

    temperature: float | None
    numbers: dict[str, Any]
    name: str = "temperature"
    reach_px: int = 0
    margin_px: int = 0
    exact: bool = True

    @property
    def changes_nothing(self) -> bool:
        return self.temperature is None

    def window_px(self, before: int) -> int:
        return before

    def apply(self, map: SegmentationMap, scene: Scene, runtime: Runtime) -> SegmentationMap:
        from hyperseg.metrics.calibration import tempered

        return map if self.temperature is None else map.refined(tempered(map.probs, self.temperature), self.name)

    def joined(self, map: SegmentationMap, scene: Scene, train: NDArray[np.bool_]) -> None:
        return None

    def saved(self) -> Saved:
        return Saved({"temperature": self.temperature})

    def section(self, before: SegmentationMap, after: SegmentationMap, scene: Scene, split: Split) -> Section:
        from hyperseg.metrics.calibration import reliability
        from hyperseg.report.reliability import CAPTION, reliability_figure, temperature_sentences

        assert scene.labels is not None
        truth = scene.labels[split.test]
        tables = {when: reliability(m.probs[split.test], truth) for when, m in (("before", before), ("after", after))}
        rows = {when: table.rows() for when, table in tables.items()}
        numbers = self.numbers | {"ece": {w: 100 * t.ece for w, t in tables.items()}, "reliability": rows}
        names = {"before": f"before: T = 1, ECE {numbers['ece']['before']:.1f} %"}
        if self.temperature is not None:
            names["after"] = f"after: T = {self.temperature:.2f}, ECE {numbers['ece']['after']:.1f} %"
        figure = Figure(reliability_figure({names[when]: rows[when] for when in names}), CAPTION)
        return Section("Calibration", tuple(temperature_sentences(numbers)), figures=(figure,), numbers=numbers)


def fit(map: SegmentationMap, task: Task, settings: TemperatureSettings, context: Context) -> FittedTemperature:
    """The temperature from held-out pixels, those of one parcel as one observation."""
    from hyperseg.metrics.calibration import likeliest_temperature

    found = held_out(map, task, context, retrain=settings.retrain == "always")
    if settings.retrain == "auto" and not len(found.truth):
        found = held_out(map, task, context, retrain=True)
    if not len(found.truth):
        return FittedTemperature(None, told(None, found, task))
    expected = 1.0 if found.by == "single" else settings.expected
    value = likeliest_temperature(found.probs, found.truth, found.weights(), expected=expected, spread=settings.spread)
    return FittedTemperature(value, told(value, found, task))


def told(temperature: float | None, found: HeldOut, task: Task) -> dict[str, Any]:
    """What it was fitted to, as JSON."""
    assert task.scene.labels is not None
    seen, trained = np.unique(found.truth), np.unique(task.scene.labels[task.split.train])
    return {
        "name": TEMPERATURE.name,
        "temperature": temperature,
        "pixels": len(found.truth),
        "units": found.units,
        "held_out": found.by,
        "trainings": found.trainings,
        "classes": [task.scene.classes[k] for k in seen],
        "without": [task.scene.classes[k] for k in np.setdiff1d(trained, seen)],
    }


def load(saved: Saved, model: Model) -> FittedTemperature:
    return FittedTemperature(saved.record["temperature"], {})


TEMPERATURE = Refiner(
    "temperature", TemperatureSettings, fit, load, title="The temperature", calibrates=True, alone=NOT_FITTED
)

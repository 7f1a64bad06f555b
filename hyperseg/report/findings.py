"""What a run found, in rows and plain sentences, for the report and for the screen.

`metrics` is what a run writes to `metrics.json`, in memory or read back: numbers are percent, an accuracy is
a mapping with "mean" and "std" over repeats, and a number that is not known is NaN or None. "steps" holds the scores
of every map with its "role", its "title" where a reader calls it otherwise than the run does, and, where a refiner
made it, "by": what a reader calls that; "final" is the name of the step whose map was written, "cautions" are what
parts of the run have to say about its numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, get_args

from hyperseg.core.maps import Role
from hyperseg.core.sections import Section
from hyperseg.core.words import UNKNOWN, counted, listed, number, percent

Metrics = Mapping[str, Any]
SCORED = ("OA", "AA", "kappa")
HIGH_LEAK = HIGH_ECE = 10.0  # percent; our choice of when a reader is warned
HOPELESS = 20.0  # percent right, below which a class is named


@dataclass(frozen=True)
class Row:
    """One step of the run in the table of accuracies.

    Attributes:
        name, scores: the step's key and entry in `metrics["steps"]`.
        role: a baseline, what the method is to be compared with (its twin), the network itself, a control (the network
            with refiners that did not make the final map), or the network with refiners on the way to it.
        final: True for the step whose map was written.
    """

    name: str
    role: Role
    final: bool
    scores: Metrics

    @property
    def title(self) -> str:
        """The name as a reader sees it."""
        return str(self.scores.get("title", self.name))


def rows(metrics: Metrics) -> list[Row]:
    """Baselines first, then the twin, network, controls and refined; the order within each stays."""
    steps, final = metrics["steps"], metrics["final"]
    found = [Row(name, scores["role"], name == final, scores) for name, scores in steps.items()]
    return sorted(found, key=lambda row: get_args(Role).index(row.role))


def mean(value: Any) -> float:
    """The mean of an accuracy or of a list over repeats, or the number itself; NaN where it is unknown."""
    found = value.get("mean") if isinstance(value, Mapping) else value
    if isinstance(found, list | tuple):
        known = [v for v in found if v is not None]
        return sum(known) / len(known) if known else math.nan
    return math.nan if found is None else float(found)


def spread(value: Any, repeats: int, digits: int = 2) -> str:
    """ "mean ± sd" over repeats; the mean alone where there was one repeat."""
    text = number(mean(value), digits)
    if repeats < 2 or text == UNKNOWN or not isinstance(value, Mapping):
        return text
    return f"{text} ± {number(value.get('std'), digits)}"


def setting(value: Any) -> str:
    """The value of a setting as a reader sees it."""
    if isinstance(value, float):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def scene_sentence(metrics: Metrics) -> str:
    """What was mapped: size, bands, classes."""
    scene, split = metrics.get("scene") or {}, metrics.get("split") or {}
    parts = []
    if scene.get("shape"):
        parts.append(f"{' × '.join(map(str, scene['shape']))} pixels")
    if bands := scene.get("bands"):
        usable = scene.get("bands_usable", bands)
        parts.append(counted(bands, "band") + ("" if usable == bands else f" ({usable} usable)"))
    if split.get("per_class"):
        parts.append(counted(len(split["per_class"]), "class", "classes"))
    return ", ".join(parts)


def split_sentence(split: Metrics, repeats: int = 1) -> str:
    """How many pixels trained, validated and tested, and how they were drawn; of several repeats, in the first."""
    first = "In the first repeat " if repeats > 1 else ""
    kept = f"; a guard of {split['guard_px']} px was kept" if split.get("guard_px") else ""
    parts = [f"{counted(split[p], f'{word} pixel')}" for p, word in (("train", "training"), ("val", "validation"))]
    return f"{first}{', '.join(parts)} and {counted(split['test'], 'test pixel')}, drawn by {split['how']}{kept}."


def estimate_sentence(split: Metrics) -> str:
    """What the accuracies are an estimate of; "" where the split does not say."""
    return f"What this estimates: {split['estimates']}." if split.get("estimates") else ""


def leak_sentence(leak: Metrics) -> str:
    """The leak in plain words, by window and by region, and what it means for the accuracies."""
    by_region = mean(leak.get("region"))
    if math.isnan(by_region):
        return _window_sentence(leak)
    return (
        f"{_window_sentence(leak)} {percent(by_region)} share a region of pixels that are decided together with a "
        "training pixel, on average over the trees."
    )


def _window_sentence(leak: Metrics) -> str:
    share, side = mean(leak.get("a")), int(leak["window"])
    if math.isnan(share):
        return "Leak: not known, there are no test pixels."
    if side == 1:
        return (
            "Leak: the method looks at single pixels, so that no test pixel has a training pixel in its window; "
            "neighbours of training pixels can look like them all the same."
        )
    if share == 0:
        return f"Leak: none of the test pixels has a training pixel in its {side} × {side} window."
    text = f"Leak: {percent(share)} of the test pixels have a training pixel in their {side} × {side} window."
    return text if share < HIGH_LEAK else f"{text} Expect lower accuracies away from the training pixels."


def map_sentence(metrics: Metrics) -> str | None:
    """The accuracies of the map itself beside those over the repeats; None where there was one repeat."""
    own, repeats = metrics.get("map"), int(metrics.get("repeats") or 1)
    if repeats < 2 or not own:
        return None
    said = [f"{key} {number(own.get(key), 2)} (over the repeats {spread(metrics.get(key), repeats)})" for key in SCORED]
    return f"This map is that of the first of {repeats} repeats: {', '.join(said)}."


def applicability_sentence(metrics: Metrics) -> str | None:
    """How much of the map is unlike what was trained on, and the accuracy there and elsewhere; None where unknown."""
    found, repeats = metrics.get("applicability"), int(metrics.get("repeats") or 1)
    if not found:
        return None
    if why := found.get("left_out"):
        return f"Area of applicability: not known, as {why}."

    def said(where: str) -> str:
        n = found[f"test_{where}"]
        first = _first(found[f"OA_{where}"])
        return f"OA {number(first, 1)} on {counted(n, 'test pixel')} {where}" if n else f"no test pixel {where}"

    text = (
        f"Area of applicability: {percent(_first(found['outside']))} of the map is unlike the training pixels; "
        f"{said('outside')}, {said('inside')}."
    )
    if repeats > 1:
        share, out, within = (spread(found[key], repeats, 1) for key in ("outside", "OA_outside", "OA_inside"))
        text += f" Over the repeats {share} % outside, OA {out} there and {within} inside."
    return text


def _first(value: Any) -> float:
    """The value of the first repeat, whose map is written; NaN where it has none."""
    found = value["values"][0] if isinstance(value, Mapping) else value
    return math.nan if found is None else float(found)


def leak_cell(row: Row) -> str:
    """The leak of a step beside its accuracies: by window in percent with its side in pixels, plus by region."""
    leak = row.scores.get("leak")
    if not leak:
        return UNKNOWN
    window = "one pixel" if int(leak["window"]) == 1 else f"{number(mean(leak.get('a')))} ({leak['window']})"
    by_region = mean(leak.get("region"))
    return window if math.isnan(by_region) else f"{window} + {number(by_region)}"


def errors_cell(row: Row, repeats: int) -> str:
    """How well a step's doubt finds its errors: AUROC in percent, by confidence / by disagreement, if any."""
    found = row.scores.get("error_auroc") or {}
    return " / ".join(spread(value, repeats, 1) for value in found.values()) or UNKNOWN


def left_alone(row: Row, metrics: Metrics) -> str:
    """That a refiner left the map alone, and why; "" where it did not."""
    found = row.scores.get("left_alone") or []
    if not any(found):
        return ""
    why = row.scores.get("why") or (
        "nothing beat it" if (metrics.get("split") or {}).get("val") else "no validation pixels"
    )
    often = "" if all(found) else f" in {sum(found)} of {len(found)} repeats"
    return f"left the map alone{often}: {why}"


def cautions(metrics: Metrics, sections: Sequence[Section] = ()) -> list[str]:
    """What a reader must know before believing the numbers, each a full sentence; those of parts are said once."""
    split, repeats = metrics.get("split") or {}, int(metrics.get("repeats") or 1)
    found = []
    if names := split.get("untestable"):
        found.append(
            f"No test pixels: {listed(names)}. How well {'it is' if len(names) == 1 else 'they are'} mapped "
            "is not known; AA is the mean of the other classes."
        )
    if unseen := split.get("untrainable"):
        found.append(f"No training pixels: {listed(unseen)}. The map cannot show what was never seen.")
    found += filter(None, [hopeless_sentence(metrics)])
    found += _better_and_worse(rows(metrics))
    found += filter(None, [confidence_sentence(metrics)])
    told = [sentence for section in sections for sentence in section.cautions]
    found += dict.fromkeys([*(metrics.get("cautions") or ()), *told])
    if repeats < 2:
        found.append("One repeat: how much the numbers vary from run to run was not measured.")
    if split.get("note"):
        found.append(str(split["note"]))
    return found


def hopeless_sentence(metrics: Metrics) -> str | None:
    """Classes that the final map hardly ever gets right, and what it takes them for; None where there are none."""
    table, per_class = metrics.get("confusion"), metrics["steps"][metrics["final"]].get("per_class") or {}
    if not table or len(table) != len(per_class):
        return None
    names, said = list(per_class), []
    for name, row in zip(names, table, strict=True):
        if (right := mean(per_class[name])) < HOPELESS:
            others = [n for n, other in enumerate(names) if other != name]  # a last column may count "no data"
            other = max(others, key=row.__getitem__)
            said.append(f"{name} ({percent(right)} right, mostly taken for {names[other]})")
    return f"Hardly to be found on this map: {listed(said, most=5)}." if said else None


def confidence_sentence(metrics: Metrics) -> str | None:
    """How far the final map's confidence is off, where that is much; None where it is not, or not known."""
    final = metrics["steps"][metrics["final"]]
    ece = mean(final.get("ece"))
    if not ece > HIGH_ECE:
        return None
    bins = [row for row in final.get("reliability") or () if row["pixels"]]
    worst = max(bins, key=lambda row: row["share"] * abs(row["confidence"] - row["accuracy"]), default=None)
    text = f"The confidence of the map is not its accuracy: the two differ by {percent(ece)} on average"
    if worst is not None:
        says, right, share = (percent(worst[key]) for key in ("confidence", "accuracy", "share"))
        text += f"; for {share} of the test pixels it says about {says}, and {right} of these are right"
    return f"{text}."


def _better_and_worse(table: list[Row]) -> list[str]:
    """Sentences: the step that beats the final map on test pixels, and every refiner that made its map worse."""
    final = next(row for row in table if row.final)
    others = [row for row in table if not row.final and _oa(row) > _oa(final)]
    best, found = max(others, key=_oa, default=None), []
    if best is not None:
        subject = {
            "baseline": f"The baseline {best.name}",
            "twin": f"The {best.title}",
            "network": f"The unrefined map of {best.name}",
            "control": f"The control {best.name}",
            "refined": f"The map of {best.name}, not refined any further,",
        }[best.role]
        scores = f"(OA {number(_oa(best), 2)} against {number(_oa(final), 2)})"
        found.append(f"{subject} did better than the final map on the test pixels {scores}.")
    for before, after in pairwise(row for row in table if row.role in ("network", "refined")):
        values = number(_oa(before), 2), number(_oa(after), 2)
        said = before is best and after.final
        if _oa(after) < _oa(before) and values[0] != values[1] and not said:
            name = after.scores.get("by", after.name)
            found.append(f"{name} made the map worse on the test pixels: OA {values[0]} before it, {values[1]} after.")
    return found


def _oa(row: Row) -> float:
    return mean(row.scores.get("OA"))

"""What a run found, in rows and plain sentences, for the report and for the screen.

`metrics` is what a run writes to `metrics.json`, in memory or read back: numbers are percent, an accuracy is
a mapping with "mean" and "std" over repeats, and a number that is not known is NaN or None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

Metrics = Mapping[str, Any]
Role = Literal["baseline", "twin", "network", "refined"]
TWIN = "twin"  # the key of the network trained on the labels alone, in the steps of a semi-supervised run
UNKNOWN = "–"
HIGH_LEAK = 10.0  # percent; our choice of when a reader is warned
HEALTH = (  # key, measure, how to read it
    ("diversity", "spectral diversity", "1: spectra vary as the scene's do; 0: one spectrum for ever"),
    ("within", "diversity within a class", "the same class by class, median over the classes"),
    ("distance", "distance of the means", "0: the scene's mean spectrum; 1: off by the scene's spread"),
    ("believed", "generated cubes called generated", "mean probability the discriminator gives"),
    ("doubted", "real cubes called generated", "likewise; far below the line above where it sees them"),
)


@dataclass(frozen=True)
class Row:
    """One step of the run in the table of accuracies.

    Attributes:
        name: the step's key in `metrics["steps"]`.
        role: a baseline, the network trained on the labels alone, the network itself, or that with refiners.
        final: True for the step whose map was written.
        scores: the step's entry in `metrics["steps"]`.
    """

    name: str
    role: Role
    final: bool
    scores: Metrics

    @property
    def title(self) -> str:
        """The name as a reader sees it."""
        return f"supervised {self.name}" if self.role == "twin" else self.name


def rows(metrics: Metrics) -> list[Row]:
    """Baselines first, then the supervised twin, the network and what was refined; the order within each stays."""
    method, final = str(metrics["method"]), " + ".join(metrics["chain"])
    steps = dict(metrics.get("steps") or {})
    steps.setdefault(final, {key: metrics.get(key) for key in ("OA", "AA", "kappa")})

    def role(name: str) -> Role:
        if name == method:
            return "network"
        if name == TWIN or name.startswith(f"{TWIN} + "):
            return "twin"
        return "refined" if name.startswith(f"{method} + ") else "baseline"

    found = [Row(name, role(name), name == final, scores) for name, scores in steps.items()]
    return sorted(found, key=lambda row: get_args(Role).index(row.role))


def number(value: Any, digits: int = 1) -> str:
    """A number with fixed digits; an unknown one as a dash."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return f"{value:.{digits}f}"


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


def counted(n: Any, one: str, many: str = "") -> str:
    """A count with its noun: "1 repeat", "1 200 pixels"."""
    return f"{n:,} {one if n == 1 else many or one + 's'}".replace(",", " ")


def listed(names: list[str]) -> str:
    """Names as "a, b and c"."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def scene_sentence(metrics: Metrics) -> str:
    """What was mapped: size, bands, classes."""
    scene, split = metrics.get("scene") or {}, metrics.get("split") or {}
    parts = []
    if scene.get("shape"):
        parts.append(f"{' × '.join(map(str, scene['shape']))} pixels")
    if scene.get("bands"):
        usable = scene.get("bands_usable", scene["bands"])
        used = "" if usable == scene["bands"] else f" ({usable} usable)"
        parts.append(f"{counted(scene['bands'], 'band')}{used}")
    if split.get("per_class"):
        parts.append(counted(len(split["per_class"]), "class", "classes"))
    return ", ".join(parts)


def split_sentence(split: Metrics) -> str:
    """How many pixels trained, validated and tested, and how they were drawn."""
    kept = f"; a guard of {split['guard_px']} px was kept" if split.get("guard_px") else ""
    parts = [
        f"{counted(split[p], f'{word} pixel')}" for p, word in (("train", "training"), ("val", "validation"))
    ]
    return f"{', '.join(parts)} and {counted(split['test'], 'test pixel')}, drawn by {split['how']}{kept}."


def leak_sentence(leak: Metrics) -> str:
    """The leak in plain words, and what it means for the accuracies."""
    share, side = mean(leak.get("a")), leak["window"]
    if math.isnan(share):
        return "Leak: not known, there are no test pixels."
    if share == 0:
        text = f"Leak: none of the test pixels has a training pixel in its {side} × {side} window."
        return f"{text} Accuracies are those of ground apart from the training pixels."
    text = (
        f"Leak: {_percent(share)} of the test pixels have a training pixel in their {side} × {side} window."
    )
    if share < HIGH_LEAK:
        return text
    return f"{text} Expect lower accuracies away from the training pixels."


def cautions(metrics: Metrics) -> list[str]:
    """What a reader must know before believing the numbers, each a full sentence."""
    split, repeats = metrics.get("split") or {}, int(metrics.get("repeats") or 1)
    found = []
    if split.get("untestable"):
        names = list(split["untestable"])
        found.append(
            f"No test pixels: {listed(names)}. How well {'it is' if len(names) == 1 else 'they are'} mapped "
            "is not known; AA is the mean of the other classes."
        )
    if split.get("untrainable"):
        unseen = listed(list(split["untrainable"]))
        found.append(f"No training pixels: {unseen}. The map cannot show what was never seen.")
    better = _better_step(metrics)
    if better:
        found.append(better)
    gan = metrics.get("gan") or {}
    if gan.get("pool"):
        found.append(f"Unlabelled pixels were used in training: {gan['pool']}.")
    found += [str(sentence) for sentence in gan.get("warnings") or ()]
    if repeats < 2:
        found.append("One repeat: how much the numbers vary from run to run was not measured.")
    if split.get("note"):
        found.append(str(split["note"]))
    return found


def _better_step(metrics: Metrics) -> str:
    """A sentence where a baseline, or the network before refinement, beats the final map on test pixels."""
    table = rows(metrics)
    final = next(row for row in table if row.final)
    others = [
        row for row in table if not row.final and mean(row.scores.get("OA")) > mean(final.scores.get("OA"))
    ]
    if not others:
        return ""
    best = max(others, key=lambda row: mean(row.scores["OA"]))
    values = [number(mean(row.scores["OA"]), 2) for row in (best, final)]
    what = {
        "baseline": f"The baseline {best.name}",
        "twin": f"The {best.title}, trained on the labels alone,",
    }
    subject = what.get(best.role, f"The unrefined map of {best.name}")
    scores = f"(OA {values[0]} against {values[1]})"
    return f"{subject} did better than the final map on the test pixels {scores}."


def health_rows(health: Metrics) -> list[tuple[str, str, str]]:
    """What was measured of a generator: the measure, its value, and how to read it."""
    found = []
    for key, measure, how in HEALTH:
        value = mean(health.get(key))
        share = key in ("believed", "doubted") and math.isfinite(value)
        found.append((measure, f"{100 * value:.1f} %" if share else number(value, 2), how))
    return found


def _percent(share: float) -> str:
    return "<0.1 %" if 0 < share < 0.05 else f"{share:.1f} %"

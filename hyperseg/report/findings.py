"""What a run found, in rows and plain sentences, for the report and for the screen.

`metrics` is what a run writes to `metrics.json`, in memory or read back: numbers are percent, an accuracy is
a mapping with "mean" and "std" over repeats, and a number that is not known is NaN or None.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

Metrics = Mapping[str, Any]
Role = Literal["baseline", "twin", "network", "control", "refined"]
TWIN = "twin"  # the key of the network trained on the labels alone, in the steps of a semi-supervised run
UNKNOWN = "–"
HIGH_LEAK = 10.0  # percent; our choice of when a reader is warned
FEW_NODES = 2  # with fewer labelled nodes a class has no pair of its own to learn from
REFINERS = {"dense-crf": "dense CRF", "deep-crf": "deep CRF", "deconv": "deconvolution refiner"}
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
        role: a baseline, the network trained on the labels alone, the network itself, a control (the network
            with refiners that did not make the final map), or the network with refiners on the way to it.
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
    """Baselines first, then the supervised twin, network, controls and refined; the order within each stays."""
    method, *applied = map(str, metrics["chain"])
    steps = dict(metrics.get("steps") or {})
    # a refiner that left the map alone in the first repeat is not in its chain, but a step all the same
    final = " + ".join([method, *(r["name"] for r in metrics.get("refiners") or ())])
    if final not in steps:
        final = " + ".join([method, *applied])
    steps.setdefault(final, {key: metrics.get(key) for key in ("OA", "AA", "kappa")})

    def role(name: str) -> Role:
        if name == method:
            return "network"
        if method != TWIN and (name == TWIN or name.startswith(f"{TWIN} + ")):
            return "twin"
        if not name.startswith(f"{method} + "):
            return "baseline"
        return "refined" if f"{final} + ".startswith(f"{name} + ") else "control"

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
    found += _better_and_worse(rows(metrics))
    gan = metrics.get("gan") or {}
    if gan.get("pool"):
        found.append(f"Unlabelled pixels were used in training: {gan['pool']}.")
    found += [str(sentence) for sentence in gan.get("warnings") or ()]
    if repeats < 2:
        found.append("One repeat: how much the numbers vary from run to run was not measured.")
    if split.get("note"):
        found.append(str(split["note"]))
    return found


def _better_and_worse(table: list[Row]) -> list[str]:
    """Sentences: the step that beats the final map on test pixels, and every refiner that made its map worse."""
    final = next(row for row in table if row.final)
    others = [row for row in table if not row.final and _oa(row) > _oa(final)]
    best, found = max(others, key=_oa, default=None), []
    if best is not None:
        what = {
            "baseline": f"The baseline {best.name}",
            "twin": f"The {best.title}, trained on the labels alone,",
            "control": f"The control {best.name}",
            "network": f"The unrefined map of {best.name}",
        }
        subject = what.get(best.role, f"The map of {best.name}, not refined any further,")
        scores = f"(OA {number(_oa(best), 2)} against {number(_oa(final), 2)})"
        found.append(f"{subject} did better than the final map on the test pixels {scores}.")
    path = sorted((row for row in table if row.role in ("network", "refined")), key=lambda row: len(row.name))
    for before, after in pairwise(path):
        values = number(_oa(before), 2), number(_oa(after), 2)
        said = before is best and after.final
        if _oa(after) < _oa(before) and values[0] != values[1] and not said:
            name = refiner_title(after.name.removeprefix(f"{before.name} + "))
            found.append(
                f"The {name} made the map worse on the test pixels: OA {values[0]} before it, {values[1]} after."
            )
    return found


def _oa(row: Row) -> float:
    return mean(row.scores.get("OA"))


def refiner_title(name: str) -> str:
    """A refiner's name as a reader sees it."""
    return REFINERS.get(name, name)


def refiner_sentences(refiner: Metrics) -> list[str]:
    """What a refiner learnt from, and what it cannot know; nothing of one that learns nothing."""
    match refiner.get("name"):
        case "deep-crf":
            return _deep_crf_sentences(refiner)
        case "deconv":
            return _deconv_sentences(refiner)
        case _:
            return []


def _deep_crf_sentences(refiner: Metrics) -> list[str]:
    found, within = [], refiner.get("pairs_within")
    places = {"right": "side by side", "below": "one above the other"}
    pairs = {where: (refiner.get("pairs") or {}).get(key) for key, where in places.items()}
    if any(pairs.values()):
        near = "" if within is None else f" at most {counted(within, 'node')} apart"
        said = [
            f"{where} {counted(n['same'], 'pair')} of equal and {counted(n['different'], 'pair')} of unequal classes"
            for where, n in pairs.items()
            if n
        ]
        found.append(
            f"It learnt which classes lie beside each other from pairs of training nodes{near}: {'; '.join(said)}."
        )
    alike = [where for where, n in pairs.items() if n and not n["different"]]
    if alike:
        found.append(
            f"Without unequal pairs {listed(alike)} it can only have learnt that neighbours are alike."
        )
    if refiner.get("heads_trusted") is False:
        lead = "That is" if found else "No two labelled nodes are near each other, which is"
        found.append(
            f"{lead} too little to learn borders from: unless validation pixels spoke for it, it used the table of "
            "neighbours of the map alone."
        )
    few = [name for name, n in (refiner.get("nodes_per_class") or {}).items() if n < FEW_NODES]
    if few:
        found.append(
            f"Fewer than {FEW_NODES} training nodes: {listed(few)}. It can hardly know what lies beside "
            f"{'this class' if len(few) == 1 else 'these classes'}."
        )
    agreed = refiner.get("agreement") or {}
    if agreed:
        found.append(
            "Over pairs of unequal classes, what it learnt and what the ground truth holds have a rank correlation "
            f"of {number(agreed.get('rank'), 2)} (1: the same order; 0: unrelated); which of two classes is rather "
            f"the left or upper one correlates with {number(agreed.get('asymmetry'), 2)}."
        )
    return found


def _deconv_sentences(refiner: Metrics) -> list[str]:
    found, parts = [], refiner.get("held_out_parts")
    if parts == 1:
        found.append(
            "It was trained on the map as it is, which knows the training pixels better than any others, and may "
            "trust it too much."
        )
    elif parts:
        found.append(
            f"It was trained on {parts} maps, each made without one of {parts} parts of the training pixels and used "
            "at the pixels it was made without."
        )
    sizes = sorted(b - a for a, b in refiner.get("band_groups") or ())
    if sizes:
        each = f"{sizes[0]}" if sizes[0] == sizes[-1] else f"{sizes[0]} to {sizes[-1]}"
        bands = "band" if sizes[-1] == 1 else "bands"
        found.append(f"It reads the spectrum in {counted(len(sizes), 'group')} of {each} {bands}.")
    return found


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

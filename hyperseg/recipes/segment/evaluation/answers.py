"""`answered`: what networks say of an image, and what fewer samples, other numbers of calls and other rules would."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, get_args

from hyperseg.core import Scene
from hyperseg.core.maps import Fused
from hyperseg.core.settings import find_leaf
from hyperseg.medical.components import keep_largest
from hyperseg.medical.export.restore import restore
from hyperseg.recipes.segment.choosing import Parts
from hyperseg.recipes.segment.methods.chosen import CaseMethod
from hyperseg.recipes.segment.prediction.answer import Answer, Labels, answer_case, draws, from_fused
from hyperseg.recipes.segment.prediction.one_case import Work

SIZES = (1, 2, 5)  # of ensembles, and these times 10, 100, ...
ANEW = "steps"  # a rule that is at work while masks are drawn


def answered(scene: Scene, work: Work, chosen: Sequence[str], largest: Parts, *, curve: Sequence[int]) -> Answer:
    """An answer with everything that is compared.

    Args:
        scene: (*S, C) as `read_case` gives it.
        work: networks, and how they are asked.
        chosen: configurations that predict; of several nothing is compared.
        largest: classes whose largest piece alone is kept, but for single samples.
        curve: network calls of a mask for which masks are drawn anew; () draws nothing anew.
    """
    if not draws(work, chosen):
        found = answer_case(scene, work, chosen)
        return replace(found, labels=keep_largest(found.labels, largest))
    began = time.perf_counter()
    ((case,), _), (name,) = work.prepared(scene, chosen), chosen
    samples = [sample.cpu() for sample in work.samples(name, case)]
    found = from_fused(work.method.fused(samples), case.back)
    labels = keep_largest(found.labels, largest)
    seconds = time.perf_counter() - began

    def classes(fused: Fused) -> Labels:
        return keep_largest(restore(fused.scores, case.back), largest)

    def anew(**changes: object) -> Labels:
        other = replace(work, method=work.method.drawing(changes))
        return classes(other.method.fused(other.samples(name, case)))

    def fused_by(rule: str) -> Labels:
        return classes(work.method.drawing({"fusion": rule}).fused(samples))

    how = drawing_of(work.method)
    rules = [rule for rule in rules_of(work.method) if curve or rule != ANEW or rule == how["fusion"]]
    compared = {
        "samples": {str(n): classes(work.method.fused(samples[:n])) for n in sizes(len(samples))},
        "calls": {str(n): labels if n == how["calls"] else anew(calls=n) for n in sorted({*curve, how["calls"]})},
        "fusion": {
            rule: labels if rule == how["fusion"] else anew(fusion=rule) if rule == ANEW else fused_by(rule)
            for rule in rules
        },
    }
    each = tuple(restore(sample, case.back) for sample in samples)
    return replace(found, labels=labels, samples=each, compared=compared, seconds=seconds)


def sizes(most: int) -> list[int]:
    """1, 2, 5, 10, 20, 50, ... up to `most`, which is the last."""
    found = [n * 10**power for power in range(len(str(most))) for n in SIZES]
    return [*(n for n in found if n < most), most]


def drawing_of(method: CaseMethod) -> dict[str, Any]:
    """How masks are drawn, by the names of settings; empty for methods that do not draw."""
    return {leaf.name: leaf.value for leaf in method.changeable}


def rules_of(method: CaseMethod) -> tuple[str, ...]:
    """What masks may come to."""
    leaf = find_leaf(method.settings, "fusion")
    return () if leaf is None else get_args(leaf.hint)


def calls_of(work: Work, name: str) -> int:
    """How often networks look at each window of an image."""
    how = drawing_of(work.method)
    views = 2 ** len(work.plan.configuration(name).patch) if work.mirror else 1
    return len(work.networks[name]) * views * how.get("samples", 1) * how.get("calls", 1)

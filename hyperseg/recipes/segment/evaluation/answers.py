"""`answered`: what networks say of an image, and what fewer samples, other numbers of calls and other rules would."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, get_args

from torch import Tensor

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


def answered(
    scene: Scene, work: Work, chosen: Sequence[str], largest: Parts, *, curve: Sequence[int],
    tell: Callable[[], None] = lambda: None,
) -> Answer:  # fmt: skip
    """An answer with everything that is compared.

    Args:
        scene: (*S, C) as `read_case` gives it.
        work: networks, and how they are asked.
        chosen: configurations that predict; of several nothing is compared.
        largest: classes whose largest piece alone is kept, after tricks of whole cases; not of single samples.
        curve: network calls of a mask for which masks are drawn anew; () draws nothing anew.
        tell: called `masks_of` times on the way.
    """
    if not draws(work.method, chosen):
        found = answer_case(scene, work, chosen)
        tell()
        return replace(found, labels=keep_largest(found.labels, largest))
    began = time.perf_counter()
    ((case,), _), (name,) = work.prepared(scene, chosen), chosen
    samples = [sample.cpu() for sample in _told(work.samples(name, case), tell)]
    found = from_fused(work.method.fused(samples), case.back)
    labels = keep_largest(work.method.finished(found.labels), largest)
    seconds = time.perf_counter() - began

    def classes(fused: Fused) -> Labels:
        return keep_largest(work.method.finished(restore(fused.scores, case.back)), largest)

    def again(what: str, value: Any) -> list[Tensor]:
        other = replace(work, method=work.method.drawing({what: value}))
        return [sample.cpu() for sample in _told(other.samples(name, case), tell)]

    def fused_by(rule: str, drawn: Sequence[Tensor]) -> Labels:
        return classes(work.method.drawing({"fusion": rule}).fused(drawn))

    how = drawing_of(work.method)
    calls: dict[int, Labels] = {how["calls"]: labels}
    rules: dict[str, Labels] = {how["fusion"]: labels}
    for what, value in redrawn(work.method, curve):
        drawn = again(what, value)
        if what == "calls":
            calls[value] = classes(work.method.fused(drawn))
        else:
            rules |= {rule: fused_by(rule, drawn) for rule in alike(work.method, value)}
    rules |= {rule: fused_by(rule, samples) for rule in alike(work.method, how["fusion"]) if rule not in rules}
    *fewer, every = sizes(len(samples))
    compared = {
        "samples": {str(n): classes(work.method.fused(samples[:n])) for n in fewer} | {str(every): labels},
        "calls": {str(n): calls[n] for n in sorted(calls)},
        "fusion": {rule: rules[rule] for rule in rules_of(work.method) if rule in rules},
    }
    each = tuple(restore(sample, case.back) for sample in samples)
    return replace(found, labels=labels, samples=each, compared=compared, seconds=seconds)


def redrawn(method: CaseMethod, curve: Sequence[int]) -> list[tuple[str, Any]]:
    """Settings, each with a value for which masks are drawn anew."""
    how = drawing_of(method)
    found: list[tuple[str, Any]] = [("calls", n) for n in sorted({*curve}) if n != how["calls"]]
    others = [rule for rule in rules_of(method) if rule not in alike(method, how["fusion"])]
    return [*found, ("fusion", others[0])] if curve and others else found  # which serves all others


def alike(method: CaseMethod, rule: str) -> tuple[str, ...]:
    """Rules that fuse the same masks as this one: final ones, or means over the calls of each."""
    return tuple(other for other in rules_of(method) if (other == ANEW) == (rule == ANEW))


def masks_of(method: CaseMethod, curve: Sequence[int], *, drawn: bool) -> int:
    """Of an image in all: what a bar counts. One answer where nothing is `drawn`."""
    return drawing_of(method)["samples"] * (1 + len(redrawn(method, curve))) if drawn else 1


def _told(samples: Iterable[Tensor], tell: Callable[[], None]) -> Iterator[Tensor]:
    for sample in samples:
        tell()
        yield sample


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
    axes = len(work.plan.configuration(name).patch)
    return len(work.networks[name]) * work.method.on.looks(work.method.settings, axes, work.mirror)

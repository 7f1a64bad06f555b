"""`predict_case`: one image or volume through the networks of a plan, whole or where a first look finds something."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyperseg.core import Scene
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.export.restore import Back, decided, restored
from hyperseg.medical.fingerprint import Size
from hyperseg.medical.plan import Plan
from hyperseg.medical.prepare import Prepared, prepare
from hyperseg.medical.resample import LABELS
from hyperseg.recipes.segment.methods.answers import probable, samples_of, scores_of
from hyperseg.recipes.segment.methods.chosen import CaseMethod, case_method
from hyperseg.recipes.segment.prediction.cost import Cost
from hyperseg.recipes.segment.prediction.region import Box, boxes_around, grown, on_case
from hyperseg.recipes.segment.sliding import Done, glance, n_windows

Networks = Mapping[str, Sequence[nn.Module]]
Labels = NDArray[np.int16]
Share = Callable[[float], None]
"""Told which part of a case is done, 0 to 1."""


def predict_case(
    scene: Scene, plan: Plan, networks: Networks, chosen: Sequence[str], *, mirror: bool = True,
    device: torch.device | str = "cpu", share: Share | None = None, look: str = "", cost: Cost | None = None,
    method: CaseMethod | None = None, seed: int = 0,
) -> Labels:  # fmt: skip
    """(*S) classes of a case in its own axes, without the post-processing that cross-validation chose.

    Where two configurations predict, their probabilities are averaged on the case's grid. The second network of a
    cascade is given the classes of the first.

    With a first look, everything else is done in boxes around what that finds, and all outside of them is background.
    Where it finds nothing, and where boxes take no fewer windows than the whole, the whole case is done. Where a class
    reaches the side of a box, the box grows and is done again.

    Args:
        scene: (*S, C) as `read_case` gives it.
        plan: of the networks.
        networks: of every configuration in `chosen` (and of those before them in a cascade), on the device, in
            evaluation mode; those of one configuration are averaged.
        chosen: names of configurations.
        mirror, device: see `sliding.averaged`.
        share: told which part is done.
        look: configuration whose first network looks first, once and without mirrors, see `sliding.glance`; a cascade
            has looked already. Empty for no first look.
        cost: what it costs is added.
        method: of the networks; `methods.ON_FOLDERS` by default.
        seed: of what a method draws.
    """
    method = case_method() if method is None else method
    work = Work(plan, networks, method, mirror, torch.device(device), seed, Cost() if cost is None else cost)
    with work.cost.of("preparing"):
        cases, first = work.prepared(scene, chosen)
        boxes = _looked_at(scene, work, dict(zip(chosen, cases, strict=True)), look, first) if look else []
        del scene, first  # their values are not needed any more
    return method.finished(_done(work, chosen, cases, boxes, look=bool(look), share=share))


@dataclass(frozen=True)
class Work:
    """What stays the same while a case is done."""

    plan: Plan
    networks: Networks
    method: CaseMethod
    mirror: bool
    device: torch.device
    seed: int
    cost: Cost

    @property
    def probable(self) -> bool:
        """Whether the mean scores of `slices` are probabilities, not logits."""
        return probable(self.method, self.plan)

    def prepared(self, scene: Scene, chosen: Sequence[str]) -> tuple[list[Prepared], Labels | None]:
        """The case for each configuration, and the first answer where one of them is the second of a cascade."""
        first = _first_answer(scene, self, chosen)
        return [_prepared(scene, self.plan, self.plan.configuration(name), first) for name in chosen], first

    def samples(self, name: str, case: Prepared, done: Done | None = None) -> Iterator[Tensor]:
        """(K, *S) probabilities of each answer of a method that draws, on the network's grid."""
        configuration = self.plan.configuration(name)
        return samples_of(
            self.method, self.networks[name], case.image, configuration.patch, mirror=self.mirror, seed=self.seed,
            n_classes=len(self.plan.facts.classes), device=self.device, done=done, classes=bool(configuration.after),
        )  # fmt: skip

    def slices(self, name: str, case: Prepared, part: Box, done: Done, *, mean: bool) -> Iterator[Tensor]:
        """Scores of a part of a case (() is all of it) on its own grid, slice by slice; see `scores_of`."""
        configuration, back, image = self.plan.configuration(name), case.back, case.image
        if part:
            back = back.within(part, configuration.patch)
            image = image[(slice(None), *(slice(*side) for side in back.seen))]
        scores = scores_of(
            self.method, self.networks[name], image, configuration.patch, self.plan, mirror=self.mirror, seed=self.seed,
            device=self.device, cost=self.cost, done=done, classes=bool(configuration.after), mean=mean,
        )  # fmt: skip
        return restored(scores, back)

    def windows(self, name: str, back: Back, part: Box = ()) -> int:
        """Windows of a part of a case, () is all of it."""
        patch = self.plan.configuration(name).patch
        seen = back.within(part, patch).seen if part else tuple((0, n) for n in back.read)
        return n_windows(tuple(stop - start for start, stop in seen), patch)


def _first_answer(scene: Scene, work: Work, chosen: Sequence[str]) -> Labels | None:
    """The classes that the first network of a cascade finds, where one is chosen."""
    befores = sorted({after for name in chosen if (after := work.plan.configuration(name).after)})
    if not befores:
        return None
    (before,) = befores
    case = _prepared(scene, work.plan, work.plan.configuration(before), None)
    return _done(work, befores, [case], [], look=False, share=None)


def _prepared(scene: Scene, plan: Plan, configuration: Configuration, first: Labels | None) -> Prepared:
    """The case for a configuration; that of a cascade has a last channel with the classes of the first network.

    Differs: those go through the case's grid, where the original resamples the first network's scores at once.
    """
    if not configuration.after:
        return prepare(scene, plan, configuration, labels=False)
    labelled = scene.with_(labels=first, classes=plan.facts.classes)
    made = prepare(labelled, plan, configuration, labels=True)
    assert made.labels is not None
    return Prepared(np.concatenate([made.image, made.labels[None].astype(np.float32)]), None, made.back)


def _looked_at(
    scene: Scene, work: Work, cases: dict[str, Prepared], look: str, first: Labels | None
) -> list[Box]:  # fmt: skip
    """Boxes within what is not zero, in the plan's order, around what a first look finds."""
    if first is not None:  # a cascade has looked
        name = next(name for name in cases if work.plan.configuration(name).after)
        back, patch = cases[name].back, work.plan.configuration(name).patch
        lead = len(back.size) - len(patch)
        scale = [n / old for n, old in zip(back.size, back.read, strict=True)][lead:]
        there = first[tuple(slice(*side) for side in back.box)].transpose(back.axes) > 0
        return boxes_around(there, tuple(max(1, round(p * s)) for p, s in zip(patch, scale, strict=True)))
    configuration = work.plan.configuration(look)
    made = cases[look] if look in cases else _prepared(scene, work.plan, configuration, None)
    score = work.method.score(work.networks[look][:1], work.plan, mirror=False)
    score = work.cost.counted(score, work.device, "first look")
    there = glance(score, made.image, configuration.patch, device=work.device)
    return [on_case(box, made.back) for box in boxes_around(there, configuration.patch)]


def _done(
    work: Work, chosen: Sequence[str], cases: Sequence[Prepared], boxes: list[Box], *, look: bool, share: Share | None
) -> Labels:  # fmt: skip
    """The classes of a case, of boxes of it where there are some."""
    back, pairs = cases[0].back, list(zip(chosen, cases, strict=True))
    whole = sum(work.windows(name, case.back) for name, case in pairs)
    if sum(work.windows(name, case.back, box) for box in boxes for name, case in pairs) >= whole:
        boxes = []
    waiting: list[Box] = list(boxes) or [()]
    found = np.zeros(back.shape, LABELS)
    inside = found[tuple(slice(*side) for side in back.box)].transpose(back.axes)
    done, n = 0, len(waiting)
    seen = []
    while waiting:
        part = waiting.pop()
        with work.cost.of("export"):
            _decide(work, pairs, part, found, shared(share, done, n, len(pairs)))
        if part and (larger := grown(inside, part, _steps(work, chosen[0], back))) != part:
            waiting.append(larger)
            continue
        seen.append(prod(stop - start for start, stop in part) if part else prod(back.size))
        done += 1
    if look:
        work.cost.shares.append(sum(seen) / prod(back.shape))
    return found


def _decide(
    work: Work, pairs: Sequence[tuple[str, Prepared]], part: Box, found: Labels, tell: Callable[[int, int, int], None]
) -> None:  # fmt: skip
    """Write the classes of a part of a case, () is all of it."""
    several = len(pairs) > 1
    streams = [work.slices(name, case, part, partial(tell, at), mean=several) for at, (name, case) in enumerate(pairs)]
    back = replace(pairs[0][1].back, part=part)
    if not several:
        decided(streams[0], back, found)
        return
    decided((mean_of(scores, work.probable) for scores in zip(*streams, strict=True)), back, found)


def mean_of(scores: Sequence[Tensor], ready: bool) -> Tensor:
    """Mean probabilities of a slice by several configurations; `ready`: probabilities are what they have."""
    each = [one if ready else one.softmax(0) for one in scores]
    return torch.stack(each).mean(0)


def _steps(work: Work, name: str, back: Back) -> Size:
    """By how many voxels of the case a box grows: half a patch."""
    patch = work.plan.configuration(name).patch
    sides = (1,) * (len(back.size) - len(patch)) + patch
    return tuple(max(1, round(p * n / old / 2)) for p, n, old in zip(sides, back.size, back.read, strict=True))


def shared(share: Share | None, before: int, of: int, streams: int) -> Callable[[int, int, int], None]:
    """What a stream calls with its number, the windows that are done, and how many there are."""
    parts = [0.0] * streams

    def tell(stream: int, n: int, windows: int) -> None:
        parts[stream] = n / windows
        if share is not None:
            share((before + sum(parts) / streams) / of)

    return tell

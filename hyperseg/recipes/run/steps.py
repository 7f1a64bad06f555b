"""The maps of one repeat: baselines, the method, and its refiners one after the other."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any

from hyperseg.core import SegmentationMap, Split
from hyperseg.core.maps import Role, Step
from hyperseg.core.parts import Context, Fitted, Method, Model, Refiner
from hyperseg.core.runtime import Runtime
from hyperseg.core.sections import Section
from hyperseg.core.task import Task
from hyperseg.core.words import listed
from hyperseg.engine.progress import working
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.run.doubt import doubt_section
from hyperseg.recipes.run.settings import RunSettings, tricked
from hyperseg.recipes.tricks.choosing import parse_trick

Chain = Sequence[tuple[Refiner, Any]]


@dataclass(frozen=True)
class Made:
    """A fitted method, the map it made, and what that took."""

    step: Step
    model: Model


@dataclass(frozen=True)
class Link:
    """A fitted refiner and the map it made of the one before."""

    step: Step
    fitted: Fitted
    before: SegmentationMap


@dataclass(frozen=True)
class Outcome:
    """Everything a repeat made.

    Attributes:
        steps: every map to be scored: baselines, what is measured beside the method, the method, controls, refiners.
        base: the method.
        links: its refiners.
    """

    steps: tuple[Step, ...]
    base: Made
    links: tuple[Link, ...]

    @property
    def final(self) -> Step:
        """The step whose map is written."""
        return self.links[-1].step if self.links else self.base.step

    def sections(self, task: Task, runtime: Runtime) -> list[Section]:
        """What the parts show in the report: the model, how far its answers disagree, then every refiner."""
        found = [self.base.model.section(task.scene, task.split, runtime)]
        if self.base.step.map.disagreement is not None:
            found.append(doubt_section(self.base.step.map, task.scene, task.split))
        for link in self.links:
            found.append(link.fitted.section(link.before, link.step.map, task.scene, task.split))
        return [section for section in found if section is not None]


def run_repeat(task: Task, settings: RunSettings, runtime: Runtime) -> Outcome:
    """Fit and map everything the settings name, on one split."""
    parts, made, where = {}, {}, {}
    fitted = fitted_parts(settings)
    _, method, _ = fitted[-1]
    for i, (role, part, chosen) in enumerate(fitted):
        # trainings of one method would go on with each other's files: all but the last have files of their own
        again = any(other.name == part.name for _, other, _ in fitted[i + 1 :])
        where[part.step_name] = runtime.within(role, role) if again else runtime
        parts[part.step_name] = part, chosen
        made[part.step_name] = make_map(part, chosen, task, where[part.step_name], role=role)
    base = made[method.step_name]
    steps = [m.step for m in made.values()]
    beside: list[tuple[str, Sequence[str], Role]] = [
        *((METHODS[name].step_name, refiners, "baseline") for name, refiners in settings.beside),
        *((method.step_name, refiners, "control") if of == settings.chosen.step_name else (of, refiners, "twin")
          for of, refiners in method.controls(settings.refine or ())),
    ]  # fmt: skip
    for of, refiners, role in beside:
        found = refine(made[of], *parts[of], [settings.refiner(name) for name in refiners], task, where[of], role=role)
        steps += [link.step for link in found]
    links = refine(base, method, settings.method_settings, settings.chain, task, runtime)
    return Outcome((*steps, *(link.step for link in links)), base, tuple(links))


def fitted_parts(settings: RunSettings) -> list[tuple[Role, Method, Any]]:
    """(role, method, its settings) of everything that is fitted: baselines, what is beside the method, the method.

    Where a baseline is the same method without tricks, it has the same settings, and the step of the one with them is
    called by them: "cnn3d with tta".
    """
    method, chosen = settings.chosen, settings.method_settings
    own: list[tuple[Role, Method, Any]] = [
        *(("twin", p, of) for p, of in method.beside(chosen)),
        ("network", method, chosen),
    ]
    there = {part.step_name for _, part, _ in own if not tricked(part)}
    every = [METHODS[name] for name in dict.fromkeys(name for name, _ in settings.beside)]
    baselines = [part for part in every if part.step_name not in there]
    plain = {part.step_name for part in baselines}
    names = listed(spelled for spelled in settings.tricks if parse_trick(spelled)[0].on_scene)
    own = [
        (role, replace(part, step=f"{part.step_name} with {names}") if part.step_name in plain else part, of)
        for role, part, of in own
    ]
    same = {part.name: of for _, part, of in own}
    return [*(("baseline", b, same.get(b.name, b.settings())) for b in baselines), *own]


def make_map(method: Method, chosen: Any, task: Task, runtime: Runtime, *, role: Role = "network") -> Made:
    """Fit a method and map its only scene."""
    started = time.monotonic()
    with going(f"training {method.step_name}", runtime):
        model = method.fit(task, chosen, runtime)
    trained = time.monotonic() - started
    with going(f"mapping with {method.step_name}", runtime):
        map = model.map(task.scene, runtime)
    map.check_finite(task.scene.name)
    seconds = time.monotonic() - started
    title = method.title if role == "twin" else ""
    step = Step(method.step_name, role, map, 2 * model.margin_px + 1, seconds, trained, title=title)
    return Made(step, model)


def going(what: str, runtime: Runtime) -> AbstractContextManager[None]:
    """Says from time to time that this goes on."""
    return working(runtime.label(what), quiet=runtime.quiet)


def refine(
    made: Made, method: Method, chosen: Any, chain: Chain, task: Task, runtime: Runtime, *, role: Role = "refined"
) -> list[Link]:
    """Fit the refiners in order, each on the map of the one before.

    Args:
        made: what `method` with the settings `chosen` made of the task.
        chain: (refiner, its settings).
        role: of the steps that come out.
    """
    links: list[Link] = []
    for i, (refiner, settings) in enumerate(chain):
        started = time.monotonic()
        before = links[-1].step if links else made.step

        def again(split: Split, inner: Runtime, earlier: Chain = chain[:i]) -> SegmentationMap:
            other = replace(task, splits=(split,))
            base = make_map(method, chosen, other, inner)
            remade = refine(base, method, chosen, earlier, other, inner)
            return remade[-1].step.map if remade else base.step.map

        context = Context(made.model, runtime, again)
        with going(f"fitting {refiner.name} to the map of {before.name}", runtime):
            fitted = refiner.fit(before.map, task, settings, context)
        with going(f"refining the map of {before.name} with {refiner.name}", runtime):
            after = fitted.apply(before.map, task.scene, runtime)
            joined = fitted.joined(before.map, task.scene, task.split.train)
        after.check_finite(task.scene.name)
        step = Step(
            f"{before.name} + {refiner.name}", role, after, fitted.window_px(before.window_px),
            time.monotonic() - started, by=refiner.title or refiner.name, left_alone=fitted.changes_nothing,
            joined=before.joined if joined is None else joined,
            title=f"{before.title} + {refiner.name}" if before.title else "", why=refiner.alone,
            calibrated=before.calibrated if fitted.changes_nothing or refiner.keeps_calibration else refiner.calibrates,
        )  # fmt: skip
        links.append(Link(step, fitted, before.map))
    return links

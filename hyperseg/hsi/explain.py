"""The plan of a scene in words: each choice in one sentence, with the numbers it comes from."""

from __future__ import annotations

from collections.abc import Iterator

from hyperseg.core.words import counted, listed, percent, thousands
from hyperseg.hsi import plan as rules
from hyperseg.hsi.plan import ScenePlan


def explain(plan: ScenePlan) -> list[str]:
    """The choices of a plan, in the order in which they were made."""
    return [*_facts(plan), *_choices(plan)]


def _facts(plan: ScenePlan) -> Iterator[str]:
    facts = plan.facts
    yield (
        f"Scene: {facts.rows} x {facts.columns} pixels, {counted(facts.bands, 'usable band')}; "
        f"{_percent(facts.density)} of the pixels train: {thousands(facts.labels)} of "
        f"{counted(facts.classes, 'class', 'classes')}, the rarest with {facts.rarest}."
    )
    yield (
        f"Parcels: training pixels lie together in {counted(facts.parcels, 'parcel')}, a usual one as wide as "
        f"{facts.parcel_px:.3g} pixels."
    )
    yield f"Noise: {_percent(facts.noise)} of the spread of a usual band (an upper estimate)."


def _choices(plan: ScenePlan) -> Iterator[str]:
    for name, why in (
        ("window", _window(plan)), ("groups", _groups(plan)), ("depth", _depth(plan)), ("width", _width(plan)),
        ("batch", _batch(plan)), ("steps", _steps(plan)),
    ):  # fmt: skip
        value = getattr(plan, name)
        own = "usual for this method, not planned" if name in plan.given.usual else why
        told = own if name not in plan.given.names else "given, not planned"
        yield f"{name.capitalize()} {value}: {told}."
    if plan.given.names:
        yield f"Given, not planned: {listed(plan.given.names)}."


def _window(plan: ScenePlan) -> str:
    wide = f"as wide as a usual parcel ({plan.facts.parcel_px:.3g} pixels) in steps of {rules.STEP}"
    return f"pixels a side of what is learnt at a time, {wide}, between {rules.SMALLEST} and {rules.LARGEST}"


def _groups(plan: ScenePlan) -> str:
    noise, quiet = _percent(plan.facts.noise), _percent(rules.QUIET)
    if plan.groups == 1:
        return (
            f"every band is read by itself, as the noise ({noise} of the spread) is at most {quiet}, or bands are few"
        )
    return (
        f"so many neighbouring bands are averaged, which brings the noise from {noise} of the spread to about {quiet}; "
        f"{counted(max(round(plan.facts.bands / plan.groups), 1), 'feature')} are left"
    )


def _depth(plan: ScenePlan) -> str:
    coarsest = -(-plan.window // 2 ** (plan.depth - 1))
    return (
        f"{counted(plan.depth, 'stage')} of a U-Net, down to {coarsest} x {coarsest} pixels: one more would have fewer "
        f"than {rules.COARSEST}"
    )


def _width(plan: ScenePlan) -> str:
    return (
        f"feature maps, the power of two with {rules.MAPS_A_CLASS} for each of "
        f"{counted(plan.facts.classes, 'class', 'classes')}, between {rules.NARROWEST} and {rules.WIDEST}"
    )


def _batch(plan: ScenePlan) -> str:
    return (
        f"windows in a step: as many as have {thousands(rules.STEP_PX)} pixels together, but {rules.FEWEST} to "
        f"{rules.MOST}: a step has to see many places"
    )


def _steps(plan: ScenePlan) -> str:
    return (
        f"{rules.EPOCHS} passes over {thousands(plan.facts.labels)} training pixels, but between "
        f"{rules.FEWEST_STEPS} and {thousands(rules.MOST_STEPS)}"
    )


def _percent(share: float) -> str:
    return percent(100 * share)


def table(plan: ScenePlan) -> list[tuple[str, ...]]:
    """The plan as rows of words, the first the heads of the columns."""
    names = ("window", "groups", "width", "depth", "batch", "steps")
    return [names, tuple(str(getattr(plan, name)) for name in names)]

"""A plan in words: each choice in one sentence, with the numbers it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from math import prod

from hyperseg.core.words import counted, listed, percent, thousands
from hyperseg.medical import msd2018, v2
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.plan import CALIBRATED, MASKED_BELOW, Plan, limits_of

SPLINES = {0: "nearest neighbour", 1: "linear", 3: "cubic"}
AXES = ("depth", "rows", "columns")
MOST_NAMES = 6
MEMORY = (
    "Memory: the table tells roughly what a training step takes in 32 bits; mixed precision, for which the rules were "
    "made, takes about half."
)


def explain(plan: Plan, weights: Mapping[str, int] | None = None) -> list[str]:
    """The choices of a plan, in the order in which they were made.

    Args:
        weights: parameters of the networks that were trained, by configuration; without them those of the planned U-Net
            are told, under its name.
    """
    networks = [line for one in plan.configurations for line in _network(plan, one, weights or {})]
    return [*_data(plan), *_images(plan), *networks, *_cascade(plan), *_mirrors(plan), MEMORY]


def by(numbers: Iterable[float]) -> str:
    """Sizes and spacings as "36 x 50 x 35"."""
    return " x ".join(f"{n:.4g}" for n in numbers)


def _data(plan: Plan) -> Iterator[str]:
    facts = plan.facts
    channels = listed(facts.channels, most=MOST_NAMES)
    yield (
        f"Data: {counted(facts.n_cases, 'case')} with labels, {counted(len(facts.channels), 'channel')} ({channels}), "
        f"{counted(len(facts.classes), 'class', 'classes')} ({listed(facts.classes, most=MOST_NAMES)})."
    )
    if absent := [name for name, n in zip(facts.classes, facts.counts, strict=True) if n == 0]:
        yield f"Caution: nothing is labelled {listed(absent, last='or', most=MOST_NAMES)}: that cannot be learnt."


def _images(plan: Plan) -> Iterator[str]:
    facts, order = plan.facts, plan.axes
    names = [AXES[axis - len(order)] for axis in order]
    first = f", {names[0]} first, since it is the coarsest" if order != tuple(sorted(order)) else ""
    yield f"Axes: sizes and spacings are {' x '.join(names)}{first}."
    if facts.unit == "px":
        kept = "images keep their pixels, and a median one has"
        if any(n != 1 for n in plan.spacing):
            kept = f"images are looked at with pixels of {by(plan.spacing)}, of which a median one has"
        yield f"Spacing: files do not say it; {kept} {by(plan.size)}."
        if len(order) == 3:
            yield (
                "Caution: slices are taken to be as near to each other as pixels are. Where they are not, state it by "
                "--spacing Z,Y,X or in a file spacing.csv with the line *,Z,Y,X (mm)."
            )
    else:
        yield from _spacing(plan)
    yield f"Crop: to what is not zero, which keeps {percent(100 * facts.kept)} of a median image."
    yield from _scales(plan)


def _spacing(plan: Plan) -> Iterator[str]:
    """To which spacing images are resampled, why, and how."""
    median = tuple(plan.facts.spacing[axis] for axis in plan.axes)
    if plan.training.resampling.keep:
        factor = by(new / old for new, old in zip(plan.spacing, median, strict=True))
        own = "each image keeps its own" if plan.spacing == median else f"that of each image, times {factor}"
        yield (
            f"Spacing: {own}; the median is {by(plan.spacing)} {plan.facts.unit} then, and a median image has "
            f"{by(plan.size)} voxels."
        )
        return
    how = "the median of each axis"
    if any(new > 1.001 * old for new, old in zip(plan.spacing, median, strict=True)):
        how = f"coarser than the median of each axis ({by(median)}), for a CPU in the time that is given"
    elif median != plan.spacing:
        how = (
            f"the median, but {plan.spacing[0]:.4g} instead of {median[0]:.4g} along the coarsest axis, the tenth "
            "percentile: it is more than 3 times as coarse as the others and 3 times as short"
        )
    yield f"Spacing {by(plan.spacing)} {plan.facts.unit}: {how}; a median image has {by(plan.size)} voxels then."
    splines = plan.training.resampling
    labels = SPLINES[splines.labels] + (" class by class" if splines.labels else "")
    apart = ""
    if splines.anisotropy is not None and len(plan.axes) == 3:
        ratio = f"{splines.anisotropy:g} times as coarse as the others"
        apart = f"; {SPLINES[splines.across]} along an axis more than {ratio}"
    yield f"Resampling: images {SPLINES[splines.image]}, labels {labels}{apart}."


def _scales(plan: Plan) -> Iterator[str]:
    facts = plan.facts
    others: list[str] = []
    scaled = [name for name, how in zip(facts.channels, plan.normalisations, strict=True) if how.kind == "min-max"]
    if scaled:
        yield f"Values of {listed(scaled, most=MOST_NAMES)}: the smallest of each image becomes 0, the largest 1."
    for name, how in zip(facts.channels, plan.normalisations, strict=True):
        if how.kind == "min-max":
            continue
        if how.kind == CALIBRATED:
            yield (
                f"Values of {name}: clipped to {how.low:.4g} .. {how.high:.4g} (percentiles 0.5 and 99.5 of labelled "
                f"voxels), less {how.mean:.4g}, divided by {how.spread:.4g}: the scale is calibrated."
            )
        else:
            others.append(name)
    if others:
        names, below = listed(others, most=MOST_NAMES), percent(100 * MASKED_BELOW)
        crop = f"the crop keeps {percent(100 * facts.kept)} of an image"
        if facts.kept >= MASKED_BELOW:
            yield f"Values of {names}: less the mean of each image, divided by its deviation; zeros too, as {crop}."
        else:
            yield f"Values of {names}: as z-scores of each image where it is not zero, as {crop}, less than {below}."


def _network(plan: Plan, one: Configuration, weights: Mapping[str, int]) -> Iterator[str]:
    if one.after:
        extra = one.backbone.in_channels - len(plan.facts.channels)
        yield (
            f"{one.name}: as 3d, but it also reads the answer of {one.after}: {counted(extra, 'channel')} more, one "
            "for each foreground class."
        )
        return
    pools = one.topology.pools
    coarsest = by(n // 2**p for n, p in zip(one.patch, pools, strict=True))
    yield f"{one.name}: patch {by(one.patch)} {'voxels' if one.n_axes == 3 else 'pixels'}: {_patch(plan, one)}."
    yield (
        f"{one.name}: {counted(len(one.backbone.widths), 'stage')} of {', '.join(map(str, one.backbone.widths))} "
        f"channels: axes are halved {by(pools)} times, down to {coarsest}; {_parameters(one, weights)}."
    )
    yield f"{one.name}: batch {one.batch}: {_batch(plan, one)}; Dice {_dice(one)}."


def _parameters(one: Configuration, weights: Mapping[str, int]) -> str:
    if one.name in weights:
        return f"{thousands(weights[one.name])} parameters"
    return f"{thousands(one.parameters)} parameters of the planned U-Net"


def _patch(plan: Plan, one: Configuration) -> str:
    steps = tuple(2**p for p in one.topology.pools)
    grown = f"the median image ({by(one.size)}) grown to multiples of {by(steps)}"
    if one.patch == one.size:
        grown = "the whole median image"
    if plan.preset == "msd2018":
        if one.n_axes == 2 or prod(one.size) <= prod(one.patch):
            return grown
        return (
            f"of the shape of the median image ({by(one.size)}), with at most 128^3 voxels in multiples of {by(steps)}"
        )
    budget = v2.BUDGETS[one.n_axes]
    first = v2.first_patch(one.spacing, one.size, budget.start)
    if v2.halve(one.spacing, first).patch != one.patch:
        allowed = limits_of(plan.facts, plan.limit).per_image(budget) * budget.batch
        return (
            f"shortened from {by(first)} in multiples of {by(steps)} until two have at most {allowed:.3g} feature "
            f"values, {_what(plan, allowed, budget)}"
        )
    if first == one.size:
        return grown
    whole = f"no larger than the median image ({by(one.size)}), in multiples of {by(steps)}"
    return f"equal sides in {plan.facts.unit}, {whole}"


def _what(plan: Plan, allowed: float, budget: v2.Budget) -> str:
    """What a number of feature values stands for."""
    limit = plan.limit
    if limit.gigabytes is not None and allowed >= 0.999 * budget.values * budget.batch * limit.gigabytes / 8:
        return f"what {limit.gigabytes:g} GB hold"
    return f"what {limit.patience_s:g} s are enough for at {limit.pace:.3g} values a second"


def _batch(plan: Plan, one: Configuration) -> str:
    if plan.preset == "msd2018":
        fits, share = msd2018.batch(one.topology, all_voxels=plan.facts.all_voxels)
        start = msd2018.STARTS[one.n_axes]
        room = f"as many voxels in a step as {start.batch} patches of {start.side}^{one.n_axes}"
    else:
        limits, budget = limits_of(plan.facts, plan.limit), v2.BUDGETS[one.n_axes]
        fits, share = limits.batch(one.topology, one.values)
        allowed = limits.per_image(budget) * budget.batch
        room = f"{thousands(one.values)} feature values each, {allowed:.3g} are {_what(plan, allowed, budget)}"
    if one.batch > min(fits, share):
        return "no fewer are taken"
    if share < fits:
        return f"5 % of the voxels of the data set (there is room for {fits}: {room})"
    return room


def _dice(one: Configuration) -> str:
    if one.batch_dice:
        return "over the whole batch, as a patch sees a small part" if one.n_axes == 3 else "over the whole batch"
    return "of each patch alone, as it sees most of an image"


def _cascade(plan: Plan) -> Iterator[str]:
    names = [one.name for one in plan.configurations]
    if "3d" not in names:
        return
    full = plan.configuration("3d")
    if "3d_low" in names:
        low = plan.configuration("3d_low")
        yield (
            f"Cascade: a patch of 3d is {percent(100 * full.cover)} of a median image, so 3d_low looks at "
            f"{by(low.spacing)} {plan.facts.unit} first, where it is {percent(100 * low.cover)}."
        )
    elif plan.preset == "v2" and full.cover < v2.LOW_SHARE:
        yield (
            f"No cascade: a patch is {percent(100 * full.cover)} of a median image, but a look that sees 25 % would "
            f"have less than {v2.LOW_GAIN} times fewer voxels."
        )
    else:
        yield f"No cascade: a patch of 3d is {percent(100 * min(full.cover, 1.0))} of a median image, 25 % are enough."


def _mirrors(plan: Plan) -> Iterator[str]:
    if plan.training.augmentation.still:
        yield "Patches are learnt as they are: nothing is changed at random, and there are no mirror images."
    elif not plan.training.augmentation.mirror and not (plan.facts.unit == "mm" and len(plan.axes) == 3):
        yield "Mirror images: none in training."
    elif not plan.training.augmentation.mirror:
        yield (
            "Mirror images: none, neither in training nor in prediction: a body's front and back are not alike, and a "
            "short training should not have to learn both ways."
        )


def table(plan: Plan, weights: Mapping[str, int] | None = None) -> list[tuple[str, ...]]:
    """The configurations as rows of words, the first the heads of the columns; `weights` as in `explain`."""
    known = {one.name: one.parameters for one in plan.configurations} | dict(weights or {})
    heads = ("network", f"spacing {plan.facts.unit}", "patch", "batch", "halved", "weights", "GB")
    rows = [
        (
            one.name, by(one.spacing), by(one.patch), str(one.batch), by(one.topology.pools),
            f"{known[one.name] / 1e6:.2f} M", f"{one.training_bytes / 1e9:.3g}",
        )
        for one in plan.configurations
    ]  # fmt: skip
    return [heads, *rows]

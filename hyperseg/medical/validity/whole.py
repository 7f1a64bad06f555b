"""`check_plan_values`: a plan whose entries make sense by themselves and with each other, whatever the data are."""

from __future__ import annotations

from math import prod

from hyperseg.core import SettingError
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.plan import CALIBRATED, Facts, Normalisation, Plan, limit_of
from hyperseg.medical.validity.entries import check_length, check_number, check_range, check_whole, refuse
from hyperseg.medical.validity.numbers import check_training

FIRST, SECOND = "3d_low", "3d_cascade"
PLANES, VOLUMES = 2, 3
MOST_DEGREES = 360.0


def check_plan_values(plan: Plan) -> None:
    """Refuse a plan that nothing could be trained by; those that `make_plan` makes pass.

    Raises:
        SettingError: the first entry that is wrong, by its path in the JSON, its value, and what is expected.
    """
    n = len(plan.axes)
    if n not in (PLANES, VOLUMES) or sorted(plan.axes) != list(range(n)):
        refuse("axes", plan.axes, "(0, 1) of pictures, or 0, 1 and 2 in some order of volumes")
    _check_grid("", plan.spacing, plan.size, n)
    _check_facts(plan.facts, n)
    check_length("normalisations", plan.normalisations, len(plan.facts.channels), "the channels")
    for i, how in enumerate(plan.normalisations):
        _check_normalisation(f"normalisations[{i}]", how)
    try:
        limit_of(plan.preset, plan.limit.gigabytes, plan.limit.patience_s, plan.limit.pace)
    except SettingError as error:
        raise SettingError(f"limit: {error}") from error
    check_training(plan.training)
    names = [one.name for one in plan.configurations]
    if not names or len(set(names)) < len(names):
        refuse("configurations", names, "a list of at least one, each name once")
    for i, one in enumerate(plan.configurations):
        _check_configuration(f"configurations[{i}]", one, plan)


def _check_grid(at: str, spacing: tuple[float, ...], size: tuple[int, ...], n: int) -> None:
    for name, values in (("spacing", spacing), ("size", size)):
        check_length(f"{at}{name}", values, n, "the axes")
    for axis in range(n):
        check_number(f"{at}spacing[{axis}]", spacing[axis], above=0)
        check_whole(f"{at}size[{axis}]", size[axis])


def _check_facts(facts: Facts, n: int) -> None:
    check_whole("facts.n_cases", facts.n_cases)
    _check_grid("facts.", facts.spacing, facts.size, n)
    check_number("facts.kept", facts.kept, low=0, high=1)
    if not facts.channels:
        refuse("facts.channels", facts.channels, "a list of at least one")
    if not facts.classes or len(set(facts.classes)) < len(facts.classes):
        refuse("facts.classes", facts.classes, "a list of at least one, each name once")
    check_length("facts.counts", facts.counts, len(facts.classes), "the classes")
    for k, count in enumerate(facts.counts):
        check_whole(f"facts.counts[{k}]", count, low=0)
    check_length("facts.intensities", facts.intensities, len(facts.channels), "the channels")
    for i, seen in enumerate(facts.intensities):
        check_number(f"facts.intensities[{i}].mean", seen.mean)
        check_number(f"facts.intensities[{i}].spread", seen.spread, low=0)
        check_range(f"facts.intensities[{i}]", seen.low, seen.high, least=float("-inf"))


def _check_normalisation(at: str, how: Normalisation) -> None:
    values = {"low": how.low, "high": how.high, "mean": how.mean, "spread": how.spread}
    for name, value in values.items():
        if how.kind == CALIBRATED and value is None:
            refuse(f"{at}.{name}", value, f"a number where kind is {CALIBRATED}")
        if how.kind != CALIBRATED and value is not None:
            refuse(f"{at}.{name}", value, f"null where kind is {how.kind}, which takes it from each image")
        if value is not None:
            check_number(f"{at}.{name}", value)
    if how.spread is not None:
        check_number(f"{at}.spread", how.spread, low=0)
    if how.low is not None and how.high is not None and how.low > how.high:
        refuse(at, (how.low, how.high), "a range from low to high")


def _check_configuration(at: str, one: Configuration, plan: Plan) -> None:
    """One network: its grid, its shape, its batch, its loss, and what it reads."""
    n = PLANES if one.name == "2d" else VOLUMES
    if n > len(plan.axes):
        refuse(f"{at}.name", one.name, "2d, as the plan has two axes")
    _check_grid(f"{at}.", one.spacing, one.size, n)
    _check_shape(at, one, n)
    for name in ("batch", "values", "parameters", "training_bytes"):
        check_whole(f"{at}.{name}", getattr(one, name))
    check_number(f"{at}.rotation_deg", one.rotation_deg, low=0, high=MOST_DEGREES)
    levels = max(1, len(one.backbone.widths) - 1)
    if not 1 <= len(one.supervision) <= levels:
        refuse(f"{at}.supervision", one.supervision, f"a list of 1 to {levels} weights, for levels of the decoder")
    for level, weight in enumerate(one.supervision):
        check_number(f"{at}.supervision[{level}]", weight, low=0)
    if not any(one.supervision):
        refuse(f"{at}.supervision", one.supervision, "a list of weights with one above 0")
    _check_inputs(at, one, plan)


def _check_shape(at: str, one: Configuration, n: int) -> None:
    """The patch goes down through the backbone without remainder, and comes up again to what it was."""
    backbone = one.backbone
    check_length(f"{at}.patch", one.patch, n, "the axes")
    for axis, side in enumerate(one.patch):
        check_whole(f"{at}.patch[{axis}]", side)
    if backbone.conv.ndim != n:
        refuse(f"{at}.backbone.conv.ndim", backbone.conv.ndim, f"{n} in configuration {one.name}")
    if any(backbone.conv.valid):
        refuse(f"{at}.backbone.conv.padding", backbone.conv.padding, "'same' along every axis")
    if backbone.conv.cond_dim:
        refuse(f"{at}.backbone.conv.cond_dim", backbone.conv.cond_dim, "0")
    if max(backbone.stages[0].stride) > 1:
        refuse(f"{at}.backbone.strides[0]", backbone.stages[0].stride, "1 along every axis: scores are of every voxel")
    steps = tuple(prod(stage.stride[axis] for stage in backbone.stages) for axis in range(n))
    if any(side % step for side, step in zip(one.patch, steps, strict=True)):
        refuse(f"{at}.patch", one.patch, f"a patch that the strides divide without remainder: multiples of {steps}")
    if backbone.conv.norm == "instance" and prod(one.patch) <= prod(steps):
        refuse(f"{at}.patch", one.patch, f"of more than one voxel after the strides {steps}, for instance norm")
    if backbone.conv.norm == "batch" and one.batch * prod(one.patch) <= prod(steps):
        refuse(f"{at}.batch", one.batch, f"2 or more, for batch norm of one voxel after the strides {steps}")


def _check_inputs(at: str, one: Configuration, plan: Plan) -> None:
    """A cascade reads the answer of the first look, one channel for each foreground class; the others images only."""
    after = FIRST if one.name == SECOND else ""
    if one.after != after:
        refuse(f"{at}.after", one.after, f"{after!r} in configuration {one.name}")
    if after and after not in [other.name for other in plan.configurations]:
        refuse(f"{at}.after", one.after, f"a configuration of the plan, which has no {after}")
    inputs = len(plan.facts.channels) + (len(plan.facts.classes) - 1 if after else 0)
    if one.backbone.in_channels != inputs:
        more = " and one for each foreground class" if after else ""
        refuse(f"{at}.backbone.in_channels", one.backbone.in_channels, f"{inputs}: one for each channel{more}")

"""Networks of a plan made cheaper for a CPU: fewer patches a step, then fewer channels; patches keep their size."""

from __future__ import annotations

from dataclasses import replace

from hyperseg.medical.configuration import Configuration
from hyperseg.medical.plan import Limit, Plan
from hyperseg.medical.topology import parameters_of, training_bytes, values_of
from hyperseg.medical.v2 import FEWEST, FIRST_WIDTH

LEAST_WIDTH = 16  # 8 channels are hardly faster, and lost a class in some trainings


def narrowed(plan: Plan, *, patience: float, pace: float, least_width: int = LEAST_WIDTH) -> Plan:
    """The plan with steps that take about `patience` seconds or less, if that can be.

    Smaller patches would be cheaper too, but what lies outside of them is not learnt: our choice, not measured with all
    else equal (the runs at hand differ in width, steps and cases).

    Args:
        plan: for a card.
        patience: seconds.
        pace: feature values a second of networks with the usual width, see `networks.measure_pace`; half the channels
            take about half the time for a value.
        least_width: channels first that are not gone below.
    """
    values, n_classes = patience * pace, len(plan.facts.classes)
    made = tuple(_cheaper(one, values, n_classes, least_width) for one in plan.configurations)
    return replace(plan, configurations=made, limit=Limit(plan.limit.gigabytes, patience, pace))


def _cheaper(one: Configuration, values: float, n_classes: int, least_width: int) -> Configuration:
    batch = min(one.batch, max(FEWEST, int(values / one.values)))
    if batch * one.values <= values:
        return replace(one, batch=batch, training_bytes=training_bytes(one.values, batch, one.parameters))
    width, widths = FIRST_WIDTH, one.backbone.widths
    while width > least_width and batch * one.values * (width / FIRST_WIDTH) ** 2 > values:
        width //= 2
    spec = replace(one.backbone, widths=tuple(w * width // FIRST_WIDTH for w in widths))
    fewer = values_of(one.topology, spec.widths, n_classes)
    parameters = parameters_of(spec, n_classes, heads=len(one.supervision))
    return replace(
        one, batch=batch, backbone=spec, values=fewer, parameters=parameters,
        training_bytes=training_bytes(fewer, batch, parameters),
    )  # fmt: skip


def unmirrored(plan: Plan) -> Plan:
    """The plan without mirror images in training and prediction, for volumes with a size in millimetres.

    Front and back, left and right are not alike in a body, and telling them apart by shape alone takes a long training.
    Pictures, and volumes whose files tell no size, keep their mirror images.

    Differs: from nnU-Net, which mirrors always (Hippocampus, 290 steps, one fold: Dice 0.78 / 0.80; so: 0.85 / 0.85).
    """
    if plan.facts.unit != "mm" or len(plan.axes) < 3:
        return plan
    training = plan.training
    return replace(
        plan,
        training=replace(
            training, augmentation=replace(training.augmentation, mirror=False),
            inference=replace(training.inference, mirror=False),
        ),
    )  # fmt: skip

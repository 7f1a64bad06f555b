"""The one plan of a benchmark of networks: images reduced to so many pixels, networks of so many channels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hyperseg.io.cases import CaseFolder
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.plan import Plan, at_spacing
from hyperseg.medical.topology import parameters_of, training_bytes, values_of
from hyperseg.recipes.segment.narrowing import unmirrored
from hyperseg.recipes.segment.planning import plan_cases

LONG = 0.5  # of the longest axis: axes of at least so many pixels are reduced, together


def reduced_plan(
    folder: CaseFolder, *, side: int, width: int, batch: int, progress: Callable[[int, int], None] | None = None
) -> Plan:
    """The plan that all networks are trained by: nnU-Net's for images whose longest axis has `side` pixels or fewer.

    Networks are compared, not brought to their best: images are coarser and networks narrower than those of a training
    that is to be used, and both are told with the table. Predictions are scored on the grid of each image.

    Args:
        folder: of cases.
        side: pixels of the longest axis; images that are smaller keep their size.
        width: channels of the first stage, at most; the other stages keep their proportion to it.
        batch: images in a step, at most.
        progress: told how many cases of how many were looked at.
    """
    plan = plan_cases(folder, progress=progress)
    longest = max(plan.size)
    if longest > side:
        spacing = tuple(
            s * longest / side if n >= LONG * longest else s for s, n in zip(plan.spacing, plan.size, strict=True)
        )
        plan = at_spacing(plan, spacing)
    n_classes = len(plan.facts.classes)
    made = tuple(_narrow(one, n_classes, width, batch) for one in plan.configurations)
    return unmirrored(replace(plan, configurations=made))


def _narrow(one: Configuration, n_classes: int, width: int, batch: int) -> Configuration:
    spec, batch = one.backbone, min(one.batch, batch)
    first = spec.widths[0]
    if first > width:
        spec = replace(spec, widths=tuple(max(w * width // first, 1) for w in spec.widths))
    values = values_of(one.topology, spec.widths, n_classes)
    parameters = parameters_of(spec, n_classes, heads=len(one.supervision))
    return replace(
        one, batch=batch, backbone=spec, values=values, parameters=parameters,
        training_bytes=training_bytes(values, batch, parameters),
    )  # fmt: skip

"""Patching: networks learn from patches of another size, and are planned for it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from hyperseg.core import SettingError
from hyperseg.core.parts import Method, OnCases, Trick
from hyperseg.core.settings import changed, find_leaf, option, settings
from hyperseg.recipes.tricks.slots import with_plan, with_settings

if TYPE_CHECKING:
    from hyperseg.medical.configuration import Configuration
    from hyperseg.medical.plan import Plan

TWICE = 2
WINDOW = "window"


@settings
class Patching:
    """Which size."""

    edge: int = option(
        0, "Voxels along each side of a patch; 0 is twice what it was. Patches are no larger than a median image.",
        low=0, high=1024,
    )  # fmt: skip


def on_cases(on: OnCases, chosen: Patching) -> OnCases:
    """Every network of the plan is planned again for the patch: stages, widths and batch follow from it as they did.

    Sides grow to what the strides divide. A step keeps its feature values, so its time and memory, but has two patches
    at least.

    Source: the "Patching" of arXiv 2209.10307, edges from 32 to 192 voxels.
    Differs: there the network stays as it is, here it is as deep as nnU-Net makes it for the patch.
    """

    def change(plan: Plan) -> Plan:
        made = replace(plan, configurations=tuple(resized(one, plan, chosen.edge) for one in plan.configurations))
        if made == plan:
            raise SettingError("patches are as large already, or as the images are: give another edge.")
        return made

    return with_plan(on, change)


def resized(one: Configuration, plan: Plan, edge: int) -> Configuration:
    """A network planned again for patches of `edge` voxels along each side, 0 for twice as many as it had.

    Raises:
        SettingError: such a patch cannot be halved even once, or two do not fit into the memory of the plan.
    """
    from hyperseg.medical import msd2018, v2
    from hyperseg.medical.plan import rotation
    from hyperseg.medical.topology import parameters_of, training_bytes, values_of
    from hyperseg.medical.training import supervision

    asked = tuple(min(edge or TWICE * had, n) for had, n in zip(one.patch, one.size, strict=True))
    rules: Any = v2 if plan.preset == "v2" else msd2018
    topology = v2.halve(one.spacing, asked) if plan.preset == "v2" else msd2018.pool(asked)
    if topology.patch == one.patch:
        return one
    told, n_classes = " x ".join(map(str, topology.patch)), len(plan.facts.classes)
    if not any(topology.pools):
        raise SettingError(f"{one.name}: a patch of {told} voxels cannot be halved: give a larger edge.")
    first = one.backbone.widths[0]  # narrower than the rules' where a plan was made for a CPU
    widths = tuple(max(1, width * first // rules.FIRST_WIDTH) for width in rules.widths(topology))
    spec = replace(topology.backbone(one.backbone.in_channels, widths), conv=one.backbone.conv)
    values = values_of(topology, widths, n_classes)
    _check_memory(plan, one, told, values)
    batch = max(rules.FEWEST, round(one.batch * one.values / values))
    weights = supervision(max(1, len(widths) - 1), supervised=len(one.supervision) > 1)
    parameters = parameters_of(spec, n_classes, heads=len(weights))
    degrees, in_plane = rotation(plan.preset, topology.patch)
    return replace(
        one, patch=topology.patch, backbone=spec, batch=batch, supervision=weights, rotation_deg=degrees,
        in_plane=in_plane, values=values, parameters=parameters,
        training_bytes=training_bytes(values, batch, parameters),
    )  # fmt: skip


def _check_memory(plan: Plan, one: Configuration, told: str, values: int) -> None:
    """Two patches fit into the memory that the plan was made for; presets with fixed sizes know none."""
    from hyperseg.medical import v2

    if plan.preset != "v2":
        return
    budget, gigabytes = v2.BUDGETS[one.n_axes], plan.limit.gigabytes or v2.USUAL_GIGABYTES
    allowed = budget.values * budget.batch * gigabytes / v2.USUAL_GIGABYTES
    if v2.FEWEST * values > allowed and values > one.values:
        raise SettingError(
            f"{one.name}: two patches of {told} voxels have {v2.FEWEST * values:.2g} feature values, and {gigabytes:g} "
            f"GB hold {allowed:.2g}: give a smaller edge, or plan for more gigabytes."
        )


def on_scene(method: Method, chosen: Patching) -> Method:
    """Another window of a decision, or of what is learnt; 0 is twice the method's own.

    Raises:
        SettingError: the method has no window, or a planned one, which has no size yet to be doubled.
    """
    leaf = find_leaf(method.settings(), WINDOW)
    if leaf is None:
        raise SettingError("it has no window to be changed: choose a method that looks at windows.")
    path = leaf.path

    def change(given: Any) -> Any:
        now = find_leaf(given, path)
        edge = chosen.edge or (TWICE * now.value - 1 if now is not None and now.value else 0)  # an odd number
        if not edge:
            raise SettingError(f"its window is planned: say which it should be, patching:edge=33 ({path}).")
        return changed(given, {path: edge})

    return with_settings(method, change)


PATCHING = Trick("patching", "pre-processing", on_cases, on_scene, Patching)

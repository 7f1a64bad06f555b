"""Spatial augmentation: patches are moved, scaled, turned and mirrored at random."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from hyperseg.core import SettingError
from hyperseg.core.parts import OnCases, Trick
from hyperseg.core.settings import option, settings
from hyperseg.core.sides import mirrored_pair
from hyperseg.recipes.tricks.slots import with_plan

if TYPE_CHECKING:
    from hyperseg.medical.plan import Plan
    from hyperseg.medical.training import Augmentation

SHIFT, DEGREES = 0.1, 45.0
PICTURES, VOLUMES = (0.9, 1.1), (0.85, 1.25)  # factors of the size


@settings
class SpatialAugmentation:
    """How often, and whether either side may be the other."""

    p: float = option(0.5, "Probability of a shift, of another size and of a turn of a patch.", above=0, high=1)
    mirror: Literal["auto", "always", "never"] = option(
        "auto", "Mirror images, and of volumes quarter turns; auto: not where classes are left and right of the same "
        "thing (always is refused there), and not of volumes in millimetres, as in a body front and back, left and "
        "right are not alike, and short trainings cannot tell them by shape alone.",
    )  # fmt: skip


def on_cases(on: OnCases, chosen: SpatialAugmentation) -> OnCases:
    """Pictures: shifts by a tenth, sizes by a tenth, turns by up to 45 degrees, mirror images along either axis.

    Volumes: sizes from 0.85 to 1.25, quarter turns within the planes, mirror images along each axis. Numbers of a plan
    that has such changes are replaced. Every mirror image is drawn with probability 1/2, every number of quarter turns
    with 1/4.

    Source: the "GTAug-B" of arXiv 2209.10307 and its published code.
    Differs: beyond the edge of an image are zeros, where the original mirrors a picture.
    """

    def change(plan: Plan) -> Plan:
        augmentation = _changed(plan, chosen)
        made = replace(plan, training=replace(plan.training, augmentation=augmentation))
        if len(plan.axes) > 2:
            return made
        return replace(made, configurations=tuple(replace(one, rotation_deg=DEGREES) for one in made.configurations))

    return with_plan(on, change)


def _changed(plan: Plan, chosen: SpatialAugmentation) -> Augmentation:
    from hyperseg.medical.training import Change

    mirror = _mirrored(plan, chosen.mirror)
    if len(plan.axes) == 2:
        return replace(
            plan.training.augmentation, rotation_p=chosen.p, scale=Change(*PICTURES, chosen.p), mirror=mirror,
            shift=Change(-SHIFT, SHIFT, chosen.p),
        )  # fmt: skip
    return replace(
        plan.training.augmentation, rotation_p=0.0, scale=Change(*VOLUMES, chosen.p), mirror=mirror,
        quarter_turns=mirror,
    )  # fmt: skip


def _mirrored(plan: Plan, mirror: Literal["auto", "always", "never"]) -> bool:
    """Whether either side may be the other: not where classes say which it is, else as short trainings decide it.

    Raises:
        SettingError: it is asked for always, and one class is the mirror image of another.
    """
    if mirror == "never":
        return False
    if pair := mirrored_pair(plan.facts.classes):
        if mirror == "always":
            raise SettingError(f"a mirror image of {pair[0]} looks like {pair[1]}: give mirror=auto or mirror=never.")
        return False
    if mirror == "always":
        return True
    from hyperseg.recipes.segment.narrowing import unmirrored

    allowed = replace(plan.training.augmentation, mirror=True)
    return unmirrored(replace(plan, training=replace(plan.training, augmentation=allowed))).training.augmentation.mirror


SPATIAL_AUGMENTATION = Trick("spatial-augmentation", "augmentation", on_cases, None, SpatialAugmentation)

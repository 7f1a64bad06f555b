"""The plan of a scene's U-Net, as the first repeat of a run would make it."""

from __future__ import annotations

from hyperseg.core import Scene
from hyperseg.data.facts import facts_of
from hyperseg.hsi.plan import ScenePlan, plan_scene
from hyperseg.recipes.run.classify import check_scene, draw_split
from hyperseg.recipes.run.inputs import Masks
from hyperseg.recipes.run.settings import RunSettings


def plan_for(scene: Scene, settings: RunSettings, masks: Masks) -> ScenePlan:
    """What follows from the training pixels of the first split.

    Raises:
        HypersegError: labels that cannot be learnt from, or a split that cannot be drawn.
    """
    check_scene(scene)
    return plan_scene(facts_of(scene, draw_split(scene, settings, masks, repeat=0)))

"""Settings of a training of detectors: what is learnt from, by which loss, and the network; and its two methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from hyperseg.core import SettingError
from hyperseg.core.settings import changed, leaves, option, settings
from hyperseg.detection.settings import ABLATION, DetectorSettings, FocalMixSettings

Method = Literal["focalmix", "supervised"]
FOCALMIX: Method = "focalmix"
SUPERVISED: Method = "supervised"
METHODS: tuple[Method, ...] = (FOCALMIX, SUPERVISED)
OF_UNLABELLED = (
    "focalmix.views", "focalmix.temperature", "focalmix.doubtful", "focalmix.teacher", "focalmix.confident",
    "focalmix.normaliser", "focalmix.weight",
)  # fmt: skip
TWIN = next(iter(ABLATION.values()))  # its first row
"""What makes the supervised twin of the settings of FocalMix."""


@settings
class TrainingSettings:
    """Patches and optimiser; what is 0 or empty follows from boxes and device."""

    patch: tuple[int, ...] = option((), "Voxels of a patch along each axis; planned where it is left out.", low=1)
    batch: int = option(0, "Labelled patches of a step; 0: planned.", low=0)
    batch_unlabelled: int = option(0, "Unlabelled patches of a step; 0: as many as labelled ones.", low=0)
    near: float = option(0.5, "Share of the labelled patches that hold a box.", low=0, high=1)
    lr: float = option(2e-3, "Highest learning rate of AdamW over one cycle.", above=0, high=1)
    weight_decay: float = option(1e-4, "Decay of the weights.", low=0, high=1)


@settings
class DetectSettings:
    """Everything that may be changed by --set."""

    detector: DetectorSettings = option(DetectorSettings(), "The network.")
    focalmix: FocalMixSettings = option(FocalMixSettings(shaken=0.3), "What a step learns from.")
    training: TrainingSettings = option(TrainingSettings(), "Patches and optimiser.")


def settings_of(method: Method, detector: DetectorSettings, changes: Mapping[str, Any]) -> DetectSettings:
    """The settings of a method with that network, and then changed.

    Raises:
        SettingError: no such setting, a value it cannot have, or a change that has no effect beside the others.
    """
    base = DetectSettings(detector=detector)
    base = base if method == FOCALMIX else twin_of(base)
    chosen = changed(base, changes)
    before, now = ({leaf.path: leaf.value for leaf in leaves(of)} for of in (base, chosen))
    for name, why in without_effect(chosen).items():
        if now[name] != before[name]:
            raise SettingError(f"{name}={now[name]} would change nothing: {why}. Leave it out, or change that.")
    return chosen


def without_effect(chosen: DetectSettings) -> dict[str, str]:
    """Settings that nothing looks at beside the others, by path, and why."""
    one, found = chosen.focalmix, {}
    if chosen.detector.anchors:
        found["detector.per_level"] = "it plans anchors, and anchors are given"
    if not (one.image_mixup or one.object_mixup):
        found["focalmix.eta"] = "image_mixup and object_mixup are off"
    if not one.object_mixup:
        found["focalmix.confident"] = "object_mixup is off"
    if one.classification == "bce":
        why = "classification is bce, not focal (--method supervised has bce)"
        found |= dict.fromkeys(("focalmix.gamma", "focalmix.alpha0", "focalmix.alpha1"), why)
    if not one.unlabelled:
        why = "unlabelled is off, nothing is learnt from images without boxes (--method supervised has it off)"
        found |= dict.fromkeys(OF_UNLABELLED, why)
        found["training.batch_unlabelled"] = why
        if not (one.image_mixup or one.object_mixup):
            found["focalmix.warm_up"] = f"{why}, and nothing is mixed"
    return found


def twin_of(given: DetectSettings) -> DetectSettings:
    """The same, learning from labels alone: what FocalMix has to beat."""
    return changed(given, {f"focalmix.{name}": value for name, value in TWIN.items()})

"""Settings of a training of detectors: what is learnt from, by which loss, and the network; and its two methods."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from hyperseg.core.settings import changed, option, settings
from hyperseg.detection.settings import ABLATION, DetectorSettings, FocalMixSettings

Method = Literal["focalmix", "supervised"]
FOCALMIX: Method = "focalmix"
SUPERVISED: Method = "supervised"
METHODS: tuple[Method, ...] = (FOCALMIX, SUPERVISED)
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
        SettingError: no such setting, or a value it cannot have.
    """
    base = DetectSettings(detector=detector)
    return changed(base if method == FOCALMIX else twin_of(base), changes)


def twin_of(given: DetectSettings) -> DetectSettings:
    """The same, learning from labels alone: what FocalMix has to beat."""
    return changed(given, {f"focalmix.{name}": value for name, value in TWIN.items()})

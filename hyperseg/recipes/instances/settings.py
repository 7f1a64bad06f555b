"""Settings of a training of Mask R-CNN on pictures whose labels number objects; no torch."""

from __future__ import annotations

from hyperseg.core import SettingError
from hyperseg.core.settings import option, settings
from hyperseg.zoo.instances.settings import FindSettings, LessonSettings, MaskRCNNSettings


@settings
class TrainingSettings:
    """Patches, what is done to them, and the optimiser."""

    patch: int = option(0, "Pixels of a patch along each axis; 0: planned for the device.", low=0)
    batch: int = option(2, "Patches of a step.", low=1)
    lr: float = option(2e-3, "Highest learning rate of AdamW over one cycle.", above=0, high=1)
    weight_decay: float = option(1e-4, "Decay of the weights.", low=0, high=1)
    average: float = option(0.98, "Decay of the moving average of the weights, which is what is kept.", low=0, below=1)
    zoom: tuple[float, float] = option(
        (0.7, 1.4),
        "Patches are made smaller or larger by a factor between these two, drawn at random.",
        above=0,
        high=8,
    )
    shaken: float = option(
        0.2, "How much contrast and brightness of patches change at random, as a share.", low=0, below=1
    )
    inverted: float = option(0.0, "Share of the patches whose bright and dark are exchanged.", low=0, high=1)

    def __post_init__(self) -> None:
        if self.zoom[0] > self.zoom[1]:
            raise SettingError(f"zoom {self.zoom}: give the smaller factor first.")


@settings
class InstanceSettings:
    """Everything that --set changes."""

    network: MaskRCNNSettings = option(MaskRCNNSettings(), "The network.")
    lesson: LessonSettings = option(LessonSettings(), "What a step learns from.")
    training: TrainingSettings = option(TrainingSettings(), "Patches and optimiser.")
    find: FindSettings = option(FindSettings(), "How objects are found; a prediction may change it.")

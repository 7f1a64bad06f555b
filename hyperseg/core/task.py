"""`Task`: what a method is fitted on, one scene or a folder of images or volumes, each with its split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg.core.errors import LabelError, SceneError
from hyperseg.core.scene import Scene
from hyperseg.core.split import Split


@dataclass(frozen=True)
class Task:
    """Scenes with labels and a split of each; one scene is n = 1.

    Attributes:
        scenes: n of them, of any sizes, with the same bands and classes.
        splits: n, each of its scene's shape.
        pools: n, (*S) bool: valid pixels that may be looked at without their labels; None is all valid ones.

    Raises:
        SceneError: no scene, other numbers of them, or scenes that do not belong together.
        LabelError: a scene without labels.
    """

    scenes: tuple[Scene, ...]
    splits: tuple[Split, ...]
    pools: tuple[NDArray[np.bool_], ...] | None = None

    def __post_init__(self) -> None:
        if not self.scenes or len(self.scenes) != len(self.splits):
            raise SceneError(
                f"a task has one split per scene and one scene at least, got {len(self.scenes)} scenes and "
                f"{len(self.splits)} splits."
            )
        first = self.scenes[0]
        for scene, split in zip(self.scenes, self.splits, strict=True):
            if scene.labels is None:
                raise LabelError(f"{scene.name} has no labels to learn from.")
            if split.train.shape != scene.shape:
                raise SceneError(f"{scene.name}: has {scene.shape} pixels, its split {split.train.shape}.")
            if (scene.n_bands, scene.classes) != (first.n_bands, first.classes):
                raise SceneError(
                    f"{scene.name}: {scene.n_bands} bands and the classes {', '.join(scene.classes)}, but {first.name} "
                    f"has {first.n_bands} and {', '.join(first.classes)}: scenes of a task share bands and classes."
                )
            if len(scene.shape) != len(first.shape):
                raise SceneError(f"{scene.name}: images and volumes do not mix in a task.")

        if self.pools is not None and [p.shape for p in self.pools] != [s.shape for s in self.scenes]:
            raise SceneError(
                f"a task has one pool of its scene's shape per scene, got {[p.shape for p in self.pools]} for "
                f"{[s.shape for s in self.scenes]}."
            )

    @property
    def scene(self) -> Scene:
        """The only scene."""
        self._only()
        return self.scenes[0]

    @property
    def split(self) -> Split:
        """The split of the only scene."""
        self._only()
        return self.splits[0]

    @property
    def n_classes(self) -> int:
        return self.scenes[0].n_classes

    @property
    def looked_at(self) -> tuple[NDArray[np.bool_], ...]:
        """n, (*S) bool: pixels that may be looked at without their labels: those of the pools, or all usable ones."""
        return self.pools or tuple(scene.usable for scene in self.scenes)

    def _only(self) -> None:
        if len(self.scenes) != 1:
            raise SceneError(f"this takes one scene, the task has {len(self.scenes)}.")

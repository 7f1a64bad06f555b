"""`SegmentationMap`: class probabilities on a grid, with what made them."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hyperseg.core.errors import SceneError
from hyperseg.core.scene import UNLABELLED, Grid


@dataclass(frozen=True)
class SegmentationMap:
    """Class probabilities of every pixel.

    Attributes:
        probs: (*S, K) float32, summing to one over K.
        classes, colours, grid: as in `Scene`.
        made_by: the chain that made it, e.g. ("cnn3d", "dense-crf").
        valid: (*S) bool or None: False pixels get the label -1.
        codes: K codes of the classes in files, or None for 1..K, as in `Scene`.
    """

    probs: NDArray[np.float32]
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    grid: Grid = field(default_factory=Grid)
    made_by: tuple[str, ...] = ()
    valid: NDArray[np.bool_] | None = None
    codes: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if self.probs.shape[-1] != len(self.classes):
            raise SceneError(f"a map of {self.probs.shape[-1]} channels cannot carry {len(self.classes)} class names.")

    @property
    def shape(self) -> tuple[int, ...]:
        """Spatial shape S."""
        return self.probs.shape[:-1]

    def labels(self) -> NDArray[np.int16]:
        """(*S) int16 most probable class, -1 where there is no data."""
        best = self.probs.argmax(-1).astype(np.int16)
        return best if self.valid is None else np.where(self.valid, best, np.int16(UNLABELLED))

    def confidence(self) -> NDArray[np.float32]:
        """(*S) probability of the most probable class."""
        return self.probs.max(-1)

    def entropy(self) -> NDArray[np.float32]:
        """(*S) Shannon entropy in nats, 0 (certain) to ln K (no idea)."""
        p = np.clip(self.probs, np.finfo(np.float32).tiny, 1.0)
        return -(p * np.log(p)).sum(-1)

    def refined(self, probs: NDArray[np.float32], by: str) -> SegmentationMap:
        """The same map with other probabilities, `by` appended to the chain."""
        return replace(self, probs=probs, made_by=(*self.made_by, by))

"""`SegmentationMap`: class probabilities on a grid, with what made them; `Decisions`, `Fused`, `Step`: of such maps."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hyperseg.core.errors import SceneError
from hyperseg.core.scene import UNLABELLED, Grid
from hyperseg.core.words import counted

Role = Literal["baseline", "twin", "network", "control", "refined"]


@dataclass(frozen=True)
class Decisions:
    """What a map comes to, where its probabilities themselves are not wanted.

    Attributes:
        labels: (*S) int16 most probable class, -1 where there is no data.
        confidence: (*S) float32 probability of that class, NaN where there is no data.
        entropy: (*S) float32 over ln K, 0 (certain) to 1 (no idea), NaN without data; None where nobody asked for it.
        disagreement: (*S) float32 as in `SegmentationMap`, NaN without data; None where the method has none.
    """

    labels: NDArray[np.int16]
    confidence: NDArray[np.float32]
    entropy: NDArray[np.float32] | None = None
    disagreement: NDArray[np.float32] | None = None

    def blank(self, valid: NDArray[np.bool_] | None) -> None:
        """Say nothing, in place, where (*S) `valid` is False."""
        if valid is None:
            return
        self.labels[~valid] = UNLABELLED
        for values in (self.confidence, self.entropy, self.disagreement):
            if values is not None:
                values[~valid] = np.nan


@dataclass(frozen=True)
class SegmentationMap:
    """Class probabilities of every pixel.

    Attributes:
        probs: (*S, K) float32, summing to one over K.
        classes, colours, grid: as in `Scene`.
        made_by: the chain that made it, e.g. ("cnn3d", "dense-crf").
        valid: (*S) bool or None: False pixels get the label -1.
        codes: K codes of the classes in files, or None for 1..K, as in `Scene`.
        disagreement: (*S) float32 of methods that answer more than once: mutual information of class and answer over
            ln K, 0 (all answers are the same) to 1; or None.
    """

    probs: NDArray[np.float32]
    classes: tuple[str, ...]
    colours: tuple[tuple[int, int, int], ...]
    grid: Grid = field(default_factory=Grid)
    made_by: tuple[str, ...] = ()
    valid: NDArray[np.bool_] | None = None
    codes: tuple[int, ...] | None = None
    disagreement: NDArray[np.float32] | None = None

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

    def check_finite(self, scene: str, *, first: tuple[int, ...] | None = None) -> None:
        """Raise where a pixel with data has probabilities that are not finite.

        Args:
            scene: what is mapped, for messages.
            first: where the first pixel of this map lies in the scene, for those of a window.

        Raises:
            SceneError: with the first such pixel and what may be the matter.
        """
        check_finite(self.probs.sum(-1), self.valid, self.made_by, scene, first=first)

    def refined(self, probs: NDArray[np.float32], by: str) -> SegmentationMap:
        """The same map with other probabilities, `by` appended to the chain."""
        return replace(self, probs=probs, made_by=(*self.made_by, by))


def check_finite(
    values: NDArray[np.float32],
    valid: NDArray[np.bool_] | None,
    made_by: tuple[str, ...],
    scene: str,
    *,
    first: tuple[int, ...] | None = None,
) -> None:
    """Raise where one of the (*S) values of pixels with data is not finite; see `SegmentationMap.check_finite`."""
    broken = ~np.isfinite(values)
    if valid is not None:
        broken &= valid
    if not broken.any():
        return
    place = np.argwhere(broken)[0] + (0 if first is None else np.asarray(first))
    raise SceneError(
        f"{scene}: {' + '.join(made_by) or 'the model'} gives no finite probabilities at "
        f"{counted(int(broken.sum()), 'pixel')}, the first at row {place[-2]}, column {place[-1]} (from 0). "
        "Probably values there or around it are far beyond what was trained on: look at them, and name the value "
        "that stands for no data with --nodata."
    )


class Fused(NamedTuple):
    """What several answers to one image come to.

    Attributes:
        scores: (K, *S), the largest is the class; probabilities where the rule gives some.
        mean: (K, *S) mean probabilities.
        disagreement: (*S) mutual information of class and sample over ln K, 0 (all samples say the same) to 1.
    """

    scores: Any
    mean: Any
    disagreement: Any


@dataclass(frozen=True)
class Step:
    """One map of a run, to be scored: a baseline's, the method's, or one after a refiner.

    Attributes:
        name: the chain that made it, as "cnn3d + dense-crf".
        role: what it is to the reader.
        window_px: side of the square of pixels that a decision rests on.
        seconds: it took.
        training_s: of these, before mapping; None where the two are not told apart.
        by: what a sentence calls the refiner that made it; "" for a method.
        left_alone: it is the map before it, as its refiner changes nothing.
        joined: (*S) of the last refiner that joins pixels to regions, see `Fitted.joined`; None where none does.
        why: that is, as `Refiner.alone`.
        calibrated: the last refiner that has a say in that calibrates, see `Refiner.keeps_calibration`.
        title: what a reader calls it, where that is not its name.
    """

    name: str
    role: Role
    map: SegmentationMap
    window_px: int
    seconds: float
    training_s: float | None = None
    by: str = ""
    left_alone: bool = False
    joined: NDArray[np.float32] | None = None
    why: str = ""
    calibrated: bool = False
    title: str = ""

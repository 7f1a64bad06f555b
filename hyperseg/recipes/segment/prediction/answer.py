"""`answer_case`: what networks say of an image in full: its classes, probabilities, and how uncertain they are."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.core.maps import Fused
from hyperseg.medical.export.restore import Back, placed, restore, restored
from hyperseg.medical.prepare import Prepared
from hyperseg.medical.resample import LABELS
from hyperseg.recipes.segment.methods.chosen import CaseMethod
from hyperseg.recipes.segment.prediction.one_case import Share, Work, mean_of, shared

CONFIDENCE, ENTROPY, DISAGREEMENT = "1 - confidence", "entropy", "disagreement"  # what doubts are called
Labels = NDArray[np.int16]
Floats = NDArray[np.float32]
Tell = Callable[[int, int, int], None]


@dataclass(frozen=True)
class Answer:
    """What networks say of an image, on the image's own grid.

    Attributes:
        labels: (*S) classes, as `predict` writes them.
        mean: (K, *S) probabilities.
        disagreement: (*S) of methods that draw, see `Fused`; None of others.
        samples: (*S) classes of every sample by itself.
        compared: classes by other ways to the same end: what differs ("samples", "calls", "fusion") -> value -> (*S).
        seconds: that `labels` took.
    """

    labels: Labels
    mean: Floats
    disagreement: Floats | None = None
    samples: tuple[Labels, ...] = ()
    compared: Mapping[str, Mapping[str, Labels]] = field(default_factory=dict)
    seconds: float = math.nan

    @property
    def entropy(self) -> Floats:
        """(*S) of the mean probabilities over ln K, 0 (certain) to 1 (no idea)."""
        return entropy(self.mean)

    @property
    def doubt(self) -> Floats:
        """(*S) the disagreement of samples, else the entropy; 0 to 1."""
        return self.entropy if self.disagreement is None else self.disagreement

    @property
    def doubts(self) -> dict[str, Floats]:
        """(*S) each: every way to say how uncertain a pixel is."""
        found = {CONFIDENCE: 1 - self.mean.max(0), ENTROPY: self.entropy}
        return found if self.disagreement is None else found | {DISAGREEMENT: self.disagreement}


def entropy(probs: Floats) -> Floats:
    """(K, *S) probabilities -> (*S) entropy over ln K, 0 (certain) to 1 (no idea)."""
    from scipy.special import entr

    found: Floats = entr(probs).sum(0) / np.float32(math.log(len(probs)))
    return found.clip(0, 1)


def answer_case(scene: Scene, work: Work, chosen: Sequence[str], *, share: Share | None = None) -> Answer:
    """What `predict_case` gives, with probabilities: K numbers for every pixel of the image are held.

    Of several configurations that predict together the mean, which has no disagreement.

    Args:
        scene, chosen, share: as of `predict_case`.
        work: networks, and how they are asked.
    """
    began = time.perf_counter()
    with work.cost.of("preparing"):
        cases, _ = work.prepared(scene, chosen)
        del scene
    tell = shared(share, 0, 1, len(cases))
    if draws(work.method, chosen):
        with work.cost.of("network"):
            fused = work.method.fused(work.samples(chosen[0], cases[0], partial(tell, 0)))
        with work.cost.of("export"):
            found = from_fused(fused, cases[0].back)
    else:
        with work.cost.of("export"):
            found = _from_scores(work, list(zip(chosen, cases, strict=True)), tell)
    return replace(found, labels=work.method.finished(found.labels), seconds=time.perf_counter() - began)


def draws(method: CaseMethod, chosen: Sequence[str]) -> bool:
    """Whether an answer is made of samples: several configurations are averaged instead."""
    return method.on.samples is not None and len(chosen) == 1


def from_fused(fused: Fused, back: Back) -> Answer:
    """What answers on a network's grid come to on the image's own."""
    outside = (1.0, *(0.0,) * (len(fused.mean) - 1))
    mean = placed(restored([fused.mean], back), back, outside)
    (disagreement,) = placed(restored([fused.disagreement[None]], back), back, (0.0,))
    return Answer(restore(fused.scores, back), mean, disagreement)


def _from_scores(work: Work, pairs: Sequence[tuple[str, Prepared]], tell: Tell) -> Answer:
    """Of scores that are blended of windows, slice by slice."""
    n_classes = len(work.plan.facts.classes)
    streams = [work.slices(name, case, (), partial(tell, at), mean=True) for at, (name, case) in enumerate(pairs)]
    slices = (mean_of(scores, work.probable) for scores in zip(*streams, strict=True))
    mean = placed(slices, pairs[0][1].back, (1.0, *(0.0,) * (n_classes - 1)))
    return Answer(mean.argmax(0).astype(LABELS), mean)

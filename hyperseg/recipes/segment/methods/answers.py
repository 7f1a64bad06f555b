"""What a method answers to a prepared case: scores blended of windows, or what several answers come to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyperseg.medical.fingerprint import Size
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.methods.chosen import CaseMethod
from hyperseg.recipes.segment.prediction.cost import Cost
from hyperseg.recipes.segment.sliding import Done, classes_apart, slide, with_classes


def scores_of(
    method: CaseMethod, networks: Sequence[nn.Module], image: NDArray[np.float32], patch: Size, plan: Plan, *,
    mirror: bool, seed: int, device: torch.device, cost: Cost, done: Done | None = None,
    classes: bool = False, mean: bool = False,
) -> Iterator[Tensor]:  # fmt: skip
    """Scores of a case in parts along its first axis, (K, n, ...), as `restored` takes them.

    Args:
        method, networks: of one configuration.
        image: (C, *S).
        patch, plan: that they were trained with.
        mirror, device, done: see `sliding.slide`.
        seed: of what is drawn.
        cost: what networks take is added.
        classes: the last channel of the image is a first answer.
        mean: of several answers the mean probabilities, not what they come to.
    """
    n_classes = len(plan.facts.classes)
    if method.on.samples is None:
        score = method.score(networks, plan, mirror=mirror)
        score = cost.counted(with_classes(score, n_classes) if classes else score, device)
        yield from slide(score, image, patch, n_classes=n_classes, device=device, done=done)
        return
    samples = samples_of(
        method, networks, image, patch, n_classes=n_classes, mirror=mirror, seed=seed, device=device, done=done,
        classes=classes,
    )  # fmt: skip
    with cost.of("network"):
        found = method.fused(samples)
    yield found.mean if mean else found.scores


def samples_of(
    method: CaseMethod, networks: Sequence[nn.Module], image: NDArray[np.float32], patch: Size, *, n_classes: int,
    mirror: bool, seed: int, device: torch.device, done: Done | None = None, classes: bool = False,
) -> Iterator[Tensor]:  # fmt: skip
    """(K, *S) probabilities of each answer of a method that draws, for a whole case; arguments as of `scores_of`."""
    assert method.on.samples is not None
    x = torch.from_numpy(image)
    if classes:
        x = classes_apart(x[None], n_classes)[0]
    return method.on.samples(
        networks, x, patch, method.settings, n_classes=n_classes, mirror=mirror, seed=seed, device=device, done=done
    )  # fmt: skip


def probable(method: CaseMethod, plan: Plan) -> bool:
    """Whether mean scores of `scores_of` are probabilities, not logits."""
    return method.on.samples is not None or plan.training.inference.average == "probabilities"

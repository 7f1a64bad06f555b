"""What a network finds in pictures, and how good that is beside a baseline without a network."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hyperseg.metrics.instances.panoptic import panoptic
from hyperseg.metrics.instances.precision import (
    Instances,
    ids_of,
    mask_average_precision,
    mean_mask_average_precision,
    nuclei_score,
)
from hyperseg.recipes.instances.pictures import Example
from hyperseg.recipes.instances.watershed import WatershedSettings, segmented, tuned
from hyperseg.zoo.instances.finding import Found, find_objects
from hyperseg.zoo.instances.mask_rcnn import MaskRCNN
from hyperseg.zoo.instances.settings import FindSettings

BASELINE = "watershed"
TUNED_ON = 12  # pictures, evenly taken
RANKED = 0.05  # least score of an object that counts for AP, whatever the least score of one that is told
HEADS = ("method", "AP50", "AP", "PQ", "SQ", "RQ", "nuclei score")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Tried:
    """Held-out pictures by name: what was found in each, and the numbers that it comes to.

    Attributes:
        maps: (H, W) objects in each.
        scores: of these objects in the order of their numbers.
        numbers: AP50, AP, PQ..., and seconds of finding; JSON.
    """

    maps: dict[str, NDArray[np.integer[Any]]]
    scores: dict[str, NDArray[np.floating[Any]]]
    numbers: dict[str, Any]


def find_in(net: MaskRCNN, one: Example, chosen: FindSettings, device: str) -> Found:
    """The objects of a picture."""
    return find_objects(net, torch.from_numpy(one.image).to(device), chosen)


def try_network(
    net: MaskRCNN, examples: Sequence[Example], chosen: FindSettings, *, device: str, progress: Progress
) -> Tried:
    """Objects of held-out pictures by the network, and its numbers.

    AP ranks all objects down to a score of 0.05; what is told, drawn and counted in PQ are those of `chosen.score`.
    """
    net, began, every = net.to(device).eval(), time.perf_counter(), []
    for i, one in enumerate(examples):
        every.append(find_in(net, one, replace(chosen, score=min(RANKED, chosen.score)), device))
        progress(i + 1, len(examples))
    seconds = time.perf_counter() - began
    told = [found.above(chosen.score) for found in every]
    ranked = [Instances(found.numbers, found.scores.astype(np.float64)) for found in every]
    return _tried(examples, [one.numbers for one in told], [one.scores for one in told], ranked, seconds)


def try_watershed(
    training: Sequence[Example], examples: Sequence[Example], *, progress: Progress
) -> tuple[Tried, WatershedSettings]:
    """The same of the baseline, tuned on some pictures that the network learnt from; larger objects come first."""
    every, maps = [_last(one) for one in training], [_truth(one) for one in training]
    chosen = tuned(every, maps, most=TUNED_ON, progress=progress)
    began = time.perf_counter()
    maps = [segmented(_last(one), chosen) for one in examples]
    seconds = time.perf_counter() - began
    scores = []
    for found in maps:
        sizes = np.bincount(found.ravel())[ids_of(found)] if found.any() else np.zeros(0)
        scores.append(sizes / max(found.size, 1))
    ranked = [Instances(found, own) for found, own in zip(maps, scores, strict=True)]
    return _tried(examples, maps, scores, ranked, seconds), chosen


def numbers_of(
    maps: Sequence[NDArray[Any]], truth: Sequence[NDArray[Any]], ranked: Sequence[Instances] | None
) -> dict[str, Any]:
    """AP where objects have scores, PQ of all pictures together and the nuclei score; JSON."""
    total = None
    for found, there in zip(maps, truth, strict=True):
        one = panoptic(found, there)
        total = one if total is None else total + one
    assert total is not None
    values: dict[str, float] = {
        "pq": total.quality, "sq": total.drawn, "rq": total.recognised,
        "nuclei_score": nuclei_score(maps, truth),
    }  # fmt: skip
    if ranked is not None:
        values |= {
            "ap50": mask_average_precision(ranked, truth, overlap=0.5),
            "ap": mean_mask_average_precision(ranked, truth),
        }
    known = {name: None if np.isnan(value) else float(value) for name, value in values.items()}
    return {**known, "pictures": len(maps), "objects": total.hits + total.missed, "found": total.hits + total.false}


def _tried(
    examples: Sequence[Example], maps: Sequence[NDArray[Any]], scores: Sequence[NDArray[Any]],
    ranked: Sequence[Instances], seconds: float,
) -> Tried:  # fmt: skip
    names = [one.name for one in examples]
    numbers = numbers_of(maps, [_truth(one) for one in examples], ranked) | {"seconds": seconds}
    return Tried(dict(zip(names, maps, strict=True)), dict(zip(names, scores, strict=True)), numbers)


def _truth(one: Example) -> NDArray[np.int32]:
    assert one.numbers is not None
    return one.numbers


def _last(one: Example) -> NDArray[np.float32]:
    """(H, W, C)"""
    return np.moveaxis(one.image, 0, -1)


Scores = Mapping[str, Mapping[str, Any]]
"""Of each method by name, `numbers_of`; the run's own first."""

"""What a report says of a map whose method answers more than once: how far its answers disagree, and what for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.core.sections import Figure, Section
from hyperseg.core.words import percent
from hyperseg.metrics.ensembles import error_auroc

TITLE = "How far the answers disagree"
KEPT = 0.9  # of the right validation pixels: "I do not know" is said of the others
AGREED = 0.05  # of the largest disagreement, below which answers nearly agree
ROUNDING = 1e-6  # a disagreement that answers of one kind can have


def doubt_section(map: SegmentationMap, scene: Scene, split: Split) -> Section:
    """The picture of the disagreement, and how a map fares that says "I do not know" where it is large.

    Where that does not pay on test pixels a caution stands in place of the pixels that would be left open. Where
    answers agree everywhere there is no more than a caution.
    """
    from hyperseg.report.doubt import disagreement_figure, scale_end

    disagreement, labels = map.disagreement, map.labels()
    assert disagreement is not None
    if disagreement.max() <= ROUNDING:
        told = "All answers of the method are the same in every pixel: no random number changes them, so one would do."
        return Section(TITLE, cautions=(told,), numbers={"disagreement": {"largest": float(disagreement.max())}})
    assert scene.labels is not None
    right = labels == scene.labels
    said = [
        "This is about the method's own map, before any refiner.",
        "Disagreement is the mutual information of class and answer over its largest: 0 where all answers agree.",
    ]
    found = error_auroc(disagreement[split.test], labels[split.test], scene.labels[split.test])
    if not np.isnan(found):
        said.append(
            f"A wrong test pixel has a larger one than a right test pixel in {percent(100 * found)} of all pairs (50 % "
            "would say nothing)."
        )
    unknown, silence, numbers = _silence(disagreement, right, split)
    cautions: tuple[str, ...] = ()
    every, known = 100 * float(right[split.test].mean()), numbers.get("OA_known", np.nan)
    if found <= 0.5 or (known <= every and not np.isnan(found)):
        unknown, silence = None, []
        without = "" if np.isnan(known) else f"; {percent(known)} right without these, {percent(every)} of all"
        cautions = (
            "In the method's own map it would not pay to leave pixels open where its answers disagree (AUROC of wrong "
            f"test pixels {percent(100 * found)}{without}).",
        )
    end = scale_end(disagreement, scene.valid)
    caption = (
        f"In disagreement.tif, pixel by pixel. Colours are stretched: the brightest is {end:.2g} and more, where 1 is "
        f"the largest there could be{'; at 98 % of the pixels answers nearly agree' if end < AGREED else ''}."
    )
    figure = Figure(disagreement_figure(disagreement, unknown, valid=scene.valid), caption)
    return Section(TITLE, (*said, *silence), cautions, (figure,), numbers={"disagreement": numbers})


def _silence(
    disagreement: NDArray[np.float32], right: NDArray[np.bool_], split: Split
) -> tuple[NDArray[np.bool_] | None, list[str], dict[str, float]]:
    """Where the map would say "I do not know"; what that leaves of the test pixels, in sentences and in percent."""
    threshold = kept_threshold(disagreement[split.val & right])
    if threshold is None:
        return None, ['No validation pixel is right, so no threshold is chosen for "I do not know".'], {}
    unknown = disagreement > threshold
    known = ~unknown[split.test]
    numbers = {"threshold": threshold, "unknown": 100 * float((~known).mean())}
    said = [
        f'Above {threshold:.2g} it would say "I do not know": that keeps {percent(100 * KEPT)} of the right '
        f"validation pixels, and leaves {percent(numbers['unknown'])} of the test pixels open."
    ]
    if known.any():
        numbers["OA_known"] = 100 * float(right[split.test][known].mean())
        every = percent(100 * float(right[split.test].mean()))
        said.append(f"Of the others {percent(numbers['OA_known'])} are right, of all {every}.")
    return unknown, said, numbers


def kept_threshold(values: NDArray[np.float32]) -> float | None:
    """The smallest of the values that at least `KEPT` of them do not exceed; None without any."""
    return float(np.quantile(values, KEPT, method="inverted_cdf")) if values.size else None

"""The area of applicability in a run: its arrays, and how good the map is inside and outside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError, Scene, Split
from hyperseg.core.parts import Arrays, prefixed, unprefixed
from hyperseg.data.applicability import OUTSIDE, Applicability, fit_applicability, map_applicability

APPLICABILITY = "applicability"  # prefix among the tensors of a run, and name of the layer
LAYER = "map.applicability"  # name of the layer among the arrays of a repeat


def judge_applicability(scene: Scene, split: Split, labels: NDArray[Any]) -> tuple[Arrays, dict[str, Any]]:
    """What is known of the training pixels, for the tensors of a run, and what it says of the map `labels` (H, W).

    The (H, W) layer is among the arrays, as `LAYER`.

    Shares and accuracies are percent; accuracies (None without a test pixel) are those of test pixels. Where too few
    training pixels tell, there are no arrays and the reason stands under "left_out".
    """
    assert scene.labels is not None
    try:
        known = fit_applicability(scene, split)
    except LabelError as error:
        return {}, {"left_out": str(error)}
    layer = map_applicability(known, scene)
    outside = layer > OUTSIDE
    share = share_outside(int(outside.sum()), int(np.isfinite(layer).sum()))
    known = replace(known, own_share=np.array([share / 100]))
    told: dict[str, Any] = {"outside": share, "index_limit": known.index_limit, "samples": len(known.samples)}
    for where, mask in (("inside", split.test & ~outside), ("outside", split.test & outside)):
        n = int(mask.sum())
        told[f"test_{where}"] = n
        told[f"OA_{where}"] = 100 * float((labels == scene.labels)[mask].mean()) if n else None
    return prefixed(APPLICABILITY, known.to_arrays()) | {LAYER: layer}, told


def load_applicability(tensors: Mapping[str, NDArray[Any]]) -> Applicability | None:
    """The area among the tensors of a run; None for a run that kept none."""
    return Applicability.from_arrays(unprefixed(APPLICABILITY, tensors))


def share_outside(outside: int, known: int) -> float:
    """Percent of pixels with data that lie outside."""
    return 100 * outside / max(known, 1)

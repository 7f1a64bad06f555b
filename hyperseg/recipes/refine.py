"""The dense CRF applied to a scene's map: guide from training pixels, settings from validation pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.crf import DenseCRF, Tuned, guide_from_components, refine, tune
from hyperseg.crf.dense import Engine
from hyperseg.data.preprocess import Preprocess, gather_spectra, principal_components


@dataclass(frozen=True)
class CrfOutcome:
    """A refined map and how it came about.

    Attributes:
        map: the refined map, or the one given where nothing beat it on validation pixels.
        tuned: what was tried and chosen; settings None for "do nothing".
        guide: the map from raw spectra to the guide's components.
    """

    map: SegmentationMap
    tuned: Tuned[DenseCRF]
    guide: Preprocess


def refine_with_crf(
    map: SegmentationMap, scene: Scene, split: Split, *, engine: Literal["lattice", "pydensecrf"], device: str
) -> CrfOutcome:
    """Tune the dense CRF on validation pixels and apply it; without validation pixels nothing is changed.

    The guide are the first three principal components, fitted on training spectra.
    """
    assert scene.labels is not None
    components = principal_components(gather_spectra(scene, split.train), good_bands=scene.good_bands)
    guide = guide_from_components(components(scene.cube[:]), valid=scene.valid)
    tuned: Tuned[DenseCRF] = Tuned(None, (), 0)
    if split.val.any():
        tuned = tune(map, guide, scene.labels, split.val, engine=engine, device=device)
    if tuned.settings is not None:
        map = refine(map, guide, tuned.settings, engine=engine, device=device)
    return CrfOutcome(map, tuned, components)


def refine_like(
    map: SegmentationMap,
    scene: Scene,
    settings: DenseCRF,
    components: Preprocess,
    *,
    engine: Engine = "lattice",
    device: str = "cpu",
) -> SegmentationMap:
    """Apply settings and guide of an earlier run to another scene's map."""
    guide = guide_from_components(components(np.asarray(scene.cube[:])), valid=scene.valid)
    return refine(map, guide, settings, engine=engine, device=device)

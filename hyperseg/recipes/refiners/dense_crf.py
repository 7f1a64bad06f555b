"""The dense CRF applied to a scene's map: guide from training pixels, settings from validation pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.crf.dense import refine
from hyperseg.crf.kernels import GuideRange, guide_from_components, guide_range
from hyperseg.crf.settings import DenseCRF, Engine
from hyperseg.crf.tune import Tuned, tune
from hyperseg.data.preprocess import Preprocess, gather_spectra, principal_components


@dataclass(frozen=True)
class CrfOutcome:
    """A refined map and how it came about.

    Attributes:
        map: the refined map, or the one given where nothing beat it on validation pixels.
        tuned: what was tried and chosen; settings None for "do nothing".
        guide: the map from raw spectra to the guide's components; `guide_range`: their limits in this scene.
    """

    map: SegmentationMap
    tuned: Tuned[DenseCRF]
    guide: Preprocess
    guide_range: GuideRange


def refine_with_crf(
    map: SegmentationMap, scene: Scene, split: Split, *, engine: Literal["lattice", "pydensecrf"], device: str
) -> CrfOutcome:
    """Tune the dense CRF on validation pixels and apply it; without validation pixels nothing is changed.

    The guide are the first three principal components, fitted on training spectra.
    """
    assert scene.labels is not None
    components = principal_components(gather_spectra(scene, split.train), good_bands=scene.good_bands)
    values = components(scene.cube[:])
    limits = guide_range(values, valid=scene.valid)
    guide = guide_from_components(values, valid=scene.valid, limits=limits)
    tuned: Tuned[DenseCRF] = Tuned(None, (), 0)
    if split.val.any():
        tuned = tune(map, guide, scene.labels, split.val, engine=engine, device=device)
    if tuned.settings is not None:
        map = refine(map, guide, tuned.settings, engine=engine, device=device)
    return CrfOutcome(map, tuned, components, limits)


def refine_like(
    map: SegmentationMap,
    scene: Scene,
    settings: DenseCRF,
    components: Preprocess,
    *,
    limits: GuideRange,
    engine: Engine = "lattice",
    device: str = "cpu",
) -> SegmentationMap:
    """Apply settings and guide of an earlier run, its limits included, to another scene's map."""
    values = components(np.asarray(scene.cube[:]))
    guide = guide_from_components(values, valid=scene.valid, limits=limits)
    return refine(map, guide, settings, engine=engine, device=device)

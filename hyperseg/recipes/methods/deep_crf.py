"""A CNN over groups of bands, then a CRF with learnt potentials and a deconvolution network."""

from __future__ import annotations

from dataclasses import replace

from hyperseg.recipes.methods.band_groups import BAND_GROUPS
from hyperseg.recipes.refiners import REFINERS
from hyperseg.recipes.refiners.deconv import DECONV
from hyperseg.recipes.refiners.deep_crf import DEEP_CRF as REFINER
from hyperseg.recipes.refiners.dense_crf import DENSE_CRF


def controls(refiners: tuple[str, ...]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """The dense CRF and the usual refiner beside the deep CRF."""
    others = (DENSE_CRF.name, REFINERS.default)
    return tuple((BAND_GROUPS.name, (name,)) for name in others) if refiners[:1] == (REFINER.name,) else ()


DEEP_CRF = replace(
    BAND_GROUPS, name="deep-crf", step=BAND_GROUPS.name, refiners=(REFINER.name, DECONV.name), needs=REFINER.name,
    controls=controls,
)  # fmt: skip

"""Pixel augmentation: what values are is changed at random, not where they are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from hyperseg.core.parts import Method, OnCases, Trick
from hyperseg.core.settings import option, settings
from hyperseg.recipes.tricks.slots import with_changed, with_plan

if TYPE_CHECKING:
    from hyperseg.medical.plan import Plan

PICTURES, VOLUMES = 0.2, (0.5, 2.0)  # factors around 1 of pictures; exponents of volumes
LIMITS = (1.0, 4.0)  # of contrast, of adaptive histograms of pictures
SIGMA, WITHIN = 0.1, 2.0  # of noise
SPREAD = PICTURES / 3**0.5  # deviation of a number drawn evenly from -0.2 to 0.2


@settings
class PixelAugmentation:
    """How often."""

    p: float = option(0.5, "Probability of each change of a patch.", above=0, high=1)


def on_cases(on: OnCases, chosen: PixelAugmentation) -> OnCases:
    """Pictures: brightness, contrast and gamma by up to a fifth, and adaptive histograms (CLAHE).

    Volumes: noise, and gamma from 1/2 to 2. Gamma below and above 1 is drawn equally often. Numbers of a plan that has
    such changes are replaced.

    Source: the "GTAug-A" of arXiv 2209.10307 and its published code.
    Differs: brightness is a factor, not a summand; gamma keeps mean and deviation of a patch; channels are changed each
    by itself, in histograms too. Noise has deviation 0.1 of scaled values, whichever the scale is.
    """

    def change(plan: Plan) -> Plan:
        from hyperseg.medical.training import Change

        augmentation = plan.training.augmentation
        if len(plan.axes) == 2:
            factor = Change(1 - PICTURES, 1 + PICTURES, chosen.p)
            limit = Change(*LIMITS, chosen.p)
            made = replace(augmentation, brightness=factor, contrast=factor, gamma=factor, equalisation=limit)
        else:
            noise = Change(SIGMA**2, SIGMA**2, chosen.p)
            made = replace(augmentation, noise=noise, noise_within=WITHIN, gamma=Change(*VOLUMES, chosen.p))
        return replace(plan, training=replace(plan.training, augmentation=made))

    return with_plan(on, change)


def on_scene(method: Method, chosen: PixelAugmentation) -> Method:
    """Spectra of a patch get a common factor and a common shift at random; no probability can be given there."""
    return with_changed(method, {"noise.gain": SPREAD, "noise.offset": SPREAD})


PIXEL_AUGMENTATION = Trick(
    "pixel-augmentation", "augmentation", on_cases, on_scene, PixelAugmentation, of_cases=("p",)
)  # fmt: skip

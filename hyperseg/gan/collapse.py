"""Is the generator still making something, and does the discriminator still teach it?

A generator that found one cube the discriminator likes may make it for ever, while every loss looks healthy. What is
measured here are its centre spectra against those of real pixels, and what the discriminator believes of both.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import LabelError, SceneError

# when a user is warned: all of these are our choice
COLLAPSED = 0.1  # diversity; below it a mean +- sd band of generated spectra looks like a line
NARROW = 0.35  # diversity; a third of the scene's spread: a few classes only, or timid copies of the mean
WILD = 3.0  # diversity; spectra spread three times as far as the scene's are noise
REPEATED = 0.1  # diversity within a class; one spectrum per class, and the classes differ
FAR = 1.0  # distance; the mean generated spectrum lies outside the spread of the real ones
ALIKE = 0.5  # distance; nearer than this, and as diverse, generated spectra may well not be told apart
SURE = 0.99  # mean probability of the right answer on real and on generated cubes alike
BLIND = 0.05  # difference of the mean probabilities; below it generated cubes look like real ones
DOUBTFUL = 2 / 3  # mean P(generated) of real cubes; half is what perfect generated cubes would lead to
FEWEST = 5  # spectra of a class, real and generated, from which its spread is estimated


@dataclass(frozen=True)
class Health:
    """What a generator makes, compared with the scene, and what the discriminator says.

    With S(X) the root of the variance of the spectra X summed over bands, and m(X) their mean:

    Attributes:
        diversity: S(generated) / S(real); 1 = as diverse as the scene, 0 = one spectrum for ever. Bands with much
            variance count most; a generator of two opposite spectra is called diverse by it, see `within`.
        within: the same ratio for each class by itself, its median over the classes with at least 5 real and 5
            generated spectra; NaN where there are none or no classes were given.
        believed: mean P(generated) of generated cubes.
        doubted: mean P(generated) of real cubes.
        distance: |m(generated) - m(real)| / S(real), Euclidean over bands; 0 = the same mean.
    """

    diversity: float
    within: float
    believed: float
    doubted: float
    distance: float


def examine(
    real: ArrayLike,
    generated: ArrayLike,
    *,
    p_fake_real: ArrayLike,
    p_fake_generated: ArrayLike,
    real_classes: ArrayLike | None = None,
    generated_classes: ArrayLike | None = None,
) -> Health:
    """Compare generated centre spectra with real ones.

    Args:
        real: (n, L) spectra of pool pixels, in the generator's units.
        generated: (m, L) centre spectra of generated cubes. Where some are not finite, what is measured on them is NaN.
        p_fake_real, p_fake_generated: (any number,) P(generated) of real and of generated cubes, 0..1.
        real_classes: (n,) classes 0..K-1, -1 = not known. They may be those the discriminator gives.
        generated_classes: (m,) classes of the generated cubes.

    Returns:
        The comparison; the order of the spectra and a common factor or offset of both sets do not matter.

    Raises:
        SceneError: spectra of other shapes, too few of them, or real ones that are not finite or all equal.
        LabelError: probabilities outside 0..1, or classes for one set only or not one per spectrum.
    """
    x, g = np.asarray(real, np.float64), np.asarray(generated, np.float64)
    if x.ndim != 2 or g.ndim != 2 or x.shape[1] != g.shape[1] or len(x) < 2 or len(g) < 2:
        raise SceneError(
            f"real {x.shape} and generated {g.shape} spectra cannot be compared: expected (n, L) and (m, L) of "
            "the same L bands, at least 2 of each."
        )
    if lost := int((~np.isfinite(x)).any(1).sum()):
        raise SceneError(f"{lost} of {len(x)} real spectra are not finite: leave pixels without data out of the pool.")
    scale = _spread(x)
    if scale == 0:
        raise SceneError(f"all {len(x)} real spectra are equal: there is no spread to compare with.")
    doubted, broken = _mean(p_fake_real, "real"), not np.isfinite(g).all()
    unseen = broken and np.isnan(p_fake_generated).any()  # the discriminator makes nothing of them either
    believed = np.nan if unseen else _mean(p_fake_generated, "generated")
    if broken:
        return Health(np.nan, np.nan, believed, doubted, np.nan)
    if (real_classes is None) != (generated_classes is None):
        raise LabelError("classes were given for one set of spectra only: give them for both, or for neither.")
    within = np.nan
    if real_classes is not None and generated_classes is not None:
        within = _within(x, g, np.asarray(real_classes), np.asarray(generated_classes))
    distance = float(np.linalg.norm(g.mean(0) - x.mean(0))) / scale
    return Health(_spread(g) / scale, within, believed, doubted, distance)


def warnings(health: Health) -> list[str]:
    """What a user should know of it, a full sentence or two each; empty where nothing looks wrong.

    A discriminator that cannot tell generated cubes apart is no fault where they are as diverse as the scene and
    have its mean: it is what the training aims at.
    """
    if not np.isfinite(health.diversity):
        return [
            "The generator makes values that are not finite: lower its learning rate. The classes of the map do "
            "not depend on it, but what it taught the discriminator is worth nothing."
        ]
    found = _of_the_generator(health)
    differs = not NARROW <= health.diversity <= 1 / NARROW or health.distance > ALIKE
    if health.believed >= SURE and health.doubted <= 1 - SURE:
        found.append(
            "The discriminator tells generated cubes apart without fail "
            f"({in_percent(health.believed)} sure of generated ones, {in_percent(1 - health.doubted)} of real ones): "
            "the generator learns little from it, and generated cubes teach it nothing more about the classes. "
            "Lower the discriminator's learning rate, give it dropout or noise on its input, or train fewer steps."
        )
    elif health.believed - health.doubted < BLIND and differs:
        found.append(
            "The discriminator cannot tell generated cubes from real ones although they differ (mean probability "
            f"of being generated: {in_percent(health.believed)} of generated, {in_percent(health.doubted)} of real "
            "cubes): the generator follows noise. Train more steps, or raise the discriminator's learning rate or "
            "the weight of its generated term."
        )
    if health.doubted > DOUBTFUL:
        found.append(
            f"The discriminator takes real pixels for generated ones ({in_percent(health.doubted)} on average): "
            "raise the weight of its unlabelled term, or look for pixels without data in the pool."
        )
    return found


def _of_the_generator(health: Health) -> list[str]:
    """Sentences on the generated spectra themselves."""
    found = []
    vary = f"its spectra vary {in_percent(health.diversity)} as much as the scene's"
    if health.diversity < COLLAPSED:
        found.append(
            f"The generator has collapsed: {vary}. What it makes teaches the discriminator about one point "
            "of the scene only. Lower the generator's learning rate, let it match features instead of fooling "
            "the discriminator, or try another seed."
        )
    elif health.diversity < NARROW:
        found.append(
            f"The generator makes little variety: {vary}. See which classes it leaves out; train more steps or raise "
            "the generator's learning rate, and where not yet done let it match features or tell it the class to make."
        )
    elif health.within < REPEATED:  # never where NaN
        found.append(
            "The generator repeats itself within the classes: there its spectra typically vary "
            f"{in_percent(health.within)} as much as the scene's. It has learnt about one spectrum per class: lower "
            "its learning rate, or let it match features."
        )
    elif health.diversity > WILD:
        found.append(
            f"The generator makes noise: its spectra vary {health.diversity:.1f} times as much as the scene's. "
            "Train more steps, or lower its learning rate."
        )
    if health.distance > FAR:
        found.append(
            "The generator misses the scene: its mean spectrum is "
            f"{health.distance:.1f} times the scene's spread away from the real mean. Train more steps, "
            "and see that generated and real spectra are in the same units."
        )
    return found


def _within(
    real: NDArray[np.float64],
    generated: NDArray[np.float64],
    real_classes: NDArray[np.int64],
    generated_classes: NDArray[np.int64],
) -> float:
    """Median over classes of the ratio of spreads within the class; NaN where no class has enough spectra."""
    if real_classes.shape != real.shape[:1] or generated_classes.shape != generated.shape[:1]:
        raise LabelError(
            f"expected a class for each of {len(real)} real and {len(generated)} generated spectra, got "
            f"{real_classes.shape} and {generated_classes.shape}."
        )
    ratios = []
    for k in np.unique(real_classes[real_classes >= 0]):
        x, g = real[real_classes == k], generated[generated_classes == k]
        if min(len(x), len(g)) >= FEWEST and _spread(x) > 0:
            ratios.append(_spread(g) / _spread(x))
    return float(np.median(ratios)) if ratios else np.nan


def _spread(spectra: NDArray[np.float64]) -> float:
    """Root of the variance summed over bands; exactly 0 for spectra that are all equal."""
    return float(np.sqrt((spectra - spectra[0]).var(0).sum()))  # equal values must not leave a rounding error


def _mean(probabilities: ArrayLike, of: str) -> float:
    p = np.asarray(probabilities, np.float64)
    if p.size == 0 or not ((p >= 0) & (p <= 1)).all():
        raise LabelError(
            f"P(generated) of {of} cubes must be numbers from 0 to 1, at least one: got {p.size} of them"
            f"{f', from {p.min():g} to {p.max():g}' if p.size else ''}."
        )
    return float(p.mean())


def in_percent(share: float) -> str:
    """A share in whole percent; near 0 and 1 with a digit more, and never rounded to a certainty it is not."""
    percent = 100 * share
    if 0 < percent < 0.1:
        return "<0.1 %"
    if 0 < percent < 1 or 99 < percent < 100:
        return f"{math.floor(10 * percent) / 10:.1f} %"
    return f"{percent:.0f} %"

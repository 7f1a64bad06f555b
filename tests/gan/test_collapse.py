"""What is measured of a generator does not depend on units, and only what is wrong is warned of."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hyperseg.core import LabelError, SceneError
from hyperseg.gan import collapse
from hyperseg.gan.collapse import Health, examine, warnings

FINE = Health(diversity=0.9, within=0.8, believed=0.7, doubted=0.3, distance=0.2)
CLASSES = np.repeat(np.arange(4), 30)


def scene(seed: int = 0, bands: int = 12) -> NDArray[np.float64]:
    """(120, bands) spectra of four classes, whose means lie farther apart than their pixels."""
    rng = np.random.default_rng(seed)
    return (3 * rng.normal(size=(4, bands)))[CLASSES] + rng.normal(size=(120, bands))


def look(real: NDArray[Any], generated: NDArray[Any], **options: Any) -> Health:
    given = {"p_fake_real": np.full(5, 0.5), "p_fake_generated": np.full(7, 0.5)}
    return examine(real, generated, **(given | options))


def both(**options: Any) -> dict[str, Any]:
    return {"real_classes": CLASSES, "generated_classes": CLASSES} | options


def test_the_scene_itself_is_a_perfect_generator() -> None:
    health = look(scene(), scene(), **both())
    assert (health.diversity, health.within, health.distance) == (1.0, 1.0, 0.0)
    assert (health.believed, health.doubted) == (0.5, 0.5)
    assert warnings(health) == []  # not told apart is what is wanted of generated cubes this good


def test_a_constant_generator_has_collapsed() -> None:
    real = scene()
    health = look(real, np.tile(0.1 + real[:1], (50, 1)))
    assert health.diversity == 0.0
    assert math.isnan(health.within)
    found = warnings(health)
    assert "The generator has collapsed: its spectra vary 0 % as much as the scene's." in found[0]
    assert "cannot tell" in found[-1]


def test_the_ratio_of_spreads_is_that_of_a_generator_made_narrower_and_the_distance_that_of_its_shift() -> None:
    real = scene()
    mean, spread = real.mean(0), np.sqrt(((real - real.mean(0)) ** 2).mean(0).sum())
    shift = np.zeros(12)
    shift[3], shift[7] = 3.0, -4.0
    health = look(real, mean + 0.25 * (real - mean) + shift, **both())
    assert health.diversity == pytest.approx(0.25)
    assert health.within == pytest.approx(0.25)
    assert health.distance == pytest.approx(5 / spread)


def test_one_spectrum_per_class_is_diverse_but_not_within_the_classes() -> None:
    real = scene()
    means = np.stack([real[k == CLASSES].mean(0) for k in range(4)])
    health = look(real, means[CLASSES], **both())
    variance = real.var(0).sum()
    inside = np.mean([real[k == CLASSES].var(0).sum() for k in range(4)])
    assert health.diversity == pytest.approx(math.sqrt(1 - inside / variance))  # law of total variance
    assert health.within == pytest.approx(0, abs=1e-12)
    assert [w for w in warnings(health) if "repeats itself within the classes" in w]


def test_within_is_the_median_over_classes_with_enough_spectra() -> None:
    real = scene()
    factors = np.array([0.1, 0.5, 2.0, 9.0])
    means = np.stack([real[k == CLASSES].mean(0) for k in range(4)])[CLASSES]
    generated = means + factors[CLASSES, None] * (real - means)
    assert look(real, generated, **both()).within == pytest.approx(1.25)
    few = np.where((CLASSES == 3) & (np.arange(120) > 93), -1, CLASSES)  # 4 spectra of the last class are left
    assert look(real, generated, **both(generated_classes=few)).within == pytest.approx(0.5)
    assert look(real, generated, **both(real_classes=few)).within == pytest.approx(0.5)
    assert math.isnan(look(real, generated, **both(generated_classes=np.full(120, -1))).within)


def test_units_order_and_names_of_classes_do_not_matter() -> None:
    real, generated = scene(0), scene(1)
    rng = np.random.default_rng(2)
    p, q = rng.random(40), rng.random(30)
    first = examine(real, generated, p_fake_real=p, p_fake_generated=q, **both())
    a, b = rng.permutation(120), rng.permutation(120)
    bands = rng.permutation(12)
    names = np.array([2, 0, 3, 1])[CLASSES]
    second = examine(
        1e4 * real[a][:, bands] - 7, 1e4 * generated[b][:, bands] - 7, p_fake_real=rng.permutation(p),
        p_fake_generated=rng.permutation(q), real_classes=names[a], generated_classes=names[b],
    )  # fmt: skip
    assert asdict(second) == pytest.approx(asdict(first))
    assert (first.doubted, first.believed) == pytest.approx((p.mean(), q.mean()))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({}, []),
        ({"within": math.nan}, []),
        ({"diversity": 0.03}, ["has collapsed: its spectra vary 3 % as"]),
        ({"diversity": 0.2}, ["makes little variety: its spectra vary 20 % as"]),
        ({"within": 0.02}, ["repeats itself within the classes: there its spectra typically vary 2 % as"]),
        ({"diversity": 4.0}, ["makes noise: its spectra vary 4.0 times as"]),
        ({"distance": 2.34}, ["misses the scene: its mean spectrum is 2.3 times"]),
        ({"believed": 0.998, "doubted": 0.002}, ["apart without fail (99.8 % sure of generated ones, 99.8 %"]),
        ({"believed": 0.998}, []),
        ({"believed": 0.5, "doubted": 0.49}, []),
        ({"believed": 0.06, "doubted": 0.05, "distance": 0.7}, ["cannot tell generated cubes"]),
        ({"believed": 0.2, "doubted": 0.9, "distance": 0.7}, ["cannot tell", "takes real pixels for generated"]),
        ({"diversity": math.nan, "distance": math.nan}, ["values that are not finite"]),
    ],
)
def test_what_is_wrong_is_said_and_nothing_else(change: dict[str, float], words: list[str]) -> None:
    found = warnings(replace(FINE, **change))
    assert len(found) == len(words)
    for sentence, expected in zip(found, words, strict=True):
        assert expected in sentence
        assert sentence.endswith(".")
        assert "nan" not in sentence.split()


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "0 %"), (1e-6, "<0.1 %"), (0.004, "0.4 %"), (0.5, "50 %"), (0.99999, "99.9 %"), (1.0, "100 %")],
)
def test_a_share_is_never_rounded_to_a_certainty(share: float, text: str) -> None:
    assert collapse.in_percent(share) == text


def test_a_generator_that_diverged_is_reported_and_does_not_raise() -> None:
    generated = scene(1)
    generated[3, 4] = np.inf
    health = look(scene(), generated, **both())
    assert np.isnan([health.diversity, health.within, health.distance]).all()
    assert health.believed == 0.5
    assert len(warnings(health)) == 1


def test_health_is_plain_numbers() -> None:
    health = look(scene(), scene(1).astype(np.float32), **both())
    assert json.loads(json.dumps(asdict(health))) == asdict(health)
    assert all(type(value) is float for value in asdict(health).values())


def test_what_cannot_be_compared_is_refused() -> None:
    real = scene()
    holes = real.copy()
    holes[[2, 5], 0] = np.nan
    for message, *given in (
        (r"real \(120, 12\) and generated \(120, 11\)", real, real[:, 1:]),
        ("at least 2", real, real[:1]),
        ("all 3 real spectra are equal", np.full((3, 4), 0.1), real[:, :4]),
        ("2 of 120 real spectra are not finite", holes, real),
    ):
        with pytest.raises(SceneError, match=message):
            look(*given)
    with pytest.raises(LabelError, match="for one set of spectra only"):
        look(real, real, real_classes=CLASSES)
    with pytest.raises(LabelError, match="expected a class for each of 120 real"):
        look(real, real, **both(real_classes=CLASSES[1:]))
    for wrong in ([], [0.5, 1.5], [math.nan]):
        with pytest.raises(LabelError, match=r"P\(generated\) of generated cubes must be numbers from 0 to 1"):
            look(real, real, p_fake_generated=wrong)

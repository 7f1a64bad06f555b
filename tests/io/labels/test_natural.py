"""Class colours: natural where names tell, and apart for everybody."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from hyperseg.io.labels.colours import VISIONS, difference, palette, to_lab
from hyperseg.io.labels.natural import KINDS, class_colours, kind_of

ALL = ("water", "forest", "grassland", "crops", "urban", "bare soil", "road", "snow", "cloud", "shadow")


def smallest(colours: tuple[tuple[int, int, int], ...]) -> float:
    """Smallest CIEDE2000 of any two colours, whoever looks."""
    labs = [to_lab(np.array(colours), vision=vision) for vision in VISIONS]
    return min(
        float(difference(lab[a], lab[b])) for lab in labs for a, b in itertools.combinations(range(len(colours)), 2)
    )


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("shadow", ("Shadow", "cloud shadow", "Schatten")),
        ("water", ("Water bodies", "Fluss", "Gewässer", "eau", "Río Negro", "Lake", "Salzwasser")),
        ("forest", ("Evergreen forest", "Nadelwald", "Bäume", "forêt", "Bosque", "Trees")),
        ("grass", ("Grassland", "Wiese", "Grünland", "Prairie", "pasto")),
        ("crop", ("Cropland", "Ackerfläche", "cultures", "Cultivos")),
        ("urban", ("Built-up", "Siedlung", "zone urbaine", "edificios", "Gebäude")),
        ("soil", ("bare_soil", "Boden", "suelo desnudo", "Sand")),
        ("road", ("Asphalt", "Straße", "route", "carretera")),
        ("snow", ("Snow/Ice", "Schnee", "neige", "nieve")),
        ("cloud", ("Clouds", "Wolken", "nuages", "nubes")),
    ],
)
def test_common_names_have_a_kind(kind: str, names: tuple[str, ...]) -> None:
    (expected,) = (k for k in KINDS if kind in k.words)
    assert {name: kind_of(name) for name in names} == dict.fromkeys(names, expected)


@pytest.mark.parametrize(
    "name", ["class 3", "broadleaf", "Mais", "ricefield", "barley", "1", "", "see-through", "solar"]
)
def test_other_names_have_none(name: str) -> None:
    assert kind_of(name) is None


def test_natural_colours_stay_where_they_are() -> None:
    """All ten kinds are far enough apart to need no change."""
    assert class_colours(ALL) == tuple(kind_of(name).colour for name in ALL)  # type: ignore[union-attr]
    assert smallest(class_colours(ALL)) > 13


@pytest.mark.parametrize(
    ("names", "least"),
    [
        (ALL[:3], 13),
        (("Nadelwald", "Laubwald", "Mischwald", "Wasser"), 12),
        (("lake", "sea", "river", "pond", "urban", "roof"), 7.5),
        ((*ALL, *(f"crop type {k}" for k in "abcdef")), 7.5),
        ((*ALL, *(f"class {k}" for k in range(10))), 10),
        (("forest", "oats", "rye", "wheat", "road"), 13),
    ],
)
def test_colours_are_apart_for_everybody(names: tuple[str, ...], least: float) -> None:
    assert smallest(class_colours(names)) > least


def test_names_that_tell_nothing_get_the_palette() -> None:
    assert class_colours(tuple(f"class {k}" for k in range(7))) == palette(7)


def test_families_keep_their_hue() -> None:
    """Four waters are four blues."""
    for red, green, blue in class_colours(("lake", "sea", "river", "pond")):
        assert blue > max(red, green)


def test_two_hundred_classes_share_64_colours() -> None:
    found = class_colours((*ALL, *(f"c{k}" for k in range(190))))
    assert len(found) == 200
    assert len(set(found)) == 64
    assert found[64:128] == found[:64]

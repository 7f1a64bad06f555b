"""The report of a generator says what it makes, how healthy that is, and warns where a reader would be misled."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from hyperseg.core.sections import Figure
from hyperseg.gan.section import gan_section

NUMBERS: dict[str, Any] = {
    "variant": "ss",
    "pool": "whole scene (transductive): 21,025 pixels, test pixels included",
    "health": {"diversity": 0.034, "within": None, "believed": 0.998, "doubted": math.nan, "distance": 1.256},
    "warnings": ["The generator has collapsed: it repeats itself.", "Another sentence."],
    "generated_per_class": {"Alfalfa": 0, "Woods": 1200},
}


def test_what_the_generator_makes_has_a_section_of_its_own() -> None:
    pictures = (Figure(b"spectra", "s"), Figure(b"patches", "p"))
    found = gan_section(NUMBERS, figures=pictures)
    assert found.title == "What the generator makes"
    assert found.figures == pictures
    assert found.numbers == NUMBERS
    said = " ".join(found.sentences)
    assert said.startswith(f"Variant ss. Unlabelled pixels: {NUMBERS['pool']}. 2 warnings about it")
    assert said.endswith("by class: Alfalfa 0, Woods 1\u202f200.")
    (table,) = found.tables
    assert table.columns == ()
    assert [row[:2] for row in table.rows] == [
        ("spectral diversity", "0.03"),
        ("diversity within a class", "–"),
        ("distance of the means", "1.26"),
        ("generated cubes called generated", "99.8 %"),
        ("real cubes called generated", "–"),
    ]


def test_unlabelled_pixels_and_a_sick_generator_are_cautions() -> None:
    pool = f"Unlabelled pixels were used in training: {NUMBERS['pool']}."
    assert gan_section(NUMBERS).cautions == (pool, *NUMBERS["warnings"])
    assert gan_section(NUMBERS | {"pool": "", "warnings": []}).cautions == ()


def test_what_is_not_known_is_left_out() -> None:
    sound = gan_section(NUMBERS | {"warnings": []})
    assert "Nothing looks wrong with it." in sound.sentences
    bare = gan_section({"variant": "ss"})
    assert replace(bare, numbers={}) == replace(gan_section({}), sentences=("Variant ss.",))
    assert (bare.cautions, bare.tables) == ((), ())

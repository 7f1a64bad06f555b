"""Which names of classes are mirror images of each other."""

from __future__ import annotations

import pytest

from hyperseg.core.sides import mirrored_pair, words_of


@pytest.mark.parametrize("classes", [
    ("left kidney", "right kidney"), ("Kidney_L", "Kidney_R"), ("left", "right"), ("leftKidney", "rightKidney"),
    ("LeftLung", "RightLung"), ("LKidney", "RKidney"), ("kidney left", "kidney_right"), ("left-lung", "right_lung"),
    ("left kidney", "Kidney, right"), ("rib L1", "rib R1"), ("KIDNEY LEFT", "right kidney"),
    ("left lobe of right lung", "right lobe of left lung"), ("linke Niere L", "linke Niere R"),
])  # fmt: skip
def test_sides_of_one_thing_are_a_pair_in_either_order(classes: tuple[str, str]) -> None:
    for names in (classes, classes[::-1]):
        assert mirrored_pair(("background", names[0], "liver", names[1])) == names


@pytest.mark.parametrize("classes", [
    ("left atrium",), ("left atrium", "left ventricle"), ("left kidney", "right lung"), ("anterior", "posterior"),
    ("LV", "RV"), ("cleft", "bright"), ("left lobe of right lung", "right lobe of right lung"), ("L1", "L2"), (),
])  # fmt: skip
def test_others_are_none(classes: tuple[str, ...]) -> None:
    assert mirrored_pair(classes) is None


def test_words_end_at_what_is_no_letter_and_before_capitals() -> None:
    assert words_of("leftKidney_2") == words_of("Left kidney 2") == ["left", "kidney", "2"]
    assert words_of("MRIBrain-Übergang") == ["mri", "brain", "übergang"]

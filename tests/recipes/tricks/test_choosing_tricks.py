"""Tricks as a user names them: the nearest name, one of a family, the order of the table, and what does not fit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import pytest

from hyperseg.core import SettingError
from hyperseg.core.parts import Entry, Trick
from hyperseg.core.settings import find_leaf
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.recipes.run.steps import fitted_parts
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.recipes.tricks import TRICKS
from hyperseg.recipes.tricks.choosing import parse_trick, parse_tricks, spelled_tricks, tricked_method
from hyperseg.recipes.tricks.words import with_tricks


@dataclass(frozen=True)
class Toy:
    """Settings of toys."""

    n: int = 1


FIRST = Trick("first", "model", lambda on, chosen: on, None, Toy, family="toys")
SECOND = Trick("second", "model", None, lambda method, chosen: method, Toy, family="toys")


@pytest.fixture
def toys() -> Iterator[None]:
    """Two tricks more, of one family, at the end of the table."""
    before = dict(TRICKS.entries)
    TRICKS.entries.update({one.name: Entry(f"{__name__}:{one.name.upper()}", "a toy") for one in (FIRST, SECOND)})
    yield
    TRICKS.entries.clear()
    TRICKS.entries.update(before)


def test_an_unknown_trick_or_setting_is_told_the_nearest_one() -> None:
    with pytest.raises(SettingError, match=r"unknown trick 'oversamplin'.*Did you mean oversampling\?"):
        parse_trick("oversamplin")
    with pytest.raises(SettingError, match=r"(?s)shar.*oversampling:share=0\.3"):
        parse_trick("oversampling:shar=0.5")
    with pytest.raises(SettingError, match="at most 1"):
        parse_trick("oversampling:1.5")


@pytest.mark.usefixtures("toys")
def test_two_ways_to_do_the_same_exclude_each_other() -> None:
    with pytest.raises(SettingError, match=r"--trick first and --trick second are two ways .*toys.*give one"):
        parse_tricks(["second", "first"])
    with pytest.raises(SettingError, match="twice"):
        parse_tricks(["first", "first:n=2"])


@pytest.mark.usefixtures("toys")
def test_they_are_put_in_the_order_of_the_table_and_spelled_in_one_way() -> None:
    given = ["second:2", "Small-Areas:hectares=0.5,pixels=10", " tta ", "oversampling:0.3"]
    assert spelled_tricks(given) == ("oversampling", "tta", "small-areas:hectares=0.5", "second:n=2")
    assert spelled_tricks(spelled_tricks(given)) == spelled_tricks(given)
    assert spelled_tricks(["oversampling:0.123456789"]) == ("oversampling:share=0.123456789",)


@pytest.mark.usefixtures("toys")
def test_what_fits_scenes_alone_or_folders_alone_is_refused_elsewhere() -> None:
    with pytest.raises(SettingError, match="--trick first, with the method cnn3d: it is of images and volumes"):
        RunSettings(tricks=("first",))
    with pytest.raises(SettingError, match="--trick second, with the method unet: it is of scenes"):
        case_method(tricks=("second",))


def test_without_tricks_a_method_is_itself() -> None:
    method = METHODS[METHODS.default]
    assert tricked_method(method, ()) is method
    assert RunSettings().chosen is method
    for name in METHODS:
        if METHODS[name].on_cases is not None:
            assert case_method(name, tricks=()).on is METHODS[name].on_cases
            assert case_method(name, tricks=()) == case_method(name)


def test_in_words() -> None:
    assert with_tricks(()) == "without tricks"
    assert with_tricks(("tta",)) == "with the trick tta"
    assert with_tricks(("oversampling:share=0.5", "tta")) == "with the tricks oversampling:share=0.5 and tta"


@pytest.mark.parametrize("name", [name for name in TRICKS if TRICKS[name].on_scene])
def test_what_does_not_count_on_a_scene_is_refused_there(name: str) -> None:
    """Settings that count make a trick do something else there."""
    trick = TRICKS[name]
    given = {"share": "0.5", "rule": "foreground", "p": "0.25", "views": "flips"}
    assert set(trick.of_cases) <= given.keys() & {f.name for f in fields(trick.settings)}
    for setting in trick.of_cases:
        with pytest.raises(SettingError, match=f"on a scene {setting} does not count: leave {setting} out"):
            RunSettings(method="cnn3d", tricks=(f"{name}:{setting}={given[setting]}",))


def test_what_is_measured_beside_a_method_has_its_tricks() -> None:
    method = tricked_method(METHODS["bridged-unet"], ["tta", "patching:edge=33"])
    twins = method.beside(method.settings())
    assert [part.step_name for part, _ in twins] == ["unet", "wide-unet"]
    for part, chosen in twins:
        seen: list[Any] = []
        noted = tricked_method(
            replace(METHODS[part.name], fit=lambda *given, seen=seen: seen.append(given[1])), ["tta"]
        )
        noted.fit(None, chosen, None)
        assert part.title == ""
        assert part.fit is not METHODS[part.name].fit
        assert find_leaf(seen[0], "flips").value is True


def test_what_a_twin_cannot_have_is_in_its_title() -> None:
    lda = METHODS["lda"]
    method = replace(METHODS["cnn3d"], beside=lambda settings: ((lda, lda.settings()),))
    ((part, _),) = tricked_method(method, ["ensemble-average", "tta", "small-areas"]).beside(method.settings())
    assert part.title == "lda without tta"
    assert part.fit is not lda.fit


def test_a_method_is_measured_without_its_tricks_where_it_is_a_baseline() -> None:
    run = RunSettings(method="cnn3d", tricks=("tta", "small-areas"), baselines=("cnn3d + trees", "lda"))
    assert [name for name, _ in run.beside] == ["cnn3d", "lda"]
    assert [(role, m.step_name) for role, m, _ in fitted_parts(run)] == [
        ("baseline", "cnn3d"), ("baseline", "lda"), ("network", "cnn3d with tta"),
    ]  # fmt: skip
    plain = replace(run, tricks=("small-areas",), refine=("trees",))
    assert plain.beside == (("lda", ()),)  # what comes after it is no other method
    twins = RunSettings(method="bridged-unet", tricks=("tta",), baselines=("unet",))
    assert [m.step_name for _, m, _ in fitted_parts(twins)] == ["unet", "unet with tta", "wide-unet", "bridged-unet"]

"""Groups of classes: sums of probabilities, the limits of the threshold, and tables that are refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hyperseg.core import LabelError, Scene, SegmentationMap, SettingError
from hyperseg.core.groups import ClassGroups, Fallback

CLASSES = ("Corn", "Woods", "Corn-notill", "Oats", "Soybean-clean", "Soybean-notill")
TABLE = {"corn": ["Corn", "Corn-notill"], "soybean": ["Soybean-clean", "Soybean-notill"]}
GROUPS = ClassGroups.of(TABLE, CLASSES, origin="t")
COLOURS = tuple((k, k, k) for k in range(len(CLASSES)))


def random_map(seed: int = 0, *, sharp: float = 1.0, **more: Any) -> SegmentationMap:
    probs = np.random.default_rng(seed).dirichlet(np.full(len(CLASSES), 1 / sharp), (9, 7)).astype(np.float32)
    return SegmentationMap(probs, CLASSES, COLOURS, **more)


def test_every_class_has_one_group_and_one_without_is_its_own() -> None:
    assert GROUPS.names == ("corn", "Woods", "Oats", "soybean")
    assert GROUPS.of_class == (0, 1, 0, 2, 3, 3)
    assert GROUPS.joint == (0, 3)
    assert GROUPS.table(CLASSES) == TABLE
    assert GROUPS.labels(np.array([0, 5, -1, 3])).tolist() == [0, 3, -1, 2]


def test_probabilities_of_groups_are_sums_over_their_classes_and_sum_to_one() -> None:
    probs = random_map().probs
    sums = GROUPS.sums(probs)
    for g in range(4):
        np.testing.assert_allclose(sums[..., g], sum(probs[..., k] for k in range(6) if GROUPS.of_class[k] == g))
    np.testing.assert_allclose(sums.sum(-1), 1, atol=1e-6)
    np.testing.assert_array_equal(GROUPS.sums(probs[2:5, 1:3]), sums[2:5, 1:3])  # a window says the same


def test_the_answer_of_every_pixel_is_that_of_the_rule() -> None:
    for sure in (0.3, 0.5, 0.8):
        map = random_map(1)
        found = Fallback(GROUPS, sure).answers(map)
        for p, answer in zip(map.probs.reshape(-1, 6), found.reshape(-1), strict=True):
            corn, soybean = p[0] + p[2], p[4] + p[5]
            if p.max() >= sure:
                assert answer == p.argmax()
            elif max(corn, soybean) >= sure:
                assert answer == (6 if corn >= soybean else 7)
            else:
                assert answer == 8
    assert {6, 7, 8} <= set(Fallback(GROUPS, 0.5).answers(random_map(1)).ravel().tolist())


def test_at_0_the_answer_is_the_map_itself_and_at_1_it_is_mostly_unsure() -> None:
    map = random_map(2)
    np.testing.assert_array_equal(Fallback(GROUPS, 0).answers(map), map.labels())
    assert (Fallback(GROUPS, 1).answers(map) == 8).all()
    certain = random_map().refined(np.eye(6, dtype=np.float32)[[[0, 3, 5]]], "x")
    assert Fallback(GROUPS, 1).answers(certain).tolist() == [[0, 3, 5]]


def test_a_higher_threshold_never_makes_an_answer_finer() -> None:
    map, before = random_map(3, sharp=3.0), None
    for sure in np.linspace(0, 1, 21):
        found = Fallback(GROUPS, float(sure)).answers(map)
        level = np.digitize(found, [6, 8])  # class, group, unsure
        assert before is None or (level >= before).all()
        before = level


def test_pixels_without_data_answer_nothing() -> None:
    valid = np.ones((9, 7), bool)
    valid[3, 2:5] = False
    map = random_map(valid=valid)
    map.probs[~valid] = np.nan
    found = Fallback(GROUPS).answers(map)
    assert (found[~valid] == -1).all()
    assert (found[valid] >= 0).all()


def test_of_some_classes_groups_stay_where_they_tell_anything() -> None:
    left = GROUPS.kept([0, 2, 3])
    assert left is not None
    assert (left.names, left.of_class) == (("corn", "Oats"), (0, 0, 1))
    assert GROUPS.kept([0, 1, 3]) is None  # single classes
    assert GROUPS.kept([4, 5]) is None  # all in one


def test_a_table_and_back() -> None:
    named = ClassGroups.of({"tree": ["Woods"], **TABLE}, CLASSES, origin="t")
    assert named.table(CLASSES) == {"tree": ["Woods"], **TABLE}
    assert ClassGroups.of(named.table(CLASSES), CLASSES, origin="t") == named


def test_json_round_trip() -> None:
    fallback = Fallback(GROUPS, 0.7)
    assert Fallback.from_json(fallback.to_json()) == fallback


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ({}, "names no group"),
        ({"corn": []}, "'corn' holds no class"),
        ({"corn": ["Corn", "Corn-notil"]}, "'Corn-notil', which is not there. Did you mean Corn-notill?"),
        ({"corn": ["Corn", "Woods"], "tall": ["Oats", "Corn"]}, "'Corn' is in two groups, corn and tall"),
        ({"corn": ["Corn", "Corn"]}, "'Corn' is twice in the group 'corn'"),
        ({"Corn": ["Corn", "Corn-notill"]}, "is called like the class 'Corn'"),
        ({"Woods": ["Corn", "Oats"]}, "is called like the class 'Woods'"),
        ({"all": list(CLASSES)}, "all 6 classes are in the group 'all'"),
        ({"Corn": ["Corn"], "rest": ["Woods"]}, "no group holds two classes"),
        ({"\n": ["Corn", "Oats"]}, "a group is called ''"),
        ({"corn": ["Corn", "Oats"], "corn ": ["Woods"]}, "two groups are called 'corn'"),
    ],
)
def test_tables_that_mean_nothing_are_refused(table: dict[str, list[str]], said: str) -> None:
    with pytest.raises(LabelError) as refused:
        ClassGroups.of(table, CLASSES, origin="g.toml")
    assert str(refused.value).startswith("g.toml: ")
    assert said in str(refused.value)


def test_a_class_may_be_called_like_the_group_it_fills_alone() -> None:
    found = ClassGroups.of({"Woods": ["Woods"], **TABLE}, CLASSES, origin="t")
    assert found == GROUPS


@pytest.mark.parametrize("sure", [-0.1, 1.1, float("nan")])
def test_a_threshold_is_a_probability(sure: float) -> None:
    with pytest.raises(SettingError, match="from 0 to 1"):
        Fallback(GROUPS, sure)


def test_a_scene_and_its_groups_have_as_many_classes() -> None:
    with pytest.raises(LabelError, match="groups of 6 classes for a scene of 2"):
        Scene(np.zeros((2, 2, 4)), classes=("a", "b"), groups=GROUPS)
    with pytest.raises(LabelError, match="every group has a class"):
        ClassGroups(("a", "b"), (0, 0))

"""Who is learnt from and who is held out: nobody on two sides, fewer labels on the same cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hyperseg.core import LabelError, SettingError
from hyperseg.io.detections.case import BoxCase
from hyperseg.recipes.detection.images.dividing import divide


def case(name: str, objects: int | None = 1, group: str = "") -> BoxCase:
    boxes = None if objects is None else np.tile([1.0, 1, 3, 3], (objects, 1))
    return BoxCase(name, (Path(f"{name}.npy"),), boxes, (), (8, 8), group=group)


CASES = [case(f"c{i}") for i in range(20)]
OTHERS = [case(f"u{i}", None) for i in range(5)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("labelled", [None, 1, 5, 16])
def test_everybody_is_in_one_part(labelled: int | None, seed: int) -> None:
    found = divide(CASES, OTHERS, labelled=labelled, seed=seed)
    every = (*found.labelled, *found.unlabelled, *found.held_out, *found.left_out)
    assert sorted(every) == sorted(one.name for one in (*CASES, *OTHERS))
    assert len(found.held_out) == 4
    assert len(found.labelled) == (labelled or 16)
    assert {one.name for one in OTHERS} <= set(found.unlabelled)


def test_fewer_labels_are_part_of_more_and_the_held_out_stay() -> None:
    five, ten = (divide(CASES, [], labelled=n, seed=3) for n in (5, 10))
    assert five.held_out == ten.held_out
    assert set(five.labelled) < set(ten.labelled)
    assert divide(CASES[::-1], [], labelled=5, seed=3) == five
    assert divide(CASES, [], labelled=5, seed=4) != five


@pytest.mark.parametrize("seed", range(8))
def test_groups_stay_together(seed: int) -> None:
    cases = [case(f"c{i}", group=f"g{i // 3}") for i in range(12)]
    without = [case(f"u{i}", None, group=f"g{i}") for i in range(6)]
    found = divide(cases, without, seed=seed)
    group = {one.name: one.group for one in (*cases, *without)}
    seen = {group[name] for name in (*found.labelled, *found.unlabelled)}
    assert not seen & {group[name] for name in found.held_out}
    assert {group[name] for name in found.left_out} <= {group[name] for name in found.held_out}


@pytest.mark.parametrize("seed", range(8))
def test_both_sides_have_an_object(seed: int) -> None:
    cases = [case(f"c{i}", 0) for i in range(8)] + [case("x"), case("y")]
    found = divide(cases, [], labelled=2, seed=seed)
    assert len({"x", "y"} & set(found.held_out)) == 1
    assert len({"x", "y"} & set(found.labelled)) == 1
    assert len(found.labelled) == 2


def test_nothing_is_held_out_where_nobody_wants_it() -> None:
    found = divide(CASES[:1], [], test=0)
    assert (found.labelled, found.held_out) == (("c0",), ())


def test_too_few() -> None:
    with pytest.raises(SettingError, match="--test 0"):
        divide(CASES[:2], [])
    with pytest.raises(SettingError, match="1 to 16"):
        divide(CASES, [], labelled=17)
    with pytest.raises(SettingError, match="fifth"):
        divide(CASES, [], test=1.0)
    with pytest.raises(SettingError, match="on both sides"):
        divide([case("x"), *(case(f"c{i}", 0) for i in range(9))], [])
    with pytest.raises(LabelError, match="has an object"):
        divide([case("x", 0), case("y", 0)], [], test=0)

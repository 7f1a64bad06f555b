"""Maps of answers: codes of classes stay, groups and "unsure" come after them, in colours of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hyperseg.core.groups import ClassGroups, Fallback
from hyperseg.io.catalog import cards
from hyperseg.io.labels.colours import VISIONS, difference, to_lab
from hyperseg.io.read import read_array
from hyperseg.io.write import read_map, write_map
from hyperseg.io.write.groups import answer_legend, group_colours, groups_in, groups_tag
from hyperseg.io.write.map import codes_are_given

CLASSES = ("oak", "fir", "maize", "rye")
COLOURS = ((0, 90, 0), (60, 140, 40), (250, 220, 0), (200, 120, 0))
FALLBACK = Fallback(ClassGroups.of({"trees": ["oak", "fir"], "crops": ["maize", "rye"]}, CLASSES, origin="t"))


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (None, [1, 2, 3, 4, 5, 6, 7]),
        ((1, 2, 3, 4), [1, 2, 3, 4, 5, 6, 7]),
        ((10, 40, 30, 20), [10, 40, 30, 20, 41, 42, 43]),
        ((0, 3, 5, 253), [0, 3, 5, 253, 254, 256, 257]),  # 255 stands for nothing where 0 is a class
        ((1, 2, 3, 255), [1, 2, 3, 255, 256, 257, 258]),
    ],
)
def test_codes_of_classes_stay_and_groups_come_after_the_largest(
    tmp_path: Path, codes: tuple[int, ...] | None, expected: list[int]
) -> None:
    legend = answer_legend(FALLBACK, CLASSES, COLOURS, codes)
    labels = np.array([[0, 1, 2, 3, 4, 5, 6, -1]], np.int16)
    write_map(tmp_path / "m-groups.tif", labels, **legend._asdict())
    write_map(tmp_path / "m.tif", np.where(labels > 3, -1, labels), classes=CLASSES, colours=COLOURS, codes=codes)
    one, other = (np.asarray(read_array(tmp_path / n, ndim=2)[...])[0].tolist() for n in ("m-groups.tif", "m.tif"))
    assert one[:7] == expected
    assert one[:4] == other[:4]
    assert one[7] == other[7]  # nothing is the same in both
    found = read_map(tmp_path / "m-groups.tif")
    named = dict(zip(found.codes, found.classes, strict=True))
    assert [named[c] for c in expected] == [*CLASSES, "trees (group)", "crops (group)", "unsure"]
    assert codes_are_given(tmp_path / "m-groups.tif") is codes_are_given(tmp_path / "m.tif") is (codes is not None)
    assert "trees (group)" in (tmp_path / "m-groups.qml").read_text()


def test_a_map_tells_its_groups(tmp_path: Path) -> None:
    labels = np.array([[0, 1, 2, 3]], np.int16)
    write_map(tmp_path / "m.tif", labels, classes=CLASSES, colours=COLOURS, tags=groups_tag(FALLBACK.groups, CLASSES))
    assert groups_in(tmp_path / "m.tif", CLASSES) == FALLBACK.groups
    assert groups_in(tmp_path / "m.tif", ("other", "names")) is None
    write_map(tmp_path / "plain.tif", labels, classes=CLASSES, colours=COLOURS)
    assert groups_in(tmp_path / "plain.tif", CLASSES) is None
    write_map(tmp_path / "odd.tif", labels, classes=CLASSES, colours=COLOURS, tags={"class_groups": "[1, 2"})
    assert groups_in(tmp_path / "odd.tif", CLASSES) is None
    assert groups_in(tmp_path / "absent.tif", CLASSES) is None


@pytest.mark.parametrize("name", ["indian-pines", "salinas", "salinas-a"])
def test_groups_have_colours_that_can_be_told_from_all_others(name: str) -> None:
    card = cards()[name]
    assert card.groups is not None
    colours = group_colours(card.groups, card.colours)
    assert colours[: len(card.colours)] == card.colours
    for vision in VISIONS:
        lab = to_lab(colours, vision=vision)
        apart = difference(lab[:, None], lab[None]) + 100 * np.eye(len(lab))
        assert apart[len(card.colours) :].min() > 7

"""Where groups come from: a TOML file, a column beside the classes, the card of a scene."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from shapely import Point, box

from hyperseg.core import DataFileError, Grid, LabelError, SettingError
from hyperseg.io.card import read_card
from hyperseg.io.catalog import cards
from hyperseg.io.labels.groups import read_groups
from hyperseg.io.labels.vectors import VectorOptions
from hyperseg.io.open import open_scene
from hyperseg.io.read import read_labels
from hyperseg.io.write import write_raster

Draw = Callable[..., Path]
GRID = Grid((10.0, 10.0), "m", "EPSG:32633", (10.0, 0.0, 4e5, 0.0, -10.0, 5e6))
CROPS = ["maize a", "maize b", "oak", "fir", "maize a"]
KINDS = ["maize", "maize", "forest", "forest", "maize"]


def squares(n: int) -> list[Any]:
    return [box(4e5 + 20 * k, 5e6 - 20, 4e5 + 20 * (k + 1), 5e6) for k in range(n)]


def labels_of(path: Path, **options: Any) -> Any:
    return read_labels(path, (2, 10), grid=GRID, vectors=VectorOptions(**options))


def table_of(found: Any) -> Any:
    return None if found.groups is None else found.groups.table(found.classes)


def test_a_column_tells_the_groups(draw: Draw) -> None:
    path = draw("f.gpkg", squares(5), {"crop": CROPS, "kind of": KINDS})
    found = labels_of(path, class_column="crop", group_column="kind of")
    assert found.classes == ("fir", "maize a", "maize b", "oak")
    assert table_of(found) == {"forest": ["fir", "oak"], "maize": ["maize a", "maize b"]}
    assert labels_of(path, class_column="crop").groups is None
    assert table_of(labels_of(path, group_column="KIND OF")) == table_of(found)  # the other column is the class's


def test_a_class_without_a_group_is_its_own_and_numbers_are_groups_too(draw: Draw) -> None:
    path = draw("f.gpkg", squares(5), {"crop": CROPS, "g": [2, 2, -1, -1, 2]})
    assert table_of(labels_of(path, group_column="g")) == {"group 2": ["maize a", "maize b"]}
    path = draw("h.gpkg", squares(5), {"crop": CROPS, "g": ["maize", "maize", None, "", "maize"]})
    found = labels_of(path, group_column="g")
    assert found.groups.names == ("fir", "maize", "oak")


def test_points_of_a_table_have_groups_too(tmp_path: Path) -> None:
    lines = ["x,y,crop,kind"]
    lines += [f"{4e5 + 20 * k + 5},{5e6 - 5},{c},{g}" for k, (c, g) in enumerate(zip(CROPS, KINDS, strict=True))]
    (tmp_path / "p.csv").write_text("\n".join(lines))
    found = labels_of(tmp_path / "p.csv", class_column="crop", group_column="kind")
    assert table_of(found) == {"forest": ["fir", "oak"], "maize": ["maize a", "maize b"]}


def test_classes_without_a_pixel_leave_their_groups(draw: Draw, caplog: pytest.LogCaptureFixture) -> None:
    shapes = squares(5)
    shapes[2] = Point(0, 0)  # the only oak lies elsewhere
    found = labels_of(draw("f.gpkg", shapes, {"crop": CROPS, "kind": KINDS}), class_column="crop", group_column="kind")
    assert table_of(found) == {"forest": ["fir"], "maize": ["maize a", "maize b"]}
    shapes[1] = Point(0, 0)
    path = draw("g.gpkg", shapes, {"crop": CROPS, "kind": KINDS})
    assert labels_of(path, class_column="crop", group_column="kind").groups is None
    assert "its groups tell nothing" in caplog.text


@pytest.mark.parametrize(
    ("kinds", "column", "said"),
    [
        (["maize", "maize", "forest", "forest", "corn"], "kind", "puts the class 'maize a' into two groups, maize and"),
        ([""] * 5, "kind", "names no group"),
        (["crop"] * 5, "kind", "all 4 classes are in the group 'crop'"),
        (["oak", "oak", "forest", "forest", "oak"], "kind", "is called like the class 'oak'"),
        (["1", "2", "3", "4", "1"], "kind", "no group holds two classes"),
        (KINDS, "kid", "has no column 'kid' of groups"),
    ],
)
def test_columns_that_tell_no_groups_are_refused(draw: Draw, kinds: list[str], column: str, said: str) -> None:
    path = draw("f.gpkg", squares(5), {"crop": CROPS, "kind": kinds})
    with pytest.raises(LabelError) as refused:
        labels_of(path, class_column="crop", group_column=column)
    assert said in str(refused.value)
    assert str(path) in str(refused.value)


def test_a_column_of_groups_needs_drawn_labels(tmp_path: Path) -> None:
    np.save(tmp_path / "gt.npy", np.ones((2, 10), np.uint8))
    with pytest.raises(SettingError, match="group_column: only for labels drawn as vectors"):
        labels_of(tmp_path / "gt.npy", group_column="kind")


def test_a_file_of_groups_is_read(tmp_path: Path) -> None:
    (tmp_path / "g.toml").write_text('\ufeff# mine\n[groups]\ncorn = ["Corn", "Corn-notill"]\n"open land" = ["Oats"]\n')
    assert read_groups(tmp_path / "g.toml") == {"corn": ["Corn", "Corn-notill"], "open land": ["Oats"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("[group]\ncorn = ['a', 'b']", "it holds group."),
        ("corn = ['a', 'b']", "it holds corn"),
        ("groups = 3", "[groups] is 3"),
        ("[groups]\ncorn = 'a, b'", "the group 'corn' is 'a, b', expected a list"),
        ("[groups]\ncorn = [1, 2]", "the group 'corn' is [1, 2]"),
        ("[groups]\ncorn = ['a']\n[more]\nx = 1", "beside it stands more"),
        ("[groups]\ncorn = [", "cannot be read as TOML"),
        ("[groups]\ncorn = ['a']\ncorn = ['b']", "cannot be read as TOML"),
        ("\x00\x01", "cannot be read as TOML"),
    ],
)
def test_files_that_are_no_table_of_groups_are_refused(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "g.toml").write_text(text)
    with pytest.raises(DataFileError) as refused:
        read_groups(tmp_path / "g.toml")
    assert said in str(refused.value)
    assert "g.toml" in str(refused.value)


def test_missing_files_folders_and_pictures_are_no_tables(tmp_path: Path) -> None:
    (tmp_path / "p.png").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    for name in ("none.toml", ".", "p.png"):
        with pytest.raises(DataFileError, match="cannot be read as TOML"):
            read_groups(tmp_path / name)


def test_a_scene_has_the_groups_that_the_user_names(draw: Draw, tmp_path: Path) -> None:
    write_raster(tmp_path / "s.tif", np.random.default_rng(0).random((2, 10, 12)), GRID)
    path = draw("f.gpkg", squares(5), {"crop": CROPS, "kind": KINDS})
    (tmp_path / "g.toml").write_text('[groups]\ntrees = ["oak", "fir"]')
    named = {"labels": str(path), "groups": tmp_path / "g.toml"}
    scene = open_scene(str(tmp_path / "s.tif"), vectors=VectorOptions(class_column="crop"), **named)
    assert scene.groups is not None
    assert scene.groups.table(scene.classes) == {"trees": ["fir", "oak"]}
    both = VectorOptions(class_column="crop", group_column="kind")
    with pytest.raises(SettingError, match="give one of them"):
        open_scene(str(tmp_path / "s.tif"), vectors=both, **named)
    (tmp_path / "g.toml").write_text('[groups]\ntrees = ["oak", "firr"]')
    with pytest.raises(LabelError, match=r"the group 'trees' names the class 'firr'.* Did you mean fir\?"):
        open_scene(str(tmp_path / "s.tif"), vectors=VectorOptions(class_column="crop"), **named)


def test_cards_have_groups_of_their_own_classes(tmp_path: Path) -> None:
    card = cards()["indian-pines"]
    assert card.groups is not None
    assert card.groups.table(card.class_names)["corn"] == ["Corn-notill", "Corn-mintill", "Corn"]
    assert cards()["pavia-university"].groups is None
    text = (Path(__file__).parents[3] / "datasets" / "indian-pines.toml").read_text()
    (tmp_path / "x.toml").write_text(text.replace('"Corn"]', '"Korn"]'))
    with pytest.raises(DataFileError, match="Korn"):
        read_card(tmp_path / "x.toml")

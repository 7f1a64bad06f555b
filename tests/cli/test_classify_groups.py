"""Groups of classes from file to map: scores by group, the map that falls back, runs repeated, and refusals."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from running import Hyperseg

from hyperseg.core import Scene
from hyperseg.io.read import read_array
from hyperseg.io.write import read_map
from hyperseg.metrics import confusion, scores
from hyperseg.recipes.run.load import load_run

Words = tuple[str, ...]
LDA = ("--method", "lda", "--repeats", "1", "--split", "random_per_class:8", "--refine", "none", "--quiet")
QUICK = (*LDA, "--no-pictures")
UNSURE = 5  # code after three classes and one group


@pytest.fixture
def named(files: Words, tmp_path: Path) -> Words:
    """Labels of the toy scene, and a file that puts two of its classes together."""
    (tmp_path / "g.toml").write_text('[groups]\npair = ["class 1", "class 3"]\n')
    return (*files, "--class-groups", "g.toml")


def codes(path: Path) -> np.ndarray:
    return np.asarray(read_array(path, ndim=2)[...])


def metrics(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def test_a_run_with_groups_says_so_everywhere(hyperseg: Hyperseg, named: Words, tmp_path: Path) -> None:
    answer = hyperseg("classify", *named, *LDA, "--sure", "0.9", "--out", "r")
    assert answer.code == 0, answer.err
    assert "As groups (pair): OA " in answer.out
    folder = tmp_path / "r"
    found = metrics(folder)
    assert found["groups"]["classes"] == {"pair": ["class 1", "class 3"]}
    assert found["groups"]["sure"] == 0.9
    table = np.array(found["confusion"])[:, :3]
    merged = np.array([[table[i::2, j::2].sum() for j in (0, 1)] for i in (0, 1)])  # classes 1 and 3, and class 2
    by_group, by_class = found["steps"][found["final"]]["groups"], found["OA"]
    assert by_group["OA"]["mean"] == pytest.approx(scores(merged).oa)
    assert by_group["kappa"]["mean"] == pytest.approx(scores(merged).kappa)
    assert by_group["per_group"]["class 2"] == found["steps"][found["final"]]["per_class"]["class 2"]
    assert all(step["groups"]["OA"]["mean"] >= step["OA"]["mean"] for step in found["steps"].values())
    assert by_class["mean"] == pytest.approx(scores(table).oa)
    page = (folder / "report.html").read_text()
    assert "Classes and groups" in page
    assert "Groups are pair (class 1, class 3). 1 class stands alone." in page
    assert "What map-groups.tif answers" in page
    answers = codes(folder / "map-groups.tif")
    share = {k: 100 * np.isin(answers, v).mean() for k, v in (("class", (1, 2, 3)), ("group", 4), ("unsure", UNSURE))}
    assert {k: v["share"] for k, v in found["groups"]["answers"].items()} == pytest.approx(share)
    assert hyperseg("info", "r").out.count("pair (class 1, class 3)") == 1
    assert "pair (class 1, class 3)" in hyperseg("info", "r/map.tif").out


def test_threshold_0_is_the_map_itself_and_at_1_a_class_must_be_certain(
    hyperseg: Hyperseg, named: Words, tmp_path: Path
) -> None:
    for sure in ("0", "1"):
        assert hyperseg("classify", *named, *QUICK, "--sure", sure, "--out", f"r{sure}").code == 0
    np.testing.assert_array_equal(codes(tmp_path / "r0/map-groups.tif"), codes(tmp_path / "r0/map.tif"))
    certain = np.asarray(read_array(tmp_path / "r1/confidence.tif", ndim=2)[...]) == 1
    np.testing.assert_array_equal(codes(tmp_path / "r1/map-groups.tif") < 4, certain)
    assert not certain.all()
    assert (tmp_path / "r0/map.tif").read_bytes() == (tmp_path / "r1/map.tif").read_bytes()


def test_runs_without_groups_are_as_they_were(hyperseg: Hyperseg, files: Words, tmp_path: Path) -> None:
    answer = hyperseg("classify", *files, *LDA, "--out", "r")
    assert answer.code == 0
    assert "roups" not in answer.out + (tmp_path / "r/report.html").read_text()
    assert not list((tmp_path / "r").glob("*groups*"))
    found = metrics(tmp_path / "r")
    assert "groups" not in found
    assert all("groups" not in step for step in found["steps"].values())
    assert load_run(tmp_path / "r").fallback is None


def test_from_takes_groups_and_threshold_along(hyperseg: Hyperseg, named: Words, tmp_path: Path) -> None:
    assert hyperseg("classify", *named, *QUICK, "--sure", "0.8", "--out", "one").code == 0
    assert hyperseg("classify", "--from", "one", "--quiet", "--no-pictures", "--out", "two").code == 0
    for name in ("map.tif", "map-groups.tif", "run.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    fallback = load_run(tmp_path / "one").fallback
    assert fallback is not None
    assert (fallback.sure, fallback.groups.of_class) == (0.8, (0, 1, 0))
    # labels that are named anew leave the groups behind; then there is nothing to be sure of
    error = hyperseg("classify", "--from", "one", "--labels", "gt.npy", "--quiet", "--out", "three").error
    assert "sure 0.8: the classes of cube have no groups" in error


def test_runs_of_versions_without_groups_can_be_repeated(hyperseg: Hyperseg, files: Words, tmp_path: Path) -> None:
    assert hyperseg("classify", *files, *QUICK, "--out", "one").code == 0
    record = json.loads((tmp_path / "one/run.json").read_text())
    del record["settings"]["sure"], record["inputs"]["class_groups"]
    (tmp_path / "one/run.json").write_text(json.dumps(record))
    assert hyperseg("classify", "--from", "one", "--quiet", "--no-pictures", "--out", "two").code == 0


def test_the_file_of_groups_belongs_to_the_run(hyperseg: Hyperseg, named: Words, tmp_path: Path) -> None:
    assert hyperseg("classify", *named, *QUICK, "--out", "r").code == 0
    error = hyperseg("map", "r", "cube.npy", "--out", "r/map-groups.tif", "--overwrite").error
    assert "belongs to the run r" in error
    (tmp_path / "g.tif").write_text((tmp_path / "g.toml").read_text())
    assert "is read here" in hyperseg("map", "r", "cube.npy", "--class-groups", "g.tif", "--out", "g.tif").error


def test_groups_count_when_a_run_is_resumed(hyperseg: Hyperseg, named: Words, files: Words, tmp_path: Path) -> None:
    from hyperseg.core.groups import ClassGroups
    from hyperseg.core.task import Task
    from hyperseg.data.splits import make_split
    from hyperseg.recipes.run.classify import identity
    from hyperseg.recipes.run.settings import RunSettings
    from hyperseg.simulated.scenes import toy_scene

    scene = toy_scene(shape=(24, 21), n_bands=16)
    assert scene.labels is not None
    split = make_split("random_per_class:8", scene.labels, 3, seed=0)
    groups = [None, ClassGroups(("a", "b"), (0, 1, 0)), ClassGroups(("a", "b"), (0, 0, 1))]
    told = [identity([Task((scene.with_(groups=g),), (split,))], RunSettings()) for g in groups]
    assert told[0] != told[1] != told[2] != told[0]


@pytest.mark.parametrize("side", [None, "9"])
def test_map_answers_as_the_run_did(hyperseg: Hyperseg, named: Words, tmp_path: Path, side: str | None) -> None:
    assert hyperseg("classify", *named, *QUICK, "--sure", "0.9", "--out", "r").code == 0
    windows = () if side is None else ("--side", side)
    answer = hyperseg("map", "r", "cube.npy", "--out", "m.tif", "--quiet", *windows)
    assert answer.code == 0, answer.err
    assert "m-groups.tif" in answer.out
    np.testing.assert_array_equal(codes(tmp_path / "m-groups.tif"), codes(tmp_path / "r/map-groups.tif"))
    if side is None:
        assert (tmp_path / "m-groups.tif").read_bytes() == (tmp_path / "r/map-groups.tif").read_bytes()
        assert (tmp_path / "m.tif").read_bytes() == (tmp_path / "r/map.tif").read_bytes()
    for name in ("m-groups.qml", "m-groups.tif.aux.xml"):
        assert (tmp_path / name).read_text() == (tmp_path / name.replace("m-", "r/map-")).read_text()


def test_no_data_answers_nothing(hyperseg: Hyperseg, named: Words, toy: Scene, tmp_path: Path) -> None:
    assert hyperseg("classify", *named, *QUICK, "--sure", "0.9", "--out", "r").code == 0
    cube = np.array(toy.cube, np.float32)
    cube[:14, 7:16] = np.nan  # one window of 7 x 7 is empty, others in part
    np.save(tmp_path / "holes.npy", cube)
    assert hyperseg("map", "r", "holes.npy", "--out", "m.tif", "--quiet", "--side", "7").code == 0
    empty = np.isnan(cube).all(-1)
    np.testing.assert_array_equal(codes(tmp_path / "m-groups.tif") == 0, empty)
    np.testing.assert_array_equal(codes(tmp_path / "m.tif") == 0, empty)


def test_map_takes_other_groups_and_thresholds(hyperseg: Hyperseg, files: Words, tmp_path: Path) -> None:
    assert hyperseg("classify", *files, *QUICK, "--out", "r").code == 0
    assert "have no groups" in hyperseg("map", "r", "cube.npy", "--sure", "0.5", "--out", "m.tif").error
    (tmp_path / "g.toml").write_text('[groups]\npair = ["class 1", "class 2"]\n')
    words = ("map", "r", "cube.npy", "--out", "m.tif", "--quiet")
    assert hyperseg(*words, "--class-groups", "g.toml", "--sure", "0.95").code == 0
    assert read_map(tmp_path / "m-groups.tif").classes == ("class 1", "class 2", "class 3", "pair (group)", "unsure")
    assert "0 to 1" in hyperseg(*words, "--overwrite", "--class-groups", "g.toml", "--sure", "2").error
    (tmp_path / "g.toml").write_text('[groups]\npair = ["class 1", "klass 2"]\n')
    assert "Did you mean class 2?" in hyperseg(*words, "--overwrite", "--class-groups", "g.toml").error
    # a map without groups does not leave those of the map it replaces
    assert hyperseg(*words, "--overwrite").code == 0
    assert not list(tmp_path.glob("m-groups*"))


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ('[groups]\npair = ["class 1", "class 9"]', (), "names the class 'class 9', which is not there"),
        ('[groups]\np = ["class 1", "class 2"]\nq = ["class 2"]', (), "'class 2' is in two groups, p and q"),
        ('[groups]\n"class 1" = ["class 1", "class 2"]', (), "is called like the class 'class 1'"),
        ('[groups]\nall = ["class 1", "class 2", "class 3"]', (), "all 3 classes are in the group 'all'"),
        ("", (), "it is empty"),
        ('[groups]\npair = ["class 1", "class 2"]', ("--sure", "1.5"), "sure is 0 or more and at most 1, got 1.5"),
        ('[groups]\npair = ["class 1", "class 2"]', ("--sure", "nan"), "sure"),
        (None, (), "no such file"),
        (None, ("--sure", "0.5"), ""),
    ],
)
def test_what_groups_cannot_be_is_said_before_any_work(
    hyperseg: Hyperseg, files: Words, tmp_path: Path, text: str | None, options: Words, said: str
) -> None:
    if text is not None:
        (tmp_path / "g.toml").write_text(text)
    words = ("--class-groups", "g.toml") if said else ()
    error = hyperseg("classify", *files, *words, *options, *QUICK, "--out", "r").error
    assert said in error
    assert said or "sure 0.5: the classes of cube have no groups to fall back to" in error
    assert not (tmp_path / "r").exists()


def test_a_column_of_groups_goes_from_polygons_to_polygons(
    hyperseg: Hyperseg, toy: Scene, draw: Callable[..., Path], tmp_path: Path
) -> None:
    from hyperseg.core import Grid
    from hyperseg.io.write import write_raster

    grid = Grid((10.0, 10.0), "m", "EPSG:32633", (10.0, 0.0, 4e5, 0.0, -10.0, 5e6))
    write_raster(tmp_path / "s.tif", np.asarray(toy.cube), grid)
    assert toy.labels is not None
    shapes, names = [], []
    for r in range(0, 24, 3):
        for c in range(0, 21, 3):
            inside = np.unique(toy.labels[r : r + 3, c : c + 3])
            if len(inside) == 1 and inside[0] >= 0:
                shapes.append(shapely.box(4e5 + 10 * c, 5e6 - 10 * (r + 3), 4e5 + 10 * (c + 3), 5e6 - 10 * r))
                names.append(("oak", "fir", "rye")[inside[0]])
    kinds = ["crop" if name == "rye" else "tree" for name in names]
    draw("f.gpkg", shapes, {"species": names, "kind": kinds})
    words = ("s.tif", "--labels", "f.gpkg", "--class-column", "species", "--group-column", "kind", *QUICK)
    answer = hyperseg("classify", *words, "--out", "r")
    assert answer.code == 0, answer.err
    assert metrics(tmp_path / "r")["groups"]["classes"] == {"tree": ["fir", "oak"], "crop": ["rye"]}
    assert hyperseg("classify", "--from", "r", "--quiet", "--no-pictures", "--out", "again").code == 0
    assert (tmp_path / "r/map-groups.tif").read_bytes() == (tmp_path / "again/map-groups.tif").read_bytes()
    assert hyperseg("export", "r", "--polygons", "m.gpkg").code == 0
    from pyogrio.raw import read

    meta, _, _, values = read(tmp_path / "m.gpkg")
    columns = dict(zip(meta["fields"], values, strict=True))
    assert set(zip(columns["class"], columns["group"], strict=True)) <= {
        ("oak", "tree"),
        ("fir", "tree"),
        ("rye", "crop"),
    }
    scored = hyperseg("score", "again", "f.gpkg", "--class-column", "species", "--group-column", "kind")
    assert "as groups (tree): OA" in scored.out
    both = hyperseg("score", "r", "f.gpkg", "--group-column", "kind", "--class-groups", "g.toml").error
    assert "give one of them" in both


def test_score_by_group_is_the_score_of_merged_labels(hyperseg: Hyperseg, named: Words, tmp_path: Path) -> None:
    assert hyperseg("classify", *named, *QUICK, "--out", "r").code == 0
    assert hyperseg("score", "r", "gt.npy", "--json", "s.json").code == 0
    found = json.loads((tmp_path / "s.json").read_text())
    truth = np.load(tmp_path / "gt.npy").astype(np.int64) - 1
    said = codes(tmp_path / "r/map.tif").astype(np.int64) - 1
    merged = confusion(np.where(truth < 0, -1, truth % 2), said % 2, 2)
    assert found["groups"]["OA"] == pytest.approx(scores(merged).oa)
    assert found["groups"]["classes"] == {"pair": ["class 1", "class 3"]}
    shutil.copy(tmp_path / "r/map.tif", tmp_path / "alone.tif")  # without its names it is matched by code
    assert "as groups" not in hyperseg("score", "alone.tif", "gt.npy").out.replace("as groups (pair)", "")
    (tmp_path / "h.toml").write_text('[groups]\nx = ["class 2", "class 3"]\n')
    assert "as groups (x): OA" in hyperseg("score", "r", "gt.npy", "--class-groups", "h.toml").out
    (tmp_path / "h.toml").write_text('[groups]\nx = ["class 2", "class 30"]\n')
    assert "'class 30', which is not there" in hyperseg("score", "r", "gt.npy", "--class-groups", "h.toml").error

"""`hyperseg detect score`: hand-counted volumes, pairing by name, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from running import Hyperseg

HEAD = "case,lo_0,lo_1,hi_0,hi_1,score\n"
TRUTH = "case,lo_0,lo_1,hi_0,hi_1\na,0,0,10,10\na,20,20,30,30\nb,0,0,10,10\nc,,,,\n"
FOUND = (
    "a,0,0,10,10,0.9\n"  # a hit
    "a,1,1,11,11,0.8\n"  # of the same object: nothing
    "a,40,40,50,50,0.7\n"  # a false positive
    "b,3,0,13,10,0.6\n"  # centre 3 from the object's, within 5: a hit of IoU 70 / 130
    "c,,,,,\n"
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Three pictures: two objects in a, one in b, none in c."""
    (tmp_path / "found").mkdir()
    (tmp_path / "found" / "boxes.csv").write_text(HEAD + FOUND)
    (tmp_path / "truth.csv").write_text(TRUTH)
    return tmp_path


def test_counted_by_hand(hyperseg: Hyperseg, files: Path) -> None:
    """One of three objects is hit before the false positive (1/3 per volume), another one after it."""
    answer = hyperseg("detect", "score", "found", "truth.csv", "--json", "--out", "scores.json")
    assert answer.code == 0, answer.err
    made = json.loads(answer.out)
    assert made == json.loads((files / "scores.json").read_text())
    assert (made["scans"], made["objects"]) == (3, 3)
    shares = list(made["sensitivity"].values())
    assert list(made["sensitivity"]) == ["1/8", "1/4", "1/2", "1", "2", "4", "8"]
    assert shares[2:] == pytest.approx([2 / 3] * 5)  # from 1/3 on
    assert shares[0] == pytest.approx(1 / 3)
    assert made["cpm"] == pytest.approx(np.mean(shares))
    assert made["cases"]["a"] == {"objects": 2, "hits": 1, "false_positives": 1, "boxes": 3}
    assert made["cases"]["b"] == {"objects": 1, "hits": 1, "false_positives": 0, "boxes": 1}
    assert made["cases"]["c"] == {"objects": 0, "hits": 0, "false_positives": 0, "boxes": 0}
    # in order: hit, doubled, false, hit; precision at a recall of 1/3 is 1, at 2/3 2 of 4
    assert made["ap"]["0.5"] == pytest.approx(1 / 3 * 1 + 1 / 3 * 1 / 2)
    assert made["threshold"] == 0.6
    assert made["cpm_interval"][0] <= made["cpm"] <= made["cpm_interval"][1]


def test_a_perfect_detector_has_1_and_an_empty_list_0(hyperseg: Hyperseg, files: Path) -> None:
    rows = [line + ",0.5" for line in TRUTH.splitlines()[1:4]]
    (files / "best.csv").write_text(HEAD + "\n".join(rows) + "\nc,,,,,\n")
    (files / "none.csv").write_text(HEAD + "a,,,,,\nb,,,,,\nc,,,,,\n")
    best, none = (
        json.loads(hyperseg("detect", "score", f"{k}.csv", "truth.csv", "--json").out) for k in ("best", "none")
    )
    assert (best["cpm"], best["map"], none["cpm"], none["map"]) == (1, 1, 0, 0)


@pytest.mark.parametrize(
    ("name", "text"),
    [("x.json", '{"boxes": []}'), ("x.json", '{"cases": ["a", "b", "c"], "boxes": []}'), ("x.csv", HEAD)],
)
def test_a_list_without_any_box_has_0(hyperseg: Hyperseg, files: Path, name: str, text: str) -> None:
    (files / name).write_text(text)
    made = json.loads(hyperseg("detect", "score", name, "truth.csv", "--json").out)
    assert (made["cpm"], made["map"], made["scans"], made["objects"]) == (0, 0, 3, 3)
    assert (
        "no object in any" in hyperseg("detect", "score", "found", name).error
        or "names a" in hyperseg("detect", "score", "found", name).error
    )


def test_a_name_without_its_zeros_is_recognised(hyperseg: Hyperseg, files: Path) -> None:
    (files / "one.csv").write_text("case,lo_0,lo_1,hi_0,hi_1\n001,0,0,10,10\n011,0,0,10,10\n")
    (files / "x.csv").write_text(HEAD + "1,0,0,10,10,0.5\n")
    assert hyperseg("detect", "score", "x.csv", "one.csv").error.endswith("Is 001 meant by 1?")
    (files / "x.csv").write_text(HEAD + "1,0,0,10,10,0.5\n011,0,0,10,10,0.5\n")
    assert "left out: 1. Did you mean 001?" in hyperseg("detect", "score", "x.csv", "one.csv").out


def test_tables_say_the_same_and_the_worst_volume_comes_first(hyperseg: Hyperseg, files: Path) -> None:
    answer = hyperseg("detect", "score", "found/boxes.csv", "truth.csv")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert lines[0] == "found/boxes.csv against truth.csv: 3 objects in 3 volumes"
    assert any(line.split() == ["objects", "hit", "(FROC)", "0.333", "0.333", *["0.667"] * 5] for line in lines)
    counts = [line.split() for line in lines if line[:2] in ("a ", "b ", "c ")]
    assert counts == [["a", "2", "1", "1", "1"], ["b", "1", "1", "0", "0"], ["c", "0", "0", "0", "0"]]
    assert "distances are in voxels" in answer.out
    assert "the list ends at 0.33 false positives per volume" in answer.out


def test_volumes_that_one_side_does_not_name_are_left_out_and_told(hyperseg: Hyperseg, files: Path) -> None:
    (files / "some.csv").write_text(HEAD + "a,0,0,10,10,0.9\nd,0,0,10,10,0.9\n")
    answer = hyperseg("detect", "score", "some.csv", "truth.csv")
    assert "1 volume without known truth left out: d" in answer.out
    headline = "left out: 2 volumes of truth.csv not named in some.csv, b, c; --all counts them too"
    assert answer.out.splitlines()[1].startswith(headline)
    assert json.loads(hyperseg("detect", "score", "some.csv", "truth.csv", "--json").out)["left_out"] == ["b", "c"]
    every = json.loads(hyperseg("detect", "score", "some.csv", "truth.csv", "--all", "--json").out)
    assert (every["scans"], every["objects"]) == (3, 3)
    (files / "other.csv").write_text(HEAD + "a_1,0,0,10,10,0.9\n")
    (files / "one.csv").write_text("case,lo_0,lo_1,hi_0,hi_1\na_2,0,0,10,10\n")
    assert hyperseg("detect", "score", "other.csv", "one.csv").error.endswith(
        "names a_1, and one.csv a_2: no volume is in both. Is a_2 meant by a_1?"
    )


def test_excluded_findings_count_neither_way(hyperseg: Hyperseg, files: Path) -> None:
    (files / "truth.csv").write_text(
        "case,lo_0,lo_1,hi_0,hi_1,excluded\na,0,0,10,10,\na,40,40,50,50,yes\nb,0,0,10,10,no\n"
    )
    made = json.loads(hyperseg("detect", "score", "found", "truth.csv", "--json").out)
    assert made["objects"] == 2
    assert made["cpm"] == 1
    assert made["cases"]["a"]["false_positives"] == 0


def test_a_folder_of_volumes_is_a_truth_and_its_millimetres_count(hyperseg: Hyperseg, files: Path) -> None:
    """Along the first axis a voxel is 4 mm: the found box lies 3 voxels, 12 mm, off; the radius is (40 + 10) / 4 mm."""
    (files / "set" / "images").mkdir(parents=True)
    np.save(files / "set" / "images" / "a.npy", np.zeros((64, 64), np.float32))
    (files / "set" / "boxes.csv").write_text("case,lo_0,lo_1,hi_0,hi_1\na,0,0,10,10\n")
    (files / "set" / "spacing.csv").write_text("a,4,1\n")
    for off, hit in ((3, 1.0), (4, 0.0)):
        (files / "one.csv").write_text(HEAD + f"a,{off},0,{off + 10},10,0.9\n")
        made = json.loads(hyperseg("detect", "score", "one.csv", "set", "--json").out)
        assert made["sensitivity"]["8"] == hit
        assert made["cpm_interval"] is None


def test_stated_millimetres_and_a_figure(hyperseg: Hyperseg, files: Path) -> None:
    answer = hyperseg("detect", "score", "found", "truth.csv", "--spacing", "4,1", "--figure", "froc.png")
    assert answer.code == 0, answer.err
    assert "in voxels" not in answer.out
    assert "written to froc.png" in answer.out
    assert (files / "froc.png").read_bytes()[:4] == b"\x89PNG"


def test_what_cannot_be_scored_is_told(hyperseg: Hyperseg, files: Path) -> None:
    assert "boxes of a have no score" in hyperseg("detect", "score", "truth.csv", "truth.csv").error
    assert "does not exist" in hyperseg("detect", "score", "found", "nowhere.csv").error
    assert "'--seed': -1" in hyperseg("detect", "score", "found", "truth.csv", "--seed", "-1").err
    assert "is no folder" in hyperseg("detect", "score", "found", "truth.csv", "--boxes", "truth.csv").error
    (files / "deep.csv").write_text("case,lo_0,lo_1,lo_2,hi_0,hi_1,hi_2\na,0,0,0,1,1,1\n")
    assert "boxes of 3 and of 2 axes" in hyperseg("detect", "score", "found", "deep.csv").error
    (files / "empty.csv").write_text("case,lo_0,lo_1,hi_0,hi_1\na,,,,\n")
    assert "no object in any of 1 scans" in hyperseg("detect", "score", "found", "empty.csv").error
    (files / "scores.json").write_text("")
    assert "--overwrite" in hyperseg("detect", "score", "found", "truth.csv", "--out", "scores.json").error

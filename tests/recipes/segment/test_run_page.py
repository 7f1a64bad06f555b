"""The pages about a run and about scores: numbers are those of run.json, figures are there, and slices are kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from running import Hyperseg

from hyperseg.core.runtime import Runtime
from hyperseg.core.sections import Section
from hyperseg.core.words import number
from hyperseg.io.cases import CaseFolder, open_cases
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.folder import SegmentRun, fold_folder, read_run
from hyperseg.recipes.segment.planning import plan_cases
from hyperseg.recipes.segment.reporting.examples import chosen, named, places_of, read_examples, write_examples
from hyperseg.recipes.segment.reporting.run_page import run_sections, write_run_page
from hyperseg.recipes.segment.reporting.score_page import score_sections
from hyperseg.recipes.segment.scoring import score_cases
from hyperseg.recipes.segment.training import Order, train_cases
from hyperseg.report.segment.slices import Slice, slice_of

NAN = float("nan")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> CaseFolder:
    """Six pictures of bright squares, in two groups."""
    root = tmp_path_factory.mktemp("squares")
    for kind in ("images", "labels"):
        (root / kind).mkdir()
    for i in range(6):
        labels = np.zeros((24, 20), np.uint8)
        labels[4 : 12 + i, 5:14] = 1
        labels[6:9, 7:10] = 2
        np.save(root / "labels" / f"c{i}.npy", labels)
        noise = np.random.default_rng(i).normal(0, 0.3, labels.shape)
        np.save(root / "images" / f"c{i}.npy", (labels + noise).astype(np.float32))
    found = open_cases(root)
    return replace(found, cases=tuple(replace(case, group=str(i % 2)) for i, case in enumerate(found.cases)))


@pytest.fixture(scope="module")
def run(folder: CaseFolder, tmp_path_factory: pytest.TempPathFactory) -> SegmentRun:
    plan = plan_cases(folder)
    (one,) = plan.configurations
    spec = replace(one.backbone, widths=tuple(8 for _ in one.backbone.widths))
    plan = replace(plan, configurations=(replace(one, backbone=spec, batch=2),))
    root = tmp_path_factory.mktemp("runs") / "run"
    return train_cases(folder, plan, root, Order(Budget(steps=12)), Runtime(quiet=True))


def cells(sections: list[Section]) -> Iterator[str]:
    for section in sections:
        for table in section.tables:
            for row in table.rows:
                yield from row


def test_sections_say_what_run_json_says(run: SegmentRun) -> None:
    sections = run_sections(run)
    found, told = run.record.found, list(cells(sections))
    row = found["dice"]["2d"]
    assert number(row["mean"], 3) in told
    for value in row["classes"].values():
        assert any(cell.startswith(f"{value:.3f} ± ") for cell in told)
    histories = [json.loads((fold_folder(run.root, "2d", k) / "history.json").read_text()) for k in (0, 1)]
    for history in histories:
        for name, case in history["cases"].items():
            assert name in told
            assert all(number(value, 3) in told for value in case["raw"])
    costs = found["costs"]["2d"]["rows"]
    assert number(costs["total_s"]["ratio"], 2) in told
    numbers = {key: value for section in sections for key, value in section.numbers.items()}
    assert numbers == {"dice": found["dice"], "costs": found["costs"]}
    assert "12 steps" in " ".join(sentence for section in sections for sentence in section.sentences)


def test_a_page_with_its_figures(run: SegmentRun) -> None:
    text = write_run_page(run).read_text()
    assert text.count("data:image/png;base64,") == 3  # cases by class, slices, curves
    for words in (
        "worst case",
        "Learning curves of 2d",
        "Expected and measured",
        "The plan",
        "decided on the same cases",
    ):
        assert words in text
    assert "noise" not in text, "the U-Net draws nothing"
    assert "http" not in text.replace("http-equiv", "")


def test_slices_are_those_of_the_worst_and_the_best_case(run: SegmentRun) -> None:
    for fold in (0, 1):
        here = fold_folder(run.root, "2d", fold)
        cases = json.loads((here / "history.json").read_text())["cases"]
        means = {name: np.mean(row["raw"]) for name, row in cases.items()}
        kept = read_examples(here)
        assert [one.name for one in kept] == sorted(means, key=lambda name: (means[name], name))
        assert [one.score for one in kept] == pytest.approx(sorted(means.values()))
        assert all(one.truth.shape == (24, 20) == one.found.shape for one in kept)


def test_a_run_without_slices_costs_or_networks_has_a_page(run: SegmentRun, tmp_path: Path) -> None:
    for fold in (0, 1):
        assert read_examples(tmp_path / f"fold{fold}") == []
    found = {"dice": run.record.found["dice"]}
    bare = replace(run, root=tmp_path, record=replace(run.record, trained={}, chosen=(), found=found))
    assert "The plan" in write_run_page(bare).read_text()
    titles = [section.title for section in run_sections(bare)]
    assert titles == ["How good it is", "The plan", "How it was made"]


@pytest.mark.parametrize(
    ("n", "places"), [(0, []), (1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (4, [0, 1, 3]), (9, [0, 4, 8])]
)
def test_worst_middle_best(n: int, places: list[int]) -> None:
    assert places_of(n) == places
    labels = np.zeros((3, 3), np.int16)
    slices = [slice_of(f"c{i}", (i * 7 % 10) / 10, labels, labels) for i in range(n)]
    picked = chosen([*slices, slice_of("nothing", NAN, labels, labels)])
    ranked = sorted(one.score for one in slices)
    assert [one.score for one in picked] == [ranked[at] for at in places]
    words = [one.name.partition(":")[0] for one in named(picked)]
    assert words == {0: [], 1: [one.name for one in picked], 2: ["worst", "best"]}.get(n, ["worst", "median", "best"])


def test_slices_come_back_as_they_were_and_damaged_files_are_none(tmp_path: Path) -> None:
    truth, found = (np.random.default_rng(i).integers(-1, 3, (5, 4)).astype(np.int16) for i in (0, 1))
    cube = np.random.default_rng(2).random((5, 4, 3))
    slices = [slice_of("a", 0.1, truth, found, cube=cube, spacing=(2, 1)), slice_of("b", 0.2, truth, found)]
    write_examples(tmp_path, slices)
    back = read_examples(tmp_path)
    for one, two in zip(slices, back, strict=True):
        assert (one.name, one.score, one.pixel) == (two.name, two.score, two.pixel)
        for a, b in ((one.truth, two.truth), (one.found, two.found), (one.image, two.image)):
            assert np.array_equal(a, b)
    (tmp_path / "slices.npz").write_bytes((tmp_path / "slices.npz").read_bytes()[:100])
    assert read_examples(tmp_path) == []


def test_resuming_a_finished_run_writes_its_page_anew(hyperseg: Hyperseg, folder: CaseFolder, tmp_path: Path) -> None:
    words = ("segment", "train", folder.root, "--out", "run", "--fold", "0", "--steps", "2", "--device", "cpu")
    done = hyperseg(*words, "--watts", "20")
    assert done.code == 0, done.err
    assert "expected are" in done.err
    assert "at 20 W, as given" in done.err
    assert "training a fold" in done.out
    assert "report.html" in done.out
    page, record = tmp_path / "run" / "report.html", read_run(tmp_path / "run").record
    page.unlink()
    again = hyperseg(*words, "--resume", "--quiet")
    assert again.code == 0, again.err
    assert page.is_file()
    assert read_run(tmp_path / "run").record == record


def test_a_page_of_scores(hyperseg: Hyperseg, folder: CaseFolder, tmp_path: Path) -> None:
    """The worst case first; a class that is missed has Dice 0 and no distance; the label's own classes have names."""
    (tmp_path / "made").mkdir()
    for i in range(6):
        labels = np.load(folder.root / "labels" / f"c{i}.npy")
        if i == 3:
            labels[labels == 2] = 1
        np.save(tmp_path / "made" / f"c{i}.npy", labels)
    done = hyperseg("segment", "score", "made", folder.root, "--out", "m.json", "--report", "page.html")
    assert done.code == 0, done.err
    assert "written to page.html" in done.out
    text = (tmp_path / "page.html").read_text()
    assert "not scored there" in text
    assert text.count("data:image/png;base64,") == 2
    scored = score_cases(tmp_path / "made", folder.root)
    first, second = score_sections(scored)
    rows = second.tables[0].rows
    assert rows[0][0] == "c3"
    assert rows[1][:6] == ("", scored.classes[2], "0.000", "0.000", "–", "–")
    assert first.numbers == json.loads((tmp_path / "m.json").read_text()) | {"predictions": str(tmp_path / "made")}
    assert first.tables[0].rows[-1][2] == number(scored.mean("dice"), 3)
    assert hyperseg("segment", "score", "made", folder.root, "--report", "page.html").code == 2
    assert hyperseg("segment", "score", "made", folder.root, "--report", "made/c0.npy", "--overwrite").code == 2


def test_a_page_of_scores_of_label_files_alone(tmp_path: Path) -> None:
    """Slices on plain grey: there is no image."""
    from hyperseg.recipes.segment.scoring import examples

    for kind, codes in (("made", (0, 9)), ("truth", (0, 9))):
        (tmp_path / kind).mkdir()
        for i in range(2):
            labels = np.zeros((6, 6), np.uint8)
            labels[1 : 3 + i, 1:4] = codes[1]
            np.save(tmp_path / kind / f"c{i}.npy", labels)
    scored = score_cases(tmp_path / "made", tmp_path / "truth")
    (one,) = examples(scored, ["c1"])
    assert isinstance(one, Slice)
    assert one.image is None
    assert set(np.unique(one.truth)) == {0, 1}
    assert score_sections(scored)[1].figures

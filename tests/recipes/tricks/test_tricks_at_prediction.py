"""Tricks that change predictions alone, given to runs that were trained without them; all others are refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawing import known, pictures, trained
from PIL import Image
from running import Hyperseg

from hyperseg import segment
from hyperseg.core import SettingError
from hyperseg.io.write.targets import RECORD
from hyperseg.medical.components import keep_largest
from hyperseg.recipes.segment.folder import SegmentRun, write_run
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.recipes.tricks import TRICKS
from hyperseg.recipes.tricks.choosing import added_tricks
from hyperseg.recipes.tricks.words import added_words

LATER = [name for name in TRICKS if not TRICKS[name].trains]


@pytest.fixture(autouse=True)
def methods(monkeypatch: pytest.MonkeyPatch) -> None:
    known(monkeypatch)


@pytest.fixture
def run(tmp_path: Path) -> SegmentRun:
    """One whose networks find what is above 0, in pictures with a small piece beside the large one."""
    data = pictures(tmp_path / "data")
    for file in data.glob("*/*.npy"):
        image = np.load(file)
        image[15:18, 2:5] = image.max()
        np.save(file, image)
    return trained(tmp_path / "run", data, "once")


def predicted(run: SegmentRun, out: Path, *tricks: str) -> dict[str, np.ndarray]:
    files = segment.predict(
        run, f"{run.record.folder}/images", out=out, tricks=tricks, device="cpu", mirror=False, quiet=True
    )
    return {file.name: np.asarray(Image.open(file)).astype(np.int16) for file in files}


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


def as_if_trained_with(run: SegmentRun, root: Path, *tricks: str) -> SegmentRun:
    """The same networks, in a run that has had the tricks from its first day."""
    shutil.copytree(run.root, root)
    return write_run(root, run.plan, replace(run.record, tricks=tricks))


def test_a_run_is_given_them_as_if_it_had_them_and_stays_as_it_is(run: SegmentRun, tmp_path: Path) -> None:
    before = (run.root / RECORD).read_bytes()
    for name in LATER:
        other = as_if_trained_with(run, tmp_path / f"run-{name}", name)
        added = predicted(run, tmp_path / f"added-{name}", name)
        assert same(added, predicted(other, tmp_path / f"had-{name}"))
    assert (run.root / RECORD).read_bytes() == before


def test_the_largest_piece_is_what_is_left(run: SegmentRun, tmp_path: Path) -> None:
    plain = predicted(run, tmp_path / "plain")
    kept = predicted(run, tmp_path / "kept", "largest-component")
    assert not same(plain, kept)
    assert same({name: keep_largest(found, [(1,)]) for name, found in plain.items()}, kept)
    assert same(predicted(run, tmp_path / "tta", "tta"), plain), "networks that say the same in every view"


def test_of_a_trick_that_the_run_has_the_settings_are_changed(run: SegmentRun, tmp_path: Path) -> None:
    had = as_if_trained_with(run, tmp_path / "had", "small-areas:pixels=50")
    assert had.method.drawing({}, ["small-areas:pixels=8"]).tricks == ("small-areas:pixels=8",)
    assert had.method.drawing({}, ["tta"]).tricks == ("tta", "small-areas:pixels=50")
    assert had.method.drawing({}).tricks == had.method.tricks == ("small-areas:pixels=50",)
    assert same(predicted(had, tmp_path / "few", "small-areas:pixels=8"), predicted(run, tmp_path / "plain"))


@pytest.mark.parametrize("name", [name for name in TRICKS if TRICKS[name].trains])
def test_what_networks_learn_with_is_refused(name: str) -> None:
    words = f"{name}:file=weights.safetensors" if name == "given-weights" else name
    for had in ((), (words,)):
        with pytest.raises(
            SettingError, match=rf"--trick {name}.*trained already.*segment train \.\.\. --trick {name}"
        ):
            added_tricks(had, [words])


def test_what_does_not_fit_the_run_is_refused_before_anything_is_read(run: SegmentRun, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"unknown trick 'tto'.*Did you mean tta"):
        predicted(run, tmp_path / "out", "tto")
    with pytest.raises(SettingError, match="twice"):
        case_method().drawing({}, ["tta", "tta:views=flips"])
    with pytest.raises(SettingError, match="tta, with the method draws: the method draws"):
        case_method("draws").drawing({}, ["tta"])
    sides = replace(run.plan, facts=replace(run.plan.facts, classes=("left", "right")))
    (run.root / "plan.json").unlink()
    asymmetric = write_run(run.root, sides, replace(run.record, classes=("left", "right")))
    with pytest.raises(SettingError, match=r"--trick tta, with the method once: .* flips are no symmetry"):
        predicted(asymmetric, tmp_path / "out", "tta")
    with pytest.raises(SettingError, match="flips are no symmetry"):
        segment.evaluate(asymmetric, out=tmp_path / "out", tricks=["tta"], device="cpu", quiet=True)
    assert not (tmp_path / "out").exists()


def test_an_evaluation_says_with_what(run: SegmentRun, tmp_path: Path, hyperseg: Hyperseg) -> None:
    trained(run.root / "beside" / "draws", Path(run.record.folder), "draws")
    out = tmp_path / "out"
    answer = hyperseg(
        "segment", "evaluate", run.root, "--out", out, "--trick", "largest-component", "--curve", "none",
        "--device", "cpu", "--quiet",
    )  # fmt: skip
    assert answer.code == 0, answer.err
    told = "with the trick largest-component"
    assert told in answer.out
    assert "Training was without largest-component" in answer.out
    assert told in (out / "report.html").read_text()
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["tricks"] == ["largest-component"]
    plain = segment.evaluate(run, out=tmp_path / "plain", curve=(), device="cpu", quiet=True)
    for name, network in metrics["networks"].items():
        before = next(one for one in plain.networks if one.name == name)
        assert network["mean"]["dice"] < before.mean("dice"), "the small piece is true too"
    assert plain.tricks == ()
    assert added_words(("tta",), ("tta",)) == ""


def test_the_command_line_says_what_to_do(run: SegmentRun, tmp_path: Path, hyperseg: Hyperseg) -> None:
    images, out = f"{run.record.folder}/images", tmp_path / "out"
    given = ("segment", "predict", run.root, images, "--out", out, "--device", "cpu", "--trick")
    assert "segment train ... --trick oversampling:share=0.5" in hyperseg(*given, "oversampling:share=0.5").error
    answer = hyperseg(*given, "tta")
    assert answer.code == 0
    assert "with the trick tta" in answer.err
    assert len(list(out.iterdir())) == 4

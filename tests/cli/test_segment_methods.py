"""`hyperseg segment train --method`: its options, its settings, what stands beside it, and what is refused at once."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from running import Hyperseg

from hyperseg.core.words import listed
from hyperseg.recipes.segment.methods.chosen import methods_on_cases

TRAIN = ("segment", "train", "data", "--device", "cpu", "--quiet")
DRAWN = (*TRAIN, "--method", "medsegdiff", "--steps", "2", "--fold", "0", "--samples", "2", "--set", "draw.calls=1")


@pytest.fixture
def pictures(tmp_path: Path) -> None:
    """Four pictures of 16 x 16 pixels with a bright square, in the working folder."""
    for i in range(4):
        labels = np.zeros((16, 16), np.uint8)
        labels[3 : 9 + i, 4:11] = 1
        image = np.random.default_rng(i).normal(0, 0.3, labels.shape) + labels
        for kind, array in (("images", image.astype(np.float32)), ("labels", labels)):
            (tmp_path / "data" / kind).mkdir(parents=True, exist_ok=True)
            np.save(tmp_path / "data" / kind / f"c{i}.npy", array)


@pytest.mark.usefixtures("pictures")
def test_one_command_trains_a_method_and_its_twin_and_another_predicts(hyperseg: Hyperseg, tmp_path: Path) -> None:
    done = hyperseg(*DRAWN)
    assert done.code == 0, done.err
    assert "2d, feed-forward" in done.out
    record = json.loads((tmp_path / "data-run" / "run.json").read_text())
    assert record["method"] == "medsegdiff"
    assert (record["settings"]["draw"]["samples"], record["settings"]["draw"]["calls"]) == (2, 1)
    beside = tmp_path / "data-run" / "beside" / "feed-forward"
    for root in (tmp_path / "data-run", beside):
        assert (root / "2d" / "fold0" / "weights.safetensors").is_file()
        assert (root / "report.html").is_file()
    assert hyperseg(*TRAIN, "--steps", "2", "--fold", "0", "--resume").code == 0, "with the method that it has"
    assert "was begun by medsegdiff, not by unet" in hyperseg(*TRAIN, "--method", "unet", "--resume").error
    predict = ("segment", "predict", "data-run", "data/images/c0.npy", "--device", "cpu", "--quiet")
    done = hyperseg(*predict, "--out", "p", "--samples", "1", "--set", "fusion=mean")
    assert done.code == 0, done.err
    assert (
        "given by an option and by --set" in hyperseg(*predict, "--out", "q", "--calls", "1", "--set", "calls=2").error
    )
    assert "was decided by training" in hyperseg(*predict, "--out", "q", "--set", "says=eps").error
    of_twin = ("segment", "predict", str(beside), "data/images/c0.npy", "--out", "q", "--quiet")
    assert "--samples is no option of feed-forward: it belongs to the method medsegdiff" in hyperseg(
        *of_twin, "--samples", "3"
    ).error  # fmt: skip


@pytest.mark.usefixtures("pictures")
def test_alone_leaves_out_what_is_trained_beside(hyperseg: Hyperseg, tmp_path: Path) -> None:
    assert hyperseg(*DRAWN, "--alone").code == 0
    assert not (tmp_path / "data-run" / "beside").exists()


@pytest.mark.usefixtures("pictures")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--samples", "3"), "--samples is no option of unet: it belongs to the method medsegdiff"),
        (("--no-dynamic",), "--dynamic is no option of unet: it belongs to the methods medsegdiff and feed-forward"),
        (("--method", "cnn3d"), f"the method cnn3d takes scenes, no folders; {listed(methods_on_cases())} do"),
        (("--method", "medsegdiff", "--set", "samples"), "--set takes NAME=VALUE"),
        (("--method", "medsegdiff", "--set", "sample=3"), "no setting named sample"),
        (("--method", "medsegdiff", "--samples", "0"), "samples is 1 or more and at most 10000, got 0"),
        (("--method", "medsegdiff", "--sampler", "dddim"), "dddim"),
    ],
)
def test_refusals_of_methods(hyperseg: Hyperseg, tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    assert told in hyperseg(*TRAIN, "--out", "run", "--steps", "2", *words).error
    assert not (tmp_path / "run").exists()


def test_the_help_shows_the_settings_of_every_method(hyperseg: Hyperseg) -> None:
    train, predict = (hyperseg("segment", name, "--help").out for name in ("train", "predict"))
    for words in ("Settings of medsegdiff:", "--samples", "--no-ff-parser", "More of medsegdiff", "network.skips=both"):
        assert words in train
    assert "--samples" in predict
    assert "--no-ff-parser" not in predict

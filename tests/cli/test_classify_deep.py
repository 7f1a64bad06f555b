"""`hyperseg classify --method deep-crf` and chains of refiners, from the command line to the record and back."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import halting
import pytest
from running import Hyperseg

from hyperseg.crf.settings import DeepCRF, MeanField
from hyperseg.data.bands.groups import Cut
from hyperseg.io.write import read_map
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.methods.band_groups import BandGroupSettings
from hyperseg.recipes.refiners import USUAL
from hyperseg.recipes.refiners.deconv import DeconvSettings
from hyperseg.recipes.refiners.deep_crf import DeepCrfSettings
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.recipes.training.settings import TrainSettings

stop, started = halting.stop, halting.started
Words = tuple[str, ...]
Write = Callable[[str, RunSettings], Words]
SHORT = ("--repeats", "1", "--split", "random_per_class:8", "--baseline", "lda", "--quiet", "--no-pictures")
NETWORK = BandGroupSettings(window=5, train=TrainSettings(epochs=1, min_steps=1, batch=16))
DEEP = DeepCrfSettings(
    crf=DeepCRF(hidden=8, weight=2.0, inference=MeanField(iterations=3)), steps=6, batch=16, least_edges=20,
    forced=True,
)  # fmt: skip
DECONV = DeconvSettings(width=4, stages=1, steps=6, batch=2, crop=8, lr=0.02, strengths=(4.0,), forced=True)
WHOLE = RunSettings(method="deep-crf", method_settings=NETWORK, refiner_settings={"deep-crf": DEEP, "deconv": DECONV})


@pytest.fixture
def write(files: Words, tmp_path: Path) -> Write:
    """Write the record of a run of cube.npy with these settings; the words that start from it."""

    def write(name: str, settings: RunSettings) -> Words:
        inputs = {"scene": "cube.npy", "labels": "gt.npy"}
        record = {"format": 3, "settings": settings.to_json(), "inputs": inputs}
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
        return ("--from", f"{name}.json")

    return write


def test_help_names_methods_refiners_and_how_to_chain_them(hyperseg: Hyperseg) -> None:
    answer = hyperseg("classify", "--method", "deep-crf", "--help")
    assert answer.code == 0
    text = " ".join(answer.out.split())
    for words in (
        f"[{'|'.join(name for name in METHODS if 'scene' in METHODS[name].takes)}|zoo:NAME]",
        "[trees|dense-crf|deep-crf|deconv|temperature|sieve|none]",
        "--refine deep-crf --refine deconv",
        "Settings of deep-crf and deconv: --groups",
        "--joint / --piecewise",
        f"--groups [{'|'.join(get_args(Cut))}]",
    ):
        assert words in text, words


def test_the_method_with_its_refiners_and_the_run_repeated_and_applied(
    hyperseg: Hyperseg, write: Write, tmp_path: Path
) -> None:
    answer = hyperseg("classify", *write("deep", WHOLE), *SHORT, "--out", "one")
    assert answer.code == 0, answer.err
    metrics = json.loads((tmp_path / "one" / "metrics.json").read_text())
    controls, deep, deconv = ("unary + dense-crf", "unary + trees"), "unary + deep-crf", "unary + deep-crf + deconv"
    assert list(metrics["steps"]) == ["lda", "unary", *controls, deep, deconv]
    for step in (*controls, deep, deconv):
        assert step in answer.out
    record = json.loads((tmp_path / "one" / "run.json").read_text())
    settings = record["settings"]
    assert (settings["method"], settings["refine"]) == ("deep-crf", ["deep-crf", "deconv"])
    assert record["chain"] == ["unary", "deep-crf", "deconv"]
    again = hyperseg("classify", "--from", "one/run.json", "--quiet", "--no-pictures", "--out", "two")
    assert again.code == 0, again.err
    for name in ("map.tif", "model.safetensors", "run.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    mapped = hyperseg("map", "one", "cube.npy", "--refine", "--out", "m.tif", "--quiet")
    assert mapped.code == 0, mapped.err
    assert (read_map(tmp_path / "m.tif")[0] == read_map(tmp_path / "one" / "map.tif")[0]).all()


def test_refiners_are_applied_in_the_order_of_the_words(hyperseg: Hyperseg, write: Write, tmp_path: Path) -> None:
    chain = {"deconv": DECONV, "deep-crf": replace(DEEP, features=NETWORK)}
    words = write("svm", RunSettings(method="svm", refine=tuple(chain), refiner_settings=chain))
    answer = hyperseg("classify", *words, *SHORT, "--refine", "deep-crf", "--refine", "deconv", "--out", "r")
    assert answer.code == 0, answer.err
    metrics = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert list(metrics["steps"]) == ["lda", "svm", "svm + deep-crf", "svm + deep-crf + deconv"]
    assert metrics["chain"] == ["svm", "deep-crf", "deconv"]


def test_the_options_are_the_settings(files: Words, started: halting.Started) -> None:
    plain, deep, unrefined, none, chain, joint, piecewise, groups = (
        RunSettings.from_json(started(*files, *words.split())["settings"])
        for words in (
            "",
            "--method deep-crf",
            "--method deep-crf --refine none",
            "--refine none",
            "--refine deconv --refine dense-crf",
            "--method deep-crf --joint --groups correlation --window 5",
            "--method deep-crf --piecewise",
            "--refine deconv --groups equal",
        )
    )
    assert plain.refine == USUAL
    assert (deep.refine, deep.chosen.step_name) == (("deep-crf", "deconv"), "unary")
    assert (unrefined.refine, none.refine) == ((), ())
    assert chain.refine == ("deconv", "dense-crf")
    assert joint.refiner_settings["deep-crf"] == DeepCrfSettings(joint=True)
    assert joint.refiner_settings["deconv"] == DeconvSettings(groups="correlation")
    assert joint.method_settings == BandGroupSettings(groups="correlation", window=5)
    assert piecewise == deep
    assert groups.refiner_settings["deconv"].groups == "equal"


def test_options_beside_a_record_win_and_another_method_has_its_own_refiners(
    write: Write, started: halting.Started
) -> None:
    chosen = RunSettings(refine=("deconv",), refiner_settings={"deconv": DECONV})
    joint = {"deep-crf": replace(DEEP, joint=True), "deconv": DECONV}
    write("plain", RunSettings())
    write("chosen", chosen)
    write("deep", replace(WHOLE, refiner_settings=joint))
    expected = {
        "chosen.json": ("cnn3d", ("deconv",)),
        "chosen.json --method cnn3d": ("cnn3d", ("deconv",)),
        "chosen.json --method deep-crf": ("deep-crf", ("deep-crf", "deconv")),
        "chosen.json --method svm": ("svm", USUAL),
        "chosen.json --method svm --refine deconv": ("svm", ("deconv",)),
        "chosen.json --refine none": ("cnn3d", ()),
        "deep.json": ("deep-crf", ("deep-crf", "deconv")),
        "deep.json --method ssrn": ("ssrn", USUAL),
        "deep.json --method gan --variant spa": ("gan", USUAL),
        "deep.json --piecewise": ("deep-crf", ("deep-crf", "deconv")),
        "plain.json --method deep-crf": ("deep-crf", ("deep-crf", "deconv")),
    }
    found = {words: RunSettings.from_json(started("--from", *words.split())["settings"]) for words in expected}
    assert {words: (s.method, s.refine) for words, s in found.items()} == expected
    assert found["chosen.json"] == replace(chosen, baselines=("halt",))
    assert found["chosen.json --method svm --refine deconv"].refiner_settings == {"deconv": DECONV}
    assert found["deep.json"].refiner_settings == joint
    assert found["deep.json --piecewise"].refiner_settings == WHOLE.refiner_settings


@pytest.mark.usefixtures("stop")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--refine none --refine dense-crf", "--refine none stands alone, got none, dense-crf."),
        ("--refine deep-crf --refine none", "--refine none stands alone, got deep-crf, none."),
        ("--refine deep-crf --refine deep-crf", "every refiner once: got deep-crf, deep-crf."),
        ("--refine polish", "'polish'"),
        ("--method deep-crf --refine dense-crf", "name deep-crf among them"),
        ("--baseline deep-crf", "deep-crf is no baseline"),
        ("--method svm --refine deep-crf --joint", "number 1 after svm"),
        ("--method gan --variant spa --refine deep-crf --joint", "number 1 after gan"),
        ("--refine dense-crf --refine deep-crf --joint", "number 2 after cnn3d"),
        ("--method deep-crf --groups gaps", "wavelength"),
    ],
)
def test_words_that_are_no_good(hyperseg: Hyperseg, files: Words, tmp_path: Path, words: str, said: str) -> None:
    """Told before the first training, which `halt` would stop with another exit code."""
    before = sorted(p.name for p in tmp_path.iterdir())
    answer = hyperseg("classify", *files, "--split", "random_per_class:8", *words.split(), *halting.UNTRAINED)
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert sorted(p.name for p in tmp_path.iterdir()) == before

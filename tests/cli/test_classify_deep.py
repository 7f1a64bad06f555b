"""`hyperseg classify --method deep-crf` and chains of refiners, from the command line to the record and back."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from hyperseg.cli import classify as command
from hyperseg.crf.settings import DeepCRF, MeanField
from hyperseg.data.bands.groups import Cut
from hyperseg.io.write import read_map
from hyperseg.recipes.refiners.deconv import DeconvSettings
from hyperseg.recipes.refiners.deep_crf import DeepCrfSettings
from hyperseg.recipes.run import classify as recipe
from hyperseg.recipes.run import outputs
from hyperseg.recipes.run.settings import METHODS, REFINERS, ClassifySettings
from hyperseg.recipes.training.joint import JointSettings

Words = tuple[str, ...]
QUICK = ("--repeats", "1", "--epochs", "1", "--split", "random_per_class:8", "--baseline", "lda", "--quiet")
TINY = ClassifySettings(
    deep=DeepCrfSettings(
        crf=DeepCRF(hidden=8, weight=2.0, inference=MeanField(iterations=3)),
        steps=6, batch=16, least_edges=20, forced=True, joint=JointSettings(steps=0, batch=8, half=2),
    ),
    deconv=DeconvSettings(width=4, stages=1, steps=6, batch=2, crop=8, lr=0.02, strengths=(4.0,), forced=True),
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than these runs."""
    from matplotlib.image import imsave

    png = io.BytesIO()
    imsave(png, [[0.0, 1.0]], format="png")
    monkeypatch.setattr(outputs, "draw_figures", lambda *a, **k: {"map": png.getvalue()})


@pytest.fixture
def tiny(tmp_path: Path) -> Words:
    """Words that start a run from a record whose refiners are small."""
    settings = replace(TINY, train=replace(TINY.train, batch=16, window=5))
    record = {"settings": settings.to_json(), "inputs": {"scene": "cube.npy", "labels": "gt.npy"}}
    (tmp_path / "tiny.json").write_text(json.dumps(record))
    return ("--from", "tiny.json", *QUICK)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[ClassifySettings]:
    """What every run is started with; none is trained."""
    found: list[ClassifySettings] = []

    def stop(scene: Any, settings: ClassifySettings, **_: Any) -> Any:
        found.append(settings)
        raise KeyboardInterrupt

    monkeypatch.setattr(recipe, "classify", stop)
    return found


def test_the_words_of_the_command_are_those_of_the_settings() -> None:
    assert command.METHODS == METHODS
    assert command.REFINERS == REFINERS


def test_help_names_methods_refiners_and_how_to_chain_them(hyperseg: Any) -> None:
    answer = hyperseg("classify", "--help")
    assert answer.code == 0
    text = " ".join(answer.out.split())
    for words in (
        "[cnn3d|ssrn|hybrid|gan|twin|deep-crf|svm|rf]",
        "[dense-crf|deep-crf|deconv|none]",
        "--refine deep-crf --refine deconv",
        "[default: dense-crf; of --method deep-crf: deep-crf, deconv]",
        "hyperseg classify indian-pines --method deep-crf",
        "--joint / --piecewise",
        f"--groups [{'|'.join(get_args(Cut))}]",
    ):
        assert words in text, words


def test_the_method_with_its_refiners_and_the_run_repeated_and_applied(
    hyperseg: Any, files: Words, tiny: Words, tmp_path: Path
) -> None:
    answer = hyperseg("classify", *tiny, "--method", "deep-crf", "--out", "one")
    assert answer.code == 0, answer.err
    metrics = json.loads((tmp_path / "one" / "metrics.json").read_text())
    control, deep, deconv = "unary + dense-crf", "unary + deep-crf", "unary + deep-crf + deconv"
    assert list(metrics["steps"]) == ["lda", "unary", control, deep, deconv]
    for step in (control, deep, deconv):
        assert step in answer.out
    record = json.loads((tmp_path / "one" / "run.json").read_text())
    assert (record["settings"]["method"], record["settings"]["refine"]) == ("deep-crf", None)
    assert record["chain"] == ["unary", "deep-crf", "deconv"]
    again = hyperseg("classify", "--from", "one/run.json", "--quiet", "--out", "two")
    assert again.code == 0, again.err
    for name in ("map.tif", "model.safetensors", "run.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    mapped = hyperseg("map", "one", "cube.npy", "--refine", "--out", "m.tif", "--quiet")
    assert mapped.code == 0, mapped.err
    assert (read_map(tmp_path / "m.tif")[0] == read_map(tmp_path / "one" / "map.tif")[0]).all()


def test_refiners_are_applied_in_the_order_of_the_words(
    hyperseg: Any, files: Words, tiny: Words, tmp_path: Path
) -> None:
    words = ("--method", "svm", "--refine", "deep-crf", "--refine", "deconv", "--out", "r")
    answer = hyperseg("classify", *tiny, *words)
    assert answer.code == 0, answer.err
    metrics = json.loads((tmp_path / "r" / "metrics.json").read_text())
    assert list(metrics["steps"]) == ["lda", "svm", "svm + deep-crf", "svm + deep-crf + deconv"]
    assert metrics["chain"] == ["svm", "deep-crf", "deconv"]


def test_the_options_are_the_settings(hyperseg: Any, files: Words, started: list[ClassifySettings]) -> None:
    for words in (
        "",
        "--method deep-crf",
        "--method deep-crf --refine none",
        "--refine none",
        "--refine deconv --refine dense-crf",
        "--method deep-crf --joint --groups correlation --window 5",
        "--method deep-crf --piecewise",
        "--refine deconv --groups equal",
    ):
        hyperseg("classify", *files, *words.split())
    plain, deep, unrefined, none, chain, joint, piecewise, groups = started
    assert (plain.refine, plain.refiners) == (None, ("dense-crf",))
    assert (deep.refine, deep.refiners, deep.base) == (None, ("deep-crf", "deconv"), "unary")
    assert (unrefined.refine, none.refine) == ((), ())
    assert chain.refine == ("deconv", "dense-crf")
    assert joint.deep.joint.steps == command.JOINT_STEPS > 0
    assert (joint.train.groups, joint.deconv.groups, joint.train.window) == ("correlation", "correlation", 5)
    assert replace(joint.deep, joint=deep.deep.joint) == deep.deep
    assert piecewise == deep
    assert groups.deconv.groups == "equal"


def test_options_beside_a_record_win_and_another_method_has_its_own_refiners(
    hyperseg: Any, files: Words, tmp_path: Path, started: list[ClassifySettings]
) -> None:
    inputs = {"scene": "cube.npy", "labels": "gt.npy"}
    chosen = replace(TINY, refine=("deconv",))
    joint = replace(TINY.deep, joint=JointSettings(steps=40))
    for name, settings in (
        ("plain", TINY), ("chosen", chosen), ("deep", replace(TINY, method="deep-crf", deep=joint)),
    ):  # fmt: skip
        record = {"settings": settings.to_json(), "inputs": inputs}
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    for words in (
        "chosen.json",
        "chosen.json --method cnn3d",
        "chosen.json --method deep-crf",
        "chosen.json --method svm",
        "chosen.json --method svm --refine deconv",
        "chosen.json --refine none",
        "deep.json",
        "deep.json --method ssrn",
        "deep.json --method gan",
        "deep.json --piecewise",
        "plain.json --method deep-crf",
    ):
        answer = hyperseg("classify", "--from", *words.split())
        assert answer.code == 130 or started, (words, answer.err)
    found = [(s.method, s.refiners) for s in started]
    assert found == [
        ("cnn3d", ("deconv",)),
        ("cnn3d", ("deconv",)),
        ("deep-crf", ("deep-crf", "deconv")),
        ("svm", ("dense-crf",)),
        ("svm", ("deconv",)),
        ("cnn3d", ()),
        ("deep-crf", ("deep-crf", "deconv")),
        ("ssrn", ("dense-crf",)),
        ("gan", ("dense-crf",)),
        ("deep-crf", ("deep-crf", "deconv")),
        ("deep-crf", ("deep-crf", "deconv")),
    ]
    assert started[0] == chosen
    assert [s.deep.joint.steps for s in started[6:10]] == [40, 40, 40, 0]
    assert started[9].deep == replace(joint, joint=replace(joint.joint, steps=0))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--refine none --refine dense-crf", "--refine none stands alone, got none, dense-crf."),
        ("--refine deep-crf --refine none", "--refine none stands alone, got deep-crf, none."),
        ("--refine deep-crf --refine deep-crf", "every refiner once: got deep-crf, deep-crf."),
        ("--refine polish", "'polish'"),
        ("--method deep-crf --refine dense-crf", "name deep-crf among them"),
        ("--joint", "--joint: only with --method deep-crf or --refine deep-crf."),
        ("--method svm --refine deep-crf --joint", "number 1 after svm"),
        ("--method gan --refine deep-crf --joint", "number 1 after gan"),
        ("--refine dense-crf --refine deep-crf --joint", "number 2 after cnn3d"),
        ("--groups equal", "--groups: only with --method deep-crf or --refine deconv."),
        ("--method deep-crf --groups gaps", "wavelength"),
    ],
)
def test_words_that_are_no_good(
    hyperseg: Any, files: Words, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, said: str
) -> None:
    monkeypatch.setattr(recipe, "_run_repeat", lambda *a, **k: pytest.fail("training started"))
    before = sorted(p.name for p in tmp_path.iterdir())
    answer = hyperseg("classify", *files, "--split", "random_per_class:8", *words.split(), "--quiet")
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err
    assert sorted(p.name for p in tmp_path.iterdir()) == before

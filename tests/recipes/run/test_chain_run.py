"""Runs with refiners in a chain: what they measure, that nothing before them moves, and what is read back."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import EAGER, line, stopping
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, LabelError, RunError, Scene, SegmentationMap, SettingError, Split
from hyperseg.core.parts import Arrays, Context, unprefixed
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed, find_leaf
from hyperseg.core.task import Task
from hyperseg.core.tiles import around
from hyperseg.crf.settings import DeepCRF, MeanField
from hyperseg.data.augment import SpectralNoise
from hyperseg.data.splits.folds import folds
from hyperseg.engine import choose_precision, window_features
from hyperseg.io.read import read_scene
from hyperseg.io.write import read_map
from hyperseg.recipes.mapping.apply import apply_run
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.methods.band_groups import BAND_GROUPS
from hyperseg.recipes.refiners import REFINERS
from hyperseg.recipes.refiners.deconv import DECONV as DECONV_REFINER
from hyperseg.recipes.refiners.deconv import DeconvSettings
from hyperseg.recipes.refiners.deep_crf import DeepCrfSettings, JointSettings
from hyperseg.recipes.refiners.held_out import cross_fitted
from hyperseg.recipes.run.classify import check_parts, draw_split
from hyperseg.recipes.run.folder import Interrupted
from hyperseg.recipes.run.inputs import Masks
from hyperseg.recipes.run.record import load_model
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.recipes.run.steps import Outcome, fitted_parts
from hyperseg.recipes.training.pairwise import FEW

# both refiners change the map whatever validation pixels say
DEEP = DeepCrfSettings(
    crf=DeepCRF(hidden=8, weight=3.0, inference=MeanField(iterations=4, damping=0.2)),
    steps=8, batch=32, lr=0.02, least_edges=20, forced=True,
)  # fmt: skip
JOINT = replace(DEEP, joint=True, through=JointSettings(steps=8, batch=8, half=2, lr=5e-3))
DECONV = DeconvSettings(width=4, stages=1, steps=20, batch=4, crop=8, lr=0.03, strengths=(8.0,), forced=True)
BOTH, SAME = ("deep-crf", "deconv"), ("map.tif", "confidence.tif", "model.safetensors", "run.json")


def tiny(
    method: str = "cnn3d",
    refine: tuple[str, ...] | None = None,
    *,
    deep: DeepCrfSettings = DEEP,
    deconv: DeconvSettings = DECONV,
    **options: Any,
) -> RunSettings:
    """A run of a second; with 20 labels a class the heads see classes meet, and are trusted."""
    found = RunSettings(
        method, refine=refine, **{"split": "random_per_class:20", "baselines": (), "repeats": 1} | options
    )
    short = {"window": 5, "epochs": 1, "min_steps": 1, "batch": 16, "lr": 5e-3, "group_length": 6, "variant": "spa"}
    of_method = {k: v for k, v in short.items() if find_leaf(found.method_settings, k)}
    if not found.chosen.has_features:
        deep = replace(deep, features=changed(deep.features, {"window": 5, "epochs": 1, "min_steps": 1}))
    given = {"deep-crf": deep, "deconv": deconv}
    return replace(
        found, method_settings=changed(found.method_settings, of_method),
        refiner_settings={name: given.get(name, s) for name, s in found.refiner_settings.items()},
    )  # fmt: skip


def task_of(scene: Scene, settings: RunSettings, masks: Masks | None = None) -> Task:
    return Task((scene,), (draw_split(scene, settings, masks or Masks(), repeat=0),))


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, metrics.json, what it made, and the tensors of its folder."""

    folder: Path
    metrics: dict[str, Any]
    made: Outcome

    @property
    def tensors(self) -> Arrays:
        return load_model(self.folder)[0]


def ran(run: Any, scene: Scene, settings: RunSettings, out: Path, **options: Any) -> Run:
    """Dense CRFs always change the map."""
    made: list[Outcome] = []
    with line(REFINERS, "dense-crf", EAGER):
        folder = run(scene, settings, out, on_repeat=lambda n, outcome: made.append(outcome), **options)
    return Run(folder, json.loads((folder / "metrics.json").read_text()), *made)


@pytest.fixture(scope="module")
def whole(toy: Scene, run: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`deep-crf` with the refiners it brings, beside a baseline."""
    return ran(run, toy, tiny("deep-crf", baselines=("lda",)), tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture(scope="module")
def joint(toy: Scene, run: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A network whose deep CRF is trained jointly with a copy of it."""
    return ran(run, toy, tiny(refine=("deep-crf",), deep=JOINT), tmp_path_factory.mktemp("runs") / "joint")


def chain_of(path: Path) -> str:
    """What the GeoTIFF itself says about how it was made."""
    import rasterio

    with rasterio.open(path) as file:
        return str(file.tags()["made_by"])


def test_every_step_is_measured_and_the_control_beside_them(whole: Run, toy: Scene) -> None:
    found, last = whole.metrics, "unary + deep-crf + deconv"
    roles = {
        "lda": "baseline", "unary": "network", "unary + dense-crf": "control", "unary + trees": "control",
        "unary + deep-crf": "refined", last: "refined",
    }  # fmt: skip
    assert {name: step["role"] for name, step in found["steps"].items()} == roles
    assert list(found["steps"]) == list(roles)
    assert found["steps"][last]["by"] == "The deconvolution refiner"
    assert found["chain"] == ["unary", *BOTH]
    assert chain_of(whole.folder / "map.tif") == found["final"] == last
    assert found["OA"] == found["steps"][last]["OA"]
    assert set(found["steps"]) - {"lda"} < set(found["times_s"])
    deep, deconv = found["refiners"]
    assert (deep["name"], deconv["name"]) == BOTH
    for table in deep["class_table"].values():
        assert np.shape(table) == (3, 3)
        assert np.sum(table) == pytest.approx(1.0, abs=1e-6)
    assert deep["nodes_per_class"] == dict.fromkeys(toy.classes, 20)
    assert deep["heads_trusted"]
    assert sum(c["changed"] for c in deep["changes"]) > 0
    assert sum(c["changed"] for c in deconv["changes"]) > 0
    # whole bands of 16, no group longer than asked for by the unary network
    network = load_model(whole.folder)[1]["model"]["model"]["spec"]
    assert network["stage"] == "groups"
    assert network["groups"][0][0] == 0
    assert network["groups"][-1][1] == 16
    assert max(b - a for a, b in network["groups"]) <= 6
    # decisions look at the network's window, then as far as the deconvolution network reads
    sizes = [found["steps"][name]["leak"]["window"] for name in list(found["steps"])[1:]]
    assert sizes[:4] == [5, 5, 5, 5]
    assert sizes[4] > 5


def test_a_later_part_leaves_the_earlier_ones_alone(
    whole: Run, joint: Run, toy: Scene, run: Any, tmp_path: Path
) -> None:
    """Bit for bit, batch statistics too; joint training trains a copy, which is stored beside the network."""
    for done, settings in (
        (whole, tiny("deep-crf", ())), (whole, tiny("deep-crf", ("deep-crf",))), (joint, tiny(refine=())),
    ):  # fmt: skip
        after = done.tensors
        kept = len(settings.refine or ())
        before = ran(run, toy, settings, tmp_path / f"{settings.method}{kept}").tensors
        assert any("running" in name for name in before)
        assert all(after[name].tobytes() == value.tobytes() for name, value in before.items())
        assert all(name > f"refiner{kept}" for name in after.keys() - before.keys())
    own, base = unprefixed("refiner0.own.network", after), unprefixed("model.network", before)
    assert own.keys() == base.keys()
    moved = [k for k in base if own[k].tobytes() != base[k].tobytes()]
    assert any("running" in name for name in moved)
    assert any("head" in name for name in moved)


def again(done: Run, scene: Scene, out: Path, *, refine: bool) -> NDArray[np.int16]:
    return read_map(apply_run(done.folder, scene, out=out, refine=refine, device="cpu", quiet=True, overwrite=True))[0]


def check_applied(done: Run, toy: Scene, tmp_path: Path) -> None:
    """Its own scene gives the run's own map and chain; without refiners that of the method alone."""
    refined = again(done, toy, tmp_path / "refined.tif", refine=True)
    rough = again(done, toy, tmp_path / "rough.tif", refine=False)
    np.testing.assert_array_equal(refined, read_map(done.folder / "map.tif")[0])
    np.testing.assert_array_equal(rough, done.made.base.step.map.labels())
    assert (refined != rough).any()
    assert chain_of(tmp_path / "refined.tif") == chain_of(done.folder / "map.tif")
    assert chain_of(tmp_path / "rough.tif") == done.metrics["chain"][0]


def test_runs_of_the_method_and_jointly_trained_ones_are_read_back(
    whole: Run, joint: Run, toy: Scene, tmp_path: Path
) -> None:
    check_applied(whole, toy, tmp_path)
    check_applied(joint, toy, tmp_path)


@pytest.mark.parametrize(
    ("method", "refiners"),
    [
        ("cnn3d", ("deep-crf", "dense-crf")), ("cnn3d", ("dense-crf", "deconv", "deep-crf")),
        ("deep-crf", ("dense-crf", "deep-crf")),
    ],
)  # fmt: skip
def test_refiners_in_any_order_are_read_back(
    toy: Scene, run: Any, tmp_path: Path, method: str, refiners: tuple[str, ...]
) -> None:
    """And a chain that does not begin as the method's own has no control."""
    done = ran(run, toy, tiny(method, refiners), tmp_path / "r")
    chain = [METHODS[method].step_name, *refiners]
    assert done.metrics["chain"] == chain
    assert list(done.metrics["steps"]) == [" + ".join(chain[: n + 1]) for n in range(len(chain))]
    check_applied(done, toy, tmp_path)


def test_heads_that_never_saw_two_classes_meet_in_both_directions_are_not_used(
    toy: Scene, run: Any, tmp_path: Path
) -> None:
    rows, columns = np.indices(toy.shape) // 3
    for name, labels, trusted in (("stripes", columns % 3, False), ("blocks", (rows + columns) % 3, True)):
        scene = toy.with_(labels=labels.astype(np.int16), name=name)
        folder = run(scene, tiny(refine=("deep-crf",), split="random_fraction:0.5"), tmp_path / name)
        (found,) = json.loads((folder / "metrics.json").read_text())["refiners"]
        fewest = min(n["different"] for n in found["pairs"].values())
        assert found["heads_trusted"] == trusted == (fewest >= FEW)
        assert found["settings"]["heads"] == float(trusted)
        record = json.loads((folder / "run.json").read_text())["model"]["refiners"][0]["record"]
        assert record["chosen"] == found["settings"]


def test_after_an_svm_the_deep_crf_brings_its_own_network(toy: Scene, run: Any, tmp_path: Path) -> None:
    settings = tiny("svm", BOTH)
    features = settings.refiner_settings["deep-crf"].features
    done = ran(run, toy, settings, tmp_path / "r")
    check_applied(done, toy, tmp_path)
    tensors, record = load_model(done.folder)
    assert record["model"]["refiners"][0]["record"]["own"]["spec"]["stage"] == "groups"
    runtime = Runtime(precision=choose_precision("cpu"), quiet=True)
    alone = weights(BAND_GROUPS.fit(task_of(toy, settings), features, runtime))
    assert {name: value.tobytes() for name, value in unprefixed("refiner0.own", tensors).items()} == alone
    # the features look at 5 x 5 pixels, the SVM at one
    assert [done.metrics["steps"][s]["leak"]["window"] for s in ("svm", "svm + deep-crf")] == [1, 5]


@pytest.mark.parametrize("deep", [DEEP, JOINT])
def test_a_refiner_that_helps_nowhere_leaves_the_map_of_the_method(
    toy: Scene, run: Any, tmp_path: Path, deep: DeepCrfSettings, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where joint training has changed the unary potentials: two steps far too long spoil the heads."""
    harmful = replace(deep, forced=False, weights=(2.0, 4.0), heads=(1.0, 0.5), steps=2, lr=20.0)
    done = ran(run, toy, tiny(refine=("deep-crf",), deep=harmful), tmp_path / "r")
    (found,), base = done.metrics["refiners"], done.made.base.step.map
    assert done.metrics["chain"] == ["cnn3d"]
    assert found["settings"] is None
    alone, *tried = found["table"]
    assert (alone["settings"], alone["changed"]) == (None, 0)
    assert toy.labels is not None
    val = task_of(toy, tiny()).split.val  # what is left alone is the method's own map
    likelihood = np.log(np.take_along_axis(base.probs[val], toy.labels[val][:, None].astype(int), 1)).mean()
    assert alone["log_likelihood"] == pytest.approx(likelihood)
    pairs = [(w, h) for h in harmful.heads for w in harmful.weights]
    asked = [(row["settings"]["weight"], row["settings"]["heads"]) for row in tried]
    assert asked == [(3.0, 1.0), *pairs]  # the usual one first
    assert done.made.final.map is base
    np.testing.assert_array_equal(read_map(done.folder / "map.tif")[0], base.labels())
    with caplog.at_level(logging.INFO):
        refined = again(done, toy, tmp_path / "m.tif", refine=True)
    assert "refined" not in caplog.text
    np.testing.assert_array_equal(refined, base.labels())


@pytest.mark.parametrize("stride", [1, 2])
def test_a_scene_with_gaps(toy: Scene, run: Any, tmp_path: Path, stride: int) -> None:
    """No class where there is no data, and the same map from a file."""
    assert toy.labels is not None
    gaps = np.zeros(toy.shape, bool)
    gaps[2:7, 9:] = gaps[20, 3] = True
    np.save(tmp_path / "gaps.npy", np.where(gaps[..., None], np.nan, np.asarray(toy.cube)))
    labels = np.where(gaps, UNLABELLED, toy.labels).astype(np.int16)
    known = {"labels": labels, "classes": toy.classes, "colours": toy.colours}
    scene = read_scene(tmp_path / "gaps.npy").with_(**known)
    settings = tiny("deep-crf", deep=replace(DEEP, crf=replace(DEEP.crf, stride=stride)))
    done = ran(run, scene, settings, tmp_path / "r")
    labels = read_map(done.folder / "map.tif")[0]
    np.testing.assert_array_equal(labels == UNLABELLED, gaps)
    np.testing.assert_array_equal(again(done, scene, tmp_path / "m.tif", refine=True), labels)


def test_features_do_not_depend_on_the_windows(whole: Run, toy: Scene) -> None:
    """They come from a grid of cells: those of the network on the whole scene, and the same ones in every window."""
    wide = Scene(np.tile(np.asarray(toy.cube), (1, 8, 1)))  # 168 columns: more than a cell
    model: Any = whole.made.base.model
    network, preprocess = model.lean
    window = ((0, 24), (0, 168))
    found = model.features(wide, Runtime(quiet=True))(window)
    everything = around(window, wide.shape, halo=model.margin_px)
    at_once = window_features(network, wide, preprocess, everything, device="cpu")
    torch.testing.assert_close(found, at_once, atol=1e-5, rtol=1e-4)
    part = model.features(wide, Runtime(quiet=True))(((3, 9), (120, 140)))
    assert torch.equal(part, found[:, 3:9, 120:140])


def divided(toy: Scene, *, mixed: bool) -> Split:
    """Every second labelled pixel; or training on the left, test on the right, where none sees one of the others."""
    assert toy.labels is not None
    column = np.indices(toy.shape)[1]
    odd = np.indices(toy.shape).sum(0) % 2 == 1
    train, test = (odd, ~odd) if mixed else (column < 8, column >= 16)
    known = toy.labels >= 0
    return Split(known & train, np.zeros(toy.shape, bool), known & test, "divided", 0)


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize("mixed", [False, True])
def test_held_out_parts_are_the_training_pixels_and_mapped_without_them(
    whole: Run, toy: Scene, tmp_path: Path, mixed: bool, parts: int
) -> None:
    """Apart where test pixels lie apart from training pixels, scattered where they do not."""
    task, asked = Task((toy,), (divided(toy, mixed=mixed),)), []

    def mapped(split: Split, runtime: Runtime) -> SegmentationMap:
        asked.append((split, runtime))
        return SegmentationMap(np.full((*toy.shape, 3), len(asked), np.float32), toy.classes, toy.colours)

    runtime = Runtime(3, checkpoints=tmp_path / "train0", tag="repeat 1/1", quiet=True)
    found = cross_fitted(task, Context(whole.made.base.model, runtime, mapped), parts)
    assert toy.labels is not None
    wanted = folds(task.split, toy.labels, parts, apart=not mixed)
    other = folds(task.split, toy.labels, parts, apart=mixed)
    np.testing.assert_array_equal([part for part, _ in found], wanted)
    assert not np.array_equal(wanted, other)
    np.testing.assert_array_equal(np.sum(wanted, 0), task.split.train.astype(int))
    for i, ((part, map), (rest, inner)) in enumerate(zip(found, asked, strict=True)):
        np.testing.assert_array_equal(rest.train, task.split.train & ~part)
        assert part.any()
        assert rest.train.any()
        np.testing.assert_array_equal(rest.val, task.split.val)
        assert map.probs[0, 0, 0] == i + 1
        assert replace(inner, tag=runtime.tag, checkpoints=runtime.checkpoints) == runtime
        assert inner.checkpoints.parent == tmp_path
        assert inner.checkpoints.name.startswith("train0-")  # removed with the repeat's other files
    for name in ("tag", "checkpoints"):
        assert len({getattr(r, name) for r in (runtime, *(inner for _, inner in asked))}) == parts + 1


def test_the_deconvolution_learns_from_maps_that_did_not_know_the_pixels(toy: Scene, run: Any, tmp_path: Path) -> None:
    """They are made by the method and the refiners before; what they say changes what is learnt."""
    given: list[Any] = []

    def kept(map: SegmentationMap, task: Task, settings: Any, context: Context) -> Any:
        asked: list[Any] = []

        def again(split: Split, runtime: Runtime) -> SegmentationMap:
            asked.append((split, context.again(split, runtime)))
            return asked[-1][1]

        fitted = DECONV_REFINER.fit(map, task, settings, replace(context, again=again))
        afresh = replace(context.runtime, checkpoints=None)
        unlike = replace(context, again=lambda split, runtime: map, runtime=afresh)
        given.append((map, task.split, asked, fitted, DECONV_REFINER.fit(map, task, settings, unlike)))
        return fitted

    one = replace(DECONV, parts=1)
    with line(REFINERS, "deconv", replace(DECONV_REFINER, fit=kept)):
        ran(run, toy, tiny(refine=BOTH), tmp_path / "two")
        ran(run, toy, tiny(refine=BOTH, deconv=one), tmp_path / "one")
    (map, split, asked, fitted, other), (*_, nothing, alone, same) = given
    assert [made.made_by for _, made in asked] == [("cnn3d", "deep-crf")] * 2
    assert all((made.probs != map.probs).any() for _, made in asked)
    np.testing.assert_array_equal(asked[0][0].train ^ asked[1][0].train, split.train)
    assert weights(fitted) != weights(other)
    # one part: the map as it is, and nothing trained besides
    assert nothing == []
    assert weights(alone) == weights(same)
    assert [f.numbers["held_out_parts"] for f in (fitted, alone)] == [2, 1]


def weights(fitted: Any) -> dict[str, bytes]:
    return {name: value.tobytes() for name, value in fitted.saved().arrays.items()}


def test_interrupted_everywhere_and_resumed_gives_the_same_bytes(toy: Scene, run: Any, tmp_path: Path) -> None:
    settings, out = tiny(refine=BOTH, deep=JOINT), tmp_path / "out"
    whole = run(toy, settings, tmp_path / "whole")
    for n, (where, step, left) in enumerate(
        (
            ("repeat 1/1: deep CRF", 3, "train0-pairwise.pt"),
            ("repeat 1/1: joint", 5, "train0-joint.pt"),
            ("without part 1/2: deep CRF", 8, "train0-without0-pairwise.pt"),
            ("without part 2/2: cnn3d", 11, "train0-without1-cnn3d.pt"),
            ("without part 2/2: joint", 3, "train0-without1-joint.pt"),
            ("repeat 1/1: deconv", 4, "train0-deconvolution.pt"),
        )
    ):
        with pytest.raises(Interrupted):
            run(toy, settings, out, resume=n > 0, on_step=stopping(step, where))
        assert left in {p.name for p in (out / "unfinished").iterdir()}
    # and not with another refiner
    deep = replace(JOINT, crf=replace(JOINT.crf, inference=MeanField(iterations=5, damping=0.2)))
    for changed_, said in (
        (tiny(refine=BOTH, deep=deep), r"deep-crf\.crf\.inference\.iterations 4 \(now 5\)"),
        (tiny(refine=BOTH, deep=JOINT, deconv=replace(DECONV, fuse="mean")), r"deconv\.fuse conv \(now mean\)"),
        (tiny(refine=("deep-crf",), deep=JOINT), r"settings\.refine"),
    ):
        with pytest.raises(RunError, match=said):
            run(toy, changed_, out, resume=True)
    run(toy, settings, out, resume=True)
    for name in SAME:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    assert not (out / "unfinished").exists()


def test_settings_survive_json(whole: Run) -> None:
    record = json.loads((whole.folder / "run.json").read_text())
    assert record["chain"] == ["unary", *BOTH]
    assert RunSettings.from_json(record["settings"]) == tiny("deep-crf", baselines=("lda",))
    settings = tiny(
        "deep-crf", ("deep-crf", "dense-crf", "deconv"),
        deep=replace(
            JOINT, weights=(0.25,), heads=(0.5, 0.0), same_share=0.4,
            crf=DeepCRF(form="joint", radius=2, inference=MeanField(5, "checkerboard", 0.5)),
            through=JointSettings(steps=3, noise=SpectralNoise(gain=0.2)),
        ),
        deconv=replace(DECONV, strengths=(0.3,), groups="correlation", noise=SpectralNoise(drift=0.1)),
    )  # fmt: skip
    written = json.loads(json.dumps(settings.to_json()))
    assert RunSettings.from_json(written) == settings
    written["refiner_settings"]["deep-crf"]["crf"]["stride"] = 3
    with pytest.raises(SettingError, match="1, 2, 4"):
        RunSettings.from_json(written)


def test_refiners_of_a_method() -> None:
    assert RunSettings().refine == ("trees", "temperature")
    assert RunSettings(method="deep-crf").refine == BOTH
    assert RunSettings(method="deep-crf", refine=()).refine == ()
    assert [m.step_name for _, m, _ in fitted_parts(RunSettings(method="deep-crf"))] == ["svm", "unary"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"refine": ("polish",)}, "unknown refiner 'polish'"),
        ({"refine": ("deconv", "dense-crf", "deconv")}, "every refiner once"),
        ({"method": "deep-crf", "refine": ("dense-crf",)}, "name deep-crf among them"),
        ({"refiner_settings": {"deep-crf": JOINT}}, "settings of deep-crf are given, which is not among"),
        ({"refine": ("deep-crf",), "refiner_settings": {"deep-crf": DECONV}}, "class DeepCrfSettings"),
        ({"method": "gan", "refine": ("deep-crf",)}, "number 1 after gan"),
        ({"method": "svm", "refine": ("deep-crf",)}, "number 1 after svm"),
        ({"refine": ("dense-crf", "deep-crf")}, "number 2 after cnn3d"),
        ({"refine": ("deep-crf",), "deep": replace(JOINT, crf=DeepCRF(stride=2))}, "with a stride of 2"),
    ],
)
def test_chains_that_cannot_be_are_refused_at_once(toy: Scene, options: Any, said: str) -> None:
    def refused() -> None:
        settings = tiny(**{"deep": JOINT} | options)
        check_parts(task_of(toy, settings), settings)

    with pytest.raises(SettingError, match=said):
        refused()


def far_apart(toy: Scene) -> Masks:
    """Two training pixels of two classes, a corner each."""
    assert toy.labels is not None
    train = np.zeros(toy.shape, bool)
    for k in range(2):
        places = np.argwhere(toy.labels == k)
        train[tuple(places[np.argmax(places.sum(1)) if k else np.argmin(places.sum(1))])] = True
    return Masks(train=train, test=(toy.labels >= 0) & ~train)


def test_the_published_form_refuses_labels_too_far_apart_before_training(toy: Scene, run: Any, tmp_path: Path) -> None:
    published = replace(DEEP, crf=replace(DEEP.crf, form="joint"))
    settings = tiny(refine=("deep-crf",), deep=published, split="fixed")
    with pytest.raises(LabelError, match="among 2 labelled nodes no two"):
        run(
            toy, settings, tmp_path / "r", masks=far_apart(toy),
            on_step=lambda text, done: pytest.fail("training started"),
        )  # fmt: skip
    assert not (tmp_path / "r").exists()


def test_without_labelled_neighbours_the_table_of_the_map_is_left(toy: Scene, run: Any, tmp_path: Path) -> None:
    done = ran(run, toy, tiny(refine=("deep-crf",), split="fixed"), tmp_path / "r", masks=far_apart(toy))
    (deep,) = done.metrics["refiners"]
    assert (deep["pairs"], deep["heads_trusted"], deep["settings"]["heads"]) == ({}, False, 0.0)
    assert "No two labelled nodes are near each other" in (done.folder / "report.html").read_text()

"""Runs with refiners in a chain: what they measure, that nothing before them moves, and what is read back."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hyperseg.recipes.run.chain import Link, cross_fitted
from hyperseg.recipes.run.make import Job, Made
from numpy.typing import NDArray

from hyperseg.core import UNLABELLED, LabelError, RunError, Scene, SegmentationMap, SettingError, Split
from hyperseg.crf.settings import DeepCRF, DenseCRF, MeanField
from hyperseg.data.augment import SpectralNoise
from hyperseg.gan.settings import Weights
from hyperseg.io.read import read_scene
from hyperseg.io.write import read_map
from hyperseg.recipes.mapping.apply import apply_run
from hyperseg.recipes.refiners import deep_crf as refine_deep
from hyperseg.recipes.refiners import dense_crf as refine
from hyperseg.recipes.refiners.deconv import DeconvSettings
from hyperseg.recipes.refiners.deep_crf import DeepCrfSettings, Encoder, whole_features
from hyperseg.recipes.run import chain, classify
from hyperseg.recipes.run.folder import Interrupted
from hyperseg.recipes.run.record import load_model
from hyperseg.recipes.run.settings import ClassifySettings
from hyperseg.recipes.training import network as train
from hyperseg.recipes.training import one_cycle
from hyperseg.recipes.training.gan import GanSettings
from hyperseg.recipes.training.joint import JointSettings
from hyperseg.recipes.training.network import TrainSettings

# both refiners change the map whatever validation pixels say
DEEP = DeepCrfSettings(
    crf=DeepCRF(hidden=8, weight=3.0, inference=MeanField(iterations=4, damping=0.2)),
    steps=8, batch=32, lr=0.02, least_edges=20, forced=True,
)  # fmt: skip
JOINT = replace(DEEP, joint=JointSettings(steps=8, batch=8, half=2, lr=5e-3))
DECONV = DeconvSettings(width=4, stages=1, steps=6, batch=2, crop=8, lr=0.02, strengths=(4.0,), forced=True)
TINY = ClassifySettings(
    split="random_per_class:8", baselines=(), repeats=1, deep=DEEP, deconv=DECONV,
    train=TrainSettings(window=5, epochs=1, min_steps=1, batch=16, lr=5e-3, group_length=6),
    gan=GanSettings(variant="conv", window=5, maps=2, width=8, epochs=1, min_steps=10, batch=8, pool_batch=4,
                    weights=Weights(1, 1)),
)  # fmt: skip
SAME = ("map.tif", "confidence.tif", "model.safetensors", "run.json")


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, metrics.json, what every method made, and the weights it had then."""

    folder: Path
    metrics: dict[str, Any]
    made: list[Made]
    weights: list[dict[str, NDArray[Any]]]


def state_of(made: Made) -> dict[str, NDArray[Any]]:
    """A copy of all parameters and buffers; none of a classical method."""
    network = getattr(made.model, "network", None)
    return {} if network is None else {k: v.numpy().copy() for k, v in network.state_dict().items()}


@contextmanager
def watched() -> Iterator[tuple[list[Made], list[dict[str, NDArray[Any]]]]]:
    """What is made in runs meanwhile, and the weights at that moment.

    Dense CRFs always change the map, and heads are trusted however little they learnt from.
    """
    made: list[Made] = []
    weights: list[dict[str, NDArray[Any]]] = []
    make_map, tune = classify.make_map, refine.tune

    def kept(job: Job, name: str) -> Made:
        made.append(make_map(job, name))
        weights.append(state_of(made[-1]))
        return made[-1]

    def determined(*given: Any, **options: Any) -> Any:
        return replace(tune(*given, **options), settings=DenseCRF(bilateral_weight=3.0, iterations=3))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classify, "make_map", kept)
        patch.setattr(chain, "make_map", kept)
        patch.setattr(refine, "tune", determined)
        patch.setattr(refine_deep, "NEAR", 99)
        patch.setattr(refine_deep, "FEW", 0)
        yield made, weights


def ran(run: Any, scene: Scene, settings: ClassifySettings, out: Path, **options: Any) -> Run:
    with watched() as (made, weights):
        folder = run(scene, settings, out, **options)
    return Run(folder, json.loads((folder / "metrics.json").read_text()), made, weights)


@pytest.fixture(scope="module")
def whole(toy: Scene, run: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """`deep-crf` with the refiners it brings, beside a baseline."""
    settings = replace(TINY, method="deep-crf", baselines=("lda",))
    return ran(run, toy, settings, tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture(scope="module")
def joint(toy: Scene, run: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A network whose deep CRF is trained jointly with a copy of it."""
    settings = replace(TINY, refine=("deep-crf",), deep=JOINT)
    return ran(run, toy, settings, tmp_path_factory.mktemp("runs") / "joint")


def chain_of(path: Path) -> str:
    """What the GeoTIFF itself says about how it was made."""
    import rasterio

    with rasterio.open(path) as file:
        return str(file.tags()["made_by"])


def test_every_step_is_measured_and_the_control_beside_them(whole: Run, toy: Scene) -> None:
    found = whole.metrics
    assert list(found["steps"]) == [
        "lda", "unary", "unary + dense-crf", "unary + deep-crf", "unary + deep-crf + deconv",
    ]  # fmt: skip
    assert found["chain"] == ["unary", "deep-crf", "deconv"]
    assert chain_of(whole.folder / "map.tif") == "unary + deep-crf + deconv"
    assert found["OA"] == found["steps"]["unary + deep-crf + deconv"]["OA"]
    assert set(found["steps"]) - {"lda"} < set(found["times_s"])
    deep, deconv = found["refiners"]
    assert (deep["name"], deconv["name"]) == ("deep-crf", "deconv")
    for table in deep["class_table"].values():
        assert np.shape(table) == (3, 3)
        assert np.sum(table) == pytest.approx(1.0, abs=1e-6)
    assert deep["nodes_per_class"] == dict.fromkeys(toy.classes, 8)
    assert sum(c["changed"] for c in deep["changes"]) > 0
    assert sum(c["changed"] for c in deconv["changes"]) > 0
    # whole bands of 16, no group longer than asked for by the unary network
    network = load_model(whole.folder)[1]["model"]["network"]
    assert network["stage"] == "groups"
    assert network["groups"][0][0] == 0
    assert network["groups"][-1][1] == 16
    assert max(b - a for a, b in network["groups"]) <= 6
    # decisions look at the network's window, then as far as the deconvolution network reads
    sizes = [found["steps"][name]["leak"]["window"] for name in list(found["steps"])[1:]]
    assert sizes[:3] == [5, 5, 5]
    assert sizes[3] > 5


def test_refiners_that_do_not_begin_with_the_deep_crf_have_no_control(toy: Scene, run: Any, tmp_path: Path) -> None:
    settings = replace(TINY, method="deep-crf", refine=("dense-crf", "deep-crf"))
    found = ran(run, toy, settings, tmp_path / "r").metrics
    assert list(found["steps"]) == ["unary", "unary + dense-crf", "unary + dense-crf + deep-crf"]
    assert found["chain"] == ["unary", "dense-crf", "deep-crf"]


def test_what_was_trained_before_stays_bit_for_bit(whole: Run, joint: Run) -> None:
    """Batch statistics too; joint training trains a copy, which is stored beside the network."""
    for done in (whole, joint):
        for made, before in zip(done.made, done.weights, strict=True):
            after = state_of(made)
            assert list(after) == list(before)
            assert all(after[k].tobytes() == before[k].tobytes() for k in before)
        tensors, _ = load_model(done.folder)
        base = next(w for m, w in zip(done.made, done.weights, strict=True) if m.name == done.metrics["chain"][0])
        assert any("running" in name for name in base)
        assert all(tensors[f"network.{k}"].tobytes() == v.tobytes() for k, v in base.items())
    own = {k.removeprefix("refiner0.network."): v for k, v in tensors.items() if "refiner0.network." in k}
    assert own.keys() == base.keys()
    moved = [k for k in base if own[k].tobytes() != base[k].tobytes()]
    assert any("running" in name for name in moved)
    assert any("head" in name for name in moved)


def test_a_later_refiner_leaves_the_earlier_ones_alone(whole: Run, toy: Scene, run: Any, tmp_path: Path) -> None:
    settings = replace(TINY, method="deep-crf", refine=("deep-crf",))
    one, _ = load_model(ran(run, toy, settings, tmp_path / "r").folder)
    two, _ = load_model(whole.folder)
    mine = [name for name in two if not name.startswith("refiner1.")]
    assert sorted(mine) == sorted(one)
    assert all(one[name].tobytes() == two[name].tobytes() for name in mine)


def again(done: Run, scene: Scene, out: Path, *, refine: bool) -> NDArray[np.int16]:
    return read_map(apply_run(done.folder, scene, out=out, refine=refine, device="cpu", quiet=True))[0]


def check_applied(done: Run, toy: Scene, tmp_path: Path) -> None:
    """Its own scene gives the run's own map and chain; without refiners that of the method alone."""
    refined = again(done, toy, tmp_path / "refined.tif", refine=True)
    rough = again(done, toy, tmp_path / "rough.tif", refine=False)
    np.testing.assert_array_equal(refined, read_map(done.folder / "map.tif")[0])
    base = next(m for m in done.made if m.name == done.metrics["chain"][0])
    np.testing.assert_array_equal(rough, base.map.labels())
    assert (refined != rough).any()
    assert chain_of(tmp_path / "refined.tif") == chain_of(done.folder / "map.tif")
    assert chain_of(tmp_path / "rough.tif") == done.metrics["chain"][0]


def test_a_run_of_the_method_is_read_back(whole: Run, toy: Scene, tmp_path: Path) -> None:
    check_applied(whole, toy, tmp_path)


def test_a_jointly_trained_run_is_read_back(joint: Run, toy: Scene, tmp_path: Path) -> None:
    check_applied(joint, toy, tmp_path)


@pytest.mark.parametrize(
    ("method", "refiners"),
    [
        ("svm", ("deep-crf",)),
        ("svm", ("deconv",)),
        ("cnn3d", ("deep-crf", "dense-crf")),
        ("cnn3d", ("dense-crf", "deconv", "deep-crf")),
        ("hybrid", ("deep-crf",)),
        ("ssrn", ("deep-crf",)),
        ("gan", ("deep-crf",)),
    ],
)
def test_refiners_in_any_order_after_any_method_are_read_back(
    toy: Scene, run: Any, tmp_path: Path, method: Any, refiners: Any
) -> None:
    settings = replace(TINY, method=method, refine=refiners)
    done = ran(run, toy, settings, tmp_path / "r")
    assert done.metrics["chain"] == [method, *refiners]
    parts = [" + ".join((method, *refiners[: n + 1])) for n in range(len(refiners))]
    assert list(done.metrics["steps"])[-len(refiners) :] == parts
    check_applied(done, toy, tmp_path)


def test_heads_that_never_saw_two_classes_meet_in_both_directions_are_not_used(
    toy: Scene, run: Any, tmp_path: Path
) -> None:
    rows, columns = np.indices(toy.shape) // 3
    for name, labels, trusted in (("stripes", columns % 3, False), ("blocks", (rows + columns) % 3, True)):
        scene = toy.with_(labels=labels.astype(np.int16), name=name)
        settings = replace(TINY, split="random_fraction:0.5", refine=("deep-crf",))
        folder = run(scene, settings, tmp_path / name)
        (found,) = json.loads((folder / "metrics.json").read_text())["refiners"]
        fewest = min(n["different"] for n in found["pairs"].values())
        assert found["heads_trusted"] == trusted == (fewest >= refine_deep.FEW)
        assert found["settings"]["heads"] == float(trusted)
        record = json.loads((folder / "run.json").read_text())["model"]["refiners"][0]
        assert record["settings"] == found["settings"]


def test_after_an_svm_the_deep_crf_brings_its_own_network(toy: Scene, run: Any, tmp_path: Path) -> None:
    done = ran(run, toy, replace(TINY, method="svm", refine=("deep-crf",)), tmp_path / "r")
    assert [m.name for m in done.made] == ["svm", "unary"]
    tensors, record = load_model(done.folder)
    assert record["model"]["refiners"][0]["network"]["stage"] == "groups"
    for name, value in done.weights[1].items():
        assert tensors[f"refiner0.network.{name}"].tobytes() == value.tobytes()
    # the features look at 5 x 5 pixels, the SVM at one
    assert [done.metrics["steps"][s]["leak"]["window"] for s in ("svm", "svm + deep-crf")] == [1, 5]


@pytest.mark.parametrize("deep", [replace(DEEP, forced=False), replace(JOINT, forced=False)])
def test_a_refiner_that_helps_nowhere_leaves_the_map_of_the_method(
    toy: Scene,
    run: Any,
    tmp_path: Path,
    deep: DeepCrfSettings,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also where joint training has changed the unary potentials."""
    plain = refine_deep.choose
    asked: list[SegmentationMap] = []

    def nothing(map: SegmentationMap, *given: Any, **options: Any) -> Any:
        asked.append(map)
        return replace(plain(map, *given, **options), settings=None)

    monkeypatch.setattr(refine_deep, "choose", nothing)
    settings = replace(TINY, split="random_per_class:8,val=2", refine=("deep-crf",), deep=deep)
    done = ran(run, toy, settings, tmp_path / "r")
    assert [m is done.made[0].map for m in asked] == [True]
    assert done.metrics["chain"] == ["cnn3d"]
    assert done.metrics["refiners"][0]["settings"] is None
    alone, *tried = [row["settings"] for row in done.metrics["refiners"][0]["table"]]
    assert alone is None
    pairs = [(w, h) for h in DEEP.heads for w in DEEP.weights]
    assert [(s["weight"], s["heads"]) for s in tried] == [(3.0, 1.0), *pairs]  # the usual one first
    np.testing.assert_array_equal(read_map(done.folder / "map.tif")[0], done.made[0].map.labels())
    with caplog.at_level(logging.WARNING):
        refined = again(done, toy, tmp_path / "m.tif", refine=True)
    assert "no refiner" in caplog.text
    np.testing.assert_array_equal(refined, done.made[0].map.labels())


@pytest.mark.parametrize("stride", [1, 2])
def test_a_scene_with_gaps(toy: Scene, run: Any, tmp_path: Path, stride: int) -> None:
    """No class where there is no data, and the same map from a file."""
    assert toy.labels is not None
    gaps = np.zeros(toy.shape, bool)
    gaps[2:7, 9:] = gaps[20, 3] = True
    cube = np.asarray(toy.cube).copy()
    cube[gaps] = np.nan
    np.save(tmp_path / "gaps.npy", cube)
    scene = read_scene(tmp_path / "gaps.npy").with_(
        labels=np.where(gaps, UNLABELLED, toy.labels).astype(np.int16),
        classes=toy.classes, colours=toy.colours,
    )  # fmt: skip
    deep = replace(DEEP, crf=replace(DEEP.crf, stride=stride))
    settings = replace(TINY, method="deep-crf", split="random_per_class:20", deep=deep)
    done = ran(run, scene, settings, tmp_path / "r")
    labels = read_map(done.folder / "map.tif")[0]
    np.testing.assert_array_equal(labels == UNLABELLED, gaps)
    np.testing.assert_array_equal(again(done, scene, tmp_path / "m.tif", refine=True), labels)


def test_features_do_not_depend_on_the_windows(whole: Run, toy: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    from hyperseg.hsi.networks import for_inference

    model: Any = next(m.model for m in whole.made if m.name == "unary")
    encoder = Encoder(*for_inference(model.network, model.preprocess))
    at_once = whole_features(encoder, toy, device="cpu")
    monkeypatch.setattr(refine_deep, "WINDOW", 7)
    torch.testing.assert_close(whole_features(encoder, toy, device="cpu"), at_once, atol=1e-5, rtol=1e-4)
    assert at_once.shape[1:] == toy.shape


def halves(toy: Scene) -> Split:
    """Training on the left, test on the right: no test pixel sees a training pixel."""
    assert toy.labels is not None
    known = toy.labels >= 0
    left = np.zeros(toy.shape, bool)
    left[:, :8] = True
    right = np.zeros(toy.shape, bool)
    right[:, 16:] = True
    return Split(known & left, np.zeros(toy.shape, bool), known & right, "halves", 0)


def mixed(toy: Scene) -> Split:
    """Every second labelled pixel."""
    assert toy.labels is not None
    odd = np.indices(toy.shape).sum(0) % 2 == 1
    known = toy.labels >= 0
    return Split(known & odd, np.zeros(toy.shape, bool), known & ~odd, "mixed", 0)


@pytest.mark.parametrize("parts", [2, 3])
@pytest.mark.parametrize(("split", "apart"), [(halves, True), (mixed, False)])
def test_held_out_parts_are_the_training_pixels_and_mapped_without_them(
    toy: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, split: Any, apart: bool, parts: int
) -> None:
    """Apart where test pixels lie apart from training pixels, scattered where they do not."""
    job = Job(toy, split(toy), TINY, 3, None, "cpu", tmp_path / "train0", "repeat 1/1", True)
    jobs: list[Job] = []
    plain = chain.folds

    def made(job: Job, name: str) -> Made:
        jobs.append(job)
        probs = np.full((*toy.shape, 3), len(jobs) / 10, np.float32)
        return Made(name, SegmentationMap(probs, toy.classes, toy.colours, made_by=(name,)), None, 5, {})  # type: ignore[arg-type]

    def refined(job: Job, base: Made, names: Any) -> list[Link]:
        after = base.map.refined(base.map.probs + 1, names[0])
        return [Link(names[0], after, 5, {}, {}, {})]

    def folded(*given: Any, **options: Any) -> Any:
        assert options == {"apart": apart, "parcels": None}
        return plain(*given, **options)

    monkeypatch.setattr(chain, "make_map", made)
    monkeypatch.setattr(chain, "refine", refined)
    monkeypatch.setattr(chain, "folds", folded)
    base = made(job, "cnn3d")
    found = cross_fitted(job, base, ("deep-crf",), parts=parts)
    assert len(found) == parts == len(jobs) - 1
    np.testing.assert_array_equal(np.sum([part for part, _ in found], 0), job.split.train.astype(int))
    for i, ((part, map), rest) in enumerate(zip(found, jobs[1:], strict=True)):
        np.testing.assert_array_equal(rest.split.train, job.split.train & ~part)
        assert part.any()
        assert rest.split.train.any()
        np.testing.assert_array_equal(rest.split.val, job.split.val)
        assert (rest.seed, rest.settings, rest.checkpoints.parent) == (3, TINY, tmp_path)
        assert map.made_by == ("cnn3d", "deep-crf")
        assert map.probs[0, 0, 0] == pytest.approx(1 + (i + 2) / 10)
    stems = [j.checkpoints.name for j in jobs]
    assert len(set(stems)) == parts + 1
    assert all(stem.startswith("train0-") for stem in stems[1:])  # removed with the repeat's other files
    assert len({j.tag for j in jobs}) == parts + 1


def test_the_deconvolution_learns_from_maps_that_did_not_know_the_pixels(
    toy: Scene, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[Any] = []
    plain = chain.fit_deconv

    def kept(map: SegmentationMap, scene: Scene, split: Split, held_out: Any, *rest: Any, **how: Any) -> Any:
        given.append((map, split, held_out))
        return plain(map, scene, split, held_out, *rest, **how)

    monkeypatch.setattr(chain, "fit_deconv", kept)
    ran(run, toy, replace(TINY, refine=("deep-crf", "deconv")), tmp_path / "two")
    one = replace(DECONV, parts=1)
    done = ran(run, toy, replace(TINY, refine=("deep-crf", "deconv"), deconv=one), tmp_path / "one")
    (map, split, parts), (whole_map, _, whole_part) = given
    assert [made.made_by for _, made in parts] == [("cnn3d", "deep-crf")] * 2
    assert all((made.probs != map.probs).any() for _, made in parts)
    np.testing.assert_array_equal(parts[0][0] ^ parts[1][0], split.train)
    # one part: the map as it is, and nothing trained besides
    assert len(whole_part) == 1
    assert whole_part[0][1] is whole_map
    np.testing.assert_array_equal(whole_part[0][0], split.train)
    assert len(done.made) == 1


@contextmanager
def interrupted(where: str, step: int) -> Iterator[None]:
    """Ctrl-C in the training whose progress bar says `where`."""

    @contextmanager
    def progress(label: str, steps: int, *, quiet: bool) -> Iterator[Any]:
        def report(done: int, values: Any) -> None:
            if where in label and done == step:
                raise KeyboardInterrupt

        yield report

    with pytest.MonkeyPatch.context() as patch:
        for module in (one_cycle, train):
            patch.setattr(module, "training_progress", progress)
        yield


BOTH = replace(TINY, refine=("deep-crf", "deconv"), deep=JOINT)


def test_interrupted_everywhere_and_resumed_gives_the_same_bytes(toy: Scene, run: Any, tmp_path: Path) -> None:
    whole, out = run(toy, BOTH, tmp_path / "whole"), tmp_path / "out"
    for n, (where, step, left) in enumerate(
        (
            ("repeat 1/1: deep CRF", 3, "train0-deep-crf.pt"),
            ("repeat 1/1: joint", 5, "train0-joint.pt"),
            ("without part 1/2: deep CRF", 8, "train0-without0-deep-crf.pt"),
            ("without part 2/2: cnn3d", 11, "train0-without1-cnn3d.pt"),
            ("without part 2/2: joint", 3, "train0-without1-joint.pt"),
            ("repeat 1/1: deconv", 4, "train0-deconv.pt"),
        )
    ):
        with interrupted(where, step), pytest.raises(Interrupted):
            run(toy, BOTH, out, resume=n > 0)
        assert left in {p.name for p in (out / "unfinished").iterdir()}
    run(toy, BOTH, out, resume=True)
    for name in SAME:
        assert (out / name).read_bytes() == (whole / name).read_bytes(), name
    assert not (out / "unfinished").exists()


def test_a_run_is_not_resumed_with_another_refiner(toy: Scene, run: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with interrupted("repeat 1/1: deep CRF", 3), pytest.raises(Interrupted):
        run(toy, BOTH, out)
    deep = replace(JOINT, crf=replace(JOINT.crf, inference=MeanField(iterations=5, damping=0.2)))
    for changed, said in (
        (replace(BOTH, deep=deep), r"settings\.deep\.crf\.inference\.iterations 4 \(now 5\)"),
        (replace(BOTH, deconv=replace(DECONV, fuse="mean")), r"settings\.deconv\.fuse conv \(now mean\)"),
        (replace(BOTH, refine=("deep-crf",)), r"settings\.refine"),
    ):
        with pytest.raises(RunError, match=said):
            run(toy, changed, out, resume=True)


def test_settings_survive_json(whole: Run) -> None:
    record = json.loads((whole.folder / "run.json").read_text())
    assert record["chain"] == ["unary", "deep-crf", "deconv"]
    settings = replace(
        TINY, method="deep-crf", refine=("deep-crf", "dense-crf", "deconv"),
        deep=replace(
            JOINT, weights=(0.25,), heads=(0.5, 0.0), same_share=0.4,
            crf=DeepCRF(form="joint", radius=2, inference=MeanField(5, "checkerboard", 0.5)),
            joint=JointSettings(steps=3, noise=SpectralNoise(gain=0.2)),
        ),
        deconv=replace(DECONV, strengths=(0.3,), groups="correlation", noise=SpectralNoise(drift=0.1)),
    )  # fmt: skip
    for given in (settings, replace(settings, refine=None), TINY):
        assert ClassifySettings.from_json(json.loads(json.dumps(given.to_json()))) == given
    assert ClassifySettings.from_json(record["settings"]) == replace(TINY, method="deep-crf", baselines=("lda",))
    for broken, said in (
        ({"deep": {"colour": 1}}, "colour"),
        ({"deep": {"crf": {"inference": {}, "stride": 3}}}, "1, 2, 4"),
        ({"deconv": {"noise": {"hum": 1}}}, "hum"),
        ({"refine": ["deep-crf", "deep-crf"]}, "every refiner once"),
    ):
        with pytest.raises(SettingError, match=said):
            ClassifySettings.from_json(broken)


def test_refiners_of_a_method() -> None:
    assert ClassifySettings().refiners == ("dense-crf",)
    assert ClassifySettings(method="deep-crf").refiners == ("deep-crf", "deconv")
    assert ClassifySettings(method="deep-crf", refine=()).refiners == ()
    assert ClassifySettings(method="deep-crf").steps == ("svm", "unary")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"refine": ("polish",)}, "unknown refiners ['polish']"),
        ({"refine": ("deconv", "dense-crf", "deconv")}, "every refiner once"),
        ({"method": "deep-crf", "refine": ("dense-crf",)}, "name deep-crf among them"),
        ({"method": "gan", "refine": ("deep-crf",), "deep": JOINT}, "number 1 after gan"),
        ({"method": "svm", "refine": ("deep-crf",), "deep": JOINT}, "number 1 after svm"),
        ({"refine": ("dense-crf", "deep-crf"), "deep": JOINT}, "number 2 after cnn3d"),
        ({"refine": ("deep-crf",), "deep": replace(JOINT, crf=DeepCRF(stride=2))}, "with a stride of 2"),
    ],
)
def test_chains_that_cannot_be_are_refused_at_once(options: Any, said: str) -> None:
    with pytest.raises(SettingError) as caught:
        ClassifySettings(**options)
    assert said in str(caught.value)


def test_joint_settings_do_not_matter_without_the_deep_crf() -> None:
    assert ClassifySettings(method="gan", deep=JOINT).refiners == ("dense-crf",)


def far_apart(toy: Scene) -> classify.Masks:
    """Two training pixels of two classes, a corner each."""
    assert toy.labels is not None
    train = np.zeros(toy.shape, bool)
    for k in range(2):
        places = np.argwhere(toy.labels == k)
        train[tuple(places[np.argmax(places.sum(1)) if k else np.argmin(places.sum(1))])] = True
    return classify.Masks(train=train, test=(toy.labels >= 0) & ~train)


def test_the_published_form_refuses_labels_too_far_apart_before_training(
    toy: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classify, "_run_repeat", lambda *a, **k: pytest.fail("training started"))
    published = replace(TINY.deep, crf=replace(TINY.deep.crf, form="joint"))
    settings = replace(TINY, split="fixed", refine=("deep-crf",), deep=published)
    with pytest.raises(LabelError, match="among 2 labelled nodes no two"):
        classify.classify(toy, settings, out=tmp_path / "r", masks=far_apart(toy), device="cpu", quiet=True)
    assert not (tmp_path / "r").exists()


def test_without_labelled_neighbours_the_table_of_the_map_is_left(toy: Scene, tmp_path: Path) -> None:
    settings = replace(TINY, split="fixed", refine=("deep-crf",))
    folder, metrics = classify.classify(
        toy, settings, out=tmp_path / "r", masks=far_apart(toy), device="cpu", quiet=True
    )
    (deep,) = metrics["refiners"]
    assert (deep["pairs"], deep["heads_trusted"], deep["settings"]["heads"]) == ({}, False, 0.0)
    assert "No two labelled nodes are near each other" in (folder / "report.html").read_text()

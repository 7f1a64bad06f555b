"""A run from end to end: what it leaves, that its numbers are those of its map, and that it repeats."""

from __future__ import annotations

import json
import re
import stat
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from fakes import Watched, line

from hyperseg.core import LabelError, Scene, SceneError, SegmentationMap, SettingError, SplitError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.core.task import Task
from hyperseg.data.splits import SPLITS, make_split
from hyperseg.io.read import read_array
from hyperseg.io.write import read_map
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.methods.network import check_memory, memory_bytes
from hyperseg.recipes.run.classify import classify
from hyperseg.recipes.run.inputs import Masks
from hyperseg.recipes.run.outputs import with_names
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.recipes.run.steps import Outcome
from hyperseg.simulated.scenes import toy_scene

FILES = {
    "map.tif", "map.tif.aux.xml", "map.qml", "confidence.tif", "confidence.qml", "entropy.tif", "entropy.qml",
    "applicability.tif", "applicability.qml",
    "areas.csv", "model.safetensors", "run.json", "metrics.json", "report.html",
}  # fmt: skip


@dataclass
class Ended:
    root: Path
    metrics: dict[str, Any]
    final: SegmentationMap
    settings: RunSettings


@pytest.fixture(scope="module")
def ended(toy: Scene, quick: Any, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    """A network and its CRF beside two baselines, two repeats, with everything a run writes."""
    settings = quick(baselines=("svm", "lda"), refine=("dense-crf",), repeats=2, steps=12)
    made: list[Outcome] = []
    folder, metrics = classify(
        toy, settings, out=tmp_path_factory.mktemp("run") / "r", quiet=True,
        on_repeat=lambda repeat, outcome: made.append(outcome),
    )  # fmt: skip
    return Ended(folder.root, metrics, made[0].final.map, settings)


def metrics_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text())
    return found


def values_of(path: Path) -> np.ndarray:
    return np.asarray(read_array(path, ndim=2)[...])


def test_the_folder_holds_what_it_should_and_nothing_else(ended: Ended) -> None:
    assert {p.name for p in ended.root.iterdir()} == {*FILES, "map.png"}
    modes = {stat.S_IMODE(p.stat().st_mode) for p in ended.root.iterdir()}
    assert len(modes) == 1  # whoever may read the map may read the model
    assert "<html" in (ended.root / "report.html").read_text()
    assert (ended.root / "map.png").read_bytes().startswith(b"\x89PNG")


def test_metrics_have_mean_spread_and_values_in_percent(ended: Ended) -> None:
    found = metrics_of(ended.root)
    roles = {"svm": "baseline", "lda": "baseline", "cnn3d": "network", "cnn3d + dense-crf": "refined"}
    assert {name: step["role"] for name, step in found["steps"].items()} == roles
    assert list(found["steps"]) == list(roles)
    for scores in (found, *found["steps"].values()):
        for name in ("OA", "AA", "kappa"):
            values = scores[name]["values"]
            assert len(values) == 2
            assert scores[name]["mean"] == pytest.approx(np.mean(values))
            assert scores[name]["std"] == pytest.approx(np.std(values, ddof=1))
    assert found["final"] == "cnn3d + dense-crf"
    assert found["OA"] == found["steps"][found["final"]]["OA"]
    assert found["steps"][found["final"]]["by"] == "The dense CRF"
    assert found["steps"]["svm"]["OA"]["mean"] > 60  # percent, not shares


def test_metrics_name_the_figures_of_the_map_itself_and_what_bytes_depend_on(ended: Ended) -> None:
    found = metrics_of(ended.root)
    assert found["map"] == {"repeat": 0} | {name: found[name]["values"][0] for name in ("OA", "AA", "kappa")}
    record = json.loads((ended.root / "run.json").read_text())
    for told in (found, record):
        assert (told["device"], told["threads"]) == ("cpu", torch.get_num_threads())
    left = found["steps"]["cnn3d + dense-crf"]["left_alone"]
    assert len(left) == 2
    assert all(isinstance(one, bool) for one in left)
    trained = found["times_s"]["cnn3d, training"]
    assert sum(found["steps"]["cnn3d"]["seconds"]) >= trained > 0  # the time of a step counts its training


def test_the_confusion_holds_every_test_pixel_and_gives_the_accuracy(ended: Ended, toy: Scene) -> None:
    assert toy.labels is not None
    table, values = np.array(ended.metrics["confusion"]), ended.metrics["OA"]["values"]
    weights = [make_split(ended.settings.split, toy.labels, 3, seed=seed).test.sum() for seed in (0, 1)]
    assert table.sum() == sum(weights)
    assert np.trace(table) / table.sum() == pytest.approx(np.average(values, weights=weights) / 100)


def test_the_map_is_that_of_the_first_repeat(ended: Ended, toy: Scene) -> None:
    labels, classes, colours, grid, _ = read_map(ended.root / "map.tif")
    np.testing.assert_array_equal(labels, ended.final.probs.argmax(-1))
    assert (classes, colours, grid) == (toy.classes, toy.colours, toy.grid)
    np.testing.assert_array_equal(values_of(ended.root / "confidence.tif"), ended.final.probs.max(-1))
    assert toy.labels is not None
    test = make_split(ended.settings.split, toy.labels, 3, seed=0, valid=toy.valid).test
    right = 100 * np.mean(labels[test] == toy.labels[test])
    assert right == pytest.approx(ended.metrics["OA"]["values"][0])
    # the entropy is a share of the largest
    p = ended.final.probs.astype(np.float64)
    entropy = values_of(ended.root / "entropy.tif")
    np.testing.assert_allclose(entropy, -(p * np.log(np.maximum(p, 1e-30))).sum(-1) / np.log(3), atol=1e-5)
    assert 0 <= entropy.min() <= entropy.max() <= 1


def test_areas_are_those_of_the_first_map_and_its_test_pixels(ended: Ended, toy: Scene) -> None:
    areas = metrics_of(ended.root)["areas"]
    labels = read_map(ended.root / "map.tif")[0]
    assert toy.labels is not None
    test = make_split(ended.settings.split, toy.labels, 3, seed=0, valid=toy.valid).test
    mapped = np.bincount(labels.ravel(), minlength=3)
    table = np.array([[((toy.labels == j) & (labels == i) & test).sum() for j in range(3)] for i in range(3)])
    by_hand = (mapped[:, None] * table / table.sum(1, keepdims=True).clip(1)).sum(0)
    size = 1 if areas["unit"] == "px" else areas["pixel_area_m2"] / 1e4
    for k, name in enumerate(toy.classes):
        entry = areas["per_class"][name]
        assert entry["pixels"] == mapped[k]
        if mapped[k] and not table[k].any():  # nobody looked at what it stands on
            assert entry["estimated"] is None
            continue
        assert entry["estimated"] == pytest.approx(by_hand[k] * size)
        assert entry["low"] <= entry["estimated"] <= entry["high"]
    assert areas["design"] is None  # pixels were drawn one by one
    assert metrics_of(ended.root)["split"]["estimates"] == SPLITS[ended.settings.split.split(":")[0]].estimates
    head, *rows = (ended.root / "areas.csv").read_text(encoding="utf-8").splitlines()
    assert head.startswith(f"class,code,pixels,mapped_{areas['unit']},")
    by_class = [[name, str(k + 1), str(mapped[k])] for k, name in enumerate(toy.classes)]
    assert [row.split(",")[:3] for row in rows] == by_class
    assert "the intervals are rather too narrow" in (ended.root / "report.html").read_text(encoding="utf-8")


def test_same_seed_same_bytes(ended: Ended, toy: Scene, run: Any, tmp_path: Path) -> None:
    """However many repeats follow; another seed gives another model."""
    again = run(toy, replace(ended.settings, repeats=1), tmp_path / "again")
    other = run(toy, replace(ended.settings, repeats=1, seed=1), tmp_path / "other")
    for name in ("map.tif", "model.safetensors", "confidence.tif"):
        assert (again / name).read_bytes() == (ended.root / name).read_bytes()
        assert (other / name).read_bytes() != (ended.root / name).read_bytes()


def test_settings_survive_json(ended: Ended) -> None:
    written = json.loads((ended.root / "run.json").read_text())["settings"]
    assert RunSettings.from_json(written) == ended.settings
    train = written["method_settings"]["train"]
    for broken, word in (
        ({"method_settings": {"train": {"epochs": 3, "unheard_of": 1}}}, "unheard_of"),
        ({"method_settings": {"train": train | {"noise": {"hum": 1}}}}, "hum"),
        ({"colour": 1}, "colour"),
        ({"refine": ["polish"]}, "polish"),
        ({"refiner_settings": {"dense-crf": {"engine": "magic"}}}, "magic"),
        ({"baselines": ["guess"]}, "guess"),
        ({"method": "resnet"}, "resnet"),
        ({"repeats": 0}, "repeats"),
        ({"seed": 2**32}, "seed"),
        ({"seed": -1}, "seed"),
        ({"seed": "x"}, "cannot be read"),
    ):
        with pytest.raises(SettingError, match=word):
            RunSettings.from_json(written | broken)


def test_a_baseline_may_be_refined_like_the_method(toy: Scene, quick: Any, run: Any, tmp_path: Path) -> None:
    made = run(
        toy, quick(method="svm", baselines=("lda+trees", "lda", "svm + trees"), refine=("trees",)), tmp_path / "r"
    )
    found = metrics_of(made)
    roles = {"lda": "baseline", "lda + trees": "baseline", "svm": "network", "svm + trees": "refined"}
    assert {name: step["role"] for name, step in found["steps"].items()} == roles
    for name, step in found["steps"].items():
        shared = step["leak"]["region"]["mean"]
        assert (shared is not None) == ("trees" in name)
        assert shared is None or 0 <= shared <= 100
    record = json.loads((made / "run.json").read_text())["settings"]
    assert record["baselines"] == ["lda + trees", "lda", "svm + trees"]
    for wrong, words in (("lda + tree", "trees"), ("lda + trees + trees", "once"), ("deep-crf", "no baseline")):
        with pytest.raises(SettingError, match=words):
            RunSettings(baselines=(wrong,))


@pytest.mark.parametrize("method", ["ssrn", "hybrid", "svm", "rf"])
def test_every_method_makes_a_map(toy: Scene, quick: Any, run: Any, tmp_path: Path, method: str) -> None:
    """And is not its own baseline."""
    made = run(toy, quick(method=method, baselines=(method, "lda")), tmp_path / "r")
    assert {p.name for p in made.iterdir()} == FILES
    found = metrics_of(made)
    assert list(found["steps"]) == ["lda", method]
    assert read_map(made / "map.tif")[0].min() >= 0
    if method in ("svm", "rf"):
        assert found["OA"]["mean"] > 60


def test_pixels_without_data_stay_without_class(toy: Scene, quick: Any, run: Any, tmp_path: Path) -> None:
    valid = np.ones(toy.shape, bool)
    valid[:5, 3:9] = False
    cube = np.where(valid[..., None], np.asarray(toy.cube), np.nan)
    made = run(toy.with_(cube=cube, valid=valid), quick(refine=("dense-crf",)), tmp_path / "r")
    np.testing.assert_array_equal(values_of(made / "map.tif") == 0, ~valid)
    for name in ("confidence.tif", "entropy.tif"):
        np.testing.assert_array_equal(np.isnan(values_of(made / name)), ~valid)
    found = metrics_of(made)["split"]
    assert toy.labels is not None
    assert found["train"] + found["val"] + found["test"] == np.count_nonzero((toy.labels >= 0) & valid)


def test_a_class_of_one_pixel_is_trained_and_named_untestable(toy: Scene, quick: Any, run: Any, tmp_path: Path) -> None:
    assert toy.labels is not None
    labels = toy.labels.copy()
    labels[labels == 2] = -1
    labels[4, 4] = 2
    for split in ("random_per_class:8", "parcels"):
        made = run(
            toy.with_(labels=labels), quick(split=split, baselines=("svm",)), tmp_path / split[:3],
            pictures=True,
        )  # fmt: skip
        found = metrics_of(made)
        assert toy.classes[2] in found["split"]["untestable"]
        assert found["split"]["per_class"][toy.classes[2]] == {"train": 1, "val": 0, "test": 0}
        assert found["steps"]["cnn3d"]["per_class"][toy.classes[2]]["mean"] is None
        assert toy.classes[2] in (made / "report.html").read_text()


def test_one_pixel_per_class_is_enough_to_run(toy: Scene, quick: Any, run: Any, tmp_path: Path) -> None:
    for method in ("cnn3d", "svm"):
        more: Any = {"baselines": ("rf",), "refine": ("dense-crf",)}
        made = run(toy, quick(method=method, split="random_per_class:1,val=0", **more), tmp_path / method)
        assert metrics_of(made)["split"]["train"] == 3


def test_test_labels_do_not_reach_the_model(toy: Scene, quick: Any, run: Any, tmp_path: Path) -> None:
    """Scrambled labels of test pixels change the scores and not one byte of map and model."""
    assert toy.labels is not None
    settings = quick(split="fixed", refine=("dense-crf",), baselines=("svm",))
    drawn = make_split("random_per_class:8", toy.labels, 3, seed=0)
    scrambled = np.where(drawn.test, (toy.labels + 1) % 3, toy.labels).astype(np.int16)
    masks = Masks(drawn.train, drawn.test)
    plain = run(toy, settings, tmp_path / "plain", masks=masks)
    other = run(toy.with_(labels=scrambled), settings, tmp_path / "other", masks=masks)
    for name in ("map.tif", "model.safetensors"):
        assert (plain / name).read_bytes() == (other / name).read_bytes()
    assert metrics_of(plain)["OA"]["mean"] != metrics_of(other)["OA"]["mean"]


def test_dead_bands_do_not_stop_the_hybrid(toy: Scene, quick: Any, run: Any, tmp_path: Path) -> None:
    cube = np.asarray(toy.cube).copy()
    cube[..., 3] = 7.0
    good = np.arange(16) != 5
    made = run(toy.with_(cube=cube, good_bands=good), quick(method="hybrid"), tmp_path / "r")
    assert json.loads((made / "run.json").read_text())["model"]["model"]["spec"]["n_features"] == 14


def refused(scene: Scene, settings: RunSettings, error: type[Exception], tmp_path: Path, **more: Any) -> str:
    """The message of a run that must not start: nothing is fitted and nothing written."""
    never = replace(METHODS["svm"], name="never", fit=lambda *given: pytest.fail("something was fitted"))
    with pytest.MonkeyPatch.context() as patch, line(METHODS, "never", never):
        patch.chdir(tmp_path)
        with pytest.raises(error) as caught:
            classify(scene, replace(settings, baselines=("never", *settings.baselines)), quiet=True, **more)
    assert list(tmp_path.iterdir()) == []
    return str(caught.value)


def test_what_cannot_work_is_refused_before_training(toy: Scene, quick: Any, tmp_path: Path) -> None:
    assert toy.labels is not None
    single = toy.with_(labels=np.where(toy.labels == 1, toy.labels, -1).astype(np.int16))
    text = refused(single, quick(), LabelError, tmp_path)
    assert "1 class" in text
    assert toy.classes[1] in text
    assert "no labels" in refused(toy.with_(labels=None), quick(), LabelError, tmp_path)
    volume = Scene(np.zeros((2, 3, 4, 16), np.float32), np.zeros((2, 3, 4), np.int16), classes=("a", "b"))
    assert "(rows, columns, bands)" in refused(volume, quick(), SceneError, tmp_path)
    everything = Masks(toy.labels >= 0)
    toy = toy.with_(wavelengths_nm=None, rgb_bands=None)
    narrow = toy.with_(cube=np.asarray(toy.cube)[..., :12])
    assert "at least 13 features" in refused(narrow, quick(method="hybrid"), SettingError, tmp_path)
    five = toy.with_(cube=np.asarray(toy.cube)[..., :5])
    assert "at least 7 bands" in refused(five, quick(method="ssrn"), SettingError, tmp_path)
    flat = toy.with_(cube=np.full((*toy.shape, 16), 3.0))
    assert "none of the 16 bands" in refused(flat, quick(method="svm"), SceneError, tmp_path)
    few = quick(split="random_total:2")
    assert "from 3 (one per class)" in refused(toy, few, SplitError, tmp_path)
    assert "training mask" in refused(toy, quick(split="fixed"), SettingError, tmp_path)
    bare = quick(split="random_per_class:1,val=0", baselines=("lda",))
    assert "3 for 3" in refused(toy, bare, SettingError, tmp_path)
    with pytest.raises(SettingError, match="'blobs'"):
        quick(split="blobs")
    text = refused(toy, quick(split="fixed"), SplitError, tmp_path, masks=everything)
    assert "no test pixel" in text
    assert "device 'tpu7'" in refused(toy, quick(), SettingError, tmp_path, device="tpu7")


def test_the_second_repeats_split_is_drawn_before_the_first_is_trained(toy: Scene, quick: Any, tmp_path: Path) -> None:
    splitter = SPLITS["random_per_class"]

    def second_fails(draw: Any, settings: Any) -> Any:
        if draw.seed == 1:
            raise SplitError("no such split")
        return splitter.make(draw, settings)

    with line(SPLITS, "random_per_class", replace(splitter, make=second_fails)):
        assert "no such" in refused(toy, quick(repeats=2), SplitError, tmp_path)


def test_an_engine_that_is_not_installed(
    toy: Scene, quick: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pydensecrf", None)
    settings = quick(refine=("dense-crf",), changes={"engine": "pydensecrf"})
    assert "pip install" in refused(toy, settings, SettingError, tmp_path)


def test_cuda_where_there_is_none(toy: Scene, quick: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "no CUDA device" in refused(toy, quick(), SettingError, tmp_path, device="cuda")


def test_notes_name_classes_instead_of_numbering_them() -> None:
    note = "the guard dropped 12 pixels; cut in two: classes 0, 2; no test pixel: classes 1"
    told = "the guard dropped 12 pixels; cut in two: oats, wheat; no test pixel: corn"
    assert with_names(note, ("oats", "corn", "wheat")) == told


def test_a_handful_of_labels_and_one_epoch_still_train() -> None:
    scene = toy_scene(seed=3)
    assert scene.labels is not None
    split = make_split("random_per_class:2", scene.labels, scene.n_classes, seed=0)
    method = METHODS["cnn3d"]
    settings = changed(method.settings(), {"epochs": 1, "min_steps": 1})
    made = method.fit(Task((scene,), (split,)), settings, Runtime(quiet=True))
    assert len(made.history.steps) >= 10


def test_a_scene_larger_than_memory_is_refused_before_anything_is_read(toy: Scene, quick: Any, tmp_path: Path) -> None:
    endless = SimpleNamespace(shape=(*toy.shape, 10**12), dtype=np.dtype("float32"))
    large = toy.with_(
        cube=Watched(endless, lambda key: pytest.fail("it was read")), wavelengths_nm=None, good_bands=None
    )
    text = refused(large, quick(), SceneError, tmp_path)
    assert "this machine has" in text
    assert "hyperseg map" in text
    needed = 4 * int(np.prod(toy.cube.shape))
    task = Task((toy,), (make_split("random_per_class:8", toy.labels, toy.n_classes, seed=0),))
    check_memory(task, there=needed)
    with pytest.raises(SceneError, match="this machine has"):
        check_memory(task, there=needed - 1)
    assert (memory_bytes() or needed) >= needed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"method": "lda", "refine": ("deconv",), "split": "random_per_class:2,val=2"}, "lda needs more"),
        ({"refine": ("deep-crf",), "changes": {"radius": 30}}, "radius joins nodes 30 apart, .* has 21 on a side"),
        ({"method": "svm", "refine": ("deep-crf",), "changes": {"features.flips": True}}, "features are read as"),
        ({"refine": ("deep-crf",), "changes": {"features.window": 5}}, "reads those of cnn3d and trains no network"),
    ],
)  # fmt: skip
def test_what_would_stop_a_refiner_later_is_told_before(
    toy: Scene, quick: Any, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    assert re.search(message, refused(toy, quick(**changes), SettingError, tmp_path))

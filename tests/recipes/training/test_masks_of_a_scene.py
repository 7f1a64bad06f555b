"""Diffusion over the classes of a scene: what is learnt, what a map is, and that a place has one noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from running import Run

from hyperseg.core import UNLABELLED, Scene, SettingError, Split
from hyperseg.core.parts import Model
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.core.task import Task
from hyperseg.recipes.mapping.apply import apply_run
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.recipes.training.masks.scene import FeedForward
from hyperseg.simulated.scenes import toy_scene

DIFFUSION, TWIN = METHODS["medsegdiff"], METHODS["feed-forward"]
TINY = {"width": 8, "window": 9, "batch": 16}
QUIET = Runtime(seed=3, quiet=True)


def settings(method: Any, **changes: Any) -> Any:
    few = {"samples": 3, "calls": 2} if method is DIFFUSION else {}
    return changed(method.settings(), {**TINY, "steps": 4, **few, **changes})


def task_of(scene: Scene, every: int = 3) -> Task:
    """Every n-th labelled pixel trains, and none of them touches another."""
    assert scene.labels is not None
    known, none = scene.labels >= 0, np.zeros(scene.shape, bool)
    rows, columns = np.indices(scene.shape)
    train = known & (rows % every == 0) & (columns % every == 0)
    return Task((scene,), (Split(train, none, known & ~train, "lattice", 0),))


@pytest.fixture(scope="module")
def task() -> Task:
    return task_of(toy_scene(shape=(24, 21), n_bands=12))


@pytest.fixture(scope="module")
def learnt(task: Task) -> Model:
    return DIFFUSION.fit(task, settings(DIFFUSION, steps=80, lr=1e-2), QUIET)


def test_it_learns_from_pixels_that_lie_alone(task: Task, learnt: Model) -> None:
    """No two training pixels touch; the map is right far beyond the largest class's share, and sums to one."""
    map, test = learnt.map(task.scene, QUIET), task.split.test
    assert task.scene.labels is not None
    truth = task.scene.labels[test]
    largest = np.bincount(truth).max() / truth.size
    assert (map.labels()[test] == truth).mean() > (1 + largest) / 2
    np.testing.assert_allclose(map.probs.sum(-1), 1, atol=1e-5)
    assert map.disagreement is not None
    assert map.disagreement.shape == task.scene.shape
    assert 0 <= map.disagreement.min() < map.disagreement.max() <= 1


def test_the_same_seed_draws_the_same_map_and_one_mask_disagrees_with_none(task: Task) -> None:
    chosen = settings(DIFFUSION, samples=1)
    model = DIFFUSION.fit(task, chosen, QUIET)
    first, again = model.map(task.scene, QUIET), model.map(task.scene, Runtime(seed=99, quiet=True))
    assert first.probs.tobytes() == again.probs.tobytes()  # the seed is the model's
    assert first.disagreement is not None
    np.testing.assert_allclose(first.disagreement, 0, atol=1e-6)


@pytest.mark.parametrize("rule", ["majority", "mean", "staple", "steps"])
def test_the_class_is_that_of_the_fusion(task: Task, rule: str) -> None:
    map = DIFFUSION.fit(task, settings(DIFFUSION, fusion=rule), QUIET).map(task.scene, QUIET)
    assert np.isfinite(map.probs).all()
    np.testing.assert_allclose(map.probs.sum(-1), 1, atol=1e-5)
    if rule == "majority":
        np.testing.assert_allclose(3 * map.probs, np.round(3 * map.probs), atol=1e-5)


def test_a_window_starts_from_the_noise_of_its_place(task: Task, learnt: Model) -> None:
    """Cut out of the scene, told where from, a window of the network's size differs only by what it cannot see."""
    scene, at = task.scene, (slice(8, 17), slice(6, 15))
    part = scene.with_(cube=np.asarray(scene.cube)[at], labels=None, valid=None)
    here, moved = learnt.map(part.with_(origin=(8, 6)), QUIET), learnt.map(part, QUIET)
    whole = learnt.map(scene, QUIET).probs[at]
    assert here.probs.tobytes() != moved.probs.tobytes()
    assert np.abs(here.probs - whole)[4, 4].max() < 0.2


def test_labels_beyond_training_pixels_are_not_looked_at(task: Task) -> None:
    """The loss counts training pixels alone: other labels elsewhere change no weight."""
    assert task.scene.labels is not None
    other = np.where(task.split.train, task.scene.labels, UNLABELLED).astype(np.int16)
    blind = Task((task.scene.with_(labels=other),), task.splits)
    for method in (DIFFUSION, TWIN):
        one, two = (method.fit(t, settings(method), QUIET).saved().arrays for t in (task, blind))
        assert {k: v.tobytes() for k, v in one.items()} == {k: v.tobytes() for k, v in two.items()}


def test_the_twin_is_the_network_shown_no_mask(task: Task, learnt: Model) -> None:
    """As many weights, and with equal weights the answer of the diffusion model to a blank mask at the most noise."""
    twin = TWIN.fit(task, settings(TWIN), QUIET)
    assert isinstance(twin.network, FeedForward)
    network = learnt.network
    assert sum(p.numel() for p in twin.network.parameters()) == sum(p.numel() for p in network.parameters())
    twin.network.net.load_state_dict(network.state_dict())
    x = torch.randn(2, network.spec.image_channels, 9, 9, generator=torch.Generator().manual_seed(0))
    state, place = torch.zeros(2, task.n_classes, 9, 9), torch.full((2,), 999.0)
    with torch.inference_mode():
        torch.testing.assert_close(twin.network(x), network(state, place, x))


def test_beside_it_the_twin_learns_the_same_windows() -> None:
    chosen = settings(DIFFUSION, dynamic=False, ff_parser=False, lr=5e-4)
    ((method, twin),) = DIFFUSION.beside(chosen)
    assert method is TWIN
    assert twin.windows == chosen.windows
    assert (twin.masks.network, twin.masks.train) == (chosen.masks.network, chosen.masks.train)


@pytest.mark.parametrize(("classes", "codes"), [(2, "onehot"), (17, "bits"), (17, "onehot")])
def test_two_classes_and_seventeen(classes: int, codes: str) -> None:
    scene = toy_scene(shape=(18, 20), n_bands=9, n_classes=classes)
    for method in (DIFFUSION, TWIN):
        task = task_of(scene, every=2)
        made = method.fit(task, settings(method, codes=codes), QUIET)
        again = method.load(made.saved())
        map = again.map(scene, QUIET)
        assert map.probs.shape == (*scene.shape, classes)
        assert map.probs.tobytes() == made.map(scene, QUIET).probs.tobytes()


def test_a_scene_of_one_row_and_classes_without_a_training_pixel() -> None:
    """Both work: a row is reflected where a window is higher, and a class that nobody saw is never learnt."""
    scene = toy_scene(shape=(12, 24), n_bands=9)
    assert scene.labels is not None
    row = scene.with_(cube=np.asarray(scene.cube)[:1], labels=scene.labels[:1], valid=None)
    assert row.labels is not None
    known = row.labels >= 0
    split = Split(known, known & False, known & False, "all", 0)
    for method in (DIFFUSION, TWIN):
        chosen = settings(method, window=0)
        method.check(Task((row,), (split,)), chosen)
        made = method.fit(Task((row,), (split,)), chosen, QUIET).map(row, QUIET)
        assert np.isfinite(made.probs).all()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"window": 8}, "odd number of pixels"),
        ({"sampler": "dddim"}, "ddim"),
        ({"schedule": "cosin"}, "cosine"),
        ({"stages": 9}, "stages"),
        ({"dynamic": False}, "FF-Parser"),
    ],
)
def test_what_cannot_be_is_refused_before_training(task: Task, changes: dict[str, Any], error: str) -> None:
    with pytest.raises(SettingError, match=error):
        DIFFUSION.check(task, settings(DIFFUSION, **changes))


def test_a_run_keeps_the_disagreement_and_maps_it_again(run: Run, tmp_path: Any) -> None:
    """disagreement.tif of a run is what `hyperseg map` writes of the same scene."""
    scene = toy_scene(shape=(16, 14), n_bands=12)
    chosen = RunSettings(
        "medsegdiff", "random_per_class:8", refine=(), baselines=(), repeats=1, method_settings=settings(DIFFUSION)
    )
    folder = run(scene, chosen, tmp_path / "run")
    apply_run(folder, scene.with_(labels=None), out=tmp_path / "m.tif", device="cpu", quiet=True)
    own, mapped = (rasterio.open(f) for f in (folder / "disagreement.tif", tmp_path / "m-disagreement.tif"))
    assert own.descriptions == mapped.descriptions
    np.testing.assert_array_equal(own.read(1), mapped.read(1))
    assert (folder / "disagreement.qml").is_file()
    assert "How far the answers disagree" in (folder / "report.html").read_text(encoding="utf-8")

"""A head on a denoiser that learnt without labels: what each looks at, what is frozen, and that a run goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import stopping
from numpy.typing import NDArray
from running import Hyperseg

from hyperseg.core import Scene, SceneError, SettingError, Split
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.core.task import Task
from hyperseg.data.splits import make_split
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.recipes.run.steps import run_repeat
from hyperseg.recipes.training.tapped.labelled import labelled_windows
from hyperseg.recipes.training.tapped.network import TappedNet
from hyperseg.recipes.training.tapped.unlabelled import components_of
from hyperseg.simulated.scenes import toy_scene

HEAD = METHODS["denoiser-head"]
TINY = {"components": 6, "window": 7, "widths": (8, 12), "hidden": (16,), "read.mean": 3,
        "denoise.steps": 6, "read.steps": 6}  # fmt: skip
QUIET = Runtime(seed=3, quiet=True)


def settings(**changes: Any) -> Any:
    return changed(HEAD.settings(), TINY | {name.replace("__", "."): value for name, value in changes.items()})


def task_of(scene: Scene, pool: NDArray[np.bool_] | None = None) -> Task:
    assert scene.labels is not None
    split = make_split("random_per_class:8", scene.labels, scene.n_classes, seed=0)
    return Task((scene,), (split,), None if pool is None else (pool,))


@pytest.fixture(scope="module")
def task() -> Task:
    return task_of(toy_scene(shape=(26, 24), n_bands=12))


@pytest.fixture(scope="module")
def learnt(task: Task) -> Any:
    return HEAD.fit(task, settings(denoise__steps=60, read__steps=100, read__batch=8, read__lr=1e-2), QUIET)


def state(part: Any) -> bytes:
    return b"".join(value.numpy().tobytes() for value in part.state_dict().values())


def with_labels(scene: Scene, where: NDArray[np.bool_]) -> Scene:
    """Other classes there."""
    assert scene.labels is not None
    return scene.with_(labels=np.where(where, (scene.labels + 1) % scene.n_classes, scene.labels).astype(np.int16))


def test_it_learns_from_a_few_pixels(task: Task, learnt: Any) -> None:
    """The map is right far beyond the largest class's share, and its probabilities sum to one."""
    map, test = learnt.map(task.scene, QUIET), task.split.test
    assert task.scene.labels is not None
    truth = task.scene.labels[test]
    largest = np.bincount(truth).max() / truth.size
    assert (map.labels()[test] == truth).mean() > (1 + largest) / 2
    np.testing.assert_allclose(map.probs.sum(-1), 1, atol=1e-5)


def test_the_denoiser_knows_no_label_and_the_head_does_not_change_it(task: Task) -> None:
    """Other labels on the training pixels: the same components and the same denoiser, bit by bit, and another head."""
    other = Task((with_labels(task.scene, task.split.train),), task.splits)
    made, again = (HEAD.fit(t, settings(), QUIET) for t in (task, other))
    assert state(again.network.denoiser) == state(made.network.denoiser)
    assert state(again.network.head) != state(made.network.head)
    for name, value in made.preprocess.to_arrays().items():
        np.testing.assert_array_equal(again.preprocess.to_arrays()[name], value)


def test_windows_hold_a_training_pixel_each_and_no_label_of_any_other(task: Task) -> None:
    preprocess = components_of(task, 6)
    _, classes = labelled_windows(task, 7, preprocess, QUIET)
    assert (classes >= 0).flatten(1).any(1).all()
    alike = np.bincount(classes.flatten()[classes.flatten() >= 0].numpy(), minlength=task.n_classes)
    assert alike.min() > 0.5 * alike.max()  # classes are drawn alike
    beyond = Task((with_labels(task.scene, ~task.split.train),), task.splits)
    np.testing.assert_array_equal(labelled_windows(beyond, 7, preprocess, QUIET).classes, classes)


def test_only_the_pool_is_looked_at_without_labels(task: Task) -> None:
    """Rows that no window of the pool reaches may hold anything: components and denoiser stay as they are."""
    rows = np.indices(task.scene.shape)[0]
    pool, far = rows < 14, rows >= 14 + 3  # windows around a pixel of the pool reach 3 pixels beyond it
    train = task.split.train & (rows < 9)  # around these the head looks 8 pixels far, as a decision does
    split = Split(train, np.zeros_like(train), task.split.test, "north", 0)
    cube = np.where(far[..., None], np.float32(7), np.asarray(task.scene.cube))
    one, other = (Task((scene,), (split,), (pool,)) for scene in (task.scene, task.scene.with_(cube=cube)))
    made, again = (HEAD.fit(t, settings(), QUIET) for t in (one, other))
    assert state(again.network) == state(made.network)
    told = made.section(task.scene, split, QUIET)
    assert f"the pool mask, {int(pool.sum())} pixels" in told.numbers["pool"]


def test_the_head_does_not_go_on_with_that_of_its_control(task: Task, tmp_path: Path) -> None:
    """A run trains both in one folder: what is finished of one is not taken for the other."""
    chosen = RunSettings(method="denoiser-head", baselines=(), refine=(), method_settings=settings())
    runtime = replace(QUIET, checkpoints=tmp_path / "train0")
    made = run_repeat(task, chosen, runtime)
    assert [step.name for step in made.steps] == ["untrained-head", "denoiser-head"]
    assert state(made.base.model.network) == state(HEAD.fit(task, settings(), QUIET).network)


def test_without_steps_the_denoiser_is_the_one_that_was_drawn_and_is_measured_beside(task: Task) -> None:
    ((control, chosen),) = HEAD.beside(settings())
    assert chosen.denoise.steps == 0
    assert chosen.read == settings().read
    assert control.step_name != HEAD.step_name
    assert HEAD.beside(chosen) == ()
    drawn, learnt = control.fit(task, chosen, QUIET), HEAD.fit(task, settings(), QUIET)
    assert float(drawn.network.denoiser.last.layer.weight.detach().abs().max()) == 0  # as every fresh denoiser
    assert float(learnt.network.denoiser.last.layer.weight.detach().abs().max()) > 0
    told = drawn.section(task.scene, task.split, QUIET)
    assert told.numbers["denoiser"] is None
    assert "learnt nothing" in told.sentences[0]


def test_a_decision_looks_as_far_as_it_says_and_no_further(learnt: Any) -> None:
    """The middle of a window of 2 m + 1 pixels depends on its corners and on nothing beyond; nor on where it is cut."""
    net, n = learnt.network, learnt.preprocess.n_out
    side = 2 * net.margin + 1
    x = torch.randn(1, n, side + 2, side + 3, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        every = net(x)
        torch.testing.assert_close(net(x[..., 1 : side + 1, 2 : side + 2]), every[..., 1:2, 2:3])
        other = x.clone()
        other[..., 1, 2] += 100
        assert float((net(other) - every)[..., 1, 2].abs().max()) > 0
        assert float((net(other) - every)[..., 2, 2].abs().max()) == 0


def test_a_map_is_the_mean_over_times(learnt: Any) -> None:
    """Of one time the network is the head there; of several the mean of the logarithms."""
    x = torch.randn(2, learnt.preprocess.n_out, 17, 17, generator=torch.Generator().manual_seed(0))

    def at(*times: float) -> torch.Tensor:
        net = TappedNet(replace(learnt.spec, times=times))
        net.load_state_dict(learnt.network.state_dict())
        with torch.inference_mode():
            return net.eval()(x)

    torch.testing.assert_close(at(0.1, 0.4), (at(0.1) + at(0.4)) / 2)
    assert float((at(0.1) - at(0.4)).abs().max()) > 1e-4
    assert learnt.network.head.time is not None


@pytest.mark.parametrize("title", ["denoiser without labels", "head on the labels"])
def test_an_interrupted_training_goes_on_where_it_was(task: Task, tmp_path: Path, title: str) -> None:
    """Stopped within the denoiser's training or within the head's, it ends with the bytes of one that was not."""
    whole = HEAD.fit(task, settings(), QUIET)
    runtime = Runtime(seed=3, quiet=True, checkpoints=tmp_path / "state")
    with pytest.raises(KeyboardInterrupt):
        HEAD.fit(task, settings(), replace(runtime, on_step=stopping(3, title)))
    assert runtime.goes_on("denoiser")
    assert runtime.goes_on("head") == (title == "head on the labels")
    assert state(HEAD.fit(task, settings(), runtime).network) == state(whole.network)


def test_report_and_plan_tell_what_was_looked_at(hyperseg: Hyperseg, files: tuple[str, ...], tmp_path: Path) -> None:
    words = [w for name, value in TINY.items() for w in ("--set", f"{name}={','.join(map(str, value))}"
             if isinstance(value, tuple) else f"{name}={value}")]  # fmt: skip
    made = hyperseg(
        "classify", *files, "--method", "denoiser-head", *words, "--split", "random_per_class:6", "--repeats", "1",
        "--refine", "none", "--baseline", "lda", "--quiet", "--out", "run",
    )  # fmt: skip
    assert made.code == 0, made.err
    report = (tmp_path / "run/report.html").read_text()
    assert "the whole scene (transductive), 504 pixels" in report
    assert "without noise" in report
    numbers = json.loads((tmp_path / "run/metrics.json").read_text())
    assert "untrained-head" in json.dumps(numbers["steps"])


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"window": 8}, "odd"),
        ({"widths": (8,) * 6}, "1 to 5 stages"),
        ({"read.mean": 4}, "odd"),
        ({"read.times": ()}, "one time or more"),
        ({"read.times": (0.0,)}, "times"),
        ({"read.times": (1.5,)}, "times"),
        ({"denoise.objective": "vdm"}, "objective"),
    ],
)
def test_wrong_settings_are_refused_when_they_are_made(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        changed(HEAD.settings(), TINY | changes)


def test_what_cannot_be_learnt_is_refused_before_training(task: Task) -> None:
    with pytest.raises(SettingError, match="schedule"):
        HEAD.check(task, settings(denoise__schedule="nonsense"))
    nothing = Task(task.scenes, task.splits, (np.zeros(task.scene.shape, bool),))
    with pytest.raises(SceneError, match="--pool"):
        HEAD.check(nothing, settings())


def test_components_are_of_one_scale_and_of_tiny_pools_too(task: Task) -> None:
    """All together have a mean square of about 1; a pool of two pixels has components still."""
    values = task.scene.features(components_of(task, 6))
    assert (values**2).mean() == pytest.approx(1, rel=0.2)
    two = np.zeros(task.scene.shape, bool)
    two[3, 4] = two[20, 9] = True
    made = components_of(Task(task.scenes, task.splits, (two,)), 6)
    assert np.isfinite(task.scene.features(made)).all()

"""Folders of images, and volumes, go the way of a scene: fitted, mapped, scored and reported by the same code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import nn

from hyperseg.backbone import BackboneSpec, ClassHead, ConvSpec, Encoder, seeded
from hyperseg.core import Scene, SceneError, Split
from hyperseg.core.maps import Step
from hyperseg.core.runtime import Runtime
from hyperseg.core.sections import Section
from hyperseg.core.settings import changed, from_json, option, settings
from hyperseg.core.task import Task
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.methods.network import network_method
from hyperseg.recipes.run.repeat import score_step, told
from hyperseg.recipes.training.settings import TrainSettings
from hyperseg.report.page import write_report
from hyperseg.report.pictures import error_figure, map_figure

CLASSES, COLOURS = ("ground", "disc", "ring"), ((120, 120, 120), (200, 60, 60), (60, 60, 200))


@settings
class NetSettings:
    """A small network of any number of axes."""

    train: TrainSettings = option(TrainSettings(epochs=1, min_steps=120, lr=5e-3, batch=32), "The training.")


@dataclass(frozen=True)
class NetSpec:
    ndim: int
    n_channels: int
    n_classes: int


class Net(nn.Module):
    """(B, C, *S) -> (B, K, *S') scores by two unpadded convolutions."""

    padded, layout, margin = False, "channels", 2

    def __init__(self, spec: NetSpec) -> None:
        super().__init__()
        body = BackboneSpec(spec.n_channels, (12, 12), (1, 1), (3, 3), (1, 1), ConvSpec(spec.ndim, padding="valid"))
        self.encoder, self.head = Encoder(body), ClassHead(body, spec.n_classes, level=-1)

    def forward(self, x: Any) -> Any:
        return self.head(self.encoder(x))


def build(spec: NetSpec, seed: int) -> Net:
    with seeded(seed):
        return Net(spec)


TOY = network_method(
    "toy", NetSettings, build=build, read=lambda data: from_json(NetSpec, data),
    describe=lambda task, preprocess, _: NetSpec(len(task.scenes[0].shape), preprocess.n_out, task.n_classes),
    tell=lambda model, *_: Section("What the net shows", (f"{model.spec.ndim} axes.",)),
    takes=frozenset({"images", "volumes"}),
)  # fmt: skip


def body(shape: tuple[int, ...], channels: int, seed: int) -> Scene:
    """A bright ball in a dim ring on noise: every channel has another contrast."""
    random = np.random.default_rng(seed)
    centre = [n * random.uniform(0.4, 0.6) for n in shape]
    far = np.sqrt(sum((x - c) ** 2 for x, c in zip(np.indices(shape), centre, strict=True)))
    side = min(shape)
    labels = np.select([far < side / 5, far < side / 2.7], [1, 2], 0).astype(np.int16)
    level = np.array([0.0, 1.0, 0.5])[labels][..., None] * np.linspace(1, 2, channels)
    cube = (level + 0.15 * random.normal(size=(*shape, channels))).astype(np.float32)
    return Scene(cube, labels, classes=CLASSES, colours=COLOURS, name=f"body {seed}")


def split_of(scene: Scene, part: str, seed: int) -> Split:
    """Some pixels of a scene to learn from, or all of it to test on."""
    none, drawn = np.zeros(scene.shape, bool), np.random.default_rng(seed).random(scene.shape) < 0.05
    train = drawn if part == "train" else none
    return Split(train, none, ~none & ~train if part == "test" else none, f"whole scenes, {part}", seed)


SHAPES = {"images": ([(24, 31), (28, 22), (20, 20), (26, 33)], 3), "volumes": ([(9, 16, 14), (8, 13, 15)], 1)}


@pytest.mark.parametrize("kind", SHAPES)
def test_a_folder_is_fitted_mapped_scored_and_reported(kind: str, tmp_path: Path) -> None:
    """Trained on all scenes but the last, tested on the last one, of a size of its own."""
    shapes, channels = SHAPES[kind]
    scenes = tuple(body(shape, channels, seed) for seed, shape in enumerate(shapes))
    splits = tuple(split_of(s, "train" if s is not scenes[-1] else "test", i) for i, s in enumerate(scenes))
    task, runtime = Task(scenes, splits), Runtime(seed=3, quiet=True)
    TOY.check(task, NetSettings())
    model = TOY.fit(task, NetSettings(), runtime)
    found = model.map(scenes[-1], runtime)
    assert found.shape == scenes[-1].shape
    again = TOY.load(model.saved()).map(scenes[-1], runtime)
    assert again.probs.tobytes() == found.probs.tobytes()

    step = Step("toy", "network", found, 2 * model.margin_px + 1, 1.0)
    scores = told(step) | score_step(step, scenes[-1], splits[-1])
    labels = scenes[-1].labels
    assert labels is not None
    constant = 100 * np.bincount(labels.ravel()).max() / labels.size
    assert scores["OA"] > constant + 0.5 * (100 - constant)  # half of what a constant guess gets wrong

    section = model.section(scenes[-1], splits[-1], runtime)
    picture = map_figure(found.labels(), CLASSES, COLOURS, title="toy", scene=scenes[-1], ground_truth=labels)
    errors = error_figure(found.labels(), labels, splits[-1].test, scene=scenes[-1])
    metrics = {"chain": ["toy"], "final": "toy", "steps": {"toy": scores}, "scene": {"name": kind}}
    write_report(
        tmp_path / "report.html", metrics, figures={"map": picture, "errors": errors}, sections=[section], title=kind
    )
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert f"{scenes[0].cube.ndim - 1} axes." in page
    assert f"{scores['OA']:.2f}" in page
    assert page.count("data:image/png") == 2


TAKES = [(name, kind) for name in METHODS for kind in SHAPES if kind in METHODS[name].takes]


@pytest.mark.parametrize(("name", "kind"), TAKES, ids=[f"{name} of {kind}" for name, kind in TAKES])
def test_methods_keep_their_promises_of_every_kind_they_take(name: str, kind: str) -> None:
    """Trained for a moment: the same bytes once loaded, and with other classes on every pixel that is only tested."""
    shapes, channels = SHAPES[kind]
    scenes = tuple(body(shape, channels, seed) for seed, shape in enumerate(shapes))
    splits = tuple(split_of(s, "train" if s is not scenes[-1] else "test", i) for i, s in enumerate(scenes))
    method, runtime = METHODS[name], Runtime(seed=3, quiet=True)
    chosen = changed(method.settings(), {"steps": 6, "batch": 4, "width": 8})
    others = [
        scene.with_(labels=np.where(split.train, scene.labels, (np.asarray(scene.labels) + 1) % 3).astype(np.int16))
        for scene, split in zip(scenes, splits, strict=True)
    ]
    method.check(Task(scenes, splits), chosen)
    model, second = (method.fit(Task(tuple(given), splits), chosen, runtime) for given in (scenes, others))
    found = model.map(scenes[-1], runtime).probs
    assert found.shape == (*scenes[-1].shape, 3)
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found.sum(-1), 1, atol=1e-4)
    for other in (method.load(model.saved()), second):
        assert other.map(scenes[-1], runtime).probs.tobytes() == found.tobytes()


def test_the_kinds_that_methods_take_are_tried() -> None:
    assert {kind for _, kind in TAKES} == set(SHAPES)


def test_what_is_planned_for_images_learns_them() -> None:
    """A third of what a constant guess gets wrong is right, on an image it was not trained on."""
    shapes, channels = SHAPES["images"]
    scenes = tuple(body(shape, channels, seed) for seed, shape in enumerate(shapes))
    splits = tuple(split_of(s, "train" if s is not scenes[-1] else "test", i) for i, s in enumerate(scenes))
    method = METHODS[next(name for name, kind in TAKES if kind == "images")]
    chosen = changed(method.settings(), {"steps": 40, "width": 8, "lr": 5e-3, "average": 0.0})
    found = method.fit(Task(scenes, splits), chosen, Runtime(quiet=True)).map(scenes[-1], Runtime(quiet=True))
    labels = np.asarray(scenes[-1].labels)
    constant = np.bincount(labels.ravel()).max() / labels.size
    assert (found.labels() == labels).mean() > constant + (1 - constant) / 3


def test_scenes_of_a_task_belong_together() -> None:
    image, volume = body((20, 20), 3, 0), body((6, 10, 10), 3, 1)
    splits = tuple(split_of(s, "train", 0) for s in (image, volume))
    with pytest.raises(SceneError, match="do not mix"):
        Task((image, volume), splits)
    with pytest.raises(SceneError, match="share bands and classes"):
        Task((image, body((20, 20), 2, 0)), (splits[0], splits[0]))
    with pytest.raises(SceneError, match="has 2"):
        _ = Task((image, image), (splits[0], splits[0])).scene
    with pytest.raises(SceneError, match="one split per scene"):
        Task((image,), ())

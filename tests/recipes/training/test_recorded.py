"""Every training is a step that can be recorded: nothing in it waits for a value; played it ends in the same bytes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from taped import Tapes
from torch import Tensor, nn

from hyperseg.backbone import seeded
from hyperseg.core import SegmentationMap, Split
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.core.task import Task
from hyperseg.crf.deconv import DeconvSpec
from hyperseg.data.augment import SpectralNoise
from hyperseg.dpm.extras import ExtrasSettings, add_extras
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import Denoiser, denoiser_spec
from hyperseg.dpm.objectives import OBJECTIVES
from hyperseg.dpm.schedules.linear import LINEAR
from hyperseg.dpm.training import DiffusionSettings, train_diffusion
from hyperseg.gan.settings import Weights
from hyperseg.hsi.networks import HybridSpec, NetworkSpec, build_network
from hyperseg.losses import LOSSES, parse_loss
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.methods.gan import GanSettings
from hyperseg.recipes.methods.network import standardised
from hyperseg.recipes.refiners.deconv import DeconvSettings
from hyperseg.recipes.refiners.deep_crf import DeepCrfSettings
from hyperseg.recipes.training.deconv import train_deconv
from hyperseg.recipes.training.network import fit_network
from hyperseg.recipes.training.pairwise import learn_pairwise
from hyperseg.recipes.training.settings import TrainSettings
from hyperseg.simulated.scenes import toy_scene

STEPS, BANDS = 20, 20  # of which a one-cycle schedule needs all
RUNTIME = Runtime(seed=1, quiet=True)
TWIN = METHODS["twin"]
TINY = changed(
    GanSettings(weights=Weights(0.5, 0.5, agreement=0.5)),
    {"variant": "conv", "window": 5, "maps": 2, "width": 8, "epochs": 1, "min_steps": STEPS, "batch": 6,
     "pool_batch": 4},
)  # fmt: skip
FLAT = NetworkSpec(BANDS, 3, "none", width=8)
SCENE_LOSSES = [name for name in LOSSES if not getattr(parse_loss(name), "needs_background", False)]
SPECTRA = torch.randn(30, 1, 8, generator=torch.Generator().manual_seed(0))
ALL = SpectralNoise(gain=0.1, offset=0.1, drift=0.1, noise=0.1)


@pytest.fixture(scope="module")
def task() -> Task:
    scene = toy_scene(shape=(18, 26), n_bands=BANDS, n_classes=3, seed=0)
    assert scene.labels is not None
    known, left = scene.labels >= 0, np.arange(26)[None].repeat(18, 0) < 13
    split = Split(known & left, known & ~left & False, known & ~left, how="halves", seed=0)
    return Task((scene,), (split,))


def supervised(task: Task, spec: NetworkSpec | HybridSpec, precision: Any, **options: Any) -> list[nn.Module]:
    net = build_network(spec, seed=0)
    settings = TrainSettings(epochs=1, min_steps=STEPS, batch=8, **options)
    runtime = replace(RUNTIME, precision=precision)
    fit_network(task, net, standardised(task), settings, runtime, name="net")
    return [net]


def game(task: Task, settings: GanSettings) -> list[nn.Module]:
    model: Any = METHODS["gan"].fit(task, settings, RUNTIME)
    return [model.network, *model.beside.values()]


def twin(task: Task) -> list[nn.Module]:
    model: Any = TWIN.fit(task, TINY.discriminator, RUNTIME)
    return [model.network]


def masks(task: Task, method: str, **changes: Any) -> list[nn.Module]:
    """Diffusion over the classes of windows, or its twin."""
    tiny = {"width": 8, "window": 9, "batch": 4, "steps": STEPS, **changes}
    model: Any = METHODS[method].fit(task, changed(METHODS[method].settings(), tiny), RUNTIME)
    return [model.network]


def read_denoiser(task: Task, denoise_steps: int) -> list[nn.Module]:
    """A head on a denoiser; each is a training of its own."""
    tiny = {"components": 4, "window": 5, "widths": (4, 8), "hidden": (8,), "denoise.batch": 4, "read.steps": STEPS}
    method = METHODS["denoiser-head"]
    chosen = changed(method.settings(), {**tiny, "denoise.steps": denoise_steps})
    model: Any = method.fit(task, chosen, RUNTIME)
    return [model.network]


def some_map(task: Task) -> SegmentationMap:
    scene = task.scene
    probs = np.random.default_rng(0).dirichlet(np.ones(3), size=scene.shape).astype(np.float32)
    return SegmentationMap(probs, classes=scene.classes, colours=scene.colours, made_by=("x",))


def deconv(task: Task) -> list[nn.Module]:
    scene, train, upper = task.scene, task.split.train, np.zeros(task.scene.shape, bool)
    assert scene.labels is not None
    upper[::2] = True
    cube = torch.from_numpy(scene.features(standardised(task))).permute(2, 0, 1)
    held_out = [(train & upper, some_map(task)), (train & ~upper, some_map(task))]
    settings = DeconvSettings(steps=STEPS, crop=8, batch=3, width=4, noise=ALL)
    return [train_deconv(DeconvSpec(BANDS, 3, ((0, 10), (10, 20))), cube, scene.labels, held_out, settings,
                         runtime=RUNTIME)]  # fmt: skip


def heads(task: Task) -> list[nn.Module]:
    features = torch.randn(6, *task.scene.shape, generator=torch.Generator().manual_seed(0))
    settings = DeepCrfSettings(steps=STEPS, batch=16, least_edges=5)
    return [learn_pairwise(some_map(task), task.scene, task.split, features, settings, runtime=RUNTIME)[0]]


def denoiser(objective: str, precision: Any = "fp32", **options: Any) -> list[nn.Module]:
    """With attention and classes."""
    spec = denoiser_spec(
        1, 1, widths=(4, 8), heads=(0, 2), cond_dim=8, n_classes=2, extras=OBJECTIVES[objective].extras
    )
    settings = replace(DiffusionSettings(objective, steps=STEPS, batch=4), **options)
    runtime = replace(RUNTIME, precision=precision)
    model = train_diffusion(SPECTRA, spec, settings, runtime, labels=torch.arange(30) % 2)
    return [model.network, *filter(None, [model.raw])]


def extras() -> list[nn.Module]:
    spec = denoiser_spec(1, 1, widths=(4, 8), cond_dim=8)
    with seeded(0):
        net = Denoiser(spec)
    model = DiffusionModel(net, spec, LINEAR, "eps")
    told = ExtrasSettings(steps=STEPS, batch=4)
    return [add_extras(model, SPECTRA, RUNTIME, ("share", "squared", "residual"), settings=told).network]


def games() -> list[tuple[str, Callable[[Task], list[nn.Module]]]]:
    """All aims, told and not; spectral norm and the implicit form on the way."""
    found = []
    for aim in ("match", "fool", "both"):
        plain = changed(TINY, {"weights.aim": aim, "fake_logit": "implicit"})
        told = changed(TINY, {"weights.aim": aim, "conditional": True, "weights.augment": 0.5, "spectral_norm": True})
        for name, settings in ((f"gan {aim}", plain), (f"gan {aim} told", told)):
            found.append((name, lambda task, settings=settings: game(task, settings)))
    return found


TRAININGS: dict[str, Callable[[Task], list[nn.Module]]] = {
    "plain": lambda task: supervised(task, NetworkSpec(BANDS, 3, "none", width=8), "bf16"),
    "other light": lambda task: supervised(
        task, NetworkSpec(BANDS, 3, "none", width=8), "fp32", illumination=0.1, noise=ALL, balanced=True
    ),
    "short": lambda task: supervised(task, NetworkSpec(BANDS, 3, "short", width=8), "fp32"),
    "groups": lambda task: supervised(
        task, NetworkSpec(BANDS, 3, "groups", width=8, groups=((0, 12), (12, 20)), group_maps=2), "fp32"
    ),
    "hybrid": lambda task: supervised(task, HybridSpec(BANDS, 3, width=8), "fp32"),
    **{name: lambda task, name=name: supervised(task, FLAT, "bf16", loss=name) for name in SCENE_LOSSES},
    "twin": twin,
    "masks": lambda task: masks(task, "medsegdiff"),
    "masks, velocity": lambda task: masks(task, "medsegdiff", says="v"),
    "masks, twin": lambda task: masks(task, "feed-forward"),
    "head on a denoiser": lambda task: read_denoiser(task, 0),
    "denoiser of a scene, head": lambda task: read_denoiser(task, STEPS),
    "deconv": deconv,
    "heads": heads,
    "denoiser": lambda task: denoiser("eps", "bf16"),
    "denoiser, extras": lambda task: extras(),
    "denoiser, hybrid": lambda task: denoiser("hybrid", by_loss=True),
    "denoiser, edm": lambda task: denoiser("edm"),
    "denoiser, vdm": lambda task: denoiser("vdm", steps=26),  # of two kinds, both warmed up
    "denoiser, score-flow": lambda task: denoiser("score-flow"),
    **dict(games()),
}
KINDS = {"denoiser, vdm": 2, "denoiser of a scene, head": 2}  # of steps, each recorded by itself; else one


def state(nets: list[nn.Module]) -> list[Tensor]:
    return [tensor for net in nets for tensor in net.state_dict().values()]


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_can_be_recorded_and_ends_with_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch, task: Task, name: str
) -> None:
    loop = importlib.import_module("hyperseg.engine.fit")
    ends = []
    for tapes in (Tapes(), Tapes(fails=True)):
        monkeypatch.setattr(loop, "graphs_of", lambda device, tapes=tapes: tapes)
        ends.append(state(TRAININGS[name](task)))
        assert tapes.refused == (["asked to"] * KINDS.get(name, 1) if tapes.fails else [])
        assert tapes.fails or tapes.done.count("play") >= STEPS - 3
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))

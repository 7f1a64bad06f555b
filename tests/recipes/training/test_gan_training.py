"""Training a GAN: nothing but labels is the supervised twin, and nothing but pool and labels is looked at."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from fakes import stopping
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.core import RunError, SettingError, Split
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.core.task import Task
from hyperseg.data.augment import SpectralNoise
from hyperseg.data.patches import PatchSource
from hyperseg.gan import collapse
from hyperseg.gan.networks import build_discriminator, build_generator
from hyperseg.gan.settings import Weights
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.methods.gan import GanSettings
from hyperseg.recipes.methods.network import whitened
from hyperseg.recipes.methods.twin import describe
from hyperseg.recipes.run.classify import pool_mask
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.recipes.run.steps import fitted_parts
from hyperseg.recipes.training.gan import game_batches
from hyperseg.recipes.training.network import patch_source
from hyperseg.simulated.scenes import toy_scene

Mask = NDArray[np.bool_]
GAN, TWIN = METHODS["gan"], METHODS["twin"]
TINY: GanSettings = changed(
    GanSettings(weights=Weights(1, 1)),
    {"variant": "conv", "window": 5, "maps": 2, "width": 8, "epochs": 1, "min_steps": 20, "batch": 6, "pool_batch": 4},
)
EVERYTHING = changed(
    replace(TINY, conditional=True, weights=Weights(0.5, 0.5, aim="both", agreement=0.5, augment=0.5)),
    {"spectral_norm": True},
)


@pytest.fixture(scope="module")
def task() -> Task:
    """Trained on the left, validated and tested on the right."""
    scene = toy_scene(shape=(18, 26), n_bands=20, n_classes=3, seed=0)
    assert scene.labels is not None
    known, column = scene.labels >= 0, np.arange(26)[None].repeat(18, 0)
    thinned = np.indices((18, 26)).sum(0) % 4 == 0
    val = known & (column > 18) & thinned
    split = Split(known & (column < 9) & thinned, val, known & (column > 18) & ~val, how="halves", seed=0)
    return Task((scene,), (split,))


@pytest.fixture(scope="module")
def whole(task: Task) -> Any:
    return trained(task, EVERYTHING, seed=2)


def trained(task: Task, settings: Any = TINY, *, seed: int = 0, **runtime: Any) -> Any:
    """A GAN, or a twin where the settings are those of one."""
    method = GAN if isinstance(settings, GanSettings) else TWIN
    return method.fit(task, settings, Runtime(seed, quiet=True, **runtime))


def bytes_of(net: nn.Module) -> bytes:
    """Parameters and statistics; how many batches passed a norm counts for nothing."""
    return b"".join(t.numpy().tobytes() for t in net.state_dict().values() if t.is_floating_point())


def same(one: Any, other: Any) -> bool:
    """Discriminators and generators, bit for bit, and all that was noted of their training."""
    nets = [(m.network, *m.beside.values()) for m in (one, other)]
    notes = [(m.history.terms, m.history.scores) for m in (one, other)]
    return [bytes_of(n) for n in nets[0]] == [bytes_of(n) for n in nets[1]] and notes[0] == notes[1]


@pytest.mark.parametrize(
    "options", [{}, {"conditional": True, "augment": 5e-324}, {"fake_logit": "implicit", "variant": "spa"}]
)
def test_without_weights_a_discriminator_beside_a_generator_is_its_twin(task: Task, options: dict[str, Any]) -> None:
    """Weights that are 0 in float32: pool and generated cubes pass it at every step and leave no trace."""
    nothing = dict.fromkeys(("unlabelled", "generated", "agreement"), 5e-324)
    settings = changed(TINY, {"weight_decay": 0.0} | nothing | options)
    twin, beside = (trained(task, s, seed=3) for s in (settings.discriminator, settings))
    assert bytes_of(beside.network) == bytes_of(twin.network)
    assert beside.history.terms["discriminator.L1"] == twin.history.terms["L1"]
    before, after = build_generator(beside.spec, seed=3), beside.beside["generator"]
    pairs = zip(before.parameters(), after.parameters(), strict=True)
    assert all(not torch.equal(a, b) for a, b in pairs if a.abs().max() > 0)  # it trained
    other = trained(task, replace(settings, weights=Weights(1, 1)), seed=3)  # and with weights it is another one
    assert bytes_of(other.network) != bytes_of(twin.network)


def test_the_twin_knows_neither_the_pool_nor_the_terms_of_the_generator(task: Task) -> None:
    alone = trained(task, TINY.discriminator)
    assert alone.beside == {}
    assert alone.section(task.scene, task.split, Runtime(quiet=True)) is None
    assert same(trained(replace(task, pools=(left_side(task),)), TINY.discriminator), alone)
    resting = replace(TINY, weights=Weights(0, 0, aim="fool"), generator_lr=0.5)
    assert same(trained(task, resting), alone)
    with pytest.raises(SettingError, match="told counts only where the generator is told a class"):
        replace(TINY, weights=Weights(told=5.0))
    assert GAN.beside(EVERYTHING) == ((TWIN, EVERYTHING.discriminator),)


def test_the_twin_is_a_plain_supervised_loop(task: Task) -> None:
    """AdamW, one cycle, clipped gradients and a moving average, written out; no randomness inside a step."""
    settings = replace(TINY.discriminator, dropout=0.0, noise=SpectralNoise())
    preprocess = whitened(task, settings)
    spec = describe(preprocess.n_out, 3, settings)
    net = build_discriminator(spec, seed=1).train()
    source = patch_source(task, preprocess, net, Runtime())
    draw, make, steps = game_batches(task, settings, spec, source, n_pool=0, seed=1)
    mean = {k: v.clone() for k, v in net.state_dict().items()}
    optimizer = torch.optim.AdamW(net.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, total_steps=steps, pct_start=0.2)
    for step in range(steps):
        batch = make(draw(step))
        optimizer.zero_grad()
        F.cross_entropy(net(batch.labelled)[:, :, 0, 0], batch.targets).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        decay = min(settings.average, (1 + step) / (10 + step))
        for name, value in net.state_dict().items():
            mean[name] = mean[name].lerp(value, 1 - decay) if value.is_floating_point() else value.clone()
    for name, value in trained(task, settings, seed=1).network.state_dict().items():
        torch.testing.assert_close(value, mean[name], rtol=1e-5, atol=1e-6, msg=name)


def left_side(task: Task) -> Mask:
    pool = np.zeros(task.scene.shape, bool)
    pool[2:16, 4:12] = True
    return pool


@pytest.mark.parametrize("sentinel", [np.nan, 1e9])
def test_pixels_outside_pool_and_training_windows_do_not_count(task: Task, sentinel: float) -> None:
    pool, split = left_side(task), task.split
    outside = ~np.asarray(ndimage.binary_dilation(pool | split.train, np.ones((5, 5), bool)))
    assert (outside & split.val).any()
    assert (outside & split.test).any()
    cube = np.asarray(task.scene.cube, np.float32).copy()
    cube[outside] = sentinel
    spoiled = task.scene.with_(cube=cube)
    tasks = [Task((scene,), task.splits, (pool,)) for scene in (task.scene, spoiled)]
    one, other = (trained(t, EVERYTHING) for t in tasks)
    assert bytes_of(one.network) == bytes_of(other.network)
    assert bytes_of(one.beside["generator"]) == bytes_of(other.beside["generator"])
    assert one.history.terms == other.history.terms
    assert all(np.isfinite(values).all() for values in other.history.terms.values())
    found = [m.section(t.scene, split, Runtime()).numbers for m, t in zip((one, other), tasks, strict=True)]
    assert found[0] == found[1]
    # without the mask they are looked at: the comparison can fail
    one, other = (trained(Task((scene,), task.splits)) for scene in (task.scene, spoiled))
    assert bytes_of(one.network) != bytes_of(other.network)


@pytest.mark.parametrize("given", [False, True])
def test_pixels_without_data_are_never_in_the_pool(task: Task, given: bool) -> None:
    valid, half = np.ones(task.scene.shape, bool), np.zeros(task.scene.shape, np.uint8)
    valid[:, 9:14] = False
    half[::2] = 7  # file codes will do
    scene, wanted = task.scene.with_(valid=valid), valid & (half > 0) if given else valid
    pools = (pool_mask(scene, half),) if given else None
    asked: list[Tensor] = []

    def gather(pixels: Tensor, orientation: Tensor) -> Tensor:
        asked.append(pixels)
        return torch.zeros(len(pixels), 1, 20, 5, 5)

    source = cast("PatchSource", SimpleNamespace(device=torch.device("cpu"), gather=gather, orientations=8))
    settings = TINY.discriminator
    draw, make, _ = game_batches(
        Task((scene,), task.splits, pools), settings, describe(20, 3, settings), source, n_pool=40, seed=0
    )
    for step in range(120):
        make(draw(step))
    scenes, rows, columns = torch.cat(asked[1::2]).numpy().T
    assert (scenes == 0).all()
    seen = np.zeros(scene.shape, bool)
    seen[rows, columns] = True
    np.testing.assert_array_equal(seen, wanted)  # all of them in time, and no other
    _, rows, columns = torch.cat(asked[::2]).numpy().T
    assert task.split.train[rows, columns].all()


@pytest.mark.parametrize("step", [1, 7, 20])
def test_an_interrupted_training_goes_on_to_the_same_bytes(task: Task, whole: Any, tmp_path: Path, step: int) -> None:
    with pytest.raises(KeyboardInterrupt):
        trained(task, EVERYTHING, seed=2, checkpoints=tmp_path / "state", on_step=stopping(step))
    assert (tmp_path / "state-gan.pt").exists()
    torch.rand(5)  # whatever was drawn before
    assert same(trained(task, EVERYTHING, seed=2, checkpoints=tmp_path / "state"), whole)


def test_a_training_state_of_the_twin_is_not_taken_for_the_gans(task: Task, tmp_path: Path) -> None:
    state = tmp_path / "state"
    with pytest.raises(KeyboardInterrupt):
        trained(task, TINY.discriminator, checkpoints=state, on_step=stopping(3))
    (tmp_path / "state-twin.pt").rename(tmp_path / "state-gan.pt")
    with pytest.raises(RunError, match=r"state-gan\.pt: this training state is of a run of .*discriminator"):
        trained(task, TINY, checkpoints=state)


def test_another_seed_is_another_game_and_both_sides_are_ready_to_use(task: Task, whole: Any) -> None:
    other = trained(task, EVERYTHING, seed=5)
    for net, more in ((whole.network, other.network), (whole.beside["generator"], other.beside["generator"])):
        assert bytes_of(net) != bytes_of(more)
        assert not net.training


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"augment": 0.5}, r"only where the generator was told their class: conditional=True"),
        ({"window": 8}, "side must be odd, got 8"),
        ({"window": 3}, "window is 5 or more and at most 129, got 3"),
        ({"variant": "sss"}, "variant"),
        ({"fake_logit": "maybe"}, "fake_logit"),
        ({"norm": "group"}, "norm"),
        ({"epochs": 0}, "epochs is 1 or more"),
        ({"min_steps": 0}, "min_steps is 1 or more"),
        ({"discriminator.batch": 1}, "batch is 2 or more"),
        ({"pool_batch": 1}, "pool_batch is 2 or more"),
        ({"maps": 0}, "maps is 1 or more"),
        ({"dropout": 1.5}, "dropout"),
    ],
)
def test_settings_that_cannot_be(task: Task, options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        GAN.check(task, changed(TINY, options))


def test_settings_survive_a_record() -> None:
    options = {"variant": "spa", "noise.gain": 0.1, "fake_logit": "implicit", "average": 0.5, "balanced": False}
    settings = RunSettings("gan", baselines=("rf",), method_settings=changed(EVERYTHING, options), repeats=2)
    written = json.loads(json.dumps(settings.to_json()))
    assert RunSettings.from_json(written) == settings
    assert [part.name for _, part, _ in fitted_parts(settings)] == ["rf", "twin", "gan"]
    told = written["method_settings"] | {"conditional": False}
    for broken in (told, [1, 2]):
        with pytest.raises(SettingError):
            RunSettings.from_json(written | {"method_settings": broken})


def test_a_generator_that_is_hardly_trained_is_warned_of(task: Task) -> None:
    """It makes next to nothing, all of it of one class once it makes nothing at all."""
    pool = left_side(task) & ~task.split.test
    made = trained(replace(task, pools=(pool,)), replace(TINY, generator_lr=1e-12))
    found = made.section(task.scene, task.split, Runtime()).numbers
    assert found["health"]["diversity"] < collapse.NARROW
    assert found["warnings"] == collapse.warnings(collapse.Health(**found["health"]))
    assert any("generator" in sentence for sentence in found["warnings"])
    with torch.no_grad():
        for p in made.beside["generator"].parameters():
            p.zero_()
    found = made.section(task.scene, task.split, Runtime()).numbers
    assert sum(found["generated_per_class"].values()) == max(found["generated_per_class"].values()) == 1024

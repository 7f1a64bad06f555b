"""Training a GAN: nothing but labels is the supervised twin, and nothing but pool and labels is looked at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from hyperseg.recipes.methods.look_at_gan import describe_gan
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.core import LabelError, RunError, Scene, SettingError, Split
from hyperseg.data.augment import SpectralNoise
from hyperseg.data.patches import PatchSource
from hyperseg.engine import Ema, fit
from hyperseg.gan import collapse
from hyperseg.gan.game import Game
from hyperseg.gan.networks import build_discriminator, build_generator
from hyperseg.gan.settings import Weights
from hyperseg.recipes.run.settings import ClassifySettings
from hyperseg.recipes.training import gan as recipe
from hyperseg.recipes.training.gan import GanSettings, TrainedGan, pool_mask, train_gan
from hyperseg.recipes.training.network import prepare
from hyperseg.simulated.scenes import toy_scene

Mask = NDArray[np.bool_]
TINY = GanSettings(
    variant="conv", window=5, maps=2, width=8, epochs=1, min_steps=20, batch=6, pool_batch=4, weights=Weights(1, 1)
)  # fmt: skip
EVERYTHING = replace(
    TINY, conditional=True, spectral_norm=True, weights=Weights(0.5, 0.5, aim="both", agreement=0.5, augment=0.5)
)


@pytest.fixture(scope="module")
def scene() -> Scene:
    return toy_scene(shape=(18, 26), n_bands=20, n_classes=3, seed=0)


@pytest.fixture(scope="module")
def split(scene: Scene) -> Split:
    """Trained on the left, validated and tested on the right."""
    assert scene.labels is not None
    known, column = scene.labels >= 0, np.arange(26)[None].repeat(18, 0)
    thinned = np.indices((18, 26)).sum(0) % 4 == 0
    val = known & (column > 18) & thinned
    return Split(known & (column < 9) & thinned, val, known & (column > 18) & ~val, how="halves", seed=0)


def bytes_of(net: nn.Module | None) -> bytes:
    assert net is not None
    return b"".join(t.numpy().tobytes() for t in net.state_dict().values())


def trained(scene: Scene, split: Split, settings: GanSettings = TINY, **options: Any) -> TrainedGan:
    return train_gan(scene, split, settings=settings, quiet=True, **options)


def parts(scene: Scene, split: Split, settings: GanSettings, seed: int) -> tuple[Game, Any, int, Ema]:
    """What `train_gan` puts together, before any step: both players, batches, steps, the average."""
    preprocess = prepare(scene, split, kind="cnn3d", whiten=settings.whiten)
    spec = settings.spec(n_features=preprocess.n_out, n_classes=scene.n_classes)
    net, generator = build_discriminator(spec, seed=seed), build_generator(spec, seed=seed)
    source = PatchSource(preprocess(scene.cube[:]), radius=net.margin)
    draw, steps = recipe._batches(scene, split, settings, spec, source, pool=pool_mask(scene, None), seed=seed)
    average = Ema(net, decay=settings.average)
    return (Game(net, generator, settings.weights, average.module, settings.noise), draw, steps, average)


@pytest.mark.parametrize(
    "options", [{}, {"conditional": True, "spectral_norm": True}, {"fake_logit": "implicit", "variant": "spa"}]
)
def test_without_weights_a_discriminator_beside_a_generator_is_its_twin(
    scene: Scene, split: Split, options: dict[str, Any]
) -> None:
    """Two phases with a generator that trains, against one phase without: the same bytes, statistics and all."""
    settings = replace(TINY, **options)
    twin = trained(scene, split, settings.twin, seed=3)
    assert twin.generator is None
    game, draw, steps, average = parts(scene, split, settings.twin, seed=3)
    before = deepcopy(game.generator)
    history = fit(
        recipe._phases(game, settings, steps), draw, steps,
        modules={"discriminator": game.discriminator, "generator": game.generator}, averages=[average], seed=3,
        keep="last",
    )  # fmt: skip
    assert bytes_of(average.module) == bytes_of(twin.network)
    assert history.terms["discriminator.L1"] == twin.history.terms["L1"]
    assert all(
        not torch.equal(a, b)
        for a, b in zip(before.parameters(), game.generator.parameters(), strict=True)
        if a.abs().max() > 0
    )
    other = trained(scene, split, settings, seed=3)  # and with weights it is another one
    assert bytes_of(other.network) != bytes_of(twin.network)


def test_the_twin_knows_neither_the_pool_nor_the_terms_of_the_generator(scene: Scene, split: Split) -> None:
    resting = replace(TINY, weights=Weights(0.1, 0.2, aim="fool", told=5.0), generator_lr=0.5).twin
    assert resting.weights != TINY.twin.weights
    found = trained(scene, split, resting, pool=left_side(scene))
    assert bytes_of(found.network) == bytes_of(trained(scene, split, TINY.twin).network)


def test_the_twin_is_a_plain_supervised_loop(scene: Scene, split: Split) -> None:
    """AdamW, one cycle, clipped gradients and a moving average, written out; no randomness inside a step."""
    settings = replace(TINY, dropout=0.0, noise=SpectralNoise()).twin
    game, draw, steps, _ = parts(scene, split, settings, seed=1)
    net = game.discriminator.train()
    mean = {k: v.clone() for k, v in net.state_dict().items()}
    optimizer = torch.optim.AdamW(net.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, total_steps=steps, pct_start=0.2)
    for step in range(steps):
        batch = draw(step)
        optimizer.zero_grad()
        F.cross_entropy(net(batch.labelled)[:, :, 0, 0], batch.targets).backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        decay = min(settings.average, (1 + step) / (10 + step))
        for name, value in net.state_dict().items():
            mean[name] = mean[name].lerp(value, 1 - decay) if value.is_floating_point() else value.clone()
    found = trained(scene, split, settings, seed=1).network.state_dict()
    for name, value in found.items():
        torch.testing.assert_close(value, mean[name], rtol=1e-5, atol=1e-6, msg=name)


def within(scene: Scene, mask: Mask, radius: int) -> Mask:
    """Pixels in the window of a pixel of the mask."""
    return np.asarray(ndimage.binary_dilation(mask, np.ones((2 * radius + 1,) * 2, bool)))


def left_side(scene: Scene) -> Mask:
    pool = np.zeros(scene.shape, bool)
    pool[2:16, 4:12] = True
    return pool


@pytest.fixture(scope="module")
def on_the_left(scene: Scene, split: Split) -> TrainedGan:
    return trained(scene, split, EVERYTHING, pool=left_side(scene))


@pytest.mark.parametrize("sentinel", [np.nan, 1e9])
def test_pixels_outside_pool_and_training_windows_do_not_count(
    scene: Scene, split: Split, on_the_left: TrainedGan, sentinel: float
) -> None:
    pool = left_side(scene)
    outside = ~within(scene, pool | split.train, 2)
    assert (outside & split.val).any()
    assert (outside & split.test).any()
    cube = np.asarray(scene.cube, np.float32).copy()
    cube[outside] = sentinel
    spoiled = scene.with_(cube=cube)
    one, other = on_the_left, trained(spoiled, split, EVERYTHING, pool=pool)
    assert bytes_of(one.network) == bytes_of(other.network)
    assert bytes_of(one.generator) == bytes_of(other.generator)
    assert one.history.terms == other.history.terms
    assert all(np.isfinite(values).all() for values in other.history.terms.values())
    found = [describe_gan(t, s, split, pool=pool, seed=0) for t, s in ((one, scene), (other, spoiled))]
    assert found[0] == found[1]
    # without the mask they are looked at: the comparison can fail
    one, other = (trained(s, split, TINY) for s in (scene, spoiled))
    assert bytes_of(one.network) != bytes_of(other.network)


def test_labels_outside_training_and_validation_do_not_count(scene: Scene, split: Split) -> None:
    """The pool is looked at without its labels, those of test pixels above all."""
    assert scene.labels is not None
    labels = scene.labels.copy()
    labels[~split.train & ~split.val] = -1
    one, other = trained(scene, split), trained(scene.with_(labels=labels), split)
    assert bytes_of(one.network) == bytes_of(other.network)
    assert one.history.scores == other.history.scores


def test_pixels_without_data_are_never_in_the_pool(scene: Scene, split: Split) -> None:
    valid = np.ones(scene.shape, bool)
    valid[:, 9:14] = False
    scene = scene.with_(valid=valid)
    np.testing.assert_array_equal(pool_mask(scene, None), valid)
    half = np.zeros(scene.shape, np.uint8)
    half[::2] = 7  # file codes will do
    np.testing.assert_array_equal(pool_mask(scene, half), valid & (half > 0))
    assert pool_mask(scene, half).dtype == np.bool_
    asked: list[Tensor] = []

    def gather(pixels: Tensor, orientation: Tensor) -> Tensor:
        asked.append(pixels)
        return torch.zeros(len(pixels), 1, 20, 5, 5)

    source = cast("PatchSource", SimpleNamespace(device=torch.device("cpu"), gather=gather))
    spec = TINY.spec(n_features=20, n_classes=3)
    settings = replace(TINY, pool_batch=40)
    draw, _ = recipe._batches(scene, split, settings, spec, source, pool=pool_mask(scene, half), seed=0)
    for step in range(60):
        draw(step)
    rows, columns = torch.cat(asked[1::2]).numpy().T
    seen = np.zeros(scene.shape, bool)
    seen[rows, columns] = True
    np.testing.assert_array_equal(seen, valid & (half > 0))  # all of them in time, and no other
    rows, columns = torch.cat(asked[::2]).numpy().T
    assert split.train[rows, columns].all()


def test_masks_that_are_no_pool(scene: Scene, split: Split) -> None:
    scene = scene.with_(valid=np.arange(26)[None].repeat(18, 0) > 2, name="field")
    for mask, words in (
        (np.ones((26, 18), bool), r"field: the pool mask has shape \(26, 18\), the scene \(18, 26\): crop"),
        (np.zeros((18, 26), bool), r"field: the pool mask holds no valid pixel: mark the pixels .* with 1"),
        (~np.asarray(scene.valid), "field: the pool mask holds no valid pixel"),
    ):
        with pytest.raises(LabelError, match=words):
            train_gan(scene, split, settings=TINY, pool=mask, quiet=True)
    with pytest.raises(LabelError, match="no labels to learn from"):
        train_gan(scene.with_(labels=None), split, settings=TINY, quiet=True)


def test_a_pool_of_one_pixel_is_refused_or_trained_on(scene: Scene, split: Split) -> None:
    pool = np.zeros(scene.shape, bool)
    pool[4, 4] = True
    try:
        made = trained(scene, split, pool=pool)
    except LabelError:
        return
    describe_gan(made, scene, split, pool=pool, seed=0)


@contextmanager
def interrupted(step: int) -> Iterator[None]:
    """Ctrl-C after a step."""

    @contextmanager
    def progress(label: str, steps: int, *, quiet: bool) -> Iterator[Callable[..., None]]:
        def report(done: int, values: Any) -> None:
            if done == step:
                raise KeyboardInterrupt

        yield report

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe, "training_progress", progress)
        yield


@pytest.fixture(scope="module")
def whole(scene: Scene, split: Split) -> TrainedGan:
    return trained(scene, split, EVERYTHING, seed=2)


@pytest.mark.parametrize("step", [1, 7, 20])
def test_an_interrupted_training_goes_on_to_the_same_bytes(
    scene: Scene, split: Split, whole: TrainedGan, tmp_path: Path, step: int
) -> None:
    state = tmp_path / "state.pt"
    with interrupted(step), pytest.raises(KeyboardInterrupt):
        trained(scene, split, EVERYTHING, seed=2, checkpoint=state)
    assert state.exists()
    again = trained(scene, split, EVERYTHING, seed=2, checkpoint=state, resume=True)
    assert bytes_of(again.network) == bytes_of(whole.network)
    assert bytes_of(again.generator) == bytes_of(whole.generator)
    assert again.history.terms == whole.history.terms
    assert again.history.scores == whole.history.scores


def test_a_training_state_of_the_twin_is_not_taken_for_the_gans(scene: Scene, split: Split, tmp_path: Path) -> None:
    state = tmp_path / "state.pt"
    with interrupted(3), pytest.raises(KeyboardInterrupt):
        trained(scene, split, TINY.twin, checkpoint=state)
    with pytest.raises(RunError, match=r"state\.pt: this training state is of a run of .*discriminator"):
        trained(scene, split, TINY, checkpoint=state, resume=True)


def test_same_seed_same_bytes(scene: Scene, split: Split, whole: TrainedGan) -> None:
    torch.rand(5)  # whatever was drawn before
    again = trained(scene, split, EVERYTHING, seed=2)
    assert bytes_of(again.network) == bytes_of(whole.network)
    assert bytes_of(again.generator) == bytes_of(whole.generator)
    other = trained(scene, split, EVERYTHING, seed=5)
    assert bytes_of(other.network) != bytes_of(whole.network)
    assert bytes_of(other.generator) != bytes_of(whole.generator)
    assert not whole.network.training
    assert whole.generator is not None
    assert not whole.generator.training


def test_what_predicts_is_the_average(scene: Scene, split: Split, monkeypatch: pytest.MonkeyPatch) -> None:
    averages: list[Ema] = []

    class Watched(Ema):
        def __init__(self, *a: Any, **k: Any) -> None:
            super().__init__(*a, **k)
            averages.append(self)

    monkeypatch.setattr(recipe, "Ema", Watched)
    made = trained(scene, split)
    assert bytes_of(made.network) == bytes_of(averages[0].module)
    assert averages[0].decay == TINY.average


def test_the_twin_has_everything_of_its_gan_but_the_weights() -> None:
    twin = EVERYTHING.twin
    assert twin.weights.supervised
    assert not EVERYTHING.weights.supervised
    assert replace(twin, weights=EVERYTHING.weights) == EVERYTHING
    assert twin.twin == twin
    assert GanSettings().twin.weights.supervised


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"weights": Weights(augment=0.5)}, r"only where the generator was told their class: conditional=True"),
        ({"window": 8}, "side must be odd, got 8"),
        ({"window": 3}, "window is 5 or more, got 3"),
        ({"variant": "sss"}, "variant"),
        ({"fake_logit": "maybe"}, "fake_logit"),
        ({"norm": "group"}, "norm"),
        ({"epochs": 0}, "must be at least 1"),
        ({"min_steps": 0}, "must be at least 1"),
        ({"batch": 0}, "must be at least 1"),
        ({"pool_batch": 0}, "must be at least 1"),
        ({"maps": 0}, "maps is 1 or more"),
        ({"dropout": 1.5}, "dropout"),
    ],
)
def test_settings_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        GanSettings(**options)


@pytest.mark.parametrize("options", [{"batch": 1}, {"pool_batch": 1}])
def test_batches_of_one_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SettingError, match="batch"):
        GanSettings(**options)


def test_too_few_bands_are_said_before_training(scene: Scene, split: Split) -> None:
    narrow = scene.with_(cube=np.asarray(scene.cube)[..., :12], wavelengths_nm=None)
    with pytest.raises(SettingError, match=r"ss convolves .* at least 19 of them, the scene has 12 .*--variant spa"):
        trained(narrow, split, replace(TINY, variant="ss"))


def test_settings_survive_a_record() -> None:
    changed = replace(
        EVERYTHING,
        variant="spa",
        noise=SpectralNoise(gain=0.1, noise=0.2),
        fake_logit="implicit",
        average=0.5,
        whiten=False,
        balanced=False,
    )
    settings = ClassifySettings(method="gan", baselines=("rf",), gan=changed, repeats=2)
    written = json.loads(json.dumps(settings.to_json()))
    again = ClassifySettings.from_json(written)
    assert again == settings
    assert isinstance(again.gan.weights, Weights)
    assert isinstance(again.gan.noise, SpectralNoise)
    assert again.gan != GanSettings()
    assert again.steps == ("rf", "twin", "gan")
    old = {k: v for k, v in written.items() if k != "gan"}  # a record from before there were GANs
    assert ClassifySettings.from_json(old | {"method": "cnn3d"}).gan == GanSettings()
    for part in (
        {"gan": written["gan"] | {"colour": "red"}},
        {"gan": written["gan"] | {"weights": {"luck": 1}}},
        {"gan": written["gan"] | {"weights": {"generated": -1}}},
        {"gan": written["gan"] | {"conditional": False}},
        {"gan": [1, 2]},
    ):
        with pytest.raises(SettingError):
            ClassifySettings.from_json(written | part)


def test_a_collapsed_generator_is_warned_of(scene: Scene, split: Split) -> None:
    """One that is hardly trained makes next to nothing; one whose output is constant, nothing at all."""
    pool = left_side(scene) & ~split.test
    made = trained(scene, split, replace(TINY, generator_lr=1e-12), pool=pool)
    assert made.generator is not None
    found = describe_gan(made, scene, split, pool=pool, seed=0)
    assert found is not None
    assert found["health"]["diversity"] < collapse.NARROW
    assert found["warnings"] == collapse.warnings(collapse.Health(**found["health"]))
    assert any("generator" in sentence for sentence in found["warnings"])
    with torch.no_grad():
        for p in made.generator.parameters():
            p.zero_()
    found = describe_gan(made, scene, split, pool=pool, seed=0)
    assert found is not None
    assert found["health"]["diversity"] == 0
    assert found["warnings"][0].startswith("The generator has collapsed: its spectra vary 0 %")
    assert sum(found["generated_per_class"].values()) == max(found["generated_per_class"].values()) == 1024
    assert found["pool"] == f"the pool mask, {int(pool.sum())} pixels, no test pixel among them"
    whole = describe_gan(made, scene, split, pool=None, seed=0)
    assert whole is not None
    assert whole["pool"].startswith("whole scene (transductive), 468 pixels, 100 % of the test pixels")
    assert describe_gan(trained(scene, split, TINY.twin), scene, split, pool=None, seed=0) is None


def test_a_generator_of_values_that_are_not_finite_does_not_end_a_run(scene: Scene, split: Split) -> None:
    made = trained(scene, split)
    assert made.generator is not None
    with torch.no_grad():
        made.generator.start.bias.fill_(torch.nan)
    found = describe_gan(made, scene, split, pool=None, seed=0)
    assert found is not None
    assert "not finite" in found["warnings"][0]

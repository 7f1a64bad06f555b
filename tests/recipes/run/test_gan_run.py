"""A whole run of `gan`: what it measures and says, and what is read back from its folder."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fakes import EAGER, line, stopping

from hyperseg.core import LabelError, RunError, Scene
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed
from hyperseg.core.task import Task
from hyperseg.data.patches import PatchSource
from hyperseg.engine import choose_precision
from hyperseg.gan import collapse
from hyperseg.io.write import read_map
from hyperseg.recipes.mapping.apply import apply_run
from hyperseg.recipes.mapping.windows import make_mapper, plan_windows
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.methods.gan import GanSettings
from hyperseg.recipes.refiners import REFINERS
from hyperseg.recipes.run.classify import draw_split
from hyperseg.recipes.run.folder import Interrupted
from hyperseg.recipes.run.inputs import Masks
from hyperseg.recipes.run.load import load_run
from hyperseg.recipes.run.settings import RunSettings
from hyperseg.recipes.run.steps import Outcome
from hyperseg.recipes.training.generated import DRAWN, generated_cubes
from hyperseg.simulated.scenes import toy_scene

TINY = changed(
    GanSettings(),
    {"variant": "conv", "window": 5, "maps": 2, "discriminator.width": 8, "epochs": 1, "min_steps": 20, "batch": 8,
     "pool_batch": 4, "unlabelled": 1.0, "generated": 1.0},
)  # fmt: skip
SETTINGS = RunSettings("gan", "random_per_class:6", refine=(), baselines=(), repeats=1, seed=4, method_settings=TINY)
RUNTIME = Runtime(4, precision=choose_precision("cpu"), quiet=True)  # of its only repeat


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, metrics.json, the model as it was in memory, and its section of the report."""

    folder: Path
    metrics: dict[str, Any]
    model: Any
    section: Any


def metrics_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    return found


@pytest.fixture(scope="module")
def task(toy: Scene) -> Task:
    return Task((toy,), (draw_split(toy, SETTINGS, Masks(), repeat=0),))


@pytest.fixture(scope="module")
def whole(task: Task, run: Any, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """With baseline and pictures, and a CRF that changes the map whatever validation says."""
    made: list[Outcome] = []
    settings = replace(SETTINGS, baselines=("svm",), refine=("dense-crf",))
    out = tmp_path_factory.mktemp("runs") / "gan"
    with line(REFINERS, "dense-crf", EAGER):
        folder = run(task.scene, settings, out, pictures=True, on_repeat=lambda n, outcome: made.append(outcome))
    model = made[0].base.model
    return Run(folder, metrics_of(folder), model, model.section(task.scene, task.split, RUNTIME))


def test_a_run_measures_baseline_twin_gan_and_refined_map(whole: Run, task: Task) -> None:
    metrics, steps = whole.metrics, whole.metrics["steps"]
    roles = {
        "svm": "baseline", "twin": "twin", "gan": "network", "twin + dense-crf": "twin", "gan + dense-crf": "refined"
    }  # fmt: skip
    assert {name: step["role"] for name, step in steps.items()} == roles
    assert list(steps) == list(roles)
    assert metrics["chain"] == ["gan", "dense-crf"]
    assert metrics["OA"] == steps[metrics["final"]]["OA"] == steps["gan + dense-crf"]["OA"]
    assert [steps[name]["leak"]["window"] for name in ("twin", "gan")] == [5, 5]
    twin = METHODS["twin"].fit(task, TINY.discriminator, RUNTIME)
    right = twin.map(task.scene, RUNTIME).labels()[task.split.test] == task.scene.labels[task.split.test]  # type: ignore[index]
    assert steps["twin"]["OA"]["mean"] == pytest.approx(100 * right.mean())
    assert twin.beside == {}
    assert twin.spec == whole.model.spec
    pairs = zip(twin.network.parameters(), whole.model.network.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)
    assert metrics["training"]["terms"].keys() == {
        "discriminator.L1", "discriminator.L2", "discriminator.L3", "generator.match", "generator.fool"
    }  # fmt: skip
    assert {"twin", "twin, training", "gan", "gan, training"} <= set(metrics["times_s"])


def test_a_run_says_what_it_looked_at_and_what_the_generator_makes(whole: Run, toy: Scene) -> None:
    found = whole.metrics["model"]
    assert set(found) == {"variant", "pool", "health", "warnings", "generated_per_class"}
    assert found["variant"] == "conv"
    assert found["pool"] == (
        "whole scene (transductive), 504 pixels, 100 % of the test pixels among them, without their labels"
    )
    health = collapse.Health(**{k: np.nan if v is None else v for k, v in found["health"].items()})
    assert np.isfinite(health.diversity)
    assert found["warnings"] == collapse.warnings(health)
    used = f"Unlabelled pixels were used in training: {found['pool']}."
    assert whole.metrics["cautions"] == [used, *found["warnings"]]
    assert list(found["generated_per_class"]) == list(toy.classes)
    assert sum(found["generated_per_class"].values()) == DRAWN
    page = (whole.folder / "report.html").read_text(encoding="utf-8")
    assert page.count("What the generator makes") == 1
    section = page.partition("What the generator makes")[2].partition("<h2>")[0]
    assert len(whole.section.figures) == 2
    for figure in whole.section.figures:
        assert base64.b64encode(figure.png).decode() in section
    assert "Variant conv." in section
    assert "spectral diversity" in section
    assert used in page
    assert "supervised twin" in page


def test_the_model_read_back_maps_another_scene_patch_by_patch(whole: Run, tmp_path: Path) -> None:
    """The file's discriminator, streamed and fused, against the one of the training on single windows."""
    other = toy_scene(shape=(17, 29), n_bands=16, seed=8)
    source = PatchSource(whole.model.preprocess(other.cube[:]), radius=2)
    with torch.inference_mode():
        scores = whole.model.network(source.gather(torch.from_numpy(np.argwhere(np.ones((17, 29), bool)))))
    p = scores[:, :, 0, 0].softmax(1).numpy()
    assert len(np.unique(p.argmax(1))) > 1
    mapper = make_mapper(load_run(whole.folder), refine=False, probabilities=True, device="cpu")
    exact = replace(mapper, runtime=Runtime(quiet=True))  # as the patches, in float32

    def mapped(mapper: Any) -> np.ndarray:
        found = np.zeros((17, 29, 3), np.float32)
        for window in plan_windows(other, halo_px=mapper.halo_px, side=12):
            made = mapper(other, window, np.asarray(other.cube[window.read_slices]))
            found[window.core_slices] = made.probs
        return found

    np.testing.assert_allclose(mapped(exact).reshape(-1, 3), p, atol=1e-5)
    np.testing.assert_array_equal(mapped(exact).argmax(-1), p.argmax(1).reshape(17, 29))
    out = apply_run(whole.folder, other, out=tmp_path / "other.tif", refine=False, device="cpu", quiet=True)
    np.testing.assert_array_equal(read_map(out)[0], mapped(mapper).argmax(-1))


def test_the_generator_read_back_makes_the_same_cubes(whole: Run) -> None:
    loaded: Any = load_run(whole.folder).model
    trained = whole.model
    made, classes = generated_cubes(trained.network, trained.beside["generator"], seed=3, n=150)
    again, as_classes = generated_cubes(loaded.network, loaded.beside["generator"], seed=3, n=150)
    assert made.shape == (150, 1, 16, 5, 5)
    assert again.numpy().tobytes() == made.numpy().tobytes()
    np.testing.assert_array_equal(as_classes, classes)
    other, _ = generated_cubes(loaded.network, loaded.beside["generator"], seed=4, n=150)
    assert other.numpy().tobytes() != made.numpy().tobytes()
    spectra = made[:, 0].permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(loaded.preprocess.restore(spectra), trained.preprocess.restore(spectra))


def test_a_conditional_generator_with_an_implicit_score_and_a_pool(task: Task, run: Any, tmp_path: Path) -> None:
    pool = np.zeros(task.scene.shape, np.uint8)
    pool[4:20, 5:15] = 3
    settings = SETTINGS.with_(
        {"variant": "spa", "conditional": True, "fake_logit": "implicit", "whiten": False, "augment": 0.5}
    )
    folder = run(task.scene, settings, tmp_path / "r", masks=Masks(pool=pool))
    found = metrics_of(folder)["model"]
    share = 100 * int((task.split.test & (pool > 0)).sum()) / int(task.split.test.sum())
    assert found["pool"] == (
        f"the pool mask, 160 pixels, {share:.0f} % of the test pixels among them, without their labels (transductive)"
    )
    assert list(found["generated_per_class"].values()) == [342, 341, 341]  # told in turn
    loaded: Any = load_run(folder).model
    generator = loaded.beside["generator"]
    assert generator.spec == loaded.network.spec == loaded.spec
    assert (generator.spec.conditional, generator.spec.fake_logit) == (True, "implicit")
    made, classes = generated_cubes(loaded.network, generator, seed=0, n=6)
    assert classes.tolist() == [0, 1, 2, 0, 1, 2]
    assert made.shape == (6, 1, 16, 5, 5)
    # the run's own map, from its folder
    out = apply_run(folder, task.scene, out=tmp_path / "m.tif", device="cpu", quiet=True)
    assert out.read_bytes() == (folder / "map.tif").read_bytes()


def test_a_pool_without_test_pixels_is_not_transductive(task: Task, run: Any, tmp_path: Path) -> None:
    pool = ~task.split.test
    folder = run(task.scene, SETTINGS, tmp_path / "r", masks=Masks(pool=pool))
    found = metrics_of(folder)["model"]["pool"]
    assert found == f"the pool mask, {int(pool.sum())} pixels, no test pixel among them"
    assert found in (folder / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("spoil", "diversity", "told"),
    [
        (lambda w: w.zero_(), 0, "The generator has collapsed: its spectra vary 0 %"),
        (lambda w: w.fill_(torch.nan), None, "The generator makes values that are not finite"),
    ],
)
def test_a_spoiled_generator_does_not_end_a_run_and_is_told_of(
    toy: Scene, run: Any, tmp_path: Path, spoil: Callable[[Any], Any], diversity: float | None, told: str
) -> None:
    """The map does not depend on it; the figures are drawn as far as they can be."""
    method = METHODS["gan"]

    def fit(*given: Any) -> Any:
        model = method.fit(*given)
        with torch.no_grad():
            for weight in model.beside["generator"].parameters():
                spoil(weight)
        return model

    with line(METHODS, "gan", replace(method, fit=fit)):
        folder = run(toy, SETTINGS, tmp_path / "r")
    metrics = metrics_of(folder)
    assert metrics["model"]["health"]["diversity"] == diversity
    assert metrics["model"]["warnings"][0].startswith(told)
    assert metrics["model"]["warnings"][0] in metrics["cautions"]
    assert told in (folder / "report.html").read_text(encoding="utf-8").replace("\N{NO-BREAK SPACE}", " ")


def test_an_interrupted_run_goes_on_with_its_own_pool_only(toy: Scene, run: Any, tmp_path: Path) -> None:
    """Ctrl-C in the training of the GAN, after its twin has been trained and mapped."""
    pool = np.zeros(toy.shape, bool)
    pool[4:20, 5:15] = True
    other = pool.copy()
    other[4, 5] = False
    expected = run(toy, SETTINGS, tmp_path / "whole", masks=Masks(pool=pool))
    out = tmp_path / "out"
    with pytest.raises(Interrupted):
        run(toy, SETTINGS, out, masks=Masks(pool=pool), on_step=stopping(11, ": gan"))
    kept = {p.name for p in (out / "unfinished").iterdir()}
    assert {"train0-gan.pt", "train0-twin.pt"} <= kept
    for masks in (Masks(pool=other), Masks()):
        with pytest.raises(RunError, match=r"started with pool\.checksum \d+ \(now (\d+|None)\)"):
            run(toy, SETTINGS, out, masks=masks, resume=True)
    with pytest.raises(RunError, match=r"method_settings\.weights\.generated 1\.0 \(now 0\.5\)"):
        run(toy, SETTINGS.with_({"generated": 0.5}), out, masks=Masks(pool=pool), resume=True)
    assert {p.name for p in (out / "unfinished").iterdir()} == kept
    run(toy, SETTINGS, out, masks=Masks(pool=pool), resume=True)
    for name in ("map.tif", "confidence.tif", "model.safetensors", "run.json"):
        assert (out / name).read_bytes() == (expected / name).read_bytes(), name
    one, two = metrics_of(expected), metrics_of(out)
    assert one["model"] == two["model"]
    assert one["steps"]["twin"]["OA"] == two["steps"]["twin"]["OA"]


def test_masks_that_are_no_pool_are_refused_before_training(toy: Scene, run: Any, tmp_path: Path) -> None:
    field = toy.with_(valid=np.indices(toy.shape)[1] > 2, name="field")
    one = np.arange(24 * 21).reshape(24, 21) == 100
    for mask, words in (
        (one, "holds one valid pixel"),
        (np.ones((21, 24)), r"has shape \(21, 24\), the scene \(24, 21\): crop"),
        (np.zeros((24, 21)), r"holds no valid pixel: mark the pixels .* with 1"),
        (~np.asarray(field.valid), "holds no valid pixel"),
    ):
        with pytest.raises(LabelError, match=f"field: the pool mask {words}"):
            run(field, SETTINGS, tmp_path / "r", masks=Masks(pool=mask), on_step=lambda *_: pytest.fail("trained"))
    assert not (tmp_path / "r").exists()


def test_a_run_without_a_generator_is_read_back(toy: Scene, run: Any, tmp_path: Path) -> None:
    """All weights 0: nothing was generated, but there is a map and a model."""
    folder = run(toy, SETTINGS.with_({"unlabelled": 0.0, "generated": 0.0}), tmp_path / "r")
    assert metrics_of(folder)["model"] is None
    out = apply_run(folder, toy, out=tmp_path / "m.tif", device="cpu", quiet=True)
    assert out.read_bytes() == (folder / "map.tif").read_bytes()
    loaded: Any = load_run(folder).model
    assert loaded.beside == {}

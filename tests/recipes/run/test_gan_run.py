"""A whole run of `gan`: what it measures and says, and what is read back from its folder."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hyperseg.recipes.methods.look_at_gan import generated_cubes, load_gan

from hyperseg.core import LabelError, RunError, Scene
from hyperseg.crf.settings import DenseCRF
from hyperseg.data.patches import PatchSource
from hyperseg.gan import collapse
from hyperseg.gan.settings import Weights
from hyperseg.io.write import read_map
from hyperseg.recipes.mapping.apply import apply_run
from hyperseg.recipes.mapping.windows import make_mapper, plan_windows
from hyperseg.recipes.methods import look_at_gan
from hyperseg.recipes.refiners import dense_crf as refine
from hyperseg.recipes.run import classify, make, outputs
from hyperseg.recipes.run.classify import ClassifySettings, Masks
from hyperseg.recipes.run.folder import Interrupted
from hyperseg.recipes.run.load import load_run
from hyperseg.recipes.run.record import load_model
from hyperseg.recipes.training import gan as train_gan
from hyperseg.recipes.training.gan import GanSettings, TrainedGan
from hyperseg.simulated.scenes import toy_scene

TINY = GanSettings(
    variant="conv", window=5, maps=2, width=8, epochs=1, min_steps=20, batch=8, pool_batch=4, weights=Weights(1, 1)
)  # fmt: skip
SETTINGS = ClassifySettings(
    method="gan", split="random_per_class:6", baselines=(), refine=(), repeats=1, seed=4, gan=TINY
)


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, metrics.json, the models as they were in memory, and its figures."""

    folder: Path
    metrics: dict[str, Any]
    models: dict[str, Any]
    figures: dict[str, bytes]


@pytest.fixture(scope="module")
def whole(toy: Scene, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """With baseline and pictures, and a CRF that changes the map whatever validation says."""
    models: dict[str, Any] = {}
    figures: dict[str, bytes] = {}
    make_map, draw = classify.make_map, outputs.generated_figures

    def kept(job: Any, name: str) -> Any:
        made = make_map(job, name)
        models[name] = made.model
        return made

    def drawn(*given: Any, **options: Any) -> dict[str, bytes]:
        figures.update(draw(*given, **options))
        return figures

    def determined(*given: Any, **options: Any) -> Any:
        return replace(tune(*given, **options), settings=DenseCRF(bilateral_weight=3.0, iterations=3))

    tune = refine.tune
    settings = replace(SETTINGS, baselines=("svm",), refine=("dense-crf",))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classify, "make_map", kept)
        patch.setattr(outputs, "generated_figures", drawn)
        patch.setattr(refine, "tune", determined)
        out = tmp_path_factory.mktemp("runs") / "gan"
        folder, _ = classify.classify(toy, settings, out=out, quiet=True, device="cpu")
    metrics = json.loads((folder.root / "metrics.json").read_text(encoding="utf-8"))
    return Run(folder.root, metrics, models, figures)


@pytest.fixture
def quiet_run(run: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Classify without any pictures."""
    monkeypatch.setattr(outputs, "generated_figures", lambda *a, **k: {})
    return run


def test_a_run_measures_baseline_twin_gan_and_refined_map(whole: Run) -> None:
    metrics = whole.metrics
    assert list(metrics["steps"]) == ["svm", "twin", "gan", "twin + dense-crf", "gan + dense-crf"]
    assert metrics["chain"] == ["gan", "dense-crf"]
    assert metrics["OA"] == metrics["steps"]["gan + dense-crf"]["OA"]
    assert [metrics["steps"][name]["leak"]["window"] for name in ("twin", "gan")] == [5, 5]
    assert set(whole.models) == {"svm", "twin", "gan"}
    twin, gan = whole.models["twin"], whole.models["gan"]
    assert twin.generator is None
    assert twin.network.spec == gan.network.spec
    assert any(not torch.equal(a, b) for a, b in zip(twin.network.parameters(), gan.network.parameters(), strict=True))
    assert metrics["training"]["terms"].keys() == {
        "discriminator.L1", "discriminator.L2", "discriminator.L3", "generator.match", "generator.fool"
    }  # fmt: skip
    assert {"twin", "twin, training", "gan", "gan, training"} <= set(metrics["times_s"])


def test_a_run_says_what_it_looked_at_and_what_the_generator_makes(whole: Run, toy: Scene) -> None:
    found = whole.metrics["gan"]
    assert set(found) == {"variant", "pool", "health", "warnings", "generated_per_class"}
    assert found["variant"] == "conv"
    assert found["pool"] == (
        "whole scene (transductive), 504 pixels, 100 % of the test pixels among them, without their labels"
    )
    health = collapse.Health(**{k: np.nan if v is None else v for k, v in found["health"].items()})
    assert np.isfinite(health.diversity)
    assert found["warnings"] == collapse.warnings(health)
    assert list(found["generated_per_class"]) == list(toy.classes)
    assert sum(found["generated_per_class"].values()) == look_at_gan.DRAWN


def test_the_report_shows_generator_figures_and_pool(whole: Run) -> None:
    page = (whole.folder / "report.html").read_text(encoding="utf-8")
    assert page.count("What the generator makes") == 1
    section = page.partition("What the generator makes")[2].partition("<h2>")[0]
    assert set(whole.figures) == {"generated_spectra", "generated_patches"}
    for png in whole.figures.values():
        assert base64.b64encode(png).decode() in section
    assert "Variant conv." in section
    assert "spectral diversity" in section
    assert f"Unlabelled pixels were used in training: {whole.metrics['gan']['pool']}." in page
    assert "supervised twin" in page


def test_the_model_read_back_maps_another_scene_patch_by_patch(whole: Run, tmp_path: Path) -> None:
    """The file's discriminator, streamed and fused, against the one of the training on single windows."""
    other = toy_scene(shape=(17, 29), n_bands=16, seed=8)
    out = apply_run(whole.folder, other, out=tmp_path / "other.tif", device="cpu", quiet=True)
    made = whole.models["gan"]
    source = PatchSource(made.preprocess(other.cube[:]), radius=2)
    with torch.inference_mode():
        scores = made.network(source.gather(torch.from_numpy(np.argwhere(np.ones((17, 29), bool)))))
    p = scores[:, :, 0, 0].softmax(1).numpy()
    np.testing.assert_array_equal(read_map(out)[0], p.argmax(1).reshape(17, 29))
    assert len(np.unique(p.argmax(1))) > 1
    loaded = load_run(whole.folder)
    mapper = make_mapper(loaded, refine=False, probabilities=True, device="cpu")
    found = np.zeros((17, 29, 3), np.float32)
    for window in plan_windows(other, halo_px=mapper.halo_px, side=12):
        found[window.core_slices] = mapper(other, window, np.asarray(other.cube[window.read_slices])).probs
    np.testing.assert_allclose(found.reshape(-1, 3), p, atol=1e-5)


def test_a_run_applied_to_its_own_scene_gives_its_own_map(whole: Run, toy: Scene, tmp_path: Path) -> None:
    refined, rough = (
        apply_run(whole.folder, toy, out=tmp_path / f"{r}.tif", refine=r, device="cpu", quiet=True)
        for r in (True, False)
    )
    np.testing.assert_array_equal(read_map(refined)[0], read_map(whole.folder / "map.tif")[0])
    assert (read_map(rough)[0] != read_map(refined)[0]).any()


def test_the_generator_read_back_makes_the_same_cubes(whole: Run) -> None:
    tensors, record = load_model(whole.folder)
    loaded, trained = load_gan(tensors, record["model"]), whole.models["gan"]
    assert isinstance(trained, TrainedGan)
    assert trained.generator is not None
    assert loaded.generator is not None
    made, classes = generated_cubes(trained.network, trained.generator, seed=3, n=150)
    again, as_classes = generated_cubes(loaded.network, loaded.generator, seed=3, n=150)
    assert made.shape == (150, 1, 16, 5, 5)
    assert again.numpy().tobytes() == made.numpy().tobytes()
    np.testing.assert_array_equal(as_classes, classes)
    other, _ = generated_cubes(loaded.network, loaded.generator, seed=4, n=150)
    assert other.numpy().tobytes() != made.numpy().tobytes()
    restored = loaded.preprocess.restore(made[:, 0].permute(0, 2, 3, 1).numpy())
    np.testing.assert_array_equal(restored, trained.preprocess.restore(made[:, 0].permute(0, 2, 3, 1).numpy()))


def test_a_conditional_generator_with_an_implicit_score_and_a_pool(toy: Scene, quiet_run: Any, tmp_path: Path) -> None:
    pool = np.zeros(toy.shape, np.uint8)
    pool[4:20, 5:15] = 3
    gan = replace(
        TINY, variant="spa", conditional=True, fake_logit="implicit", whiten=False, weights=Weights(augment=0.5)
    )  # fmt: skip
    settings = replace(SETTINGS, gan=gan)
    split = classify.draw_split(toy, settings, Masks(), repeat=0)
    folder = quiet_run(toy, settings, tmp_path / "r", masks=Masks(pool=pool))
    found = json.loads((folder / "metrics.json").read_text())["gan"]
    share = 100 * int((split.test & (pool > 0)).sum()) / int(split.test.sum())
    assert found["pool"] == (
        f"the pool mask, 160 pixels, {share:.0f} % of the test pixels among them, without their labels (transductive)"
    )
    assert list(found["generated_per_class"].values()) == [342, 341, 341]  # told in turn
    loaded = load_gan(load_model(folder)[0], load_model(folder)[1]["model"])
    assert loaded.generator is not None
    assert loaded.generator.spec == loaded.network.spec
    assert (loaded.generator.spec.conditional, loaded.generator.spec.fake_logit) == (True, "implicit")
    made, classes = generated_cubes(loaded.network, loaded.generator, seed=0, n=6)
    assert classes.tolist() == [0, 1, 2, 0, 1, 2]
    assert made.shape == (6, 1, 16, 5, 5)
    # the run's own map, from its folder
    out = apply_run(folder, toy, out=tmp_path / "m.tif", device="cpu", quiet=True)
    assert out.read_bytes() == (folder / "map.tif").read_bytes()


def test_a_pool_without_test_pixels_is_not_transductive(toy: Scene, quiet_run: Any, tmp_path: Path) -> None:
    split = classify.draw_split(toy, SETTINGS, Masks(), repeat=0)
    folder = quiet_run(toy, SETTINGS, tmp_path / "r", masks=Masks(pool=~split.test))
    found = json.loads((folder / "metrics.json").read_text())["gan"]["pool"]
    assert found == f"the pool mask, {int((~split.test).sum())} pixels, no test pixel among them"
    assert found in (folder / "report.html").read_text(encoding="utf-8")


def test_a_warning_reaches_metrics_and_report(
    toy: Scene, quiet_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = look_at_gan.generated_cubes

    def one_cube(*given: Any, **options: Any) -> Any:
        made, classes = plain(*given, **options)
        return made[:1].expand_as(made), classes

    monkeypatch.setattr(look_at_gan, "generated_cubes", one_cube)
    folder = quiet_run(toy, SETTINGS, tmp_path / "r")
    found = json.loads((folder / "metrics.json").read_text())["gan"]
    assert found["health"]["diversity"] == 0
    assert found["warnings"][0].startswith("The generator has collapsed: its spectra vary 0 %")
    assert "The generator has collapsed" in (folder / "report.html").read_text(encoding="utf-8")


@contextmanager
def interrupted_gan(step: int) -> Iterator[None]:
    """Ctrl-C in the training of the GAN, after its twin has been trained and mapped."""

    @contextmanager
    def progress(label: str, steps: int, *, quiet: bool) -> Iterator[Any]:
        def report(done: int, values: Any) -> None:
            if label.endswith(": gan") and done == step:
                raise KeyboardInterrupt

        yield report

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train_gan, "training_progress", progress)
        yield


def test_an_interrupted_run_goes_on_with_its_own_pool_only(toy: Scene, quiet_run: Any, tmp_path: Path) -> None:
    pool = np.zeros(toy.shape, bool)
    pool[4:20, 5:15] = True
    other = pool.copy()
    other[4, 5] = False
    expected = quiet_run(toy, SETTINGS, tmp_path / "whole", masks=Masks(pool=pool))
    out = tmp_path / "out"
    with interrupted_gan(11), pytest.raises(Interrupted):
        quiet_run(toy, SETTINGS, out, masks=Masks(pool=pool))
    kept = {p.name for p in (out / "unfinished").iterdir()}
    assert {"train0-gan.pt", "train0-twin.pt"} <= kept
    for masks in (Masks(pool=other), Masks()):
        with pytest.raises(RunError, match=r"started with pool\.checksum \d+ \(now (\d+|None)\)"):
            quiet_run(toy, SETTINGS, out, masks=masks, resume=True)
    changed = replace(SETTINGS, gan=replace(TINY, weights=Weights(1, 0.5)))
    with pytest.raises(RunError, match=r"settings\.gan\.weights\.generated 1\.0 \(now 0\.5\)"):
        quiet_run(toy, changed, out, masks=Masks(pool=pool), resume=True)
    assert {p.name for p in (out / "unfinished").iterdir()} == kept
    quiet_run(toy, SETTINGS, out, masks=Masks(pool=pool), resume=True)
    for name in ("map.tif", "confidence.tif", "model.safetensors", "run.json"):
        assert (out / name).read_bytes() == (expected / name).read_bytes(), name
    one, two = (json.loads((r / "metrics.json").read_text()) for r in (expected, out))
    assert one["gan"] == two["gan"]
    assert one["steps"]["twin"]["OA"] == two["steps"]["twin"]["OA"]


def test_a_pool_of_another_shape_is_refused_before_training(
    toy: Scene, quiet_run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(make, "train_gan", lambda *a, **k: pytest.fail("training started"))
    for mask, words in ((np.ones((21, 24)), "has shape"), (np.zeros((24, 21)), "holds no valid pixel")):
        with pytest.raises(LabelError, match=f"toy: the pool mask {words}"):
            quiet_run(toy, SETTINGS, tmp_path / "r", masks=Masks(pool=mask))
    assert not (tmp_path / "r").exists()


def test_a_run_without_a_generator_is_read_back(toy: Scene, quiet_run: Any, tmp_path: Path) -> None:
    """All weights 0: nothing was generated, but there is a map and a model."""
    folder = quiet_run(toy, replace(SETTINGS, gan=TINY.twin), tmp_path / "r")
    assert json.loads((folder / "metrics.json").read_text())["gan"] is None
    out = apply_run(folder, toy, out=tmp_path / "m.tif", device="cpu", quiet=True)
    assert out.read_bytes() == (folder / "map.tif").read_bytes()
    assert load_gan(load_model(folder)[0], load_model(folder)[1]["model"]).generator is None


def test_a_generator_of_values_that_are_not_finite_does_not_end_a_run(
    toy: Scene, run: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The map does not depend on it; the figures are drawn as far as they can be."""
    plain = look_at_gan.generate
    monkeypatch.setattr(look_at_gan, "generate", lambda *a, **k: plain(*a, **k) * torch.nan)
    folder = run(toy, SETTINGS, tmp_path / "r")
    found = json.loads((folder / "metrics.json").read_text())["gan"]
    assert found["warnings"][0].startswith("The generator makes values that are not finite")
    assert found["health"]["diversity"] is None
    assert "values that are not finite" in (folder / "report.html").read_text(encoding="utf-8")

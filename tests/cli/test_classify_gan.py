"""`hyperseg classify --method gan`: its own options, from the command line to the record and back."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, NamedTuple, get_args

import numpy as np
import pytest

from hyperseg.cli import classify as command
from hyperseg.core import Scene
from hyperseg.gan.settings import Variant
from hyperseg.recipes.run import classify as recipe
from hyperseg.recipes.run import outputs
from hyperseg.recipes.run.classify import Masks
from hyperseg.recipes.run.settings import ClassifySettings

Words = tuple[str, ...]
QUICK = ("--repeats", "1", "--epochs", "1", "--refine", "none", "--split", "random_per_class:8", "--quiet")
GAN = (*QUICK, "--method", "gan", "--variant", "spa", "--window", "5", "--baseline", "lda")


class Started(NamedTuple):
    """Settings and masks of a run."""

    settings: ClassifySettings
    masks: Masks


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing takes longer than these runs."""
    from matplotlib.image import imsave

    png = io.BytesIO()
    imsave(png, [[0.0, 1.0]], format="png")
    monkeypatch.setattr(outputs, "draw_figures", lambda *a, **k: {"map": png.getvalue()})
    monkeypatch.setattr(outputs, "generated_figures", lambda *a, **k: {})


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bad input is found before any training."""
    monkeypatch.setattr(recipe, "_run_repeat", lambda *a, **k: pytest.fail("training started"))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Started]:
    """What every run is started with; none is trained."""
    found: list[Started] = []

    def stop(scene: Any, settings: ClassifySettings, *, masks: Masks, **_: Any) -> Any:
        found.append(Started(settings, masks))
        raise KeyboardInterrupt

    monkeypatch.setattr(recipe, "classify", stop)
    return found


def test_the_variants_of_the_command_are_those_of_the_networks() -> None:
    assert get_args(Variant) == command.VARIANTS


def test_a_pool_from_a_file_and_the_run_repeated_from_its_record(
    hyperseg: Any, files: Words, scene: Scene, tmp_path: Path
) -> None:
    pool = np.zeros(scene.shape, np.uint8)
    pool[:, 6:18] = 1
    np.save(tmp_path / "pool.npy", pool)
    answer = hyperseg("classify", *files, *GAN, "--pool", "pool.npy", "--out", "one")
    assert answer.code == 0, answer.err
    assert "supervised twin" in answer.out
    one = json.loads((tmp_path / "one" / "metrics.json").read_text())
    assert list(one["steps"]) == ["lda", "twin", "gan"]
    assert one["gan"]["pool"].startswith(f"the pool mask, {int(pool.sum())} pixels, ")
    assert "(transductive)" in one["gan"]["pool"]
    assert f"Unlabelled pixels were used in training: {one['gan']['pool']}." in " ".join(answer.out.split())
    record = json.loads((tmp_path / "one" / "run.json").read_text())
    assert record["inputs"]["pool"] == "pool.npy"
    assert record["settings"]["gan"]["variant"] == "spa"
    again = hyperseg("classify", "--from", "one/run.json", "--quiet", "--out", "two")
    assert again.code == 0, again.err
    for name in ("map.tif", "model.safetensors", "run.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    # a method without a pool forgets it
    (tmp_path / "pool.npy").unlink()
    assert hyperseg("classify", "--from", "one", "--quiet", "--method", "rf", "--out", "three").code == 0
    assert json.loads((tmp_path / "three" / "run.json").read_text())["inputs"]["pool"] is None
    assert "pool.npy" in hyperseg("classify", "--from", "one", "--quiet", "--out", "four").error


def test_the_options_are_the_settings(hyperseg: Any, files: Words, started: list[Started]) -> None:
    for words in ((), ("--conditional",), ("--unconditional", "--variant", "conv", "--window", "13", "--epochs", "3")):
        hyperseg("classify", *files, "--method", "gan", *words)
    plain, conditional, other = (run.settings.gan for run in started)
    assert plain == ClassifySettings().gan
    assert (conditional.conditional, conditional.weights.augment) == (True, 1.0)
    assert (other.conditional, other.weights.augment) == (False, 0.0)
    assert (other.variant, other.window, other.epochs, other.min_steps) == ("conv", 13, 3, 1)


def test_options_beside_a_record_win(
    hyperseg: Any, files: Words, scene: Scene, tmp_path: Path, started: list[Started]
) -> None:
    for name, value in (("ones", 1), ("twos", 2)):
        np.save(tmp_path / f"{name}.npy", np.full(scene.shape, value, np.uint8))
    hyperseg("classify", *files, "--method", "gan", "--conditional")
    inputs = {"scene": "cube.npy", "labels": "gt.npy", "pool": "ones.npy"}
    record = {"settings": started[0].settings.to_json(), "inputs": inputs}
    (tmp_path / "run.json").write_text(json.dumps(record))
    hyperseg("classify", "--from", "run.json")
    hyperseg("classify", "--from", "run.json", "--unconditional", "--pool", "twos.npy")
    assert started[0].masks.pool is None
    assert started[1].settings == started[0].settings
    assert started[1].masks.pool is not None
    assert (started[1].masks.pool == 1).all()
    assert not started[2].settings.gan.conditional
    assert started[2].settings.gan.weights.augment == 0
    assert started[2].masks.pool is not None
    assert (started[2].masks.pool == 2).all()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--variant spa", "--variant: only with --method gan."),
        ("--pool pool.npy", "--pool: only with --method gan."),
        ("--conditional", "--conditional: only with --method gan."),
        ("--unconditional --method svm", "--conditional: only with --method gan."),
        ("--variant ss --pool absent.npy --method rf", "--variant and --pool: only with --method gan."),
        ("--method gan --illumination 0.1", "--illumination: not with --method gan."),
        ("--method twin --illumination 0.1", "--illumination: not with --method twin."),
        ("--method gan --pool absent.npy", "absent.npy"),
        ("--method gan --pool flip.npy", "flip.npy: the mask has shape (21, 24), the scene's pixels are (24, 21)"),
        ("--method gan --pool none.npy --variant conv", "the pool mask holds no valid pixel"),
        ("--method gan --variant ss", "needs at least 19 of them, the scene has 16 usable: use --variant spa"),
    ],
)
def test_words_that_are_no_good(
    hyperseg: Any, files: Words, scene: Scene, tmp_path: Path, untrained: None, words: str, said: str
) -> None:
    np.save(tmp_path / "pool.npy", np.ones(scene.shape, np.uint8))
    np.save(tmp_path / "flip.npy", np.ones(scene.shape[::-1], np.uint8))
    np.save(tmp_path / "none.npy", np.zeros(scene.shape, np.uint8))
    before = sorted(p.name for p in tmp_path.iterdir())
    split = ("--split", "random_per_class:8")
    assert said in hyperseg("classify", *files, *split, *words.split(), "--quiet").error
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@pytest.mark.parametrize(("method", "window"), [("cnn3d", "1"), ("gan", "7")])
def test_a_window_that_only_the_chosen_method_has(
    hyperseg: Any, files: Words, started: list[Started], method: str, window: str
) -> None:
    answer = hyperseg("classify", *files, "--method", method, "--window", window)
    assert started, answer.err


def test_a_window_without_a_middle_is_refused_for_what_it_is(hyperseg: Any, files: Words, untrained: None) -> None:
    error = hyperseg("classify", *files, "--method", "gan", "--variant", "spa", "--window", "8").error
    assert "its side must be odd, got 8" in error

"""`hyperseg classify --method gan`: its own options, from the command line to the record and back."""

from __future__ import annotations

import json
import zlib
from dataclasses import replace
from pathlib import Path

import halting
import numpy as np
import pytest
from running import Hyperseg

from hyperseg.core import Scene
from hyperseg.recipes.methods.gan import GanSettings
from hyperseg.recipes.run.settings import RunSettings

stop, started = halting.stop, halting.started
Words = tuple[str, ...]
AGAIN = ("--quiet", "--no-pictures")
GAN = (
    "--repeats", "1", "--epochs", "1", "--refine", "none", "--split", "random_per_class:8", "--baseline", "lda",
    "--method", "gan", "--variant", "spa", "--window", "5", *AGAIN,
)  # fmt: skip


def test_a_pool_from_a_file_and_the_run_repeated_from_its_record(
    hyperseg: Hyperseg, files: Words, toy: Scene, tmp_path: Path
) -> None:
    pool = np.zeros(toy.shape, np.uint8)
    pool[:, 6:18] = 1
    np.save(tmp_path / "pool.npy", pool)
    answer = hyperseg("classify", *files, *GAN, "--pool", "pool.npy", "--out", "one")
    assert answer.code == 0, answer.err
    assert "supervised twin" in answer.out
    one = json.loads((tmp_path / "one" / "metrics.json").read_text())
    assert list(one["steps"]) == ["lda", "twin", "gan"]
    assert one["model"]["pool"].startswith(f"the pool mask, {int(pool.sum())} pixels, ")
    assert "(transductive)" in one["model"]["pool"]
    assert f"Unlabelled pixels were used in training: {one['model']['pool']}." in " ".join(answer.out.split())
    record = json.loads((tmp_path / "one" / "run.json").read_text())
    assert record["inputs"]["pool"] == "pool.npy"
    assert record["settings"]["method_settings"]["discriminator"]["variant"] == "spa"
    again = hyperseg("classify", "--from", "one/run.json", *AGAIN, "--out", "two")
    assert again.code == 0, again.err
    for name in ("map.tif", "model.safetensors", "run.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    # a method without a pool forgets it
    (tmp_path / "pool.npy").unlink()
    assert hyperseg("classify", "--from", "one", *AGAIN, "--method", "rf", "--out", "three").code == 0
    assert json.loads((tmp_path / "three" / "run.json").read_text())["inputs"]["pool"] is None
    assert "pool.npy" in hyperseg("classify", "--from", "one", *AGAIN, "--out", "four").error


def test_the_options_are_the_settings(files: Words, toy: Scene, tmp_path: Path, started: halting.Started) -> None:
    np.save(tmp_path / "cube.npy", np.repeat(np.asarray(toy.cube), 2, axis=-1))  # bands enough for any variant
    plain, conditional, other = (
        RunSettings.from_json(started(*files, "--method", "gan", *words.split())["settings"]).method_settings
        for words in ("", "--conditional", "--unconditional --variant conv --window 13 --epochs 3")
    )
    assert plain == GanSettings()
    assert (conditional.conditional, conditional.weights.augment) == (True, 1.0)
    assert (other.conditional, other.weights.augment) == (False, 0.0)
    made = other.discriminator
    assert (made.variant, made.window, made.epochs, made.min_steps) == ("conv", 13, 3, 1)


def test_options_beside_a_record_win(files: Words, toy: Scene, tmp_path: Path, started: halting.Started) -> None:
    sums = {}
    for name, columns in (("left", slice(9)), ("right", slice(9, None))):
        pool = np.zeros(toy.shape, bool)
        pool[:, columns] = True
        np.save(tmp_path / f"{name}.npy", pool)
        sums[name] = {"checksum": zlib.crc32(np.packbits(pool).tobytes())}
    first = started(*files, "--method", "gan", "--variant", "spa", "--conditional")
    inputs = {"scene": "cube.npy", "labels": "gt.npy", "pool": "left.npy"}
    (tmp_path / "run.json").write_text(json.dumps(first | {"format": 3, "inputs": inputs}))
    again = started("--from", "run.json")
    other = started("--from", "run.json", "--unconditional", "--pool", "right.npy")
    assert [run["pool"] for run in (first, again, other)] == [None, sums["left"], sums["right"]]
    assert again["settings"] == first["settings"]
    before, after = (RunSettings.from_json(run["settings"]).method_settings for run in (first, other))
    assert before.conditional
    assert after == replace(GanSettings(), discriminator=before.discriminator)


@pytest.mark.usefixtures("stop")
@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--pool absent.npy", "absent.npy"),
        ("--pool flip.npy", "flip.npy: the mask has shape (21, 24), the scene's pixels are (24, 21)"),
        ("--pool none.npy --variant conv", "the pool mask holds no valid pixel"),
        ("--variant ss", "needs at least 19 of them, the scene has 16 usable: use --variant spa"),
        ("--variant spa --window 8", "its side must be odd, got 8"),
    ],
)
def test_words_that_are_no_good(
    hyperseg: Hyperseg, files: Words, toy: Scene, tmp_path: Path, words: str, said: str
) -> None:
    np.save(tmp_path / "flip.npy", np.ones(toy.shape[::-1], np.uint8))
    np.save(tmp_path / "none.npy", np.zeros(toy.shape, np.uint8))
    before = sorted(p.name for p in tmp_path.iterdir())
    given = ("--split", "random_per_class:8", "--method", "gan", *words.split(), *halting.UNTRAINED)
    assert said in hyperseg("classify", *files, *given).error
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@pytest.mark.parametrize("words", ["cnn3d --window 1", "gan --variant spa --window 7"])
def test_a_window_that_only_the_chosen_method_has(files: Words, started: halting.Started, words: str) -> None:
    assert started(*files, "--method", *words.split())

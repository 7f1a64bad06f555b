"""`hyperseg generate`: spectra and patches of every class, the same for the same seed, and what is refused."""

import json

import numpy as np

QUICK = ("-n", "4", "--steps", "20", "--components", "4", "--quiet", "--device", "cpu")


def test_spectra_of_every_class_and_what_they_are_worth(hyperseg, files, toy, tmp_path):
    answer = hyperseg("generate", *files, *QUICK)
    assert answer.code == 0, answer.err
    made = np.load(tmp_path / "cube-generated/spectra.npz")
    assert made["spectra"].shape == (12, 16)
    assert np.isfinite(made["spectra"]).all()
    np.testing.assert_array_equal(made["labels"], np.repeat([0, 1, 2], 4))
    scores = json.loads((tmp_path / "cube-generated/generate.json").read_text())
    assert scores["trained_on_real"]["oa"] > 0.9
    assert scores["samples"] == 60  # twenty a class at least, but never all that is labelled
    assert 0 <= scores["frechet_floor"] < scores["frechet"]
    assert (tmp_path / "cube-generated/spectra.png").stat().st_size > 1000
    assert hyperseg("generate", *files, *QUICK, "--no-pictures", "--out", "b").code == 0
    np.testing.assert_array_equal(np.load(tmp_path / "b/spectra.npz")["spectra"], made["spectra"])
    assert "exists" in hyperseg("generate", *files, *QUICK).error


def test_patches_of_one_class(hyperseg, files, toy, tmp_path):
    words = ("-n", "2", "--steps", "3", "--components", "4", "--quiet", "--patch", "5", "--class", toy.classes[1])
    answer = hyperseg("generate", *files, *words)
    assert answer.code == 0, answer.err
    assert np.load(tmp_path / "cube-generated/patches.npz")["patches"].shape == (2, 16, 5, 5)
    assert (tmp_path / "cube-generated/patches.png").stat().st_size > 1000


def test_refusals_are_one_line(hyperseg, files):
    assert "odd" in hyperseg("generate", *files, "--patch", "4").error
    assert "no class 'nonsense'" in hyperseg("generate", *files, "--class", "nonsense").error
    assert "no labels" in hyperseg("generate", "cube.npy").error
    assert "16 bands in use" in hyperseg("generate", *files, "--components", "99", "--quiet").error

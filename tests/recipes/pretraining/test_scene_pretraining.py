"""Pre-training on scenes, and methods that begin with what was learnt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from running import Hyperseg, Quick, Run
from torch import nn

from hyperseg.backbone.pretrained import Pretrained, read_pretrained, save_pretrained
from hyperseg.core import HypersegError, RunError, Scene, SceneError, SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed, to_json
from hyperseg.data.identity import identity_of
from hyperseg.data.preprocess import Preprocess, fit_preprocess
from hyperseg.engine.forward import channels_first
from hyperseg.hsi.carried import WEIGHT, carry_over, network_of, normalised, parts_of
from hyperseg.hsi.networks import HybridSpec, NetworkSpec, SpectralSpatialNet, build_network
from hyperseg.recipes.pretraining.alike.ground import looked_at
from hyperseg.recipes.pretraining.scene import pretrain_scene
from hyperseg.recipes.pretraining.scene_settings import SceneContrast
from hyperseg.recipes.pretraining.start_scenes import pretrain_scenes
from hyperseg.recipes.pretraining.unfinished import STATE, Unfinished
from hyperseg.recipes.run.load import load_run
from hyperseg.simulated.scenes import toy_scene

SETTINGS = changed(SceneContrast(), {"steps": 6, "batch": 16, "window": 5, "superpixel_px": 6.0, "clusters": 8})
Learnt = Callable[..., Path]


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> Learnt:
    """A weights file of scenes, by default of the toy scene; made once for equal arguments."""
    made: dict[str, Path] = {}

    def learnt(*scenes: Scene, seed: int = 0, **changes: Any) -> Path:
        key = f"{[id(s) for s in scenes]} {seed} {changes}"
        if key not in made:
            out = tmp_path_factory.mktemp("learnt")
            found = scenes or (toy_scene(shape=(24, 21), n_bands=16),)
            runtime = Runtime(seed, quiet=True)
            counting = {"clusters": SceneContrast().clusters} if {"pairs", "partitions"} & changes.keys() else {}
            made[key] = pretrain_scene(found, changed(SETTINGS, counting | changes), runtime, out, pictures=False)
        return made[key]

    return learnt


@pytest.mark.parametrize(
    "changes",
    [
        {"pairs": "gr"},
        {"pairs": "gd-", "partitions": "strata"},
        {"partitions": "superpixels"},
        {},
        {"local": True, "local_batch": 2, "whiten": False},
    ],
    ids=lambda changes: "-".join(map(str, changes)),
)
def test_something_is_learnt_by_every_kind_of_pairs(learnt: Learnt, changes: dict[str, Any]) -> None:
    given = read_pretrained(learnt(**changes))
    assert given.parts == ("collapse", "spatial")
    assert given.about["kind"] == "scene"
    assert given.about["cases"] == ["simulated-toy"]
    assert given.about["made"] == ("global+local" if "local" in changes else "global")
    assert given.about["pairs"] == changes.get("pairs", "gd")
    fresh = build_network(NetworkSpec(16, 2, "none", blocks=1), seed=0).state_dict()
    assert all(torch.isfinite(t).all() for t in given.tensors.values())
    moved = [n for n, t in given.tensors.items() if t.ndim > 1 and not torch.equal(t, fresh[n])]
    assert len(moved) == 4


def same(one: Path, other: Path) -> bool:
    """Equal to the last bit."""
    return one.read_bytes() == other.read_bytes()


def test_the_same_seed_gives_the_same_weights_and_labels_are_not_looked_at(learnt: Learnt, toy: Scene) -> None:
    assert same(learnt(), learnt(toy.with_(labels=None, classes=(), colours=())))
    assert not same(learnt(), learnt(seed=1))


def test_several_scenes_of_a_sensor_are_several_volumes(learnt: Learnt, toy: Scene) -> None:
    other = toy_scene(shape=(15, 13), n_bands=16, seed=3).with_(name="other")
    given = read_pretrained(learnt(toy, other, pairs="gd", partitions="strata"))
    assert given.about["cases"] == ["simulated-toy", "other"]


def test_an_interrupted_training_goes_on_to_the_same_weights(learnt: Learnt, toy: Scene, tmp_path: Path) -> None:
    def stop(text: str, done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    runtime = Runtime(0, quiet=True, checkpoints=tmp_path / "unfinished")
    with pytest.raises(KeyboardInterrupt):
        pretrain_scene([toy], SETTINGS, replace(runtime, on_step=stop), tmp_path, pictures=False)
    assert runtime.goes_on("contrast")
    again = pretrain_scene([toy], SETTINGS, runtime, tmp_path, pictures=False)
    assert same(again, learnt())


@pytest.mark.parametrize("hole", [-9999.0, np.nan])
def test_pixels_without_data_are_not_learnt_from(toy: Scene, tmp_path: Path, hole: float) -> None:
    """Of a scene that was opened without a look at all its pixels: what stands in a hole changes nothing."""
    inside = np.ones(toy.shape, bool)
    inside[3:9, 4:12] = inside[20, 3] = False
    cube = np.array(toy.cube)
    cube[~inside] = hole
    opened = Scene(cube, nodata=-9999.0, name=toy.name)
    (looked,) = looked_at([opened])
    assert looked.valid is not None
    assert np.array_equal(looked.valid, inside)
    known = toy.with_(labels=None, classes=(), colours=(), valid=inside)
    one, two = (
        pretrain_scene([scene], SETTINGS, Runtime(quiet=True), tmp_path / name, pictures=False)
        for name, scene in (("opened", opened), ("known", known))
    )
    assert same(one, two)


def test_a_refusal_can_be_mended_and_other_values_are_another_scene(toy: Scene, tmp_path: Path) -> None:
    out, cube = tmp_path / "w.safetensors", np.array(toy.cube)

    def learn(settings: SceneContrast, *, resume: bool = False, values: np.ndarray = cube) -> Path:
        return pretrain_scenes(
            ["toy"], lambda name: Scene(values, name=name), out, settings, seed=0, device="cpu", pictures=False,
            resume=resume, overwrite=False, quiet=True,
        )  # fmt: skip

    with pytest.raises(SceneError, match="1000 clusters"):
        learn(changed(SETTINGS, {"clusters": 1000}))
    assert not list(tmp_path.iterdir())
    there = Unfinished(out)
    (scene,) = looked_at([Scene(cube, name="toy")])
    begun = {"settings": to_json(SETTINGS), "seed": 0, "scenes": [identity_of(scene)]}
    with there.begin(begun, resume=False):
        (there.root / f"{STATE}-x.pt").touch()  # something was learnt
    with pytest.raises(RunError, match="--resume goes on with it"):
        learn(SETTINGS)
    with pytest.raises(RunError, match="begun with other scenes"):
        learn(SETTINGS, resume=True, values=cube + 1)
    learn(SETTINGS, resume=True)
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"strata": 8}, "strata 8 changes nothing where partitions are clusters: leave it out"),
        ({"partitions": "superpixels", "clusters": 8}, "clusters 8 changes nothing where partitions are superpixels"),
        ({"local_batch": 4}, "local_batch 4 changes nothing without --local"),
        ({"pairs": "gr", "partitions": "strata"}, "partitions strata changes nothing with pairs gr"),
        ({"partitions": "strata", "whiten": False, "superpixel_px": 9.0}, "superpixel_px 9.0 changes nothing"),
    ],
)
def test_settings_that_cannot_count_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        changed(SceneContrast(), changes)
    changed(SceneContrast(), {"partitions": "strata", "superpixel_px": 9.0})  # says what is whitened


def test_pictures_are_drawn_where_they_are_asked_for(toy: Scene, tmp_path: Path) -> None:
    pretrain_scene([toy], changed(SETTINGS, {"steps": 2}), Runtime(quiet=True), tmp_path, pictures=True)
    assert (tmp_path / "curve.png").stat().st_size > 1000


def test_scenes_that_do_not_go_together_are_refused(toy: Scene, tmp_path: Path) -> None:
    other = toy_scene(shape=(12, 12), n_bands=9).with_(name="other")
    with pytest.raises(SceneError, match="other: 9 bands, but simulated-toy has 16"):
        pretrain_scene([toy, other], SETTINGS, Runtime(quiet=True), tmp_path, pictures=False)
    with pytest.raises(SceneError, match="needs a scene, got none"):
        pretrain_scene([], SETTINGS, Runtime(quiet=True), tmp_path, pictures=False)


def features(net: nn.Module, preprocess: Preprocess, raw: np.ndarray) -> torch.Tensor:
    """Of all pixels that have a whole window."""
    net.eval()
    with torch.no_grad():
        return net.features(channels_first(torch.from_numpy(preprocess(raw))[None], "depth"))  # type: ignore[operator]


def weights_of(net: SpectralSpatialNet, preprocess: Preprocess, path: Path) -> Pretrained:
    save_pretrained(path, net, parts_of(net), {"kind": "scene", "network": network_of(net, preprocess)})
    return read_pretrained(path)


def trained(spec: NetworkSpec, seed: int) -> SpectralSpatialNet:
    """Weights and statistics of no particular values."""
    net = build_network(spec, seed=seed)
    assert isinstance(net, SpectralSpatialNet)
    generator = torch.Generator().manual_seed(seed)
    for conv, norm in normalised(net):
        conv.layer.weight.data.mul_(torch.rand(len(conv.layer.weight), 1, 1, 1, generator=generator) + 0.5)
        norm.running_mean.normal_(generator=generator)  # type: ignore[union-attr]
        norm.running_var.uniform_(0.5, 2, generator=generator)  # type: ignore[union-attr]
    return net


def test_weights_are_carried_over_as_long_as_fresh_ones(toy: Scene, tmp_path: Path) -> None:
    """On the same features they compute the same."""
    raw = np.asarray(toy.cube, np.float32)
    spectra, spec = raw.reshape(-1, 16), NetworkSpec(16, 3, "none", blocks=1, width=8)
    preprocess = fit_preprocess(spectra, whiten_within=np.arange(len(spectra)) // 2)
    source = trained(spec, 1)
    target, fresh = (build_network(spec, seed=2) for _ in range(2))
    carry_over(weights_of(source, preprocess, tmp_path / "weights.safetensors"), target, preprocess)
    torch.testing.assert_close(
        features(target, preprocess, raw), features(source, preprocess, raw), rtol=1e-3, atol=1e-3
    )  # fmt: skip
    assert torch.equal(target.state_dict()["head.score.layer.weight"], fresh.state_dict()["head.score.layer.weight"])
    for (conv, _), (before, _) in zip(normalised(target), normalised(fresh), strict=True):
        own, new = (c.layer.weight.detach().flatten(1).norm(dim=1) for c in (conv, before))
        torch.testing.assert_close(own, new.mean().expand_as(own))


def test_what_is_learnt_reads_whitened_bands(learnt: Learnt, toy: Scene) -> None:
    """While it learns, weights times whitening read standardised bands: the file has the weights alone."""
    fresh = build_network(NetworkSpec(16, 2, "none", blocks=1), seed=0).state_dict()[WEIGHT]
    given = read_pretrained(learnt(lr=1e-9)).tensors[WEIGHT]
    torch.testing.assert_close(given, fresh, rtol=0, atol=1e-6)


def test_a_band_that_the_file_does_not_know_gets_no_weight(toy: Scene, tmp_path: Path) -> None:
    """A band is constant on the training pixels, another one was bad in pre-training."""
    spectra = np.asarray(toy.cube, np.float32).reshape(-1, 16).copy()
    made_on = fit_preprocess(spectra, good_bands=np.arange(16) != 9)
    spectra[:, 4] = 1.0
    used_on = fit_preprocess(spectra)
    spec = NetworkSpec(15, 3, "none", blocks=1, width=8)
    source, target = trained(spec, 1), build_network(spec, seed=2)
    carry_over(weights_of(source, made_on, tmp_path / "w.safetensors"), target, used_on)
    found, given = (net.state_dict()[WEIGHT][:, :, 0, 0] for net in (target, source))
    assert (found[:, 8] == 0).all()  # band 9, as band 4 is left out
    shared = np.arange(15) != 8
    ratio = found[:, shared] / given[:, np.arange(15) != 4]  # what is left of both is bands 0 to 15 but 4 and 9
    torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio))


@pytest.mark.parametrize(
    ("spec", "how", "words"),
    [
        (NetworkSpec(16, 3, "none", blocks=2), {}, r"blocks 1 \(this network: 2\).*Classify with --window 5,"),
        (NetworkSpec(16, 3, "none", blocks=1, width=8), {}, r"width 64 \(this network: 8\)"),
        (NetworkSpec(12, 3, "none", blocks=1), {"bands": 12}, r"16 bands \(this scene: 12\)\. .* scenes of this"),
        (NetworkSpec(8, 3, "none", blocks=1), {"averaged": 2}, "reads 8 averages of 16"),
        (NetworkSpec(16, 3, "short", blocks=1), {}, "one convolution over the whole spectrum"),
        (HybridSpec(16, 3), {}, "one convolution over the whole spectrum"),
    ],
)
def test_networks_that_cannot_agree_are_refused(
    learnt: Learnt, toy: Scene, spec: Any, how: dict[str, int], words: str
) -> None:
    spectra = np.asarray(toy.cube).reshape(-1, 16)[:, : how.get("bands", 16)]
    preprocess = fit_preprocess(spectra, averaged=how.get("averaged", 1))
    with pytest.raises((RunError, SettingError), match=words):
        carry_over(read_pretrained(learnt()), build_network(spec, seed=0), preprocess)


def test_a_run_begins_with_the_weights_and_maps_again_without_them(
    learnt: Learnt, quick: Quick, run: Run, toy: Scene, tmp_path: Path
) -> None:
    file = tmp_path / "given.safetensors"
    file.write_bytes(learnt().read_bytes())
    settings = quick(steps=20, changes={"cnn3d.window": 5}, tricks=(f"given-weights:file={file}",))
    plain = run(toy, quick(steps=20, changes={"cnn3d.window": 5}), tmp_path / "plain")
    root = run(toy, settings, tmp_path / "run")
    file.unlink()
    model = load_run(root).model
    probs = model.map(toy, Runtime(quiet=True)).probs
    assert probs.shape == (*toy.shape, 3)
    assert not np.array_equal(probs, load_run(plain).model.map(toy, Runtime(quiet=True)).probs)
    text = (root / "report.html").read_text(encoding="utf-8")
    assert "test pixels were seen, their labels were not (transductive)" in text
    assert "transductive" not in (plain / "report.html").read_text(encoding="utf-8")


def test_the_command_line_spells_the_trick(
    hyperseg: Hyperseg, files: tuple[str, ...], learnt: Learnt, tmp_path: Path
) -> None:
    words = ("classify", *files, "--split", "random_per_class:8", "--window", "5", "--epochs", "1", "--repeats=1",
             "--refine", "none", "--baseline", "none", "--quiet", "--no-pictures")  # fmt: skip
    done = hyperseg(*words, "--weights", learnt(), "--out", "run")
    assert done.code == 0, done.err
    assert f"given-weights:file={learnt()}" in (tmp_path / "run" / "run.json").read_text(encoding="utf-8")
    assert "--weights FILE" in hyperseg("classify", "--help").out
    no_window = [word for word in words if word not in ("--window", "5", "--epochs", "1")]
    refused = hyperseg(*no_window, "--weights", learnt(), "--method", "svm", "--out", "other")
    assert refused.code == 2
    assert "no single network" in refused.err
    missing = hyperseg(*words, "--weights", "nowhere.safetensors", "--out", "third")
    assert missing.code == 2
    assert "nowhere.safetensors does not exist" in missing.err


def test_weights_of_folders_are_refused(toy: Scene, tmp_path: Path) -> None:
    net = build_network(NetworkSpec(16, 3, "none", blocks=1), seed=0)
    save_pretrained(tmp_path / "w.safetensors", net, ("collapse",), {"kind": "folder"})
    preprocess = fit_preprocess(np.asarray(toy.cube).reshape(-1, 16))
    with pytest.raises(HypersegError, match=r"was not learnt on scenes: .* hyperseg pretrain SCENE"):
        carry_over(read_pretrained(tmp_path / "w.safetensors"), net, preprocess)

"""Scene networks: a scene is classified as its patches are, one by one."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hyperseg.core import Scene, SettingError
from hyperseg.data.bands.groups import cut_bands
from hyperseg.data.patches import PatchSource
from hyperseg.data.preprocess import fit_preprocess
from hyperseg.engine import predict_scene
from hyperseg.hsi.networks import HybridSpec, NetworkSpec, SceneNet, SceneSpec, build_network, for_inference

KINDS = ("none", "short", "groups", "hybrid")  # what stands before the band collapse; or the other network
K, L = 4, 15
GROUPED: dict[str, dict[str, Any]] = {
    "one for all": {},
    "one each": {"group_shared": False},
    "short kernels": {"group_kernel": 2, "group_maps": 6},
    "short kernels, one each": {"group_kernel": 3, "group_shared": False},
}


def network(kind: Any, n_features: int = L, n_classes: int = K, **options: Any) -> SceneSpec:
    """A spec of any kind; groups of four bands where it reads groups, which leaves a shorter one at the end."""
    if kind == "hybrid":
        return HybridSpec(n_features, n_classes, **options)
    if kind == "groups":
        options = {"groups": cut_bands(n_features, length=4)} | options
    return NetworkSpec(n_features, n_classes, kind, **options)


def settled(kind: str, seed: int = 0, **options: Any) -> SceneNet:
    """In evaluation mode, with batch statistics that are not those of a new network."""
    net = build_network(network(kind, width=16, **options), seed=seed)
    side, random = 2 * net.margin + 1, torch.Generator().manual_seed(1)
    for _ in range(3):
        net(torch.randn(6, 1, L, side, side, generator=random))
    return net.eval()


def scene(*shape: int) -> Scene:
    cube = np.random.default_rng(0).normal(size=(*shape, L)).astype(np.float32)
    return Scene(cube, classes=tuple("abcd"), colours=((0, 0, 0),) * K)


def patch_by_patch(net: SceneNet, where: Scene) -> np.ndarray:
    """(H, W, K) logits of every pixel's own patch."""
    source = PatchSource(np.asarray(where.cube), radius=net.margin)
    pixels = torch.cartesian_prod(*[torch.arange(n) for n in where.shape])
    with torch.inference_mode():
        logits = torch.cat([net(source.gather(part)) for part in pixels.split(64)])
    assert logits.shape[2:] == (1, 1)
    return logits[:, :, 0, 0].reshape(*where.shape, K).numpy()


def at_once(net: SceneNet, where: Scene) -> np.ndarray:
    """(H, W, K) logits of the whole scene, mirrored at its borders."""
    m = net.margin
    padded = np.pad(np.asarray(where.cube), ((m, m), (m, m), (0, 0)), mode="reflect")
    with torch.inference_mode():
        return net(torch.from_numpy(padded).permute(2, 0, 1)[None, None])[0].permute(1, 2, 0).numpy()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(13, 10), (9, 17), (5, 3), (1, 7)])
def test_a_scene_is_its_patches(kind: str, shape: tuple[int, int]) -> None:
    net, where = settled(kind), scene(*shape)
    np.testing.assert_allclose(at_once(net, where), patch_by_patch(net, where), atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("tile", [1, 3, 7, 16, None])
def test_tiles_of_any_size_change_nothing(kind: str, tile: int | None) -> None:
    net, where = settled(kind), scene(17, 11)
    expected = torch.from_numpy(patch_by_patch(net, where)).softmax(-1).numpy()
    made = predict_scene(net, where, np.float32, made_by=kind, tile=tile)
    np.testing.assert_allclose(made.probs, expected, atol=1e-4)
    np.testing.assert_allclose(made.probs.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_the_margin_is_what_a_score_sees(kind: str) -> None:
    """Neither less (a patch of that side gives one score) nor more (its corners matter)."""
    net = settled(kind)
    side = 2 * net.margin + 1
    x = torch.randn(1, 1, L, side, side, generator=torch.Generator().manual_seed(0), requires_grad=True)
    scores = net(x)
    assert scores.shape == (1, K, 1, 1)
    scores.square().sum().backward()
    assert (x.grad[0, 0, :, [0, 0, -1, -1], [0, -1, 0, -1]].abs().sum(0) > 0).all()
    assert net.features(x).shape[2:] == (1, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_decides_the_weights_and_nothing_else(kind: str) -> None:
    spec, before = network(kind), torch.get_rng_state()
    first, again, other = (build_network(spec, seed=seed).head.state_dict() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)  # the program's own random numbers are left alone
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not all(torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(("kind", "least"), [("hybrid", 13), ("short", 7), ("none", 1)])
def test_the_fewest_features_a_network_takes(kind: str, least: int) -> None:
    spec = network(kind, least, width=16)
    net = build_network(spec, seed=0).eval()
    side = 2 * net.margin + 1
    assert net(torch.zeros(2, 1, least, side, side)).shape == (2, K, 1, 1)
    if least > 1:
        with pytest.raises(SettingError, match=f"at least {least} .*got {least - 1}"):
            build_network(replace(spec, n_features=least - 1), seed=0)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("whiten", [False, True])
def test_the_lean_network_on_raw_values_equals_network_and_preprocessing(kind: str, whiten: bool) -> None:
    rng = np.random.default_rng(0)
    cube = 4000 + 50 * rng.normal(size=(14, 13, 1)) + 300 * rng.normal(size=(14, 13, 22))
    scene = Scene(cube.astype(np.uint16), classes=("a", "b", "c"), colours=((0, 0, 0),) * 3)
    spectra = np.asarray(scene.cube).reshape(-1, 22)
    good = np.arange(22) != 4
    classes = rng.integers(0, 3, len(spectra)) if whiten else None
    preprocess = fit_preprocess(spectra, good_bands=good, whiten_within=classes)
    net = build_network(network(kind, preprocess.n_out, 3, initial_scale=1.0), seed=0)
    net(torch.from_numpy(preprocess(scene.cube)).permute(2, 0, 1)[None, None])  # moves the batch statistics
    lean, rest = for_inference(net.eval(), preprocess)
    whole = predict_scene(net, scene, preprocess, made_by=kind).probs
    np.testing.assert_allclose(predict_scene(lean, scene, rest, made_by=kind).probs, whole, atol=1e-5)
    assert np.ptp(whole[..., 0]) > 0.01  # the comparison is not one of constants


@pytest.mark.parametrize("options", GROUPED.values(), ids=GROUPED.keys())
def test_band_groups_are_a_scene_network_like_the_others(options: dict[str, Any]) -> None:
    net, where = settled("groups", **options), scene(11, 6)
    assert net.margin == settled("none").margin
    lean, _ = for_inference(net, fit_preprocess(np.asarray(where.cube).reshape(-1, L)))
    whole = at_once(net, where)
    np.testing.assert_allclose(whole, patch_by_patch(net, where), atol=1e-5)
    np.testing.assert_allclose(at_once(lean, where), whole, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("options", GROUPED.values(), ids=GROUPED.keys())
def test_every_band_and_every_weight_of_band_groups_counts(options: dict[str, Any]) -> None:
    net = build_network(network("groups", width=16, dropout=0.0, **options), seed=0)
    x = torch.randn(8, 1, L, 9, 9, generator=torch.Generator().manual_seed(0)).requires_grad_()
    (net(x) * torch.randn(8, K, 1, 1, generator=torch.Generator().manual_seed(1))).sum().backward()
    for name, weight in net.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.isfinite().all(), name
        assert weight.grad.abs().max() > 0, name
    assert (x.grad.abs().sum((0, 1, 3, 4)) > 0).all()


def test_the_collapse_reads_the_features_of_all_groups() -> None:
    net = settled("groups", group_maps=6)
    with torch.no_grad():
        x = torch.randn(2, 1, L, 9, 9, generator=torch.Generator().manual_seed(0))
        by_group = [net.spectral(x)[:, g] for g in range(4)]
        expected = net.head([net.spatial(net.collapse(torch.cat(by_group, 1)))[-1]])
        torch.testing.assert_close(net(x), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": ()}, r"cover the network's 15 features, got \(\).*cut_bands"),
        ({"groups": ((0, 7), (7, 14))}, "cover the network's 15 features"),
        ({"groups": ((0, 7), (8, 15))}, "contiguous"),
        ({"groups": (0, 15)}, r"groups\[0\] is a list"),
        ({"groups": ((0, 7, 15),)}, r"groups\[0\] has 2 entries"),
        ({"groups": ((0.0, 15.0),)}, r"groups\[0\]\[0\] is a whole number"),
        ({"group_kernel": 5}, "at most 4, the longest group, got 5"),
        ({"group_kernel": 1}, "got 1"),
        ({"group_kernel": -2}, "got -2"),
        ({"group_maps": 0}, "got 0"),
    ],
)
def test_band_groups_that_do_not_fit_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        build_network(network("groups", **options), seed=0)

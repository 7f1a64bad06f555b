"""Discriminator and generator: every number of bands, patch = scene, K + 1 scores, seeds and refusals."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any, get_args

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import Encoder, seeded
from hyperseg.core import SettingError
from hyperseg.gan.networks import Discriminator, GanSpec, build_discriminator, build_generator
from hyperseg.gan.settings import Variant

VARIANTS: tuple[Variant, ...] = get_args(Variant)
ALONG_BANDS = [v for v in VARIANTS if v != "spa"]
K, L = 3, 23
TINY: dict[str, Any] = {"maps": 2, "width": 4, "window": 7, "noise": 5, "initial_scale": 1.0}


def tiny(variant: Variant, n_features: int = L, n_classes: int = K, **settings: Any) -> GanSpec:
    return GanSpec(variant, n_features, n_classes, **TINY | settings)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def settled(spec: GanSpec, seed: int = 0) -> Discriminator:
    """In evaluation mode, with batch statistics that are not those of a new network."""
    net = build_discriminator(spec, seed=seed)
    for i in range(3):
        net(noise(6, 1, spec.n_features, spec.window, spec.window, seed=i))
    return net.eval()


def patches(scene: Tensor, side: int) -> Tensor:
    """(1, 1, L, H, W) -> (pixels, 1, L, side, side), every square that lies inside, row by row."""
    squares = scene.unfold(3, side, 1).unfold(4, side, 1)
    return squares[0].permute(2, 3, 0, 1, 4, 5).flatten(0, 1)


def written(net: nn.Module) -> bytes:
    return b"".join(t.numpy().tobytes() for t in net.state_dict().values())


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_generated_cube_has_the_cubes_shape_for_every_number_of_bands(variant: Variant) -> None:
    for n in range(20, 251):
        window = 5 + n // 2 % 2 * 2  # 5 and 7 for odd and for even n
        spec = tiny(variant, n, 2, maps=1, width=2, window=window, noise=1)
        with torch.no_grad():
            assert build_generator(spec, seed=0)(noise(2, 1)).shape == (2, 1, n, window, window)
        assert spec.backbone.sizes((n, window, window))[-1] == (1, spec.pooled, spec.pooled)


@pytest.mark.parametrize(("n", "left"), [(103, 49), (144, 69), (200, 97), (204, 99), (285, 140)])
def test_bands_after_the_first_convolution(n: int, left: int) -> None:
    for variant in ALONG_BANDS:
        assert tiny(variant, n).backbone.sizes((n, 7, 7))[0][0] == left
    assert tiny("spa", n).backbone.sizes((n, 7, 7))[0] == (1, 7, 7)


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("n", [23, 24])
@pytest.mark.parametrize("window", [5, 7, 9])
def test_every_band_of_the_whole_window_is_seen_and_made(variant: Variant, n: int, window: int) -> None:
    spec = tiny(variant, n, window=window)
    net, x = settled(spec), noise(2, 1, n, window, window).requires_grad_()
    assert net.margin == window // 2
    scores = net(x)
    assert scores.shape == (2, K, 1, 1)
    scores.square().sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().amax((0, 1, 3, 4)) > 0).all()
    assert (x.grad.abs().amax((0, 1, 2)) > 0).all()
    with torch.no_grad():
        made = build_generator(spec, seed=0).eval()(noise(20, 5))
    assert (made.std(0).amax((0, 2, 3)) > 0).all()


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("window", [5, 7, 9])
@pytest.mark.parametrize("extra", [{}, {"norm": "none"}])
def test_a_scene_is_its_patches(variant: Variant, window: int, extra: dict[str, Any]) -> None:
    net = settled(tiny(variant, window=window, **extra))
    scene = noise(1, 1, L, 12, 11)
    with torch.no_grad():
        whole, single = net.identify(scene), net.identify(patches(scene, window))
    assert whole.classes.shape == (1, K, 13 - window, 12 - window)
    assert whole.fake.shape == (1, 13 - window, 12 - window)
    assert single.classes.shape[2:] == (1, 1)
    for name in ("classes", "features"):
        dense, one = getattr(whole, name)[0].flatten(1).T, getattr(single, name)[..., 0, 0]
        torch.testing.assert_close(dense, one, rtol=0, atol=1e-5)
        assert dense.std(0).max() > 1e-3  # the comparison is not one of constants
    torch.testing.assert_close(whole.fake.flatten(), single.fake.flatten(), rtol=0, atol=1e-5)


@pytest.mark.parametrize("variant", VARIANTS)
def test_padding_would_make_a_patch_another_thing_than_its_scene(variant: Variant) -> None:
    """The same encoder with zeros around it: averaged over its square, a patch no longer gives the scene's value.

    Only "spc", whose kernels never look aside, does not notice.
    """
    spec = tiny(variant)
    conv = replace(spec.backbone.conv, padding=("valid", "same", "same"))
    with seeded(0):
        encoder = Encoder(replace(spec.backbone, conv=conv))
    encoder(noise(6, 1, L, 9, 9, seed=1))
    encoder.eval()
    scene = noise(1, 1, L, 12, 11)
    with torch.no_grad():
        dense, single = (
            F.avg_pool2d(encoder(x)[-1].squeeze(2), spec.window, stride=1) for x in (scene, patches(scene, spec.window))
        )
    difference = (dense[0].flatten(1).T - single[..., 0, 0]).abs().max()
    assert difference < 1e-5 if variant == "spc" else difference > 1e-2


def test_only_the_spectral_variant_is_blind_to_the_order_of_pixels() -> None:
    x, order = noise(2, 1, L, 7, 7), torch.randperm(49, generator=torch.Generator().manual_seed(1))
    mixed = x.flatten(3)[..., order].unflatten(3, (7, 7))
    difference = {}
    for variant in VARIANTS:
        net = settled(tiny(variant))
        with torch.no_grad():
            difference[variant] = (net(x) - net(mixed)).abs().max().item()
    assert difference.pop("spc") < 1e-5
    assert min(difference.values()) > 1e-2


@pytest.mark.parametrize("fake_logit", ["explicit", "implicit"])
def test_scores_of_a_scene_network_are_the_class_scores(fake_logit: Any) -> None:
    net, x = settled(tiny("ss", fake_logit=fake_logit)), noise(2, 1, L, 9, 8)
    with torch.no_grad():
        judged = net.identify(x)
        assert torch.equal(net(x), judged.classes)
        scores = net.head([judged.features])
    assert judged.features.shape == (2, 4, 3, 2)
    assert scores.shape[1] == net.head.score.layer.out_channels == K + (fake_logit == "explicit")
    assert torch.equal(judged.fake, scores[:, K] if fake_logit == "explicit" else torch.zeros(2, 3, 2))
    assert torch.equal(judged.classes, scores[:, :K])


def test_dropout_is_for_training_and_leaves_the_features_alone() -> None:
    net, x = settled(tiny("ss", dropout=0.5)), noise(8, 1, L, 7, 7)
    with torch.no_grad():
        assert torch.equal(net(x), net(x))
        net.train()
        with seeded(0):
            one, other = net.identify(x), net.identify(x)
    assert torch.equal(one.features, other.features)
    assert not torch.equal(one.classes, other.classes)


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_class_decides_what_a_conditional_generator_makes(variant: Variant) -> None:
    net, code = build_generator(tiny(variant, conditional=True), seed=0), noise(1, 5)
    with torch.no_grad():
        net(noise(12, 5), torch.arange(12) % K)
        net.eval()
        made = net(code.expand(K, -1), torch.arange(K))
        assert made.shape == (K, 1, L, 7, 7)
        assert all((made[i] - made[j]).abs().max() > 1e-3 for i, j in combinations(range(K), 2))
        assert torch.allclose(net(code, torch.tensor([1])), made[1:2], atol=1e-6)
        assert (net(noise(1, 5, seed=1), torch.tensor([1])) - made[1:2]).abs().max() > 1e-3
    with pytest.raises(SettingError, match="conditional"):
        net(code)
    with pytest.raises(SettingError, match="conditional"):
        build_generator(tiny(variant), seed=0)(noise(2, 5), torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("training", [True, False])
def test_what_is_generated_is_linear_in_the_last_layer(variant: Variant, training: bool) -> None:
    """No batch norm and no activation behind it: its bias shifts every value, its weight scales every value."""
    net, codes = build_generator(tiny(variant), seed=0).train(training), noise(4, 5)
    last = net.decoder.mirrors[0].last.conv.layer
    with torch.no_grad():
        before = net(codes)
        assert last.bias is not None
        last.bias += 2.5
        torch.testing.assert_close(net(codes), before + 2.5, rtol=1e-5, atol=1e-5)
        last.weight *= -3
        torch.testing.assert_close(net(codes), 2.5 - 3 * before, rtol=1e-5, atol=1e-5)
    assert before.abs().max() > 0.1


def test_neither_the_cube_nor_what_is_generated_is_batch_normalised() -> None:
    for variant in VARIANTS:
        for net in (build_discriminator(tiny(variant), seed=0), build_generator(tiny(variant), seed=0)):
            norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d | nn.BatchNorm3d)]
            assert norms
            assert all(m.num_features in (2, 4) for m in norms)  # maps and width; a cube has one channel


@pytest.mark.parametrize("build", [build_discriminator, build_generator])
def test_the_seed_decides_the_weights_and_nothing_else(build: Any) -> None:
    for variant in VARIANTS:
        torch.manual_seed(5)
        expected = torch.rand(1)
        torch.manual_seed(5)
        first, again, other = (written(build(tiny(variant), seed=seed)) for seed in (0, 0, 1))
        assert torch.equal(torch.rand(1), expected)  # the program's own random numbers are left alone
        assert first == again != other


def test_the_initial_scale_scales_the_discriminators_matrices_only() -> None:
    one, half = (build_discriminator(tiny("ss", initial_scale=s), seed=0) for s in (1.0, 0.5))
    for (name, a), b in zip(one.named_parameters(), half.parameters(), strict=True):
        torch.testing.assert_close(b, a * 0.5 if a.ndim > 1 else a, msg=name)


@pytest.mark.parametrize(("variant", "n"), [("ss", 19), ("spc", 19), ("conv", 11), ("spa", 1), ("spa", 2), ("spa", 18)])
def test_the_fewest_bands_for_kernels_along_them(variant: Variant, n: int) -> None:
    spec = tiny(variant, n)
    with torch.no_grad():
        assert build_generator(spec, seed=0)(noise(2, 5)).shape == (2, 1, n, 7, 7)
        assert build_discriminator(spec, seed=0)(noise(2, 1, n, 7, 7)).shape == (2, K, 1, 1)
    if variant != "spa":
        with pytest.raises(SettingError, match=rf"at least {n} .*has {n - 1} .*spa"):
            tiny(variant, n - 1)


@pytest.mark.parametrize("window", [6, 8])
def test_a_window_has_a_middle(window: int) -> None:
    with pytest.raises(SettingError, match="odd"):
        tiny("ss", window=window)

"""Windows over a prepared case: constant and identity networks, mirrors, folds, sizes below the patch, planes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product

import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from hyperseg.backbone import ConvSpec, seeded
from hyperseg.backbone.spec import BackboneSpec
from hyperseg.core import SettingError, Tile
from hyperseg.engine.blend import blend, starts, windows
from hyperseg.medical.networks import UNet
from hyperseg.medical.training import MSD2018, V2
from hyperseg.recipes.segment.sliding import averaged, check_inference, n_windows, slide

HOW = V2.inference
SIZES = [((30, 22, 17), (12, 16, 10)), ((5, 22, 7), (8, 16, 8)), ((33, 21), (16, 16)), ((9, 12), (16, 16)),
         ((6, 30, 21), (16, 12)), ((3, 9, 7), (16, 12))]  # fmt: skip


class Identity(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x


def unet(ndim: int, *, classes: int = 3, seed: int = 0) -> UNet:
    spec = BackboneSpec(
        1, (4, 6), ((1,) * ndim, (2,) * ndim), ((3,) * ndim,) * 2, (1, 1),
        ConvSpec(ndim, norm="instance", act="leaky_relu"),
    )  # fmt: skip
    with seeded(seed):
        return UNet(spec, classes).eval()


def whole(net: nn.Module, image: Tensor, patch: tuple[int, ...], *, mirror: bool = False, k: int = 3) -> Tensor:
    return torch.cat(list(slide(averaged([net], HOW, mirror=mirror), image, patch, n_classes=k)), 1)


def test_positions_of_windows() -> None:
    assert starts(110, 64) == [0, 23, 46]
    assert n_windows((110, 64), (64, 64)) == 3
    assert n_windows((7, 110, 10), (64, 64)) == 21
    assert n_windows((110, 110, 110), (64, 64, 64)) == 27


@pytest.mark.parametrize(("size", "patch"), SIZES)
@pytest.mark.parametrize("mirror", [True, False])
def test_the_identity_returns_its_input(size: tuple[int, ...], patch: tuple[int, ...], mirror: bool) -> None:
    image = torch.randn(3, *size)
    found = whole(Identity(), image, patch, mirror=mirror)
    torch.testing.assert_close(found, image, atol=1e-5, rtol=1e-5)


def test_a_constant_stays_one() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.tensor([1.0, -2.0]).view(1, 2, 1, 1, 1).expand(len(x), 2, *x.shape[2:]).clone()

    found = whole(Constant(), torch.randn(1, 30, 22, 17), (12, 16, 10), mirror=True, k=2)
    assert found.shape == (2, 30, 22, 17)
    torch.testing.assert_close(found[0], torch.ones(30, 22, 17))
    torch.testing.assert_close(found[1], torch.full((30, 22, 17), -2.0))


@pytest.mark.parametrize(("size", "patch"), [((12, 16, 10), (12, 16, 10)), ((14, 13), (14, 13))])
def test_mirrors_make_it_equivariant(size: tuple[int, ...], patch: tuple[int, ...]) -> None:
    net, image = unet(len(size)), torch.randn(1, *size)
    found = whole(net, image, patch, mirror=True)
    for flips in product([False, True], repeat=len(size)):
        axes = [axis + 1 for axis, flip in enumerate(flips) if flip]
        again = whole(net, image.flip(axes), patch, mirror=True)
        torch.testing.assert_close(again, found.flip(axes), atol=1e-5, rtol=1e-4)
    assert not torch.allclose(whole(net, image, patch).flip(1), whole(net, image.flip(1), patch), atol=1e-3)


def test_one_window_is_the_network_itself_and_folds_are_averaged() -> None:
    nets, image = [unet(3, seed=seed) for seed in (0, 1)], torch.randn(1, 12, 16, 10)
    with torch.no_grad():
        logits = [net(image[None])[0] for net in nets]
    args = (image, (12, 16, 10))
    found = torch.cat(list(slide(averaged(nets, HOW, mirror=False), *args, n_classes=3)), 1)
    torch.testing.assert_close(found, (logits[0] + logits[1]) / 2, atol=1e-5, rtol=1e-5)
    found = torch.cat(list(slide(averaged(nets, MSD2018.inference, mirror=False), *args, n_classes=3)), 1)
    expected = (logits[0].softmax(0) + logits[1].softmax(0)) / 2
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_planes_are_seen_alone() -> None:
    net, image = unet(2), torch.randn(1, 4, 20, 30)
    found = whole(net, image, (16, 16))
    for z in range(4):
        torch.testing.assert_close(found[:, z], whole(net, image[:, z], (16, 16)), atol=1e-5, rtol=1e-5)


def test_small_cases_are_padded_with_zeros_on_both_sides() -> None:
    net, image = unet(2), torch.randn(1, 9, 12)
    padded = torch.zeros(1, 16, 16)
    padded[:, 3:12, 2:14] = image
    with torch.no_grad():
        expected = net(padded[None])[0][:, 3:12, 2:14]
    torch.testing.assert_close(whole(net, image, (16, 16)), expected, atol=1e-5, rtol=1e-5)


def test_windows_are_counted_and_the_input_is_left_alone() -> None:
    told: list[tuple[int, int]] = []
    image = torch.randn(1, 30, 22, 17)
    before = image.clone()
    args = (image, (12, 16, 10))
    list(slide(averaged([Identity()], HOW), *args, n_classes=1, done=lambda n, of: told.append((n, of))))
    total = n_windows((30, 22, 17), (12, 16, 10))
    assert told[-1] == (total, total)
    assert torch.equal(image, before)


def test_a_plan_with_other_windows_is_refused() -> None:
    check_inference(HOW)
    with pytest.raises(SettingError, match=r"step of 0\.5"):
        check_inference(replace(HOW, step=0.25))


@pytest.mark.parametrize("most", [1, 500, 10**6])
def test_thin_slabs_are_the_thick_ones_wherever_channels_lie(most: int) -> None:
    """To the last bit; no slab holds more than was said, but for a single row."""
    shape, side, k = (30, 22, 17), (12, 16, 10), 3
    generator = torch.Generator().manual_seed(0)
    values = [torch.randn((*side, k), generator=generator) for _ in windows(shape, side)]
    last = torch.cat([slab for _, slab in blend(values, shape, side, k)])
    turned = [value.movedim(-1, 0).contiguous().movedim(0, -1) for value in values]
    thin = list(blend(turned, shape, side, k, most=most))
    assert torch.equal(torch.cat([slab for _, slab in thin]), last)
    assert all(slab.numel() <= max(most, 22 * 17 * k) for _, slab in thin)
    assert [tile.core[0] for tile, _ in thin] == [(a, a + len(slab)) for a, slab in _starting(thin)]


def _starting(slabs: list[tuple[Tile, Tensor]]) -> Iterator[tuple[int, Tensor]]:
    start = 0
    for _, slab in slabs:
        yield start, slab
        start += len(slab)


def test_weights_are_a_gaussian() -> None:
    import numpy as np

    from hyperseg.engine.blend import weights

    impulse = np.zeros(65)
    impulse[32] = 1
    bell = gaussian_filter(impulse, 65 / 8, mode="constant", truncate=6)
    np.testing.assert_allclose(weights((65,))[:, 0], bell / bell.max(), atol=2e-5)

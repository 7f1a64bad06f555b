"""How far a network looks, found by a pixel that is not a number: known receptive fields, and all pixels tried."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvSpec, resized
from hyperseg.zoo.network import ZooSpec, build
from hyperseg.zoo.receptive import reach, spread

FLAT = ConvSpec(2, norm="none", act="none")


def stack(*kernels: int, dilation: int = 1) -> nn.Module:
    return nn.Sequential(*(Conv(FLAT, 1, 1, kernel, dilation=dilation) for kernel in kernels))


class DownUp(nn.Module):
    """Strides of two, then back to the size of the image."""

    def __init__(self, levels: int) -> None:
        super().__init__()
        self.down = nn.Sequential(*(Conv(FLAT, 1, 1, 3, stride=2) for _ in range(levels)))

    def forward(self, x: Tensor) -> Tensor:
        return resized(self.down(x), x.shape[2:])


class Mean(nn.Module):
    """The mean of the whole image beside each pixel."""

    def forward(self, x: Tensor) -> Tensor:
        return x + x.mean((2, 3), keepdim=True)


@pytest.mark.parametrize(
    ("net", "far"),
    [(stack(1), 0), (stack(3), 1), (stack(3, 3, 5), 4), (stack(3, dilation=4), 4), (stack(3, 3, dilation=6), 12)],
)
def test_of_convolutions_it_is_the_sum_of_their_halves(net: nn.Module, far: int) -> None:
    assert reach(net, 1, (33, 29)) == (far, far)


@pytest.mark.parametrize("shape", [(9, 9), (5, 8)])
@pytest.mark.parametrize("net", [stack(3, 3, 3, 3, 3), Mean(), stack(3, dilation=7)])
def test_it_ends_with_the_window(net: nn.Module, shape: tuple[int, int]) -> None:
    """No window of n pixels tells more than n - 1; where a mean is taken it is all of them."""
    far = reach(net, 1, shape)
    assert all(found <= n - 1 for found, n in zip(far, shape, strict=True))
    if isinstance(net, Mean):
        assert far == tuple(n - 1 for n in shape)


@pytest.mark.parametrize("side", [16, 24, 33, 37, 64])
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_of_strides_it_is_what_all_pixels_tried_one_by_one_show(levels: int, side: int) -> None:
    """The farthest of all decisions, wherever a pixel lies on the grid of the strides; never less."""
    net, most = DownUp(levels).eval(), 0
    for row in range(side):
        place = (row, side // 2)
        found = spread(net, 1, (side, side), place).nonzero()
        most = max(most, int((found[:, 0] - row).abs().max()) if len(found) else 0)
    far = reach(net, 1, (side, side), steps=2**levels)[0]
    assert far == most if side % 8 == 0 else most <= far <= most + 2 ** (levels - 1)
    assert 2**levels - 1 <= most < 4 * 2**levels


def farthest(net: nn.Module, side: int) -> int:
    """By changed values instead of nan: how far from it an answer changes, over all pixels of the diagonal."""
    generator, most = torch.Generator().manual_seed(0), 0
    for parameter in net.double().parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    x = torch.randn((1, 2, side, side), dtype=torch.float64, generator=generator)
    with torch.no_grad():
        before = net(x)
        for k in range(side):
            y = x.clone()
            y[0, :, k, k] += 5 * torch.randn(2, dtype=torch.float64, generator=generator)
            changed = ((net(y) - before).abs() > 1e-12)[0].any(0).nonzero()
            most = max([most, *(changed - k).abs().flatten().tolist()])
    return most


@pytest.mark.parametrize(
    ("name", "kernel"), [("segnet", 1), ("segnet", 3), ("hrnet", 3), ("u-net", 3), ("swin-unetr", 3)]
)
def test_it_is_not_less_than_what_changed_values_show(name: str, kernel: int) -> None:
    """In a window of which the middle sees a part only; a changed maximum moves what another pixel tells (SegNet)."""
    body = BackboneSpec(2, (4, 4, 4), (1, 2, 2), (kernel,) * 3, (1,) * 3, ConvSpec(2))
    net = build(ZooSpec(name, 2, 3, body, (24, 24)), 0).eval()
    assert 0 < farthest(net, 24) <= net.context_px


def test_nothing_is_missed_beside_what_gradients_show() -> None:
    """Pixels that a decision has a gradient of lie within the reach."""
    body = BackboneSpec(2, (4, 4), (1, 2), (3, 3), (1, 1), ConvSpec(2))
    net = build(ZooSpec("u-net", 2, 3, body, (21, 21)), 0).eval()
    far = net.context_px
    assert far == max(reach(net, 2, (21, 21), steps=2))
    for at in product((3, 10, 17), repeat=2):
        x = torch.randn((1, 2, 21, 21), generator=torch.Generator().manual_seed(0), requires_grad=True)
        (gradient,) = torch.autograd.grad(net(x)[0, :, at[0], at[1]].sum(), x)
        seen = gradient[0].abs().sum(0).nonzero()
        assert int((seen - torch.tensor(at)).abs().max()) <= far


def test_training_mode_is_given_back_and_weights_stay() -> None:
    net = DownUp(1).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    reach(net, 1, (9, 9))
    assert net.training
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())

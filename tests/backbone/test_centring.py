"""Batch norms centred on other data: the mean moves, nothing else does."""

from __future__ import annotations

import torch
from torch import nn

from hyperseg.backbone import ConvBlock, ConvSpec, seeded
from hyperseg.backbone.centring import centre_batch_norms


def trained() -> nn.Module:
    """Two blocks whose batch norms have seen something."""
    with seeded(0):
        net = nn.Sequential(ConvBlock(ConvSpec(2), 3, 8, 1), ConvBlock(ConvSpec(2), 8, 4, 1))
    generator = torch.Generator().manual_seed(1)
    for _ in range(50):
        net(torch.randn(16, 3, 4, 4, generator=generator))
    return net.eval()


def test_a_shift_of_the_input_is_taken_out() -> None:
    net, moved = trained(), trained()
    inputs = torch.randn(512, 3, 4, 4, generator=torch.Generator().manual_seed(2))
    centre_batch_norms(net, inputs)
    centre_batch_norms(moved, inputs + torch.tensor([3.0, -2.0, 5.0])[:, None, None])
    torch.testing.assert_close(moved(inputs + torch.tensor([3.0, -2.0, 5.0])[:, None, None]), net(inputs))


def test_means_are_those_of_what_reaches_each_layer_and_variances_stay() -> None:
    net, before = trained(), trained()
    inputs = 2 + torch.randn(64, 3, 4, 4, generator=torch.Generator().manual_seed(3))
    centre_batch_norms(net, inputs)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    old = [m for m in before.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 2
    seen = []
    for norm in norms:
        norm.register_forward_pre_hook(lambda _, given: seen.append(given[0].mean((0, 2, 3))))
    net(inputs)
    for norm, was, mean in zip(norms, old, seen, strict=True):
        torch.testing.assert_close(norm.running_mean, mean)
        torch.testing.assert_close(norm.running_var, was.running_var)
    assert not torch.allclose(norms[0].running_mean, old[0].running_mean, atol=0.1)


def test_nothing_is_left_behind() -> None:
    net = trained()
    centre_batch_norms(net, torch.randn(8, 3, 4, 4))
    first = net(torch.zeros(1, 3, 4, 4))
    net(torch.randn(8, 3, 4, 4))
    torch.testing.assert_close(net(torch.zeros(1, 3, 4, 4)), first)
    centre_batch_norms(nn.Sequential(nn.Conv2d(3, 2, 1)).eval(), torch.zeros(2, 3, 4, 4))  # no batch norm, no error

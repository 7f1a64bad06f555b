"""Self-attention is a softmax over positions and knows no order; embeddings tell numbers and classes apart."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hyperseg.backbone import ClassEmbedding, ConvSpec, SelfAttention, TimeEmbedding, seeded
from hyperseg.core import SettingError

SIZES: dict[int, tuple[int, ...]] = {1: (7,), 2: (3, 5), 3: (3, 2, 2)}


def attention(ndim: int, *, heads: int = 2, norm: str = "group", alive: bool = True) -> SelfAttention:
    with seeded(0):
        layer = SelfAttention(ConvSpec(ndim, norm=norm), 8, heads)  # type: ignore[arg-type]
        if alive:
            torch.nn.init.normal_(layer.write.weight)
            torch.nn.init.normal_(layer.write.bias)
    return layer.eval()


def some(ndim: int) -> Tensor:
    return torch.randn(2, 8, *SIZES[ndim], generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("ndim", SIZES)
@pytest.mark.parametrize("norm", ["group", "none"])
def test_it_equals_a_softmax_written_out(ndim: int, norm: str) -> None:
    layer, x = attention(ndim, norm=norm), some(ndim)
    seen = (x if layer.norm is None else layer.norm(x)).flatten(2)
    wanted = x.flatten(2).clone()
    for b in range(2):
        said = seen[b].T @ layer.read.weight.T + layer.read.bias  # (positions, 3 C), each part head by head
        query, key, value = (said[:, i * 8 : (i + 1) * 8] for i in range(3))
        heads = []
        for h in range(2):
            own = slice(4 * h, 4 * h + 4)
            weights = torch.softmax(query[:, own] @ key[:, own].T / math.sqrt(4), 1)
            heads.append(weights @ value[:, own])
        wanted[b] += (torch.cat(heads, 1) @ layer.write.weight.T + layer.write.bias).T
    torch.testing.assert_close(layer(x).flatten(2), wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("ndim", SIZES)
def test_it_starts_as_the_identity(ndim: int) -> None:
    x = some(ndim)
    assert torch.equal(attention(ndim, alive=False)(x), x)


@pytest.mark.parametrize("ndim", SIZES)
def test_positions_have_no_order(ndim: int) -> None:
    layer, x = attention(ndim), some(ndim)
    order = torch.randperm(x[0, 0].numel(), generator=torch.Generator().manual_seed(2))
    mixed = x.flatten(2)[:, :, order].reshape(x.shape)
    torch.testing.assert_close(layer(mixed).flatten(2), layer(x).flatten(2)[:, :, order], rtol=1e-5, atol=1e-5)


def test_every_position_reads_from_every_other() -> None:
    layer, x = attention(2), some(2)
    x.requires_grad_()
    layer(x)[0, :, 0, 0].sum().backward()
    assert x.grad is not None
    assert bool((x.grad[0].abs().sum(0) > 0).all())
    assert not bool(x.grad[1].any())  # and none from another sample


def test_heads_that_cannot_share_are_refused() -> None:
    with pytest.raises(SettingError, match="3 heads cannot share 8"):
        attention(2, heads=3)


def test_times_are_waves_of_known_lengths() -> None:
    embed = TimeEmbedding(4, waves=3)
    assert embed.waves.tolist() == pytest.approx([1, 0.01, 1e-4])
    seen: list[Tensor] = []
    embed.layers.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    embed(torch.tensor([0.0, math.pi / 2, 50 * math.pi]))
    wanted = [[0, 0, 0, 1, 1, 1], [1, 0.0157, 1.57e-4, 0, 0.9999, 1], [0, 1, 0.0157, 1, 0, 0.9999]]
    torch.testing.assert_close(seen[0], torch.tensor(wanted), rtol=1e-2, atol=2e-4)


def test_near_times_are_near_and_far_ones_told_apart() -> None:
    with seeded(0):
        embed = TimeEmbedding(64)
    out = embed(torch.tensor([500.0, 500.01, 501.0, 900.0]))
    near, step, far = ((out[i] - out[0]).detach().norm() for i in (1, 2, 3))
    assert float(near) < 0.1 * float(step) < float(step)
    assert float(far) > float(near)


def test_a_class_that_is_not_told_has_a_row_of_its_own() -> None:
    embed = ClassEmbedding(3, 5)
    assert not bool(embed(torch.tensor([-1, 0, 1, 2])).any())  # at the start nobody is told anything
    with torch.no_grad():
        embed.table.weight.copy_(torch.arange(4.0)[:, None].expand(4, 5))
    assert embed(torch.tensor([2, -1, 0]))[:, 0].tolist() == [2, 3, 0]
    with pytest.raises(SettingError, match="one number for each sample"):
        embed(torch.zeros(2, 2).long())

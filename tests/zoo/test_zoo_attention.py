"""Attention: what reads from where, against loops and limits."""

from __future__ import annotations

import pytest
import torch
from test_zoo_contract import SIZES, body, image
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F

from hyperseg.backbone import ConvSpec, seeded
from hyperseg.backbone.context.position import PositionAttention, attend
from hyperseg.core import SettingError
from hyperseg.zoo import parse_network
from hyperseg.zoo.attention.ccnet import CrissCross, attend_crossing
from hyperseg.zoo.attention.coarse import Coarse, inner_width
from hyperseg.zoo.attention.danet import Added, ChannelAttention
from hyperseg.zoo.attention.emanet import EMAttention, maximised, responsibilities

MEMBERS = ("danet", "ccnet", "ocnet", "emanet")


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_loops(query: Tensor, key: Tensor, value: Tensor, reads: object = None) -> Tensor:
    """Attention of one image (d, *S) position by position; `reads(here, there)` says which positions count."""
    places = list(torch.cartesian_prod(*map(torch.arange, query.shape[1:])).tolist())
    found = torch.zeros_like(value)
    for here in places:
        seen = [there for there in places if reads is None or reads(here, there)]  # type: ignore[operator]
        weights = torch.stack([query[:, *here] @ key[:, *there] for there in seen]).softmax(0)
        found[:, *here] = sum(w * value[:, *there] for w, there in zip(weights, seen, strict=True))
    return found


def crosses(here: list[int], there: list[int]) -> bool:
    return sum(a != b for a, b in zip(here, there, strict=True)) <= 1


@pytest.mark.parametrize("size", [(4, 5), (2, 3, 4)])
def test_attention_between_positions_is_a_double_loop(size: tuple[int, ...]) -> None:
    query, key, value = drawn(2, 3, *size), drawn(2, 3, *size, seed=1), drawn(2, 5, *size, seed=2)
    wanted = torch.stack([by_loops(q, k, v) for q, k, v in zip(query, key, value, strict=True)])
    assert torch.allclose(attend(query, key, value), wanted)
    assert torch.allclose(attend(query, key, value, scale=0.5), attend(query / 2, key, value))


def test_shares_of_what_is_read_sum_to_one() -> None:
    query, key, one = drawn(2, 3, 4, 5), drawn(2, 3, 4, 5, seed=1), torch.ones((2, 1, 4, 5), dtype=torch.float64)
    assert torch.allclose(attend(query, key, one), one)
    assert torch.allclose(attend_crossing(query, key, one), one)
    same = torch.ones((2, 3, 4, 5), dtype=torch.float64)
    assert torch.allclose(ChannelAttention()(same), same)


def test_attention_between_positions_keeps_no_table_of_all_pairs() -> None:
    side, kept = 24, []
    query, value = (torch.randn(1, c, side, side, requires_grad=True) for c in (4, 16))
    with saved_tensors_hooks(lambda t: kept.append(t.numel()) or t, lambda t: t):
        attend(query, query, value)
    assert max(kept) < side**4 / 4


def test_attention_between_channels_is_a_double_loop() -> None:
    x = drawn(1, 4, 3, 5)
    flat, wanted = x[0].flatten(1), torch.zeros(4, 15, dtype=torch.float64)
    for i in range(4):
        alike = torch.stack([flat[i] @ flat[j] for j in range(4)]) / 15**0.5
        wanted[i] = sum(w * flat[j] for j, w in enumerate(alike.softmax(0)))
    assert torch.allclose(ChannelAttention()(x)[0].flatten(1), wanted)


def test_a_weight_of_zero_is_the_identity_and_new_layers_have_it() -> None:
    spec, x = ConvSpec(2), torch.randn(2, 8, 4, 5)
    for layer in (Added(PositionAttention(spec, 8, 2)), Added(ChannelAttention()), CrissCross(body(3), 8)):
        assert torch.equal(layer(x), x)
        torch.nn.init.ones_(layer.weight)
        assert not torch.allclose(layer(x), x)


def test_shared_queries_and_keys_weigh_each_other_alike() -> None:
    layer = PositionAttention(ConvSpec(2), 6, 3, shared=True)
    x = torch.randn(1, 6, 3, 4)
    assert torch.allclose(layer(x), attend(layer.key(x), layer.key(x), layer.value(x)))


@pytest.mark.parametrize("size", [(4, 5), (2, 3, 4)])
def test_crossing_lines_are_a_loop_that_counts_the_position_itself_once(size: tuple[int, ...]) -> None:
    query, key, value = drawn(1, 3, *size), drawn(1, 3, *size, seed=1), drawn(1, 5, *size, seed=2)
    wanted = by_loops(query[0], key[0], value[0], crosses)
    assert torch.allclose(attend_crossing(query, key, value)[0], wanted)
    # all alike: a mean over the lines, in which the position itself has one share
    flat = torch.zeros_like(query)
    spot = torch.zeros((1, 1, *size), dtype=torch.float64)
    spot[(0, 0, *(1,) * len(size))] = 1
    share = 1 / (sum(size) - len(size) + 1)
    assert attend_crossing(flat, flat, spot)[(0, 0, *(1,) * len(size))].item() == pytest.approx(share)


@pytest.mark.parametrize("size", [(5, 6), (3, 4, 5)])
def test_crossing_once_reads_the_lines_and_as_often_as_there_are_axes_everything(size: tuple[int, ...]) -> None:
    axes = len(size)
    layer = CrissCross(body(3, axes=axes), 8).double()
    torch.nn.init.ones_(layer.weight)
    for times in range(1, axes + 1):
        x = drawn(1, 8, *size).requires_grad_()
        y = x
        for _ in range(times):
            y = layer(y)
        here = (2,) * axes
        y[(0, slice(None), *here)].sum().backward()
        assert x.grad is not None
        depends = x.grad[0].abs().sum(0) > 0
        places = torch.cartesian_prod(*map(torch.arange, size))
        differ = (places != torch.tensor(here)).sum(1).reshape(size)
        assert torch.equal(depends, differ <= times)


def test_shares_of_bases_sum_to_one_and_a_step_is_soft_k_means() -> None:
    points = drawn(2, 7, 3)
    bases = points[:, :4]  # at data points
    shares = responsibilities(points, bases)
    assert torch.allclose(shares.sum(2), torch.ones(2, 7, dtype=torch.float64))
    found = maximised(points, shares)
    for b in range(2):
        each = torch.stack([torch.stack([points[b, i] @ bases[b, m] for m in range(4)]).softmax(0) for i in range(7)])
        for m in range(4):
            mean = sum(each[i, m] * points[b, i] for i in range(7)) / each[:, m].sum()
            assert torch.allclose(found[b, m], mean, atol=1e-5)


def test_one_basis_writes_every_position_as_the_direction_of_the_mean() -> None:
    x = drawn(2, 3, 4, 5)
    found = EMAttention(3, 1, 2, 0.9).double()(x)
    mean = F.normalize(x.flatten(2).mean(2), dim=1)
    assert torch.allclose(found, mean[:, :, None, None].expand_as(x), atol=1e-5)


def test_first_bases_follow_in_training_alone_and_stay_of_length_one() -> None:
    with seeded(0):
        layer = EMAttention(6, 5, 3, 0.9)
    x, before = torch.randn(2, 6, 4, 5), layer.first.clone()
    layer.eval()
    assert torch.equal(layer(x), layer(x))
    assert torch.equal(layer.first, before)
    layer.train()(x)
    assert not torch.equal(layer.first, before)
    assert torch.allclose(layer.first.norm(dim=1), torch.ones(5))
    kept = layer.first.clone()
    layer(torch.full_like(x, torch.inf))  # a step that overflows must not stay
    assert torch.allclose(layer.first, kept)
    assert "first" in layer.state_dict()
    still = EMAttention(6, 5, 3, 1.0)
    before = still.first.clone()
    still(x)
    assert torch.allclose(still.first, before)


def test_ccnet_applies_one_layer_as_often_as_asked() -> None:
    member, chosen = parse_network("ccnet:recurrence=3")
    net, x, calls = member.build(body(3), 3, chosen), image(3, (9, 10)), []
    net.crossing.register_forward_hook(lambda *_: calls.append(1))  # type: ignore[union-attr]
    net(x)
    assert len(calls) == 3


def test_danet_learns_both_branches_alone_with_the_weights_it_says() -> None:
    member, chosen = parse_network("danet:auxiliary=0.4")
    net, x = member.build(body(3), 3, chosen).eval(), image(3, SIZES[2])
    both, first, second = net.levels(x)  # type: ignore[operator]
    assert torch.equal(both, net(x))
    assert first.shape == second.shape == (2, 3, 10, 11)
    assert net.weights == (1.0, 0.4, 0.4)


@pytest.mark.parametrize("name", [*MEMBERS, "encnet", "reseg", "gated-scnn"])
def test_an_output_stride_keeps_maps_finer_with_the_same_weights(name: str) -> None:
    x = image(3, (17, 18))
    nets = []
    for text in (name, f"{name}:output_stride=2"):
        member, chosen = parse_network(text)
        with seeded(0):
            nets.append(member.build(body(3), 3, chosen).eval())
    seen = [m for net in nets for m in net.modules() if type(m).__name__ == "Encoder"]
    assert [m(x)[-1].shape[2:] for m in seen] == [(5, 5), (9, 9)]
    assert nets[1](x).shape == (2, 3, 17, 18)
    member, chosen = parse_network(f"{name}:output_stride=3")
    with pytest.raises(SettingError, match="stop at 3"):
        member.build(body(3), 3, chosen)


def test_a_map_is_made_narrower_only_where_it_is_wide() -> None:
    assert [inner_width(n) for n in (8, 32, 100, 128, 512)] == [8, 32, 32, 32, 128]
    coarse = Coarse(body(3), 0, narrower=2)
    top, both = coarse(image(3, (9, 10)))
    assert [top.shape[1], *(y.shape[1] for y in both)] == [16, 16, 16]

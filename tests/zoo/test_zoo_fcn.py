"""FCN and ParseNet: what defines them, as identities."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ConvSpec, resized, seeded
from hyperseg.core import SettingError
from hyperseg.zoo import parse_network
from hyperseg.zoo.fcn.fcn import FCN, bilinear
from hyperseg.zoo.fcn.parsenet import Glance, UnitScaled

K = 3


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def body(axes: int = 2) -> BackboneSpec:
    return BackboneSpec(2, (4, 6, 8, 8), (1, 2, 2, 2), (3,) * 4, (1,) * 4, ConvSpec(axes))


def made(name: str) -> FCN:
    member, chosen = parse_network(name)
    with seeded(0):
        net = member.build(body(), K, chosen).eval()
    assert isinstance(net, FCN)
    return net


@pytest.mark.parametrize("stride", [(1,), (2,), (5,), (2, 2), (3, 3), (4, 4), (1, 2, 2), (2, 3, 4)])
def test_a_transposed_convolution_begins_as_interpolation(stride: tuple[int, ...]) -> None:
    x = random(2, K, *[5] * len(stride))
    size = [5 * s for s in stride]
    found = bilinear(ConvSpec(len(stride)), K, stride)(x, size)
    inside = (..., *[slice(s, -s) for s in stride])
    assert torch.allclose(found[inside], resized(x, size)[inside], atol=1e-5)


@pytest.mark.parametrize("name", ["fcn-16s", "fcn-8s"])
def test_where_skips_score_zero_the_coarse_scores_are_raised(name: str) -> None:
    net, x = made(name), random(1, 2, 96, 96)  # scores of the skips start at zero
    with torch.no_grad():
        expected = net.heads[0](net.encoder(x))
        for _ in net.ups:
            expected = resized(expected, [2 * n for n in expected.shape[2:]])
        expected = resized(expected, (96, 96))
        inside = (..., slice(24, -24), slice(24, -24))
        assert torch.allclose(net(x)[inside], expected[inside], atol=1e-5)


def test_without_skips_it_is_the_coarse_scores_cell_by_cell() -> None:
    net, x = made("fcn-32s"), random(1, 2, 61, 64)
    with torch.no_grad():
        coarse = net.heads[0](net.encoder(x))
        assert coarse.shape[2:] == (8, 8)
        assert torch.equal(net(x), resized(coarse, (64, 64))[:, :, :61])


def test_scores_of_levels_are_summed() -> None:
    net, x = made("fcn-8s"), random(1, 2, 37, 41)
    for i, head in enumerate(net.heads):
        for parameter in head.parameters():
            nn.init.normal_(parameter, generator=torch.Generator().manual_seed(i))
    kept = [{name: p.detach().clone() for name, p in head.named_parameters()} for head in net.heads]

    def of(levels: set[int]) -> Tensor:
        for level, (head, values) in enumerate(zip(net.heads, kept, strict=True)):
            for name, parameter in head.named_parameters():
                parameter.copy_(values[name] if level in levels else torch.zeros_like(parameter))
        found: Tensor = net(x)
        return found

    with torch.no_grad():
        assert torch.allclose(of({0, 1, 2}), of({0}) + of({1}) + of({2}), atol=1e-4)
        assert of({2}).abs().max() > 0


def test_more_levels_than_stages_are_refused() -> None:
    member, chosen = parse_network("fcn-8s")
    few = BackboneSpec(2, (4, 6), (1, 2), (3, 3), (1, 1), ConvSpec(2))
    with pytest.raises(SettingError, match="3 stages"):
        member.build(few, K, chosen)


def test_vectors_of_features_have_the_learnt_length() -> None:
    layer, x = UnitScaled(4, 10.0), random(2, 4, 5, 6)
    assert torch.allclose(layer(x).norm(dim=1), torch.tensor(10.0))
    assert torch.allclose(layer(x), 10 * x / x.norm(dim=1, keepdim=True), atol=1e-5)
    assert torch.allclose(layer(7 * x), layer(x), atol=1e-5)
    with torch.no_grad():
        layer.scale[2] = 0.0
    assert layer(x)[:, 2].abs().max() == 0


def test_a_vector_of_zeros_stays_zero_and_has_a_gradient() -> None:
    layer, x = UnitScaled(4, 10.0), torch.zeros((1, 4, 2, 2), requires_grad=True)
    found = layer(x)
    found.sum().backward()
    assert found.abs().max() == 0
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_the_image_is_seen_through_its_mean_alone() -> None:
    """Pixels that change places take their scores along; a change that leaves the mean is not seen elsewhere."""
    with seeded(0):
        glance = Glance(body(), 1, K, 10.0)
    x = random(1, 6, 5, 7)
    order = torch.randperm(35, generator=torch.Generator().manual_seed(0))
    moved = x.flatten(2)[:, :, order].view_as(x)
    with torch.no_grad():
        found = glance(x)
        assert torch.allclose(glance(moved), found.flatten(2)[:, :, order].view_as(found), atol=1e-5)
        other = x.clone()
        other[..., 0, 0] += 1
        other[..., 4, 6] -= 1
        assert torch.allclose(glance(other)[..., 1:4, :], found[..., 1:4, :], atol=1e-5)
        other[..., 4, 6] += 9
        assert not torch.allclose(glance(other)[..., 1:4, :], found[..., 1:4, :], atol=1e-2)

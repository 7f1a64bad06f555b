"""MONAI's networks beside ours: the same numbers of parameters where both are the same, else exactly what differs."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import nn

from hyperseg.backbone import BackboneSpec, ConvSpec, seeded
from hyperseg.zoo import parse_network

K, BANDS = 3, 2
DOUBLED = (8, 8, 16, 32, 64)  # as MONAI's defaults: the second level is as wide as the first


@pytest.fixture(scope="module")
def theirs() -> Any:
    return pytest.importorskip("monai.networks.nets", reason="MONAI is the oracle here")


def body(
    axes: int, widths: tuple[int, ...], depths: tuple[int, ...], *, channels: int = BANDS, norm: str = "batch",
    act: str = "relu",
) -> BackboneSpec:  # fmt: skip
    conv = ConvSpec(axes, norm=norm, act=act)  # type: ignore[arg-type]
    n = len(widths)
    return BackboneSpec(channels, widths, (1, *[2] * (n - 1)), (3,) * n, depths, conv)


def ours(name: str, spec: BackboneSpec, n_classes: int = K) -> nn.Module:
    member, chosen = parse_network(name)
    with seeded(0):
        return member.build(spec, n_classes, chosen).eval()


def count(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("axes", [2, 3])
def test_a_u_net_of_two_convolutions_a_level_is_their_dyn_unet(theirs: Any, axes: int) -> None:
    """The same layers in the same places: with the same weights the same scores."""
    widths = (4, 6, 8)
    mine = ours("u-net", body(axes, widths, (2, 2, 2), norm="instance", act="leaky_relu"))
    other = theirs.DynUNet(
        axes, BANDS, K, (3, 3, 3), (1, 2, 2), (2, 2), filters=widths, norm_name=("instance", {"affine": True}),
        trans_bias=True,
    ).eval()  # fmt: skip
    assert count(mine) == count(other)
    with torch.no_grad():
        convolutions(other, mine)
        x = torch.randn((1, BANDS, *(16, 12, 8)[:axes]), generator=torch.Generator().manual_seed(0))
        assert torch.allclose(mine(x), other(x), atol=1e-4)


def convolutions(source: Any, target: Any) -> None:
    """Copy the weights of convolutions, stage by stage; norms are as they begin, scale 1 and shift 0, in both.

    Their decoder joins (raised, skip), ours (skip, raised): the two halves of what the convolution reads change places.
    """
    levels = [source.input_block, *source.downsamples, source.bottleneck]
    for level, stage in zip(levels, target.encoder.stages, strict=True):
        for conv, block in zip((level.conv1, level.conv2), stage.blocks, strict=True):
            block.conv.layer.weight.copy_(conv.conv.weight)
    for level, merge in zip(source.upsamples, target.decoder.merges[::-1], strict=True):
        merge.up.layer.weight.copy_(level.transp_conv.conv.weight)
        merge.up.layer.bias.copy_(level.transp_conv.conv.bias)
        raised, skip = level.conv_block.conv1.conv.weight.chunk(2, dim=1)
        merge.blocks[0].conv.layer.weight.copy_(torch.cat((skip, raised), dim=1))
        merge.blocks[1].conv.layer.weight.copy_(level.conv_block.conv2.conv.weight)
    score = target.head.score.layer  # flat in volumes too: a kernel of 1 sees one axis
    score.weight.copy_(source.output_block.conv.conv.weight.view_as(score.weight))
    score.bias.copy_(source.output_block.conv.conv.bias)


@pytest.mark.parametrize("axes", [2, 3])
def test_parameters_of_basic_u_net_and_u_net_plus_plus_are_as_many(theirs: Any, axes: int) -> None:
    """They go down by max pooling, ours by strided convolutions: neither adds a parameter."""
    spec = body(axes, DOUBLED, (2,) * 5, norm="instance", act="leaky_relu")
    arguments = {"features": (*DOUBLED, DOUBLED[0]), "bias": False}
    assert count(ours("u-net", spec)) == count(theirs.BasicUNet(axes, BANDS, K, **arguments))
    nested = ours("u-net-plus-plus", spec)
    assert count(nested) == count(theirs.BasicUNetPlusPlus(axes, BANDS, K, deep_supervision=True, **arguments))


def test_parameters_of_u_net_differ_by_its_decoder(theirs: Any) -> None:
    """Their UNet raises skip and coarse map together, by one transposed convolution a level that gives what the next
    level reads, and its last one gives the scores; it does not stride at the bottom. Its encoder has ours' layers.
    """
    widths = a, b, c, d = 4, 6, 8, 10
    mine = ours("u-net", body(2, widths, (1,) * 4))
    other = theirs.UNet(2, BANDS, K, widths, (1, 2, 2), act="relu", norm="batch", bias=False)
    decoder = 9 * ((c + d) * b + 2 * b * a + 2 * a * K) + 2 * (b + a)
    own = sum(4 * low * high + high + 9 * 2 * high * high + 2 * high for high, low in pairwise(widths)) + a * K + K
    assert count(other) - count(mine) == decoder - own


def test_parameters_of_attention_u_net_differ_by_what_is_said(theirs: Any) -> None:
    """Theirs: biases before norms; transposed convolutions of 3 with a norm, not of the stride without; one
    convolution a merge, with a PReLU and no weights in its norm, not as many as the encoder's; the gate reads the
    raised map at full size, and its three convolutions have norms.
    """
    widths = (4, 6, 8)
    mine = ours("attention-u-net", body(2, widths, (2, 2, 2)))
    other = theirs.AttentionUnet(2, BANDS, K, widths, (2, 2))
    more = sum(2 * w for w in widths)  # biases of the encoder
    for c, d in pairwise(widths):
        h = c // 2
        more += (9 * c * d + c + 2 * c) - (4 * c * d + c)  # the transposed convolution
        more += (9 * 2 * c * c + c + 1) - (9 * 2 * c * c + 9 * c * c + 2 * 2 * c)  # the merge
        more += 2 * (c * h + h + 2 * h) + (h + 1 + 2) - (4 * c * h + d * h + h + h + 1)  # the gate
    assert count(other) - count(mine) == more


def test_parameters_of_v_net_differ_by_what_is_said(theirs: Any) -> None:
    """Theirs: 1, 1, 2, 3, 2 convolutions down and 2, 2, 1, 1 up, where ours have as many up as down: one fewer of the
    coarsest; biases of the transposed convolutions, though a norm follows; the scores by a convolution of 5 with a
    norm, and one of 1, where the paper has the latter alone. With ELU theirs have no parameters of activations.
    """
    widths, n = (16, 32, 64, 128, 256), 25
    mine = ours("v-net", body(2, widths, (1, 1, 2, 3, 2), channels=1))
    other = theirs.VNet(2, 1, K)
    slopes = sum(isinstance(module, nn.PReLU) for module in mine.modules())
    assert slopes == 4 + (1 + 1 + 2 + 3 + 2) + 4 + (1 + 1 + 2 + 3)
    more = sum(widths[:-1])  # biases
    more -= n * 256 * 256 + 2 * 256  # the convolution that theirs have not
    more += n * 32 * K + 2 * K + K * K - 32 * K  # the scores
    assert count(other) - count(mine) == more - slopes

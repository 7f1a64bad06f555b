"""Dilated members: exact without padding, where strides end, branches and their sums, what a bottleneck is made of."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, ConvSpec, Encoder, seeded
from hyperseg.core import SettingError
from hyperseg.zoo import parse_network
from hyperseg.zoo.dilated.deeplab_v3_plus import fine_level
from hyperseg.zoo.dilated.dilated_net import unpadded
from hyperseg.zoo.network import ZooSpec, build
from hyperseg.zoo.output_stride import stopped
from hyperseg.zoo.receptive import reach


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(7), dtype=torch.float64)


def body(
    strides: tuple[Any, ...] = (1, 2, 2, 2), *, axes: int = 2, residual: bool = False, kernel: Any = 3, depth: int = 1
) -> BackboneSpec:
    n = len(strides)
    widths = (8, 8, 12, 16, 16, 16)[:n]
    return BackboneSpec(3, widths, strides, (kernel,) * n, (depth,) * n, ConvSpec(axes, residual=residual))


def network(text: str, spec: BackboneSpec) -> Any:
    member, chosen = parse_network(text)
    with seeded(0):
        net = member.build(spec, 4, chosen).double().eval()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                nn.init.uniform_(module.running_mean, -0.5, 0.5)
    return net


@pytest.mark.parametrize(
    "spec",
    [body(), body(residual=True), body((2, (1, 2), 2)), body((1, 2), kernel=4), body(axes=3, kernel=(1, 3, 3))],
    ids=["plain", "residual", "per axis", "even kernels", "flat kernels"],
)
def test_a_network_without_padding_gives_a_patch_what_it_gives_the_scene(spec: BackboneSpec) -> None:
    net = network("dilated-net", spec)
    m, axes = net.margin, spec.conv.ndim
    scene = noise(1, 3, *(2 * m + n for n in (4, 6, 5)[:axes]))
    whole = net(scene)
    assert whole.shape == (1, 4, *(n - 2 * m for n in scene.shape[2:]))
    for place in [(0,) * axes, (3, 5, 4)[:axes], (1, 2, 3)[:axes]]:
        patch = scene[(slice(None), slice(None), *(slice(p, p + 2 * m + 1) for p in place))]
        assert torch.allclose(net(patch).flatten(), whole[(0, slice(None), *place)], atol=1e-10)


def test_its_margin_is_how_far_it_looks() -> None:
    net = network("dilated-net", body())
    assert net.margin == 1 + 1 + 2 + 4
    side = 4 * net.margin + 1

    class Padded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = net(F.pad(x, (net.margin,) * 4))
            return logits

    assert reach(Padded(), 3, (side, side)) == (net.margin, net.margin)
    with pytest.raises(SettingError, match=r"16 x 40 pixels is too small .* 17 pixels a side"):
        net(noise(1, 3, 16, 40))


def test_dilations_are_cut_to_the_margin_that_is_asked_for() -> None:
    spec = body((1, 2, 2, 2, 2, 2))
    full = unpadded(spec, 100)
    assert [stage.before for stage in full.stages] == [(d, d) for d in (1, 1, 2, 4, 8, 16)]
    assert full.stride == (1, 1)
    for most in (32, 20, 12, 8, 6):
        assert max(unpadded(spec, most).margin) <= most
    assert unpadded(spec, 1) == unpadded(spec, 6)  # six kernels of three: no dilation makes it less
    assert unpadded(body(depth=3), 12) == unpadded(body(), 12)


@pytest.mark.parametrize("whole", [False, True])
def test_a_zoo_net_of_it_is_exact_for_scenes_and_keeps_the_size_of_images(whole: bool) -> None:
    net = build(ZooSpec("dilated-net", 3, 4, body(), (33, 33), whole=whole), 0).double().eval()
    x = noise(1, 3, 37, 41)
    assert net(x).shape[2:] == ((37, 41) if whole else (21, 25))
    assert (net.margin, net.tile, net.lost) == ((0, (33, 33), 8) if whole else (8, None, 8))
    inner = net(x)[:, :, 8:-8, 8:-8] if whole else net(x)
    alone = build(ZooSpec("dilated-net", 3, 4, body(), (33, 33), whole=False), 0).double().eval()
    assert torch.allclose(inner, alone(x), atol=1e-12)


@pytest.mark.parametrize(
    ("strides", "found"),
    [
        ((1, 2, 2, 2), (4, 4)),
        ((1, 2, 2, 2, 2), (8, 8)),
        ((1, 2, 2, 2, 2, 2), (8, 8)),
        ((2, 3, 3), (6, 6)),
        ((1, 2, (2, 1), (1, 2)), (4, 2)),
        ((1, 2, 3, 1), (2, 2)),
        ((1, 1), (1, 1)),
        ((2,), (1, 1)),
    ],
)
def test_maps_stop_at_8_pixels_or_before_the_last_stride_unless_told(strides: tuple[Any, ...], found: Any) -> None:
    assert stopped(body(strides), 0).stride == found


def test_an_output_stride_can_be_chosen_and_keeps_the_weights() -> None:
    spec = body()
    coarse, fine = (network(f"deeplab-v3:output_stride={n}", spec) for n in (8, 2))
    assert coarse.encoder.spec.stride == (8, 8)
    assert fine.encoder.spec.stride == (2, 2)
    fine.load_state_dict(coarse.state_dict())
    with pytest.raises(SettingError, match="cannot stop at 3"):
        network("deeplab-v3:output_stride=3", spec)


def test_scores_of_deeplab_v2_are_summed_and_one_branch_is_version_1() -> None:
    net, first = network("deeplab-v2", body()), network("deeplab-v2:branches=1,rate=3", body())
    assert [branch[0].conv.window.dilation[0] for branch in net.branches] == [2, 4, 6, 8]
    assert [branch[0].conv.window.dilation[0] for branch in first.branches] == [3]
    assert [b[0].conv.window.dilation[0] for b in network("deeplab-v2:rate=6", body()).branches] == [6, 12, 18, 24]
    x = noise(1, 3, 33, 29)
    coarse = net.encoder(x)[-1]
    summed = sum(branch(coarse) for branch in net.branches)
    assert torch.allclose(net(x), F.interpolate(summed, (33, 29), mode="bilinear"), atol=1e-12)
    with torch.no_grad():  # without scores of its other branches it is the first alone
        for branch in net.branches[1:]:
            branch[-1].layer.weight.zero_()
    assert torch.allclose(net(x), F.interpolate(net.branches[0](coarse), (33, 29), mode="bilinear"), atol=1e-12)


def test_deeplab_v3_has_the_rates_of_the_paper_where_they_are_asked_for() -> None:
    for text, rates in (("deeplab-v3", [2, 4, 6]), ("deeplab-v3:rate=6", [6, 12, 18])):
        one, *others = network(text, body()).context.branches
        assert one.conv.window.kernel == (1, 1)
        assert [branch.conv.window.dilation[0] for branch in others] == rates


def test_the_whole_image_counts_in_deeplab_v3() -> None:
    net = network("deeplab-v3:rate=1,output_stride=8", body())
    x = noise(1, 3, 160, 8).requires_grad_()
    net(x)[0, 0, 0, 0].backward()
    assert x.grad is not None
    assert (x.grad[0].abs().sum((0, 2)) > 0).all()  # every row, however far


def test_the_fine_level_of_deeplab_v3_plus_is_a_quarter_as_coarse_and_reduced_to_48_channels() -> None:
    assert fine_level(stopped(body((1, 2, 2, 2)), 0)) == 0  # 4 pixels a pixel, and 1
    assert fine_level(body((2, 2, 2, 2))) == 1  # 16 and 4
    assert fine_level(body((1, 2))) == 0
    wide = BackboneSpec(3, (64, 64, 64), (1, 2, 2), (3,) * 3, (1,) * 3, ConvSpec(2))
    assert network("deeplab-v3-plus", wide).reduce.conv.layer.weight.shape[:2] == (48, 64)
    assert network("deeplab-v3-plus", body()).reduce.conv.layer.weight.shape[:2] == (8, 8)


def test_deeplab_v3_plus_without_context_looks_as_far_as_its_fine_level_and_two_kernels() -> None:
    net = network("deeplab-v3-plus", body())
    with torch.no_grad():
        for parameter in net.context.project.parameters():
            parameter.zero_()
    x = noise(1, 3, 33, 33).requires_grad_()
    net(x)[0, :, 16, 16].sum().backward()
    assert x.grad is not None
    far = (x.grad[0].abs().sum(0).nonzero() - 16).abs().max()
    assert int(far) == 1 + 1 + 1  # the first stage, and the two kernels that refine
    assert all(layer.depthwise.conv.layer.weight.shape[1] == 1 for layer in (*net.refine, *net.context.branches[1:]))


def test_every_layer_of_dense_aspp_reads_all_before_it() -> None:
    net = network("dense-aspp", body())
    assert [layer[1].conv.window.dilation[0] for layer in net.layers] == [1, 2, 4, 6, 8]
    assert [layer[1].conv.window.dilation[0] for layer in network("dense-aspp:rate=3", body()).layers] == [
        3,
        6,
        12,
        18,
        24,
    ]
    width, more = 16, 4
    assert [layer[0].conv.layer.weight.shape[1] for layer in net.layers] == [width + i * more for i in range(5)]
    x = noise(1, 3, 33, 29)
    coarse = net.encoder(x)[-1]
    seen = [coarse]
    for layer in net.layers:
        seen.append(layer(torch.cat(seen, 1)))
    scores = net.score(torch.cat(seen, 1))
    assert torch.allclose(net(x), F.interpolate(scores, (33, 29), mode="bilinear"), atol=1e-12)


def test_enet_has_the_eight_bottlenecks_of_its_paper_twice() -> None:
    blocks = network("enet", body()).stages[-1]
    rows = [[(c.conv.window.kernel, c.conv.window.dilation[0]) for c in block.found[1:-1]] for block in blocks]
    regular, asymmetric = [((3, 3), 1)], [((5, 1), 1), ((1, 5), 1)]
    dilated = {rate: [((3, 3), rate)] for rate in (2, 4, 8, 16)}
    eight = [regular, dilated[2], asymmetric, dilated[4], regular, dilated[8], asymmetric, dilated[16]]
    assert rows == eight * 2
    assert all(block.found[0].conv.layer.weight.shape[:2] == (4, 16) for block in blocks)
    flat = network("enet", body(axes=3, kernel=(1, 3, 3))).stages[-1][2]
    assert [c.conv.window.kernel for c in flat.found[1:-1]] == [(1, 5, 1), (1, 1, 5)]


def test_enet_puts_values_back_where_the_maxima_were() -> None:
    net = network("enet", body((1, (2, 3))))
    down, up = net.downs[0], net.ups[0]
    x = noise(1, 8, 7, 8)
    _, places = down(x)
    with torch.no_grad():  # the kernels of both branches are silent: the skip alone is left
        up.widen.conv.layer.weight.zero_()
    up.widen.finish.norm.running_mean.zero_()
    raised = up(noise(1, 8, 4, 3), places, (7, 8))
    skipped = up.act(up.skip(noise(1, 8, 4, 3)))
    for channel in range(8):
        put = raised[0, channel].flatten()
        assert torch.allclose(put[places[0, channel].flatten()], skipped[0, channel].flatten(), atol=1e-12)
        assert int((put != 0).sum()) == 12
    assert x.flatten(2).gather(2, places.flatten(2)).equal(F.max_pool2d(x, (2, 3), ceil_mode=True).flatten(2))


def test_bottlenecks_of_enet_begin_as_their_activation_and_new_channels_as_zeros() -> None:
    net = network("enet", body())
    block = net.stages[-1][0]
    nn.init.zeros_(block.found[-1].finish.norm.running_mean)
    x = noise(1, 16, 5, 6)
    assert torch.allclose(block(x), block.act(x), atol=1e-12)
    down = net.downs[1]  # 8 to 12 channels
    with torch.no_grad():
        down.found[-1].conv.layer.weight.zero_()
    nn.init.zeros_(down.found[-1].finish.norm.running_mean)
    y, _ = down(noise(1, 8, 9, 9).abs())
    assert (y[:, :8] > 0).all()
    assert (y[:, 8:] == 0).all()


@pytest.mark.parametrize("name", ["deeplab-v2", "deeplab-v3", "deeplab-v3-plus", "dense-aspp", "enet", "dilated-net"])
def test_residual_backbones_with_strides_per_axis_are_taken(name: str) -> None:
    spec = body((1, (1, 2, 2), 2), axes=3, residual=True, kernel=(1, 3, 3))
    net = network(name, spec)
    lost = getattr(net, "margin", 0)
    assert net(noise(1, 3, 23, 25, 26)).shape == (1, 4, 23 - 2 * lost, 25 - 2 * lost, 26 - 2 * lost)
    assert isinstance(getattr(net, "encoder", Encoder(spec)), Encoder)

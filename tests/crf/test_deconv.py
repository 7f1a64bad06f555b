"""The deconvolution network: identity at the start, switches, exact tiles, band groups, and that it learns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hyperseg.core import SettingError, tiles
from hyperseg.crf.deconv import DeconvNet, DeconvSpec, build_deconv, coarsened, pool, unpool, upsampled

GROUPS = ((0, 4), (4, 7))  # the second is continued by reflection


def spec(**changes: Any) -> DeconvSpec:
    return DeconvSpec(**{"n_features": 7, "n_classes": 3, "groups": GROUPS, "width": 4} | changes)


def draw(height: int, width: int, *, batch: int = 1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Bands and the logarithm of a map, without any structure."""
    generator = torch.Generator().manual_seed(seed)
    bands = torch.randn(batch, 1, 7, height, width, generator=generator)
    return bands, torch.randn(batch, 3, height, width, generator=generator).mul(2).log_softmax(1)


def trained(seed: int = 0, **changes: Any) -> DeconvNet:
    """A network whose weights and statistics are no longer those of a new one."""
    net = build_deconv(spec(**changes), seed=seed)
    generator = torch.Generator().manual_seed(seed + 1)
    with torch.no_grad():
        for weight in net.parameters():
            weight.add_(0.3 * torch.randn(weight.shape, generator=generator))
        for step in range(3):
            net(*draw(32, 32, batch=2, seed=step))
    return net.eval()


@pytest.mark.parametrize("changes", [{}, {"fuse": "mean"}, {"switches": False}, {"dropout": 0.5, "stages": 3}])
@pytest.mark.parametrize("training", [True, False])
def test_a_new_network_is_the_identity(changes: dict[str, Any], training: bool) -> None:
    bands, log_probs = draw(13, 10, batch=2)
    log_probs[0, 0, 0, 0] = -torch.inf
    assert torch.equal(build_deconv(spec(**changes), seed=0).train(training)(bands, log_probs), log_probs)


@pytest.mark.parametrize("base", ["map", "coarse"])
def test_strength_scales_the_correction_and_zero_takes_it_away(base: str) -> None:
    net, (bands, log_probs) = trained(base=base), draw(13, 10)
    none, half, full = (net(bands, log_probs, strength=s) for s in (0.0, 0.5, 1.0))
    assert torch.equal(none, build_deconv(net.spec, seed=0)(bands, log_probs))
    torch.testing.assert_close(half, (none + full) / 2)
    assert (full - none).abs().mean() > 0.1


@pytest.mark.parametrize("switches", [True, False])
@pytest.mark.parametrize("size", [(16, 24), (37, 41)])
def test_a_new_network_upsamples_coarse_marginals_bilinearly(size: tuple[int, int], switches: bool) -> None:
    bands, log_probs = draw(*size)
    made = build_deconv(spec(base="coarse", switches=switches), seed=0)(bands, log_probs)
    probs = log_probs.exp()
    # cell by cell and, for one row, pixel by pixel
    cells = torch.stack([p.mean((2, 3)) for p in probs[:, :, 4:8].split(4, dim=3)], dim=2)
    torch.testing.assert_close(coarsened(log_probs, 4)[:, :, 1], cells)
    wide, row = coarsened(log_probs, 4), size[0] // 2
    for column in range(size[1]):
        expected = torch.zeros(1, 3)
        for i, a in weights(row, wide.shape[2]):
            for j, b in weights(column, wide.shape[3]):
                expected += a * b * wide[:, :, i, j]
        torch.testing.assert_close(made[:, :, row, column].exp(), expected)
    torch.testing.assert_close(made.exp().sum(1), torch.ones(1, *size))


def weights(pixel: int, cells: int) -> Iterator[tuple[int, float]]:
    """Cells of side 4 and their weights by the distance of a pixel's centre from theirs."""
    at = (pixel + 0.5) / 4 - 0.5
    for cell in (int(at // 1), int(at // 1) + 1):
        yield min(max(cell, 0), cells - 1), 1 - abs(at - cell)


def test_coarse_marginals_survive_the_way_through_a_blocky_map() -> None:
    """Marginals that exist on the coarse grid only are given as a map that is constant on each cell."""
    probs = torch.randn(2, 3, 4, 5).softmax(1)
    blocks = probs.repeat_interleave(4, 2).repeat_interleave(4, 3)[..., :15, :18]
    torch.testing.assert_close(coarsened(blocks.log(), 4), probs)
    constant = probs[:, :, :1, :1].expand(-1, -1, 4, 5)
    torch.testing.assert_close(upsampled(constant, 4, (15, 18)).exp(), probs[:, :, :1, :1].expand(-1, -1, 15, 18))


def test_fusion_starts_as_the_mean_of_the_groups() -> None:
    learnt, mean = build_deconv(spec(), seed=0), build_deconv(spec(fuse="mean"), seed=0)
    for net in (learnt, mean):
        torch.nn.init.normal_(net.score.layer.weight, generator=torch.Generator().manual_seed(1))
    mean.load_state_dict({k: v for k, v in learnt.state_dict().items() if not k.startswith("fuse")})
    bands, log_probs = draw(12, 9)
    torch.testing.assert_close(learnt.eval()(bands, log_probs), mean.eval()(bands, log_probs))
    torch.testing.assert_close(
        mean(bands, log_probs) - log_probs, mean.masks(bands, log_probs).mean(1), atol=1e-5, rtol=1e-5
    )


def test_unpooling_puts_maxima_back_where_they_were() -> None:
    x = torch.rand(2, 3, 6, 8) + 0.1
    back = unpool(*pool(x))
    cells = x.unfold(2, 2, 2).unfold(3, 2, 2).amax((4, 5)).repeat_interleave(2, 2).repeat_interleave(2, 3)
    assert torch.equal(back, torch.where(x == cells, x, torch.zeros(())))


@pytest.mark.parametrize("stages", [1, 2, 3])
def test_every_stage_unpools_to_the_maxima_of_its_own_resolution(stages: int) -> None:
    net = trained(stages=stages)
    down: list[Tensor] = []
    up: list[Tensor] = []
    for block in net.down:
        block.register_forward_hook(lambda _, __, y: down.append(y))
    for block in net.up:
        block.register_forward_pre_hook(lambda _, given: up.append(given[0]))
    net(*draw(37, 41))
    assert len(up) == stages
    for before, after in zip(down, reversed(up), strict=True):
        assert before.shape == after.shape
        peaks = F.max_pool2d(before, 2).repeat_interleave(2, 2).repeat_interleave(2, 3)
        assert (before == peaks)[after != 0].all()
        assert (F.avg_pool2d((after != 0).float(), 2) <= 0.25).all()  # one of four at most
        assert (after != 0).any()


@pytest.mark.parametrize("switches", [True, False])
@pytest.mark.parametrize("size", [(145, 145), (37, 41), (5, 3), (1, 1)])
def test_any_size_comes_out_as_it_went_in(size: tuple[int, int], switches: bool) -> None:
    for stages in (1, 2, 3):
        net, (bands, log_probs) = trained(stages=stages, switches=switches), draw(*size)
        made = net(bands, log_probs)
        assert made.shape == log_probs.shape
        assert net.masks(bands, log_probs).shape == (1, 2, 3, *size)
        assert made.isfinite().all()


@pytest.mark.parametrize("changes", [{}, {"switches": False}, {"base": "coarse"}])
@pytest.mark.parametrize("stages", [1, 2, 3])
def test_the_reach_is_as_far_as_inputs_matter(stages: int, changes: dict[str, Any]) -> None:
    """Brute force: change one column of pixels and see which columns of the result change."""
    net = trained(stages=stages, **changes).double()
    bands, log_probs = (x.double() for x in draw(40, 88))
    before, reach = net(bands, log_probs), 0
    for column in range(40, 40 + net.stride):
        for seed in range(2):
            new_bands, new_probs = bands.clone(), log_probs.clone()
            for new, other, factor in zip((new_bands, new_probs), draw(40, 88, seed=seed + 7), (10, 1), strict=True):
                new[..., column] = factor * other[..., column]
            changed = (net(new_bands, new_probs) - before).abs().amax((0, 1, 2)) > 1e-10
            reach = max(reach, *((changed.nonzero() - column).abs().flatten().tolist()))
    assert net.reach - 1 <= reach <= net.reach
    assert net.halo % net.stride == 0
    assert net.halo - net.stride < net.reach <= net.halo


def in_tiles(net: DeconvNet, bands: Tensor, log_probs: Tensor, *, halo: int) -> Tensor:
    made = torch.full_like(log_probs, torch.nan)
    for part in tiles(tuple(bands.shape[3:]), size=(8, 16), halo=halo):
        values = net(bands[..., *part.read_slices], log_probs[..., *part.read_slices])
        inner = [slice(a - r, b - r) for (a, b), (r, _) in zip(part.core, part.read, strict=True)]
        made[..., *part.core_slices] = values[..., *inner]
    return made


@pytest.mark.parametrize("changes", [{}, {"switches": False}, {"base": "coarse"}])
@pytest.mark.parametrize("stages", [1, 2, 3])
def test_tiles_with_the_halo_give_the_whole_scene(stages: int, changes: dict[str, Any]) -> None:
    net = trained(stages=stages, **changes).double()
    bands, log_probs = (x.double() for x in draw(61, 83))
    whole = net(bands, log_probs)
    torch.testing.assert_close(in_tiles(net, bands, log_probs, halo=net.halo), whole, atol=1e-9, rtol=0)
    narrow = in_tiles(net, bands, log_probs, halo=net.halo - 2 * net.stride)
    assert (narrow - whole).abs().max() > 1e-4  # a narrower one shows


@pytest.mark.parametrize("flat", [False, True])
def test_rounding_moves_no_switch(flat: bool) -> None:
    """Single precision, also where every pooling window is one great tie."""
    net, (bands, log_probs) = trained(), draw(61, 83)
    if flat:
        bands = bands[..., :1, :1].expand_as(bands).contiguous()
    whole, pieces = net(bands, log_probs), in_tiles(net, bands, log_probs, halo=net.halo)
    torch.testing.assert_close(pieces, whole, atol=1e-5, rtol=1e-5)


def test_a_mask_depends_on_its_own_bands_and_on_the_marginals() -> None:
    net, (bands, log_probs), (other_bands, other_map) = trained(), draw(12, 12), draw(12, 12, seed=5)
    before = net.masks(bands, log_probs)
    for group, (start, stop) in enumerate(GROUPS):
        other = bands.clone()
        other[:, :, start:stop] = other_bands[:, :, start:stop]
        change = (net.masks(other, log_probs) - before).abs().amax((0, 2, 3, 4))
        assert change[group] > 0.1
        assert change[1 - group] < 1e-6
    assert (net.masks(bands, other_map) - before).abs().amax((0, 2, 3, 4)).min() > 0.1


def test_evaluation_repeats_itself_and_a_seed_its_network() -> None:
    net, (bands, log_probs) = trained(dropout=0.5), draw(20, 20)
    assert torch.equal(net(bands, log_probs), net(bands, log_probs))
    net.train()
    assert not torch.equal(net(bands, log_probs), net(bands, log_probs))
    one, same, other = (build_deconv(spec(), seed=s).state_dict() for s in (0, 0, 1))
    assert all(torch.equal(one[k], same[k]) for k in one)
    assert not torch.equal(one["mix.conv.layer.weight"], other["mix.conv.layer.weight"])


@pytest.mark.parametrize("switches", [True, False])
def test_bfloat16_keeps_the_places_and_the_identity(switches: bool) -> None:
    bands, log_probs = draw(37, 41, batch=2)
    net = build_deconv(spec(switches=switches), seed=0)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(net(bands, log_probs), log_probs)
    net = trained(switches=switches)
    with torch.autocast("cpu", torch.bfloat16):
        made = net(bands, log_probs)
        made.square().mean().backward()
    exact = net(bands, log_probs)
    assert made.dtype == torch.float32
    assert (made - exact).abs().median() < 0.05 * (exact - log_probs).abs().median()
    assert all(w.grad is not None and w.grad.isfinite().all() for w in net.parameters())
    x = torch.rand(1, 2, 6, 6).bfloat16()
    assert torch.equal(pool(x)[1], pool(x.float())[1])
    assert torch.equal(unpool(*pool(x)), unpool(*pool(x.float())))


def toy() -> tuple[Tensor, Tensor, Tensor]:
    """Bands, classes, and a map whose errors stand alone: single pixels among neighbours that are right."""
    generator = torch.Generator().manual_seed(0)
    rows, columns = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    classes = (rows + 3 * torch.sin(columns / 3) > 11).long() + (columns > 13).long()
    spectra, noise = torch.randn(3, 7, generator=generator), torch.randn(24, 24, 7, generator=generator)
    bands = (spectra[classes] + 0.3 * noise).permute(2, 0, 1)[None, None]
    wrong = torch.rand(24, 24, generator=generator) < 0.25
    claimed = torch.where(wrong, (classes + 1) % 3, classes)
    return bands, classes[None], (0.7 * F.one_hot(claimed, 3).permute(2, 0, 1)[None] + 0.1).log()


@pytest.mark.parametrize("changes", [{}, {"fuse": "mean"}, {"switches": False}, {"base": "coarse"}])
def test_a_short_training_reaches_every_parameter_and_improves_pixels_not_seen(changes: dict[str, Any]) -> None:
    bands, classes, log_probs = toy()
    seen = torch.rand(classes.shape, generator=torch.Generator().manual_seed(1)) < 0.5
    train, test = (torch.where(part, classes, -1) for part in (seen, ~seen))
    net = build_deconv(spec(width=8, **changes), seed=0)
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for step in range(30):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 - step / 30)
        optimizer.zero_grad()
        F.cross_entropy(net(bands, log_probs), train, ignore_index=-1).backward()
        if step == 1:  # in the first, the masks are zero
            assert [name for name, w in net.named_parameters() if w.grad is None or not w.grad.any()] == []
        optimizer.step()
    made = net.eval()(bands, log_probs)
    for labels in (train, test):
        before, after = (F.cross_entropy(x, labels, ignore_index=-1) for x in (log_probs, made))
        assert after < 0.85 * before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_features": 8}, "cover 7 features"),
        ({"groups": ((0, 4), (5, 7))}, "contiguous"),
        ({"groups": ()}, "contiguous"),
    ],
)
def test_groups_that_do_not_make_up_the_features_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        spec(**changes)


def test_inputs_that_do_not_fit_are_refused() -> None:
    net, (bands, log_probs) = build_deconv(spec(), seed=0), draw(9, 8)
    for wrong in (bands[:, :, :6], bands[:, 0], bands[..., :0]):
        with pytest.raises(SettingError, match="1, 7, rows"):
            net(wrong, log_probs[..., : wrong.shape[-1]])
    for wrong in (log_probs[:, :2], log_probs[..., :4], log_probs.expand(2, -1, -1, -1)):
        with pytest.raises(SettingError, match=r"expected \(1, 3, 9, 8"):
            net(bands, wrong)

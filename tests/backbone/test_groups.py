"""Groups of bands: nothing lost, nothing mixed, one encoder for all or one each."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from hyperseg.backbone import BackboneSpec, BandGroups, ConvSpec, Encoder, GroupEncoder, seeded
from hyperseg.backbone.groups import group_index
from hyperseg.core import SettingError

EVEN = ((0, 4), (4, 8), (8, 12))
UNEVEN = ((0, 4), (4, 5), (5, 8), (8, 12))  # one of a single band


def cube(n: int, *shape: int, batch: int = 2, seed: int = 0) -> Tensor:
    return torch.randn(batch, 1, n, *(shape or (5, 3)), generator=torch.Generator().manual_seed(seed))


def spectral(length: int, maps: int = 5, **options: Any) -> BackboneSpec:
    conv = ConvSpec(3, padding=("valid", "same", "same"), **options)
    return BackboneSpec(1, (maps,), (1,), ((length, 1, 1),), (1,), conv)


def spatial() -> BackboneSpec:
    """Bands and space at once, depth left over, odd strides."""
    conv = ConvSpec(3, padding="valid")
    return BackboneSpec(1, (4, 6), ((2, 1, 1), (1, 2, 1)), ((2, 3, 3), (2, 1, 1)), (1, 1), conv)


def settled(groups: Any, spec: BackboneSpec, *, shared: bool) -> GroupEncoder:
    """In evaluation mode, with running statistics that are not 0 and 1."""
    with seeded(0):
        net = GroupEncoder(groups, spec, shared=shared)
    for seed in range(3):
        net(3 + 2 * cube(groups[-1][1], seed=seed))
    return net.eval()


def test_groups_are_slices_in_order_and_the_rest_is_reflection() -> None:
    assert group_index(EVEN).tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert group_index(((0, 5), (5, 8))).tolist() == [[0, 1, 2, 3, 4], [5, 6, 7, 6, 5]]
    assert group_index(((0, 5), (5, 7))).tolist()[1] == [5, 6, 5, 6, 5]
    assert group_index(((0, 5), (5, 6))).tolist()[1] == [5] * 5
    assert group_index(((0, 1), (1, 2))).tolist() == [[0], [1]]
    assert group_index(((0, 3),), length=6).tolist() == [[0, 1, 2, 1, 0, 1]]


@pytest.mark.parametrize("groups", [EVEN, UNEVEN, ((0, 12),), tuple((i, i + 1) for i in range(12))])
def test_cutting_a_cube_is_slicing_it(groups: Any) -> None:
    x = cube(12)
    parts = BandGroups(groups)(x)
    for i, (start, stop) in enumerate(groups):
        assert torch.equal(parts[:, i, : stop - start], x[:, 0, start:stop])
        assert set(group_index(groups)[i]) == set(range(start, stop))
    assert parts.shape[1:3] == BandGroups(groups).shape == group_index(groups).shape


def test_equal_groups_copy_nothing() -> None:
    x = cube(12)
    assert BandGroups(EVEN)(x).data_ptr() == x.data_ptr()


@pytest.mark.parametrize("spec", [spectral(4), spatial()], ids=["spectral", "spatial"])
@pytest.mark.parametrize("groups", [EVEN, UNEVEN])
@pytest.mark.parametrize("shared", [True, False])
def test_the_features_are_those_of_a_loop_over_groups(spec: BackboneSpec, groups: Any, shared: bool) -> None:
    net, x = settled(groups, spec, shared=shared), cube(12, seed=9)
    with torch.no_grad():
        found = net(x)
        for i, bands in enumerate(group_index(groups, length=net.cut.shape[1])):
            encoder = net.encoders[0 if shared else i]
            expected = encoder(x[:, :, torch.from_numpy(bands)])[-1].flatten(1, 2)
            torch.testing.assert_close(found[:, i], expected, rtol=1e-5, atol=1e-5)
    assert found.shape[1:3] == (len(groups), net.channels)
    assert len(net.encoders) == (1 if shared else len(groups))


def test_one_group_is_an_encoder() -> None:
    net, x = settled(((0, 12),), spectral(12), shared=True), cube(12)
    alone = Encoder(spectral(12))
    alone.load_state_dict(net.encoders[0].state_dict())
    with torch.no_grad():
        assert torch.equal(net(x)[:, 0], alone.eval()(x)[-1][:, :, 0])


@pytest.mark.parametrize("shared", [True, False])
def test_a_band_changes_the_features_of_its_group_and_no_other(shared: bool) -> None:
    net, x = settled(UNEVEN, spatial(), shared=shared), cube(12)
    with torch.no_grad():
        before = net(x)
        for band in range(12):
            other = x.clone()
            other[:, :, band] += 3
            moved = (net(other) - before).abs().amax((0, 2, 3, 4)) > 0
            assert moved.tolist() == [start <= band < stop for start, stop in UNEVEN]


def test_separate_encoders_start_from_different_weights_and_shared_ones_treat_groups_alike() -> None:
    x = cube(4).repeat(1, 1, 3, 1, 1)  # three equal groups
    with torch.no_grad():
        alike = settled(EVEN, spectral(4), shared=True)(x)
        own = settled(EVEN, spectral(4), shared=False)(x)
    torch.testing.assert_close(alike[:, 0], alike[:, 2], rtol=0, atol=0)
    assert (own[:, 0] - own[:, 2]).abs().max() > 0.1


def test_strides_leave_no_band_unseen() -> None:
    """6 bands, kernel 3, stride 2: windows end on band 4; a reflected seventh brings band 5 in."""
    spec = replace(spectral(3, maps=4), strides=((2, 1, 1),))
    net = settled(((0, 6), (6, 12)), spec, shared=True)
    assert (net.cut.shape, net.channels) == ((2, 7), 4 * 3)
    x = cube(12).requires_grad_()
    net(x).square().sum().backward()
    assert (x.grad.abs().sum((0, 1, 3, 4)) > 0).all()
    assert GroupEncoder(((0, 6), (6, 12)), replace(spec, conv=ConvSpec(3))).cut.shape == (2, 6)


def test_groups_that_are_none_are_refused() -> None:
    for groups in ((), ((0, 3), (4, 6)), ((0, 3), (2, 6)), ((1, 3),), ((0, 0), (0, 3)), ((3, 6), (0, 3))):
        with pytest.raises(SettingError, match="contiguous from band 0"):
            BandGroups(groups)
    with pytest.raises(SettingError, match="up to 4 bands cannot be continued to 3"):
        group_index(EVEN, length=3)
    with pytest.raises(SettingError, match=r"over 12 bands got .*\(2, 1, 11, 5, 3\)"):
        BandGroups(EVEN)(cube(11))
    with pytest.raises(SettingError, match=r"has 4 bands, the encoder's kernels need 6"):
        GroupEncoder(EVEN, spectral(6))
    with pytest.raises(SettingError, match="3-D backbone with 1 input channel, got ndim=2"):
        GroupEncoder(EVEN, BackboneSpec(1, (4,), (1,), (3,), (1,), ConvSpec(2)))

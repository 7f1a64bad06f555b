"""Heads against the formulas they stand for."""

import pytest
import torch

from hyperseg.backbone import BackboneSpec, ClassHead, ConvSpec, DeepSupervision, PairHead, PoolHead, seeded
from hyperseg.core import SettingError


def spec_of(ndim: int, **conv: object) -> BackboneSpec:
    return BackboneSpec(1, (4, 6, 8), (1, 2, 2), (3, 3, 3), (1, 1, 1), ConvSpec(ndim, **conv))


def pyramid_of(ndim: int) -> list[torch.Tensor]:
    return [torch.randn(2, c, *(n,) * ndim) for c, n in ((4, 8), (6, 4), (8, 2))]


@pytest.mark.parametrize("ndim", [1, 2, 3])
@pytest.mark.parametrize("level", [0, 1, -1])
def test_class_head_is_a_linear_map_at_every_position(ndim: int, level: int) -> None:
    head, pyramid = ClassHead(spec_of(ndim), 5, level=level), pyramid_of(ndim)
    torch.nn.init.normal_(head.score.layer.bias)
    weight = head.score.layer.weight.flatten(1)
    want = torch.einsum("kc,bcn->bkn", weight, pyramid[level].flatten(2)) + head.score.layer.bias[:, None]
    torch.testing.assert_close(head(pyramid).flatten(2), want)


@pytest.mark.parametrize("ndim", [1, 3])
def test_pool_head_is_the_mean_of_scores(ndim: int) -> None:
    head, pyramid = PoolHead(spec_of(ndim), 3), pyramid_of(ndim)
    scores = head.score(pyramid[-1].flatten(2).transpose(1, 2))
    torch.testing.assert_close(head(pyramid), scores.mean(1))


def test_pair_head_is_ordered_and_works_position_by_position() -> None:
    head, left, right = PairHead(spec_of(2), 3, hidden=16), torch.randn(2, 8, 4, 5), torch.randn(2, 8, 4, 5)
    out = head(left, right)
    assert out.shape == (2, 9, 4, 5)
    assert (out - head(right, left)).abs().max() > 1e-3
    alone = head(left[..., 2:3, 3:4], right[..., 2:3, 3:4])
    torch.testing.assert_close(out[..., 2:3, 3:4], alone)


def test_deep_supervision_is_one_class_head_per_level() -> None:
    heads, pyramid = DeepSupervision(spec_of(2), 3), pyramid_of(2)
    assert [tuple(y.shape) for y in heads(pyramid)] == [(2, 3, 8, 8), (2, 3, 4, 4)]
    assert [len(DeepSupervision(spec_of(2), 3, levels=levels).heads) for levels in ((0,), (0, 1, 2))] == [1, 3]
    for head, y in zip(heads.heads, heads(pyramid), strict=True):
        assert torch.equal(head(pyramid), y)


@pytest.mark.parametrize("head", [ClassHead, PoolHead])
def test_heads_of_a_spectral_norm_net_are_normalised(head: type) -> None:
    with seeded(0):
        built = head(spec_of(2, spectral_norm=True), 5, level=-1)
    for _ in range(30):
        built(pyramid_of(2))
    score = built.score if isinstance(built, PoolHead) else built.score.layer
    assert torch.linalg.matrix_norm(score.weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-3)


def test_refusals() -> None:
    with pytest.raises(SettingError, match="level 3"):
        ClassHead(spec_of(2), 2, level=3)
    with pytest.raises(SettingError, match="n_classes"):
        PoolHead(spec_of(2), 0)
    with pytest.raises(SettingError, match="hidden"):
        PairHead(spec_of(2), 2, hidden=0)

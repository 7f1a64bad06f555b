"""The deep CRF on a map: what it must not change, tiles, mirrors, missing data, and known fields seen through noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from made import map_of, talking
from numpy.typing import NDArray
from torch import Tensor

from hyperseg.core import UNLABELLED, SegmentationMap, SettingError
from hyperseg.crf.deep import FLOOR, Window, apply_deep_crf, class_tables, pooled
from hyperseg.crf.meanfield import infer
from hyperseg.crf.piecewise import Pairwise, learn_tables
from hyperseg.crf.settings import DeepCRF, MeanField
from hyperseg.simulated.potts import interaction, sample_fields, touching

K, WIDTH = 3, 4
QUICK = MeanField(iterations=3, damping=0.3)


def with_tables(right: Any, below: Any) -> Pairwise:
    """Heads that say nothing beside these tables."""
    right, below = (torch.as_tensor(np.asarray(t), dtype=torch.float32) for t in (right, below))
    heads = Pairwise(WIDTH, len(right), hidden=8).eval()
    heads.table.copy_(torch.stack([right, below]))
    return heads


def random_map(*shape: int, seed: int = 0) -> SegmentationMap:
    probs = np.random.default_rng(seed).dirichlet(np.full(K, 0.5), shape)
    probs = np.maximum(probs, 10 * FLOOR)
    return map_of(probs / probs.sum(-1, keepdims=True))


def random_features(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(WIDTH, *shape, generator=torch.Generator().manual_seed(seed))


def windows_of(features: Tensor) -> Callable[[Window], Tensor]:
    return lambda window: features[:, slice(*window[0]), slice(*window[1])]


def refined(
    map: SegmentationMap, heads: Pairwise, features: Tensor, settings: DeepCRF, **options: Any
) -> NDArray[np.float32]:
    """(H, W, K) probabilities."""
    return apply_deep_crf(map, heads, windows_of(features), settings, **options).probs


def same(one: NDArray[Any], other: NDArray[Any], atol: float = 1e-5) -> None:
    np.testing.assert_allclose(one, other, rtol=0, atol=atol)


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize(("weight", "new"), [(0.0, False), (0.7, True)])
def test_without_weight_or_without_anything_learnt_the_map_stays(stride: int, weight: float, new: bool) -> None:
    probs = random_map(9, 14).probs.copy()
    probs[0, 0] = (1.0, 0.0, 0.0)
    heads = Pairwise(WIDTH, K, hidden=8).eval() if new else talking()
    settings = DeepCRF(stride=stride, weight=weight, hidden=8)
    after = apply_deep_crf(map_of(probs), heads, windows_of(random_features(9, 14)), settings, by="context")
    floored = np.maximum(probs, FLOOR)
    same(after.probs, floored / floored.sum(-1, keepdims=True), 1e-6)
    assert after.made_by == ("random", "context")


@pytest.mark.parametrize("order", ["parallel", "checkerboard"])
@pytest.mark.parametrize(("stride", "radius", "tile"), [(1, 1, 5), (2, 1, 4), (2, 1, 7), (1, 2, 5), (4, 1, 3)])
def test_tiles_give_the_map_of_the_whole_scene(order: Any, stride: int, radius: int, tile: int) -> None:
    map, features, heads = random_map(37, 41), random_features(37, 41), talking()
    inference = MeanField(iterations=2, order=order, damping=0.2)
    settings = DeepCRF(stride=stride, radius=radius, hidden=8, inference=inference)
    whole = refined(map, heads, features, settings)
    same(refined(map, heads, features, settings, tile=tile), whole)
    assert np.abs(whole - map.probs).max() > 0.05


@pytest.mark.parametrize("shape", [(1, 9), (9, 1), (1, 1), (2, 9)])
@pytest.mark.parametrize("heads", [0.0, 1.0])
def test_a_scene_of_a_single_row_is_a_chain(shape: tuple[int, int], heads: float) -> None:
    settings = DeepCRF(radius=2, hidden=8, heads=heads, inference=QUICK)
    map, features = random_map(*shape), random_features(*shape)
    after = refined(map, talking(), features, settings)
    np.testing.assert_allclose(after.sum(-1), 1, atol=1e-5)
    assert (np.abs(after - map.probs).max() > 0.01) == (shape != (1, 1))


def test_tiles_read_no_more_than_they_need_and_report_every_pixel_once() -> None:
    read: list[Window] = []
    done: list[tuple[int, int]] = []
    features = random_features(30, 50)

    def look(window: Window) -> Tensor:
        read.append(window)
        return windows_of(features)(window)

    settings = DeepCRF(stride=2, hidden=8, inference=QUICK)
    apply_deep_crf(random_map(30, 50), talking(), look, settings, tile=8, progress=lambda *p: done.append(p))
    assert len(read) == 2 * 4
    assert all(b - a <= 2 * (8 + 2 * 3) for window in read for a, b in window)
    assert done[-1] == (1500, 1500)
    assert np.diff([0, *(d for d, _ in done)]).tolist() == [256, 256, 256, 32, 224, 224, 224, 28]


def test_pixels_of_a_cell_change_by_the_ratio_of_their_node() -> None:
    """Against a loop over cells; cells at the border are cut."""
    map, features, heads = random_map(7, 9), random_features(7, 9), talking()
    settings = DeepCRF(stride=2, hidden=8, inference=QUICK)
    energies, means = torch.empty(K, 4, 5), torch.empty(WIDTH, 4, 5)
    for y, x in np.ndindex(4, 5):
        cell = (slice(2 * y, 2 * y + 2), slice(2 * x, 2 * x + 2))
        energies[:, y, x] = -torch.from_numpy(np.log(map.probs[cell]).mean((0, 1)))
        means[:, y, x] = features[:, *cell].mean((1, 2))
    with torch.no_grad():
        tables = heads.tables(means[None], weight=settings.weight)
        q = infer(energies, {o: t[0] for o, t in tables.items()}, settings=QUICK).q
    ratio = (q / (-energies).softmax(0)).permute(1, 2, 0).numpy()
    wanted = map.probs * ratio.repeat(2, 0).repeat(2, 1)[:7, :9]
    found = refined(map, heads, features, settings)
    same(found, wanted / wanted.sum(-1, keepdims=True))
    assert np.abs(found - map.probs).max() > 0.05


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("rubbish", [1e3, np.nan])
def test_pixels_without_data_have_no_say_and_no_class(stride: int, rubbish: float) -> None:
    valid = np.random.default_rng(3).random((11, 14)) > 0.4
    valid[4:, 8:] = False  # whole cells too
    map, features, heads = random_map(11, 14), random_features(11, 14), talking()
    settings = DeepCRF(stride=stride, hidden=8, inference=QUICK)
    one = apply_deep_crf(replace(map, valid=valid), heads, windows_of(features), settings)
    probs, other = map.probs.copy(), features.clone()
    probs[~valid] = (1.0, 0.0, 0.0) if np.isfinite(rubbish) else np.nan
    other[:, torch.from_numpy(~valid)] = rubbish
    two = apply_deep_crf(map_of(probs, valid), heads, windows_of(other), settings)
    same(one.probs[valid], two.probs[valid], 1e-6)
    assert np.abs(one.probs[valid] - map.probs[valid]).max() > 0.05
    for after in (one, two):
        np.testing.assert_array_equal(after.labels() == UNLABELLED, ~valid)


def test_ground_without_data_is_like_the_border_of_the_scene() -> None:
    map, features, heads = random_map(8, 12), random_features(8, 12), talking()
    valid = np.ones((8, 12), bool)
    valid[:, 7:] = False
    settings = DeepCRF(hidden=8, inference=QUICK)
    cut = refined(map_of(map.probs[:, :7]), heads, features[:, :, :7], settings)
    same(refined(replace(map, valid=valid), heads, features, settings)[:, :7], cut, 1e-6)


def mirrored(heads: Pairwise, towards: str) -> Pairwise:
    """The same potentials with first and second ends of one direction exchanged."""
    other = talking()
    state = {name: value.clone() for name, value in heads.state_dict().items()}
    for name, value in state.items():
        if name == "table":
            index = ("right", "below").index(towards)
            value[index] = heads.table[index].T
        elif name.startswith(f"heads.{towards}.mix") and value.shape[1:2] == (2 * WIDTH,):
            state[name] = torch.cat([value[:, WIDTH:], value[:, :WIDTH]], 1)
        elif name.startswith(f"heads.{towards}.score"):
            state[name] = value.unflatten(0, (K, K)).transpose(0, 1).flatten(0, 1)
    other.load_state_dict(state)
    return other


@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize(("towards", "axis"), [("right", 1), ("below", 0)])
def test_a_mirrored_scene_with_exchanged_ends_gives_the_mirrored_map(towards: str, axis: int, stride: int) -> None:
    map, features, heads = random_map(8, 12), random_features(8, 12), talking()
    settings = DeepCRF(stride=stride, hidden=8, inference=QUICK)
    straight = refined(map, heads, features, settings)
    turned = map_of(np.flip(map.probs, axis).copy())
    other = refined(turned, mirrored(heads, towards), features.flip(1 + axis), settings)
    same(np.flip(other, axis), straight)
    wrong = refined(turned, heads, features.flip(1 + axis), settings)  # a table without a side
    assert np.abs(np.flip(wrong, axis) - straight).max() > 0.05


def test_a_transposed_scene_with_exchanged_directions_gives_the_transposed_map() -> None:
    map, right, below = random_map(8, 12), torch.randn(K, K), torch.randn(K, K)
    settings, features = DeepCRF(hidden=8, inference=QUICK), random_features(8, 12)
    straight = refined(map, with_tables(right, below), features, settings)
    turned = map_of(map.probs.transpose(1, 0, 2).copy())
    other = refined(turned, with_tables(below, right), features.transpose(1, 2), settings)
    same(other.transpose(1, 0, 2), straight)


APART, ORDER = ((0, 2),), ((0, 1), (1, 2), (2, 3), (3, 0))


@pytest.fixture(scope="module")
def energies() -> NDArray[np.float64]:
    """(4, 4): every class has a follower that is found to its right and below only; 0 and 2 never touch."""
    return interaction(4, smoothness=0.9, apart=APART, order=ORDER)


@pytest.fixture(scope="module")
def field(energies: NDArray[np.float64]) -> NDArray[np.int16]:
    return sample_fields(1, (96, 96), energies, seed=0, balance=1.0)[0]


@pytest.fixture(scope="module")
def noisy(field: NDArray[np.int16]) -> SegmentationMap:
    """The field seen pixel by pixel through known noise: a map that knows nothing of neighbours."""
    draw = np.random.default_rng(1)
    seen = np.where(draw.random(field.shape) < 0.75, field, draw.integers(0, 4, field.shape))
    return map_of(0.75 * np.eye(4)[seen] + 0.25 / 4)


@pytest.fixture(scope="module")
def learnt(noisy: SegmentationMap) -> NDArray[np.float32]:
    """(2, 4, 4): tables from the noisy map alone."""
    return learn_tables(torch.from_numpy(noisy.probs).permute(2, 0, 1), steps=30).numpy()


def borders(field: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Pixels with a neighbour of another class."""
    return np.any([np.roll(field, side, axis) != field for axis in (0, 1) for side in (-1, 1)], axis=0)


def test_what_never_touches_is_learnt_from_a_noisy_map_without_labels(
    field: NDArray[np.int16], learnt: NDArray[np.float32], energies: NDArray[np.float64]
) -> None:
    never, unequal = energies >= 50, ~np.eye(4, dtype=bool)
    assert never.sum() == 2 * len(APART) + len(ORDER)
    for found, seen in zip(-learnt, touching(field, 4), strict=True):
        assert (seen[never] == 0).all()
        assert (seen[~never] > 100).all()
        assert found[never].min() > found[~never & unequal].max() + 0.5
        assert found[~never & unequal].min() > np.diag(found).max() + 0.5


def test_tables_with_a_side_find_the_field_again_and_turned_ones_do_not(
    field: NDArray[np.int16], noisy: SegmentationMap, learnt: NDArray[np.float32], energies: NDArray[np.float64]
) -> None:
    """(accuracy, accuracy at borders): a Potts table knows no side and lies between."""
    true, potts = -np.minimum(energies, 6.0), -np.where(energies > 0, 0.9, 0.0)
    settings, nothing = DeepCRF(weight=1.0, hidden=8), torch.zeros(WIDTH, *field.shape)

    def right(probs: NDArray[Any]) -> tuple[float, float]:
        hits = probs.argmax(-1) == field
        return float(hits.mean()), float(hits[borders(field)].mean())

    def after(right_table: NDArray[Any], below_table: NDArray[Any]) -> tuple[float, float]:
        return right(refined(noisy, with_tables(right_table, below_table), nothing, settings))

    unary = right(noisy.probs)
    for found, turned in (
        (after(true, true), after(true.T, true.T)),
        (after(*learnt), after(*learnt.transpose(0, 2, 1))),
    ):
        assert found[0] > unary[0] + 0.08
        assert found[1] > unary[1] + 0.05
        assert found[1] > turned[1] + 0.1
        assert found[1] > after(potts, potts)[1] + 0.04


@pytest.mark.parametrize("form", ["residual", "joint"])
@pytest.mark.parametrize("share", [1.0, 0.4])
def test_class_tables_are_the_mean_over_edges(form: Any, share: float) -> None:
    heads, features = talking(), random_features(4, 5)
    logs = torch.from_numpy(np.log(random_map(4, 5).probs)).permute(2, 0, 1)
    valid = torch.ones(4, 5, dtype=torch.bool)
    valid[1, 2] = False
    settings = DeepCRF(form=form, heads=share, weight=0.1, hidden=8)
    found = class_tables(logs, features, heads, settings, valid=valid)
    assert list(found) == ["right", "below"]
    for towards, (dy, dx) in (("right", (0, 1)), ("below", (1, 0))):
        edges = []
        for y, x in (valid[: 4 - dy, : 5 - dx] & valid[dy:, dx:]).nonzero().tolist():
            pair = [features[None, :, r, c, None, None] for r, c in ((y, x), (y + dy, x + dx))]
            scores = heads(*pair, towards)[0, ..., 0, 0]
            if form == "residual":
                scores = share * scores + heads.prior(towards)  # type: ignore[arg-type]
                scores = scores + logs[:, y, x, None] + logs[None, :, y + dy, x + dx]
            edges.append(scores.exp() / scores.exp().sum())
        same(found[towards], torch.stack(edges).mean(0).detach().numpy(), 1e-6)
        assert found[towards].sum() == pytest.approx(1.0)
        assert np.abs(found[towards] - found[towards].T).max() > 0.01


def test_cells_are_means_of_what_is_there() -> None:
    values = torch.arange(2.0 * 5 * 7).view(2, 5, 7)
    valid = torch.ones(5, 7, dtype=torch.bool)
    valid[0:2, 0:2] = False  # a whole cell
    valid[2, 3] = valid[4, 6] = False
    plain, known = pooled(values, 2), pooled(values, 2, valid=valid)
    for y, x in np.ndindex(3, 4):
        cell = (slice(2 * y, 2 * y + 2), slice(2 * x, 2 * x + 2))
        torch.testing.assert_close(plain[:, y, x], values[:, *cell].mean((1, 2)))
        there = values[:, *cell][:, valid[cell]]
        torch.testing.assert_close(known[:, y, x], there.mean(1) if there.numel() else torch.zeros(2))
    assert pooled(values, 1) is values


def test_a_single_tile_may_be_swept_in_order_and_more_may_not() -> None:
    settings = DeepCRF(hidden=8, inference=MeanField(iterations=2, order="sequential"))
    map, features = random_map(6, 8), random_features(6, 8)
    assert np.isfinite(refined(map, talking(), features, settings, tile=8)).all()
    with pytest.raises(SettingError, match="whole grid"):
        refined(map, talking(), features, settings, tile=7)

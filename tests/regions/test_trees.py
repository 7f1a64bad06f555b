"""Segmentation trees: Ward's identity, the best cut by brute force, pooling, and what a scene's regions promise."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.regions.forest import cut_forest, grow_forest, joined, pooled
from hyperseg.regions.mnf import fit_mnf
from hyperseg.regions.pruning import pool, prune
from hyperseg.regions.scene import mnf_of, regions_of
from hyperseg.regions.settings import Cut, Growth
from hyperseg.regions.ward import Tree, grow_tree


def image(seed: int, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=shape)


def leaves_under(tree: Tree) -> list[frozenset[int]]:
    """The leaves of every node."""
    found = [frozenset([i]) for i in range(tree.n_leaves)]
    for a, b in tree.merges:
        found.append(found[a] | found[b])
    return found


def heights(tree: Tree, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of squared distances from the mean within every node."""
    out = []
    for leaves in leaves_under(tree):
        inside = values[np.isin(tree.superpixel, list(leaves))]
        out.append(((inside - inside.mean(0)) ** 2).sum())
    return np.array(out)


def cuts(tree: Tree, node: int) -> list[tuple[int, ...]]:
    """All ways to cut the tree below a node."""
    if node < tree.n_leaves:
        return [(node,)]
    a, b = tree.merges[node - tree.n_leaves]
    return [(node,), *(x + y for x, y in product(cuts(tree, int(a)), cuts(tree, int(b))))]


def test_merges_are_a_binary_tree_over_all_pixels() -> None:
    tree = grow_tree(image(0, (9, 7, 3)), leaf_px=1)
    assert (tree.n_leaves, len(tree.merges)) == (63, 62)
    assert sorted(tree.merges.ravel()) == list(range(124))  # every node but the root is a child once
    parents = tree.n_leaves + np.arange(len(tree.merges))
    assert (tree.merges < parents[:, None]).all()
    for low, high in zip(tree.levels, tree.levels[1:], strict=False):
        assert tree.merges[low:high].max() < tree.n_leaves + low


def test_on_a_line_without_a_choice_of_neighbours_it_is_wards_tree() -> None:
    """Two neighbours a pixel: scipy's Ward with all pairs allowed gives the same tree where values ascend."""
    from scipy.cluster.hierarchy import cophenet, linkage

    values = np.sort(image(1, (1, 40, 1)), 1)
    tree = grow_tree(values, leaf_px=1)
    expected = cophenet(linkage(values[0], "ward"))
    cost, flat = heights(tree, values.reshape(-1, 1)), values.reshape(-1, 1)
    merged = np.zeros((40, 40))
    under = leaves_under(tree)
    pixel_of = np.argsort(tree.superpixel)
    for i, (a, b) in enumerate(tree.merges):
        rise = cost[tree.n_leaves + i] - cost[a] - cost[b]
        for x, y in product(under[a], under[b]):
            p, q = pixel_of[x], pixel_of[y]
            merged[min(p, q), max(p, q)] = np.sqrt(2 * rise)  # scipy's height
    assert len(flat) == 40
    np.testing.assert_allclose(merged[np.triu_indices(40, 1)], expected, rtol=1e-5)


def test_leaves_have_the_size_asked_for_and_are_the_cheapest_merges() -> None:
    values = np.concatenate([np.zeros((8, 4, 1)), np.ones((8, 4, 1))], 1) + image(2, (8, 8, 1)) * 1e-3
    tree = grow_tree(values, leaf_px=32)
    assert tree.n_leaves == 2
    assert len(np.unique(tree.superpixel.reshape(8, 8)[:, :4])) == 1
    assert grow_tree(values, leaf_px=1e9).n_leaves == 1


@pytest.mark.parametrize("shape", [(1, 1, 2), (1, 30, 2), (30, 1, 2), (2, 2, 1)])
def test_strips_and_single_pixels_grow_trees(shape: tuple[int, ...]) -> None:
    tree = grow_tree(image(3, shape), leaf_px=2)
    assert tree.n_leaves == max(1, round(shape[0] * shape[1] / 2))
    assert tree.n_nodes == 2 * tree.n_leaves - 1


def test_equal_values_merge_in_few_rounds_of_whole_rows() -> None:
    tree = grow_tree(np.zeros((60, 60, 1)), leaf_px=1)
    assert len(tree.merges) == 3599
    assert len(tree.levels) < 200  # one after the other along the rows, it would be thousands


def test_pixels_without_data_belong_to_no_region_and_divide_others() -> None:
    valid = np.ones((5, 9), bool)
    valid[:, 4] = False
    tree = grow_tree(image(4, (5, 9, 2)), valid=valid, leaf_px=1)
    assert (tree.superpixel.reshape(5, 9)[:, 4] == -1).all()
    assert tree.n_nodes - len(np.unique(tree.merges)) == 2  # two parts, two roots
    none = grow_tree(image(4, (5, 9, 2)), valid=np.zeros((5, 9), bool))
    assert (none.superpixel == -1).all()
    probs = np.random.default_rng(4).dirichlet(np.ones(3), (5, 9))
    regions = cut_forest([none], probs.reshape(-1, 3), Cut())
    np.testing.assert_allclose(pooled(probs, regions, Cut()), probs, rtol=1e-6)
    assert not joined(regions, np.ones((5, 9), bool)).any()


@given(seed=st.integers(0, 200), price=st.sampled_from([0.0, 0.3, 1.0, 4.0]))
def test_the_cut_is_the_best_of_all_cuts(seed: int, price: float) -> None:
    rng = np.random.default_rng(seed)
    tree = grow_tree(rng.normal(size=(2, 4, 2)), leaf_px=1)
    logs = np.log(rng.dirichlet(np.ones(3), 8))
    sums = tree.sums(logs)
    best = max(sum(sums[node].max() - price for node in cut) for cut in cuts(tree, tree.n_nodes - 1))
    region = prune(tree, logs, price=price)[tree.superpixel]
    found = sum(logs[region == r].sum(0).max() - price for r in np.unique(region))
    assert found == pytest.approx(best)


def test_the_limits_of_the_price() -> None:
    tree = grow_tree(image(5, (6, 6, 2)), leaf_px=1)
    logs = np.log(np.random.default_rng(5).dirichlet(np.ones(4), 36))
    assert len(np.unique(prune(tree, logs, price=1e9))) == 1
    same = np.tile(logs[:1], (36, 1))
    assert len(np.unique(prune(tree, same, price=0))) == 1  # of equal cuts the one with fewer regions


def test_pooling_averages_probabilities_or_their_logarithms() -> None:
    probs = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8]])
    region = np.array([0, 0, -1])
    np.testing.assert_allclose(pool(probs, region), [[0.65, 0.35], [0.65, 0.35], [0.2, 0.8]])
    logs = pool(probs, region, logs=np.log(probs))
    geometric = np.sqrt(probs[0] * probs[1])
    np.testing.assert_allclose(logs[:2], np.tile(geometric / geometric.sum(), (2, 1)))


def test_a_map_that_is_constant_in_its_regions_stays() -> None:
    values = np.concatenate([np.zeros((6, 5, 2)), np.ones((6, 5, 2))], 1) + 1e-3 * image(6, (6, 10, 2))
    probs = np.where(np.arange(10)[None, :, None] < 5, [0.7, 0.3], [0.1, 0.9]) * np.ones((6, 1, 1))
    forest = grow_forest(values.astype(np.float32), np.ones(2), Growth(components=(2,), leaf_px=4))
    assert len(forest) == 2  # plain and damped
    cut = Cut(price=0.1, temper=1.0)
    regions = cut_forest(forest, probs.reshape(-1, 2), cut)
    np.testing.assert_allclose(pooled(probs, regions, cut), probs, atol=1e-6)


def test_the_share_of_trees_that_join_a_pixel_with_others() -> None:
    regions = [np.array([0, 0, 1, -1]), np.array([0, 1, 1, -1])]
    train = np.array([[True, False, False, True]])
    assert joined(regions, train).tolist() == [[1.0, 0.5, 0.0, 0.0]]


def noisy_scene(side: int = 24, bands: int = 6, seed: int = 0) -> Scene:
    """Four squares of different spectra under noise that differs between bands."""
    rng = np.random.default_rng(seed)
    field = np.add.outer(2 * (np.arange(side) >= side // 2), np.arange(side) >= side // 2)
    cube = rng.normal(size=(4, bands))[field] + rng.normal(size=(side, side, bands)) * np.linspace(0.05, 1, bands)
    return Scene(cube.astype(np.float32))


def test_components_have_noise_of_unit_variance_and_the_most_signal_first() -> None:
    scene = noisy_scene(60)
    found = fit_mnf(scene, 3)
    assert found is not None
    mnf, ratios = found
    values = mnf(scene.cube)
    assert values.shape == (60, 60, 3)
    assert (np.diff(ratios) <= 0).all()
    np.testing.assert_allclose(values.reshape(-1, 3).var(0), ratios, rtol=0.02)
    steps = (values[:, 1:] - values[:, :-1]).reshape(-1, 3)
    inner = steps[(steps**2).sum(1) <= np.quantile((steps**2).sum(1), 0.7)]
    assert np.all(np.abs(np.log(inner.var(0) / 2)) < 1)


def test_too_few_neighbours_say_nothing_about_noise() -> None:
    assert fit_mnf(noisy_scene(2, bands=30), 5) is None
    empty = noisy_scene().with_(valid=np.zeros((24, 24), bool))
    assert fit_mnf(empty, 5) is None


def regions(scene: Scene, growth: Growth) -> Any:
    found = mnf_of(scene, 4)
    assert found is not None
    return regions_of(scene, *found, growth)


def test_trees_of_a_scene_are_grown_once_and_never_for_another() -> None:
    scene = noisy_scene()
    growth = Growth(components=(3,), leaf_px=4)
    assert regions(scene, growth) is regions(scene.with_(name="scene"), growth)
    assert regions(scene, growth) is not regions(noisy_scene(seed=1), growth)
    assert regions(scene, growth) is not regions(scene, Growth(components=(3,), leaf_px=5))


def test_fields_are_told_from_noise_and_blocks_leave_no_seams() -> None:
    scene = noisy_scene(64)
    truth = np.add.outer(2 * (np.arange(64) >= 32), np.arange(64) >= 32)
    rng = np.random.default_rng(0)
    probs = 0.4 * np.eye(4)[truth] + 0.6 * rng.dirichlet(np.full(4, 0.2), (64, 64))
    assert (probs.argmax(-1) == truth).mean() < 0.95
    cut = Cut(price=5.0)
    whole = regions(scene, Growth(components=(3,), leaf_px=4)).pooled(probs, cut)
    assert (whole.argmax(-1) == truth).mean() > 0.99
    parts = regions(scene, Growth(components=(3,), leaf_px=4, block_px=48))
    assert len(parts.blocks) == 4
    blocked = parts.pooled(probs, cut)
    assert (blocked.argmax(-1) == truth).mean() > 0.98
    np.testing.assert_allclose(blocked.sum(-1), 1, atol=1e-5)
    assert np.abs(np.diff(blocked[:, 8:24], axis=1)).max() < 0.2  # within a field, across the blocks' borders


def test_what_stands_where_there_is_no_data_changes_nothing() -> None:
    scene = noisy_scene()
    valid = np.ones(scene.shape, bool)
    valid[5:9, 3:20] = False
    probs = np.random.default_rng(0).dirichlet(np.ones(3), scene.shape)
    found = []
    for fill in (0.0, -9999.0):
        cube = np.where(valid[..., None], scene.cube[:], np.float32(fill))
        mine = scene.with_(cube=cube, valid=valid)
        found.append(regions(mine, Growth(components=(3,), leaf_px=4)).pooled(probs, Cut())[valid])
    np.testing.assert_array_equal(*found)

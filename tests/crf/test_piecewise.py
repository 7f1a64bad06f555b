"""Piecewise training: the loss against a loop, what it converges to, and which pairs it learns from."""

import numpy as np
import pytest
import torch
from made import talking
from torch import Tensor

from hyperseg.core import LabelError
from hyperseg.crf.grid import direction, ends, offsets
from hyperseg.crf.piecewise import Pairwise, edge_weights, labelled_edges, learn_tables, node_labels, pair_loss

K = 3


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def classes(*shape: int, seed: int = 0, low: int = -1) -> Tensor:
    return torch.randint(low, K, shape, generator=torch.Generator().manual_seed(seed))


def edges_of(pairwise: Pairwise, features: Tensor, **options: object) -> Tensor:
    """(K, K, h, w - 1) energies of the "right" edges."""
    return pairwise.tables(features, **options)[0, 1][0]  # type: ignore[arg-type]


def test_new_potentials_say_nothing() -> None:
    assert (edges_of(Pairwise(4, K, hidden=8), torch.randn(1, 4, 5, 7)) == 0).all()


def test_the_published_energy_is_minus_the_logarithm_of_a_joint_that_sums_to_one() -> None:
    energy = edges_of(talking(), torch.randn(1, 4, 5, 7), form="joint")
    torch.testing.assert_close((-energy).exp().sum((0, 1)), torch.ones(5, 6))


def test_pairs_of_independent_neighbours_are_found_without_labels() -> None:
    """Classes drawn in pairs from a known joint, each seen through noise of its own: the table is that joint's."""
    draw = np.random.default_rng(0)
    joint = np.array([[0.30, 0.08, 0.0], [0.02, 0.22, 0.05], [0.0, 0.05, 0.28]])
    pairs = draw.choice(K * K, 60_000, p=joint.ravel())
    classes = np.stack(np.divmod(pairs, K), 1)  # (n, 2): every row a scene of one row and two columns
    seen = np.where(draw.random(classes.shape) < 0.75, classes, draw.integers(0, K, classes.shape))
    likelihood = 0.75 * np.eye(K)[seen] + 0.25 / K
    share = joint.sum(0) / 2 + joint.sum(1) / 2
    probs = torch.from_numpy((likelihood * share / (likelihood * share).sum(-1, keepdims=True)).transpose(2, 0, 1))
    chance = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    wanted = np.log(joint[joint > 0] / chance[joint > 0])
    found = learn_tables(probs, steps=300)[0].numpy()
    np.testing.assert_allclose(found[joint > 0], wanted, atol=0.1)
    assert (found[joint == 0] < -2).all()
    few = learn_tables(probs, steps=0)[0].numpy()
    assert np.abs(few[joint > 0] - wanted).mean() > 2 * np.abs(found[joint > 0] - wanted).mean()


def test_a_map_without_preference_gives_an_empty_table() -> None:
    constant = torch.tensor([0.5, 0.3, 0.2])[:, None, None].expand(K, 6, 7)
    torch.testing.assert_close(learn_tables(constant), torch.zeros(2, K, K), atol=1e-6, rtol=0)


def test_transposing_a_map_exchanges_the_tables_and_mirroring_it_transposes_one() -> None:
    probs = random(K, 6, 7).softmax(0)
    tables = learn_tables(probs)
    torch.testing.assert_close(learn_tables(probs.transpose(1, 2)), tables.flip(0))
    mirrored = learn_tables(probs.flip(2))
    torch.testing.assert_close(mirrored[0], tables[0].T)
    torch.testing.assert_close(mirrored[1], tables[1])


def test_nodes_without_data_do_not_count_for_the_table() -> None:
    probs, valid = random(K, 6, 7).softmax(0), torch.ones(6, 7, dtype=torch.bool)
    valid[:, 5:] = False
    torch.testing.assert_close(learn_tables(probs, valid=valid, steps=0)[0], learn_tables(probs[:, :, :5], steps=0)[0])


def test_the_loss_is_that_of_a_loop_over_labelled_edges() -> None:
    scores, a, b = random(2, K, K, 4, 5), classes(2, 4, 5), classes(2, 4, 5, seed=1)
    logs = scores.flatten(1, 2).log_softmax(1).view_as(scores)
    ends = [(i, int(a[i, y, x]), int(b[i, y, x]), y, x) for i, y, x in np.ndindex(2, 4, 5)]
    wanted = torch.stack([-logs[at] for at in ends if min(at[1:3]) >= 0]).mean()
    torch.testing.assert_close(pair_loss(scores, a, b), wanted)


def test_an_edge_with_an_unlabelled_end_teaches_nothing() -> None:
    scores = random(1, K, K, 1, 3).requires_grad_()
    a, b = torch.tensor([[[0, -1, 1]]]), torch.tensor([[[-1, 2, 2]]])
    pair_loss(scores, a, b).backward()
    assert scores.grad is not None
    assert (scores.grad[..., :2] == 0).all()
    assert (scores.grad[..., 2] != 0).any()
    assert pair_loss(scores, a, torch.full_like(a, -1)).item() == 0


def test_with_constant_features_the_joint_becomes_the_table_of_frequencies() -> None:
    counts = torch.tensor([[30, 5, 0], [1, 20, 8], [2, 0, 34]])
    a, b = (t.flatten() for t in torch.meshgrid(torch.arange(K), torch.arange(K), indexing="ij"))
    a, b = (t.repeat_interleave(counts.flatten())[:, None, None] for t in (a, b))
    torch.manual_seed(0)
    heads = Pairwise(4, K, hidden=8)
    features = torch.ones(len(a), 4, 1, 1)
    optimizer = torch.optim.Adam(heads.parameters(), lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        pair_loss(heads(features, features, "right"), a, b).backward()
        optimizer.step()
    learnt = heads(features[:1], features[:1], "right")[0, ..., 0, 0].flatten().softmax(0).view(K, K)
    torch.testing.assert_close(learnt, counts / counts.sum(), atol=0.005, rtol=0)


@pytest.mark.parametrize("radius", [1, 2])
@pytest.mark.parametrize("share", [1.0, 0.4, 0.0])
def test_energies_are_table_and_heads_on_the_two_ends_of_every_edge(radius: int, share: float) -> None:
    heads, features = talking(), torch.randn(1, 4, 5, 7)
    tables = heads.tables(features, radius=radius, weight=2.0, heads=share)
    assert set(tables) == set(offsets(radius))
    for (dy, dx), table in tables.items():
        first, _ = ends((dy, dx))
        y, x = (s.indices(n)[0] for s, n in zip(first, (5, 7), strict=True))
        pair = [features[:, :, r, c][..., None, None] for r, c in ((y, x), (y + dy, x + dx))]
        towards = direction((dy, dx))
        wanted = -2 * (share * heads(*pair, towards)[..., 0, 0] + heads.prior(towards))
        torch.testing.assert_close(table[..., 0, 0], wanted)


def test_without_heads_all_edges_of_a_direction_share_one_table() -> None:
    heads, features = talking(), torch.randn(2, 4, 5, 7)
    for offset, table in heads.tables(features, radius=2, weight=2.0, heads=0.0).items():
        assert table.shape == (2, K, K, 5 - abs(offset[0]), 7 - abs(offset[1]))
        assert table.stride()[-2:] == (0, 0)
        torch.testing.assert_close(table[0, ..., 0, 0], -2 * heads.prior(direction(offset)))


def test_nodes_take_the_majority_of_their_cell() -> None:
    labels = np.array([[0, 0, 1, 2, -1], [0, 1, 2, 1, -1], [-1, 2, -1, -1, 0]], np.int16)
    np.testing.assert_array_equal(node_labels(labels, 2, K), [[0, -1, -1], [2, -1, 0]])
    np.testing.assert_array_equal(node_labels(labels, 1, K), labels)


def test_pairs_are_all_labelled_neighbours_in_reading_order() -> None:
    labels = classes(9, 11).numpy().astype(np.int16)
    edges, reach = labelled_edges(labels, least=1)
    assert reach == 1
    for towards, (dy, dx) in (("right", (0, 1)), ("below", (1, 0))):
        found = edges[towards]  # type: ignore[index]
        np.testing.assert_array_equal(found.second - found.first, np.tile((dy, dx), (len(found.first), 1)))
        wanted = sum(labels[y, x] >= 0 and labels[y + dy, x + dx] >= 0 for y in range(9 - dy) for x in range(11 - dx))
        assert len(found.first) == wanted


def test_scattered_labels_are_paired_over_a_distance_and_no_further_than_needed() -> None:
    random_labels = np.full((60, 60), -1, np.int16)
    random_labels[::6, ::6] = np.random.default_rng(0).integers(0, K, (10, 10))
    edges, reach = labelled_edges(random_labels, least=20)
    assert reach == 6
    for towards, found in edges.items():
        step = found.second - found.first
        assert (np.abs(step).sum(1) <= 6).all()
        assert all(direction((dy, dx)) == towards for dy, dx in step.tolist())
    with pytest.raises(LabelError, match="no two are within 12"):
        labelled_edges(np.where(np.arange(3600).reshape(60, 60) == 7, np.int16(0), np.int16(-1)))


def test_weights_share_out_between_equal_and_unequal_pairs() -> None:
    a, b = torch.tensor([0, 0, 0, 1]), torch.tensor([0, 0, 1, 2])
    torch.testing.assert_close(edge_weights(a, b, same_share=0.8), torch.tensor([0.4, 0.4, 0.1, 0.1]))
    torch.testing.assert_close(edge_weights(a[:2], b[:2], same_share=0.8), torch.tensor([0.5, 0.5]))

"""Learnt pairwise potentials of the deep CRF, and their piecewise training.

Nodes are the cells of a grid over the scene (with stride 1 its pixels), edges join neighbouring nodes. Piecewise
training fits unary and pairwise potentials as if each were a classifier of its own: no inference in the loop.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, ConvSpec, PairHead
from hyperseg.core import UNLABELLED, LabelError, SettingError
from hyperseg.crf.grid import Direction, Offset, direction, ends, offsets
from hyperseg.crf.settings import Form

DIRECTIONS: tuple[Direction, ...] = ("right", "below")


class Pairwise(nn.Module):
    """K x K energies of every edge: a table per direction, and what the (F) features of the two ends add to it.

    One head per direction, with a layer of `hidden` between: a class to the left of another is another question than a
    class above it, and neither is symmetric.

    Attributes:
        table: (2, K, K) logarithms of how much more often a pair occurs than by chance, right and below; zero at first,
            `learn_tables` fills it from a scene.

    Source: Lin et al., "Efficient Piecewise Training of Deep Structured Models", CVPR 2016: two fully connected layers
        on the ordered pair of features, K x K outputs, one set of weights per kind of edge.
    Differs: kinds are "right" and "below" of neighbouring nodes instead of "surrounding" and "above/below" in a large
        box (a reconstruction for fields and streets); the table is ours.
    """

    table: Tensor

    def __init__(self, width: int, n_classes: int, *, hidden: int = 128) -> None:
        super().__init__()
        spec = BackboneSpec(width, (width,), (1,), (1,), (1,), ConvSpec(2))
        self.n_classes = n_classes
        self.heads = nn.ModuleDict({d: PairHead(spec, n_classes, hidden=hidden) for d in DIRECTIONS})
        for name, weight in self.heads.named_parameters():
            if ".score." in name:
                nn.init.zeros_(weight)
        self.register_buffer("table", torch.zeros(len(DIRECTIONS), n_classes, n_classes))

    def forward(self, first: Tensor, second: Tensor, towards: Direction) -> Tensor:
        """(B, F, *S) features of first and second nodes -> (B, K, K, *S) scores, index [first, second]."""
        return self.heads[towards](first, second).unflatten(1, (self.n_classes, self.n_classes))

    def prior(self, towards: Direction) -> Tensor:
        """(K, K) table of a direction."""
        return self.table[DIRECTIONS.index(towards)]

    def tables(
        self, features: Tensor, *, radius: int = 1, weight: float = 1.0, heads: float = 1.0, form: Form = "residual"
    ) -> dict[Offset, Tensor]:
        """Energies of all edges of a grid; without heads one table per direction, expanded over the grid.

        "residual": V = -weight (table + heads * scores), the scores trained on top of unaries and table.
        "joint": V = -weight log P(a, b | x), as published. The joint holds what the features of both ends say about
        their own classes, which the unary potentials hold too: it is counted again for every edge of a node.

        Args:
            features: (B, F, h, w).
            radius, weight, heads: as in `DeepCRF`.
            form: of the energies; heads must have been trained for it.

        Returns:
            offset -> (B, K, K, h - |dy|, w - |dx|).
        """
        found = {}
        for offset in offsets(radius):
            first, second = ends(offset)
            towards = direction(offset)
            at, to = features[..., *first], features[..., *second]
            if not at.numel():  # a grid of a single row or column has no such neighbours
                continue
            prior = self.prior(towards)[:, :, None, None]
            match form:
                case "residual" if heads == 0:
                    energy = (-weight * prior).expand(len(at), -1, -1, *at.shape[2:])
                case "residual":
                    energy = -weight * (heads * self(at, to, towards) + prior)
                case "joint":
                    scores = self(at, to, towards)
                    energy = -weight * scores.flatten(1, 2).log_softmax(1).view_as(scores)
                case _:
                    raise SettingError(f"form must be residual or joint, got {form!r}.")
            found[offset] = energy
        return found


def learn_tables(probs: Tensor, *, steps: int = 2, valid: Tensor | None = None, floor: float = 1e-5) -> Tensor:
    """How much more often neighbours have classes (a, b) than by chance, from a map without any label.

    Expectation-maximisation for the distribution C of neighbouring pairs: the likelihoods P(y | x) / P(y) of two
    neighbours and C give the posterior of their pair, whose mean is the next C. It starts from the mean of the
    products of probabilities. Neighbours whose windows overlap make the same mistakes, and every further step takes
    these for more equality: a few steps are better than convergence.

    Args:
        probs: (K, h, w) class probabilities of the nodes.
        steps: of expectation-maximisation; 0 is the mean product.
        valid: (h, w) bool, edges at other nodes are left out.
        floor: probabilities are raised to this.

    Returns:
        (2, K, K): log C(a, b) / (C(a, .) C(., b)), right and below, index [first, second].

    Source: the hidden Markov random field of Zhang et al., "Segmentation of Brain MR Images Through a Hidden Markov
        Random Field Model and the Expectation-Maximization Algorithm", IEEE TMI 2001.
    Differs: a full table per direction instead of one Potts weight; the expectation looks at each pair alone instead of
        at the whole field. To learn the table of a deep CRF this way is ours.
    """
    probs = probs.double().clamp(min=floor)
    share = probs.flatten(1).mean(1, keepdim=True)
    tables = []
    for offset in offsets(1):
        first, second = ends(offset)
        a, b = probs[:, *first], probs[:, *second]
        if valid is not None:
            both = valid[first] & valid[second]
            a, b = a[:, both], b[:, both]
        a, b = a.flatten(1) / share, b.flatten(1) / share
        together = (a * share) @ (b * share).T
        together = together / together.sum()
        for _ in range(steps):
            posterior = a / (a * (together @ b)).sum(0)
            together = together * (posterior @ b.T)
            together = together / together.sum()
        chance = together.sum(1, keepdim=True) * together.sum(0, keepdim=True)
        tables.append((together.clamp(min=1e-6) / chance.clamp(min=1e-9)).log())
    return torch.stack(tables).float()


def pair_loss(scores: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Mean -log P(y_p, y_q | x) over edges with both ends labelled.

    Args:
        scores: (B, K, K, *S), unary scores of both ends added where the heads are residuals.
        first, second: (B, *S) long labels of the two ends, -1 unlabelled.

    Source: Lin et al., CVPR 2016, the pairwise part of the piecewise objective.
    """
    known = (first != UNLABELLED) & (second != UNLABELLED)
    pair = (first * scores.shape[1] + second).masked_fill(~known, UNLABELLED)
    losses = F.cross_entropy(scores.flatten(1, 2), pair, ignore_index=UNLABELLED, reduction="none")
    return losses.sum() / known.sum().clamp(min=1)


def edge_weights(first: Tensor, second: Tensor, *, same_share: float) -> Tensor:
    """(n,) weights that sum to one, `same_share` of it on edges between equal classes; one kind alone gets all."""
    same = first == second
    shares = torch.where(same, same_share / same.sum(), (1 - same_share) / (~same).sum())
    return shares / shares.sum() if shares.sum() > 0 else torch.full_like(shares, 1 / max(len(shares), 1))


def node_labels(labels: NDArray[np.int16], stride: int, n_classes: int) -> NDArray[np.int16]:
    """Class of every node: the most frequent label of its cell, -1 where none is labelled or two are level.

    (H, W) labels give (ceil(H / stride), ceil(W / stride)) int16: cells have `stride` pixels a side and may be cut at
    the lower and right border. Classes smaller than a cell can vanish.
    """
    if stride == 1:
        return labels.copy()
    height, width = (-(-n // stride) for n in labels.shape)
    padded = np.full((height * stride, width * stride), UNLABELLED, np.int16)
    padded[: labels.shape[0], : labels.shape[1]] = labels
    cells = padded.reshape(height, stride, width, stride).transpose(0, 2, 1, 3).reshape(height, width, -1)
    votes = (cells[..., None] == np.arange(n_classes, dtype=np.int16)).sum(2)
    best = votes.max(-1)
    clear = (best > 0) & ((votes == best[..., None]).sum(-1) == 1)
    return np.where(clear, votes.argmax(-1), UNLABELLED).astype(np.int16)


@dataclass(frozen=True)
class Edges:
    """Pairs of labelled nodes of one direction.

    Attributes:
        first, second: (n, 2) rows and columns; `second` lies right of, or below, `first`.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]

    def classes(self, labels: NDArray[np.int16]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(n,) classes of both ends."""
        return tuple(labels[at[:, 0], at[:, 1]].astype(np.int64) for at in (self.first, self.second))  # type: ignore[return-value]


def labelled_edges(
    labels: NDArray[np.int16], *, least: int = 200, radius: int = 1, most: int = 200_000, seed: int = 0
) -> tuple[dict[Direction, Edges], int]:
    """Pairs of labelled nodes to learn from, from as near as there are enough of them.

    Neighbours are what inference joins, but among a few scattered labels there are none. The distance grows from
    `radius` on until each direction has `least` pairs, or until it reaches a fifth of the shorter side.

    Args:
        labels: (h, w) classes of the nodes, -1 unlabelled.
        least: wanted pairs per direction.
        radius: L1 distance to begin with.
        most: at most so many pairs per direction, drawn at random from `seed`.

    Returns:
        Pairs per direction, and the distance they came from.

    Raises:
        LabelError: a direction without any pair.

    Differs: Lin et al. join each node to all nodes in a box of 0.4 times the shorter side, in training as in inference;
        here that box is the limit for training, and inference joins neighbours.
    """
    places = np.argwhere(labels != UNLABELLED)
    tree = cKDTree(places)
    limit = max(radius, min(labels.shape) // 5)
    for reach in range(radius, limit + 1):
        edges = _directed(places, tree.query_pairs(reach, p=1, output_type="ndarray"), most, seed)
        fewest = min(len(found.first) for found in edges.values())
        if fewest >= least:
            break
    if not fewest:
        raise LabelError(
            f"the deep CRF learns which classes lie beside each other, but among {len(places)} labelled nodes no two "
            f"are within {reach} nodes in every direction. Label more pixels, or choose another refiner."
        )
    return edges, reach


def _directed(places: NDArray[np.int64], pairs: NDArray[np.int64], most: int, seed: int) -> dict[Direction, Edges]:
    first, second = places[pairs[:, 0]], places[pairs[:, 1]]
    step = second - first
    # the half plane of `offsets`: right where dx > 0 and dx >= |dy|, below where dy > |dx|; else the ends change places
    turned = ~((step[:, 1] > 0) & (step[:, 1] >= np.abs(step[:, 0])) | (step[:, 0] > np.abs(step[:, 1])))
    first[turned], second[turned], step[turned] = second[turned], first[turned], -step[turned]
    right = step[:, 1] >= np.abs(step[:, 0])
    random = np.random.default_rng(seed)
    found: dict[Direction, Edges] = {}
    for towards, mine in (("right", right), ("below", ~right)):
        chosen = np.flatnonzero(mine)
        if len(chosen) > most:
            chosen = np.sort(random.choice(chosen, most, replace=False))
        found[towards] = Edges(first[chosen], second[chosen])  # type: ignore[index]
    return found

"""The deep CRF in a run: features of the run's own network, piecewise training, weight from validation pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyperseg.backbone import seeded
from hyperseg.core import UNLABELLED, LabelError, Scene, SegmentationMap, SettingError, Split, around, tiles
from hyperseg.crf.deep import Window, apply_deep_crf, log_probs, pooled
from hyperseg.crf.grid import Direction
from hyperseg.crf.piecewise import (
    DIRECTIONS,
    Edges,
    Pairwise,
    edge_weights,
    labelled_edges,
    learn_tables,
    node_labels,
    pair_loss,
)
from hyperseg.crf.settings import DeepCRF
from hyperseg.crf.tune import Tuned, choose
from hyperseg.data.preprocess import Preprocess
from hyperseg.engine import window_features
from hyperseg.recipes.training.joint import JointSettings
from hyperseg.recipes.training.one_cycle import Where, train_one_cycle

# heads are trusted with so many pairs of unequal classes per direction, from so near; ours
NEAR, FEW = 3, 3
WINDOW = 128  # side of the windows in which features of a training scene are computed


@dataclass(frozen=True)
class DeepCrfSettings:
    """How the deep CRF is set up and trained.

    Attributes:
        crf: the field itself; its weight and heads are the usual ones.
        weights, heads: tried on validation pixels, all pairs of them; they, or leaving the map alone, must be better
            than the settings of `crf` beyond doubt.
        em_steps: of `hyperseg.crf.piecewise.learn_tables`.
        steps, batch, lr: of the piecewise training of the pairwise heads (AdamW, one cycle).
        weight_decay: lambda of the piecewise objective.
        dropout: of the features that the heads read.
        same_share: weight of all edges between equal classes together, 0..1 (0.5 weighs the two kinds alike); None
            takes them as they come.
        doubt: share of the uniform distribution mixed into the unary probabilities of training nodes, which the
            network knows too well for anything to be left to learn.
        least_edges: pairs of each kind to learn from, see `hyperseg.crf.piecewise.labelled_edges`.
        joint: training through the inference after the piecewise stage; off by default.
        forced: use the weight of `crf` without asking validation pixels.
    """

    crf: DeepCRF = field(default_factory=DeepCRF)
    weights: tuple[float, ...] = (0.15, 0.3, 0.6, 1.2, 2.4)
    heads: tuple[float, ...] = (1.0, 0.0)
    em_steps: int = 2
    steps: int = 300
    batch: int = 512
    lr: float = 2e-3
    weight_decay: float = 5e-4
    dropout: float = 0.3
    same_share: float | None = None
    doubt: float = 0.1
    least_edges: int = 200
    joint: JointSettings = field(default_factory=JointSettings)
    forced: bool = False

    def __post_init__(self) -> None:
        if min(self.steps, self.batch, self.least_edges) < 1 or self.em_steps < 0:
            raise SettingError("steps, batch and least_edges are 1 or more, em_steps 0 or more.")
        if not 0 <= self.doubt <= 1 or not (self.same_share is None or 0 <= self.same_share <= 1):
            raise SettingError("doubt and same_share are shares, between 0 and 1.")


@dataclass(frozen=True)
class Encoder:
    """Where features come from: a trained network without padding, for prediction only, and what it reads."""

    network: Any
    preprocess: Preprocess

    def features(self, scene: Scene, *, device: str) -> Callable[[Window], Tensor]:
        """A window of the scene -> (F, h, w) features of its pixels."""
        net = self.network.to(device)

        def look(window: Window) -> Tensor:
            part = around(window, scene.shape, halo=net.margin)
            return window_features(net, scene, self.preprocess, part, device=device)

        return look


def whole_features(encoder: Encoder, scene: Scene, *, device: str) -> Tensor:
    """(F, H, W) features of a scene that is trained on, computed window by window."""
    look = encoder.features(scene, device=device)
    parts = [
        (part.core_slices, look(part.core)) for part in tiles(scene.shape, size=(WINDOW, WINDOW), halo=0)
    ]
    found = parts[0][1].new_empty(len(parts[0][1]), *scene.shape)
    for at, values in parts:
        found[:, *at] = values
    return found


def learn_pairwise(
    map: SegmentationMap,
    scene: Scene,
    split: Split,
    features: Tensor,
    settings: DeepCrfSettings,
    *,
    where: Where,
) -> tuple[Pairwise, dict[str, Any]]:
    """The table of neighbouring classes from the map, and heads trained on pairs of labelled training nodes.

    Args:
        map: (H, W, K) unary probabilities; the table needs no label.
        scene, split: training pixels give the nodes' classes.
        features: (F, H, W) of the whole scene, on the device.
        settings, where: see `train_heads`.

    Returns:
        The potentials, and what the report says of them: pairs per direction, the distance they came from, nodes per
        class, and whether the heads had enough to learn from to be trusted.

    Raises:
        LabelError: the published form, and no two labelled nodes near each other.
    """
    stride, n_classes = settings.crf.stride, scene.n_classes
    try:
        labels, edges, reach = training_pairs(scene, split, settings, seed=where.seed)
    except LabelError:  # the table of neighbours needs no label
        if settings.crf.form == "joint":
            raise
        labels, edges, reach = None, {}, 0
    with seeded(where.seed):
        pairwise = Pairwise(features.shape[0], n_classes, hidden=settings.crf.hidden).to(features.device)
    logs = node_logs(map, stride, features.device)
    if settings.crf.form == "residual":
        pairwise.table.copy_(
            learn_tables(
                logs.exp(), steps=settings.em_steps, valid=live_nodes(scene, stride, features.device)
            )
        )
    if labels is None:
        return pairwise.eval(), {"pairs": {}, "nodes_per_class": {}, "heads_trusted": False}
    train_heads(pairwise, node_features(features, scene, stride), logs, labels, edges, settings, where=where)
    pairs = {}
    for towards, found in edges.items():
        same = np.equal(*found.classes(labels))
        pairs[towards] = {"same": int(same.sum()), "different": int((~same).sum())}
    counts = np.bincount(labels[labels != UNLABELLED], minlength=n_classes)
    nodes = {name: int(n) for name, n in zip(scene.classes, counts, strict=True)}
    # heads that saw no two classes meet at close range know nothing of borders, and wipe out classes they never saw
    trusted = reach <= NEAR and min(n["different"] for n in pairs.values()) >= FEW
    return pairwise, {
        "pairs": pairs,
        "pairs_within": reach,
        "nodes_per_class": nodes,
        "heads_trusted": trusted,
    }


def training_pairs(
    scene: Scene, split: Split, settings: DeepCrfSettings, *, seed: int
) -> tuple[NDArray[np.int16], dict[Direction, Edges], int]:
    """(h, w) classes of the nodes by training pixels, pairs of labelled ones, and the distance those came from."""
    assert scene.labels is not None
    known = np.where(split.train, scene.labels, np.int16(UNLABELLED))
    labels = node_labels(known, settings.crf.stride, scene.n_classes)
    return labels, *labelled_edges(labels, least=settings.least_edges, radius=settings.crf.radius, seed=seed)


def node_logs(map: SegmentationMap, stride: int, device: torch.device | str) -> Tensor:
    """(K, h, w) log-probabilities of the nodes of a map, normalised."""
    logs = log_probs(map.probs, device)
    valid = None if map.valid is None else torch.from_numpy(map.valid).to(device)
    return pooled(logs, stride, valid=valid).log_softmax(0)


def node_features(features: Tensor, scene: Scene, stride: int) -> Tensor:
    """(F, H, W) features of a scene's pixels -> (F, h, w) of its nodes, from pixels with data."""
    valid = None if scene.valid is None else torch.from_numpy(scene.valid).to(features.device)
    return pooled(features, stride, valid=valid)


def live_nodes(scene: Scene, stride: int, device: torch.device | str) -> Tensor | None:
    """(h, w) bool: nodes with data, or None where all have."""
    if scene.valid is None:
        return None
    return pooled(torch.from_numpy(scene.valid)[None].float(), stride)[0].to(device) > 0


def weigh_and_apply(
    map: SegmentationMap,
    scene: Scene,
    split: Split,
    pairwise: Pairwise,
    features: Tensor,
    settings: DeepCrfSettings,
    *,
    device: str,
    trusted: bool = True,
    before: SegmentationMap | None = None,
) -> tuple[SegmentationMap, Tuned[DeepCRF]]:
    """Refine the map with the usual weight, unless validation pixels speak for another one or against it.

    Args:
        map: what to refine; its probabilities are the unary potentials.
        features: (F, H, W) of the scene.
        trusted: whether the heads are used unless validation pixels speak against them.
        before: the map that refined ones have to beat, and that is kept where none does; default `map`.
    """
    before = map if before is None else before
    assert scene.labels is not None

    def look(window: Window) -> Tensor:
        (top, bottom), (left, right) = window
        return features[:, top:bottom, left:right]

    def refined(crf: DeepCRF, *, warn: bool = False) -> SegmentationMap:
        return apply_deep_crf(map, pairwise, look, crf, device=device, warn=warn)

    crf = settings.crf if trusted else replace(settings.crf, heads=0.0)
    tuned: Tuned[DeepCRF] = Tuned(crf, (), 0)
    if split.val.any() and not settings.forced:
        heads = settings.heads if crf.form == "residual" else (crf.heads,)
        others = [replace(crf, weight=w, heads=h) for h in heads for w in settings.weights]
        candidates = [crf, *(other for other in others if other != crf)]
        tuned = choose(before, ((c, refined(c)) for c in candidates), scene.labels, split.val, usual=crf)
    return (before if tuned.settings is None else refined(tuned.settings, warn=True)), tuned


def train_heads(
    pairwise: Pairwise,
    nodes: Tensor,
    logs: Tensor,
    labels: NDArray[np.int16],
    edges: Mapping[Direction, Edges],
    settings: DeepCrfSettings,
    *,
    where: Where,
) -> None:
    """Piecewise training of the heads, in place; features, unaries and table stay as they are.

    In the "residual" form the scores are added to the unary log-probabilities of both ends and to the table, so that
    they learn only what those leave unsaid.

    Args:
        pairwise: the heads; left in evaluation mode.
        nodes: (F, h, w) features.
        logs: (K, h, w) unary log-probabilities.
        labels: (h, w) classes of nodes, -1 unlabelled.
        edges: pairs of labelled nodes per direction.
        settings: how.
        where: as for every training.
    """
    drop = nn.Dropout(settings.dropout)
    residual = settings.crf.form == "residual"
    unsure = (logs.exp() * (1 - settings.doubt) + settings.doubt / len(logs)).log()
    ends: dict[Direction, tuple[Tensor, ...]] = {}
    for towards, e in edges.items():
        classes = [torch.from_numpy(c) for c in e.classes(labels)]
        weights = torch.ones(len(e.first))
        if settings.same_share is not None:
            weights = edge_weights(*classes, same_share=settings.same_share)
        ends[towards] = (*(torch.from_numpy(at) for at in (e.first, e.second)), *classes, weights)

    def batches(step: int) -> dict[Direction, Tensor]:
        generator = torch.Generator().manual_seed(where.seed * 1_000_003 + step)
        return {
            towards: torch.multinomial(
                ends[towards][4], settings.batch, replacement=True, generator=generator
            )
            for towards in DIRECTIONS
        }

    def loss(drawn: dict[Direction, Tensor]) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        for towards, chosen in drawn.items():
            first, second, a, b, _ = (part[chosen].to(nodes.device) for part in ends[towards])
            pair = [drop(nodes[:, at[:, 0], at[:, 1]].T)[..., None, None] for at in (first, second)]
            scores = pairwise(*pair, towards)[..., 0, 0]
            if residual:
                p, q = (unsure[:, at[:, 0], at[:, 1]].T for at in (first, second))
                scores = scores + p[:, :, None] + q[:, None] + settings.crf.weight * pairwise.prior(towards)
            terms[towards] = pair_loss(scores, a, b)
        return terms

    train_one_cycle(
        {"pairwise": pairwise}, loss, batches, steps=settings.steps, lr=settings.lr,
        weight_decay=settings.weight_decay, where=where,
    )  # fmt: skip

"""The deep CRF's piecewise training: the table of neighbours, the heads, and the weight from validation pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyperseg.backbone import seeded
from hyperseg.core import UNLABELLED, LabelError, Scene, SegmentationMap, Split
from hyperseg.core.runtime import Runtime
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
from hyperseg.engine.one_cycle import step_generator, train_one_cycle

if TYPE_CHECKING:
    from hyperseg.recipes.refiners.deep_crf import DeepCrfSettings

# heads are trusted with so many pairs of unequal classes per direction, from so near; ours
NEAR, FEW = 3, 3


def learn_pairwise(
    map: SegmentationMap, scene: Scene, split: Split, features: Tensor, settings: DeepCrfSettings, *, runtime: Runtime
) -> tuple[Pairwise, dict[str, Any]]:
    """The table of neighbouring classes from the map, and heads trained on pairs of labelled training nodes.

    Args:
        map: (H, W, K) unary probabilities; the table needs no label.
        scene, split: training pixels give the nodes' classes.
        features: (F, H, W) of the whole scene, on the device.
        settings, runtime: see `train_heads`.

    Returns:
        The potentials, and what the report says of them: pairs per direction, the distance they came from, nodes per
        class, and whether the heads had enough to learn from to be trusted.

    Raises:
        LabelError: the published form, and no two labelled nodes near each other.
    """
    stride, n_classes = settings.crf.stride, scene.n_classes
    try:
        labels, edges, reach = training_pairs(scene, split, settings, seed=runtime.seed)
    except LabelError:  # the table of neighbours needs no label
        if settings.crf.form == "joint":
            raise
        labels, edges, reach = None, {}, 0
    with seeded(runtime.seed):
        pairwise = Pairwise(features.shape[0], n_classes, hidden=settings.crf.hidden).to(features.device)
    logs = node_logs(map, stride, features.device)
    if settings.crf.form == "residual":
        pairwise.table.copy_(
            learn_tables(logs.exp(), steps=settings.em_steps, valid=live_nodes(scene, stride, features.device))
        )
    if labels is None:
        return pairwise.eval(), {"pairs": {}, "nodes_per_class": {}, "heads_trusted": False}
    pairs = {}
    for towards, found in edges.items():
        same = np.equal(*found.classes(labels))
        pairs[towards] = {"same": int(same.sum()), "different": int((~same).sum())}
    counts = np.bincount(labels[labels != UNLABELLED], minlength=n_classes)
    nodes = {name: int(n) for name, n in zip(scene.classes, counts, strict=True)}
    # heads that saw no two classes meet at close range know nothing of borders, and wipe out classes they never saw
    trusted = reach <= NEAR and min(n["different"] for n in pairs.values()) >= FEW
    if settings.joint or settings.crf.form != "residual" or used(settings, split, trusted=trusted):
        train_heads(pairwise, node_features(features, scene, stride), logs, labels, edges, settings, runtime=runtime)
    return pairwise.eval(), {"pairs": pairs, "pairs_within": reach, "nodes_per_class": nodes, "heads_trusted": trusted}


def used(settings: DeepCrfSettings, split: Split, *, trusted: bool) -> bool:
    """Whether anything can follow the heads: the usual field, or one that validation pixels are asked about."""
    asked = bool(split.val.any()) and not settings.forced
    return max(settings.heads, default=0.0) > 0 if asked else trusted and settings.crf.heads > 0


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


def weigh(
    map: SegmentationMap,
    scene: Scene,
    split: Split,
    pairwise: Pairwise,
    features: Tensor,
    settings: DeepCrfSettings,
    *,
    device: str,
    trusted: bool,
    before: SegmentationMap,
) -> Tuned[DeepCRF]:
    """The usual weight, unless validation pixels speak for another one or against it.

    Args:
        map: what to refine; its probabilities are the unary potentials.
        features: (F, H, W) of the scene.
        trusted: whether the heads are used unless validation pixels speak against them.
        before: the map that refined ones have to beat, and that is kept where none does.
    """
    assert scene.labels is not None

    def look(window: Window) -> Tensor:
        (top, bottom), (left, right) = window
        return features[:, top:bottom, left:right]

    def refined(crf: DeepCRF) -> SegmentationMap:
        return apply_deep_crf(map, pairwise, look, crf, device=device, warn=False)

    crf = settings.crf if trusted else replace(settings.crf, heads=0.0)
    if not split.val.any() or settings.forced:
        return Tuned(crf, (), 0)
    heads = settings.heads if crf.form == "residual" else (crf.heads,)
    others = [replace(crf, weight=w, heads=h) for h in heads for w in settings.weights]
    candidates = [crf, *(other for other in others if other != crf)]
    return choose(before, ((c, refined(c)) for c in candidates), scene.labels, split.val, usual=crf)


def train_heads(
    pairwise: Pairwise,
    nodes: Tensor,
    logs: Tensor,
    labels: NDArray[np.int16],
    edges: Mapping[Direction, Edges],
    settings: DeepCrfSettings,
    *,
    runtime: Runtime,
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
        runtime: as for every training.
    """
    drop = nn.Dropout(settings.dropout)
    residual = settings.crf.form == "residual"
    rows, width = nodes.flatten(1).T.contiguous(), labels.shape[1]  # a node's features lie together: quickly drawn
    unsure = (logs.exp() * (1 - settings.doubt) + settings.doubt / len(logs)).log().flatten(1).T.contiguous()
    ends: dict[Direction, list[Tensor]] = {}
    chances: dict[Direction, Tensor] = {}
    for towards, e in edges.items():
        classes = [torch.from_numpy(c) for c in e.classes(labels)]
        weights = torch.ones(len(e.first))
        if settings.same_share is not None:
            weights = edge_weights(*classes, same_share=settings.same_share)
        places = (torch.from_numpy(at[:, 0] * width + at[:, 1]) for at in (e.first, e.second))
        ends[towards] = [x.to(nodes.device) for x in (*places, *classes)]
        chances[towards] = weights

    def batches(step: int) -> dict[Direction, Tensor]:
        generator = step_generator(runtime.seed, step)
        return {
            towards: torch.multinomial(chances[towards], settings.batch, replacement=True, generator=generator)
            for towards in DIRECTIONS
        }

    def loss(drawn: dict[Direction, Tensor]) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        for towards, chosen in drawn.items():
            first, second, a, b = (part[chosen] for part in ends[towards])
            # the pairs are the pixels of one image, (1, ..., pairs): quicker than as many images of a pixel
            pair = (drop(rows[at].T.contiguous())[None, :, None] for at in (first, second))
            scores = pairwise(*pair, towards)[..., 0, :]
            if residual:
                p, q = (unsure[at].T[None] for at in (first, second))
                prior = settings.crf.weight * pairwise.prior(towards)
                scores = scores + p[:, :, None] + q[:, None] + prior[:, :, None]
            terms[towards] = pair_loss(scores, a[None], b[None])
        return terms

    train_one_cycle(
        {"pairwise": pairwise}, loss, batches, steps=settings.steps, lr=settings.lr,
        weight_decay=settings.weight_decay, runtime=runtime, name="pairwise", title="deep CRF",
    )  # fmt: skip

"""Training through the inference: its loss, what it moves, and what it never looks at."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from hyperseg.core import Scene, SettingError, Split
from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task
from hyperseg.crf.meanfield import infer
from hyperseg.crf.piecewise import Pairwise
from hyperseg.crf.settings import DeepCRF, MeanField
from hyperseg.data.augment import SpectralNoise
from hyperseg.data.preprocess import Preprocess
from hyperseg.engine import History
from hyperseg.hsi.networks import NetworkSpec, SceneNet, build_network
from hyperseg.recipes.methods.network import whitened
from hyperseg.recipes.refiners.deep_crf import JointSettings
from hyperseg.recipes.training.joint import train_jointly

CRF = DeepCRF(hidden=8, weight=1.0)
SETTINGS = JointSettings(steps=6, batch=8, half=2, lr=5e-3, noise=SpectralNoise())
RUNTIME = Runtime(seed=1, quiet=True)


@pytest.fixture
def task(toy: Scene) -> Task:
    """Two blocks of training pixels, the rest for testing."""
    assert toy.labels is not None
    train = np.zeros(toy.shape, bool)
    train[6:14, 5:9] = train[8:16, 12:17] = True
    known = toy.labels >= 0
    return Task((toy,), (Split(train & known, np.zeros(toy.shape, bool), known & ~train, "blocks", 0),))


def models(task: Task) -> tuple[SceneNet, Pairwise, Preprocess]:
    """A network without dropout and heads with a table, all of them fresh."""
    preprocess = whitened(task)
    spec = NetworkSpec(preprocess.n_out, 3, "none", width=8, blocks=1, dropout=0.0, initial_scale=1.0)
    torch.manual_seed(0)
    pairwise = Pairwise(8, 3, hidden=8)
    pairwise.table.copy_(torch.randn(2, 3, 3))
    return build_network(spec, seed=0), pairwise, preprocess


def trained(task: Task, settings: JointSettings = SETTINGS, crf: DeepCRF = CRF) -> tuple[SceneNet, Pairwise, History]:
    network, pairwise, preprocess = models(task)
    history = train_jointly(network, pairwise, task, preprocess, crf, settings, runtime=RUNTIME)
    return network, pairwise, history


def moved(before: nn.Module, after: nn.Module) -> set[str]:
    """Names of the parameters and buffers that differ."""
    new = after.state_dict()
    return {name for name, value in before.state_dict().items() if not torch.equal(value, new[name])}


@pytest.mark.parametrize("unrolled", [0, 1, 3])
def test_the_first_loss_is_minus_log_of_the_marginals_after_inference(toy: Scene, task: Task, unrolled: int) -> None:
    """By hand, on the one crop around the only training pixel; without inference it is the cross-entropy."""
    assert toy.labels is not None
    y, x = (int(n) for n in np.argwhere(task.split.train)[task.split.train.sum() // 2])
    assert toy.labels[y, x] >= 0
    only = np.zeros(toy.shape, bool)
    only[y, x] = True
    one = replace(task, splits=(replace(task.split, train=only),))
    network, pairwise, preprocess = models(task)
    settings = replace(SETTINGS, steps=1, unrolled=unrolled)
    by_hand, heads = deepcopy(network).train(), deepcopy(pairwise)
    history = train_jointly(network, pairwise, one, preprocess, CRF, settings, runtime=RUNTIME)
    reach = by_hand.margin + 2
    cube = preprocess(toy.cube[:])[y - reach : y + reach + 1, x - reach : x + reach + 1]
    with torch.no_grad():
        features = by_hand.features(torch.from_numpy(cube).permute(2, 0, 1)[None, None])
        unary = -by_hand.head([features])
        assert unary.shape == (1, 3, 5, 5)
        tables = heads.tables(features, weight=1.0)
        q = infer(unary, tables, settings=MeanField(iterations=unrolled)).q
    wanted = -float(q[0, int(toy.labels[y, x]), 2, 2].log())
    ((found,),) = history.terms.values()
    assert found == pytest.approx(wanted, rel=1e-4)


def test_network_and_heads_learn_together_and_the_table_stays(task: Task) -> None:
    network, pairwise, _ = models(task)
    after, heads, history = trained(task, replace(SETTINGS, steps=60, lr=2e-2))
    losses = next(iter(history.terms.values()))
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    in_network, in_heads = moved(network, after), moved(pairwise, heads)
    assert any(name.startswith("head.") for name in in_network)
    assert any(name.startswith("collapse.") for name in in_network)
    assert any("running" in name for name in in_network)
    assert {name.split(".")[1] for name in in_heads} == {"right", "below"}
    assert "table" not in in_heads
    assert not after.training
    assert not heads.training


def test_without_unrolled_inference_the_heads_learn_nothing(task: Task) -> None:
    network, pairwise, _ = models(task)
    after, heads, _ = trained(task, replace(SETTINGS, unrolled=0, weight_decay=0.0))
    assert moved(network, after)
    assert not moved(pairwise, heads)


def test_labels_outside_the_training_mask_are_not_looked_at(toy: Scene, task: Task) -> None:
    assert toy.labels is not None
    scrambled = np.where(task.split.test, (toy.labels + 1) % 3, toy.labels).astype(np.int16)
    one, other = trained(task), trained(replace(task, scenes=(toy.with_(labels=scrambled),)))
    for a, b in zip(one[:2], other[:2], strict=True):
        assert not moved(a, b)


def test_what_lies_beyond_the_reach_of_every_crop_is_not_looked_at(toy: Scene, task: Task) -> None:
    """The network's margin and half a crop around training pixels, nothing else."""
    network, pairwise, preprocess = models(task)
    reach = network.margin + SETTINGS.half
    near = np.zeros(toy.shape, bool)
    for y, x in np.argwhere(task.split.train):
        near[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1] = True
    assert (~near).sum() > 20
    cube = np.asarray(toy.cube).copy()
    cube[~near] = 7.0
    changed, other = (deepcopy(network), deepcopy(pairwise)), replace(task, scenes=(toy.with_(cube=cube),))
    train_jointly(network, pairwise, task, preprocess, CRF, SETTINGS, runtime=RUNTIME)
    train_jointly(*changed, other, preprocess, CRF, SETTINGS, runtime=RUNTIME)
    assert not moved(network, changed[0])
    assert not moved(pairwise, changed[1])


def test_nodes_larger_than_pixels_are_refused(task: Task) -> None:
    with pytest.raises(SettingError, match="stride of 2"):
        trained(task, crf=replace(CRF, stride=2))

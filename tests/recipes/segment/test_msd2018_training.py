"""Networks of the first preset are trained by its own numbers, and by none of the second's."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hyperseg.core.runtime import Runtime
from hyperseg.engine.step.plateau import PlateauOfEpochs
from hyperseg.io.cases import CaseFolder, open_cases
from hyperseg.losses.dice import DiceCE
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.networks import PooledEncoder
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.folder import fold_folder, load_networks, read_run
from hyperseg.recipes.segment.learning import SHORT_STEPS, start_net
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.recipes.segment.planning import plan_cases
from hyperseg.recipes.segment.training import Order, train_cases
from hyperseg.recipes.training.nnunet import phase_of

QUIET = Runtime(quiet=True)


@pytest.fixture(scope="module")
def rings(tmp_path_factory: pytest.TempPathFactory) -> CaseFolder:
    """Six pictures with a disc of class 1 in a ring of class 2; a third class comes in two pieces."""
    folder = tmp_path_factory.mktemp("rings")
    for i in range(6):
        rng = np.random.default_rng(i)
        rows, columns = np.indices((40, 44))
        far = np.hypot(rows - rng.integers(14, 22), columns - rng.integers(14, 26))
        labels = np.where(far < 5, 1, np.where(far < 9, 2, 0))
        labels[32:, 2:14] = labels[32:, 28:40] = 3
        image = np.choose(labels, [0, 3, 1, 2]) + 0.3 * rng.normal(size=labels.shape)
        for kind, array in (("images", image.astype(np.float32)), ("labels", labels.astype(np.uint8))):
            (folder / kind).mkdir(exist_ok=True)
            np.save(folder / kind / f"c{i}.npy", array)
    return open_cases(folder)


@pytest.fixture(scope="module")
def plan(rings: CaseFolder) -> Plan:
    def thin(one: Configuration) -> Configuration:
        return replace(one, backbone=replace(one.backbone, widths=(6, 12, 24, 24, 24)[: len(one.backbone.widths)]))

    made = plan_cases(rings, preset="msd2018")
    training = replace(made.training, inference=replace(made.training.inference, folds=2))
    return replace(
        made, configurations=tuple(replace(thin(c), batch=4) for c in made.configurations), training=training
    )


def test_it_learns_and_keeps_what_is_always_one(rings: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    faster = replace(plan.training, optimiser=replace(plan.training.optimiser, lr=5e-3))  # a small network, few steps
    run = train_cases(rings, replace(plan, training=faster), tmp_path / "run", Order(Budget(steps=60)), QUIET)
    found = json.loads((fold_folder(tmp_path / "run", "2d", 0) / "history.json").read_text())
    assert found["optimiser"] == "Adam, plateau"
    classes = run.record.found["dice"]["2d"]["classes"]
    constant = {k: 2 * n / (n + 40 * 44) for k, n in zip(rings.classes[1:], (80, 170, 192), strict=True)}
    assert all(classes[k] > max(0.5, 2 * constant[k]) for k in classes), classes
    assert run.record.largest == ((1,), (2,)), "each is one piece in all labels, class 3 never is"
    (net, _) = load_networks(read_run(tmp_path / "run"), "2d")
    assert isinstance(net.encoder, PooledEncoder)


@pytest.mark.parametrize("steps", [3, SHORT_STEPS, 10**6])
def test_the_optimiser_is_the_presets_however_long(plan: Plan, steps: int) -> None:
    one = plan.configuration("2d")
    assert one.supervision == (1.0,)
    phase = phase_of(start_net(case_method(), plan, one, QUIET), plan, one, steps, DiceCE())
    assert type(phase.optimizer) is torch.optim.Adam
    (group,) = phase.optimizer.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"], group["amsgrad"]) == (3e-4, (0.9, 0.999), 3e-5, True)
    assert phase.clip is None
    assert isinstance(phase.scheduler, PlateauOfEpochs)
    assert phase.scheduler.steps == {3: 1, SHORT_STEPS: 2, 10**6: 250}[steps]


def test_an_interrupted_training_ends_with_the_same_bytes(rings: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    def stop(title: str, done: int) -> None:
        if done == 5:
            raise KeyboardInterrupt

    order = Order(Budget(steps=9), fold=0)
    train_cases(rings, plan, tmp_path / "whole", order, QUIET)
    with pytest.raises(KeyboardInterrupt):
        train_cases(rings, plan, tmp_path / "cut", order, replace(QUIET, on_step=stop))
    train_cases(rings, plan, tmp_path / "cut", order, QUIET, resume=True)
    a, b = (
        load_file(fold_folder(root, "2d", 0) / "weights.safetensors") for root in (tmp_path / "whole", tmp_path / "cut")
    )
    assert all(torch.equal(a[name], b[name]) for name in a)

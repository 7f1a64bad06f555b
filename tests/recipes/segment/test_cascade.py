"""A cascade: what its second network learns from, that training gives it what prediction does, and how it goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from hyperseg.backbone import seeded
from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.io.cases import CaseFolder, open_cases, read_case
from hyperseg.medical.augment import Changes
from hyperseg.medical.networks import build_unet
from hyperseg.medical.patches import FIRST, draw_batch, make_batch, patch_at
from hyperseg.medical.plan import Plan
from hyperseg.medical.prepare import prepare
from hyperseg.recipes.segment.caching import cache_cases
from hyperseg.recipes.segment.checks import chosen_folds
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.folder import Record, SegmentRun, fold_folder, read_run, trained_folds, write_fold
from hyperseg.recipes.segment.folder import write_run as written
from hyperseg.recipes.segment.held_out.first import answer_first, on_grid
from hyperseg.recipes.segment.planning import plan_cases
from hyperseg.recipes.segment.predicting import predict_case, predict_images
from hyperseg.recipes.segment.training import Order, train_cases, work_of

QUIET = Runtime(quiet=True)
PRINTS = {f"c{i}": str(i) for i in range(6)}


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> CaseFolder:
    """Four volumes, each with a block of class 1 beside one of class 2, and zeros around."""
    folder = tmp_path_factory.mktemp("blocks")
    for i in range(4):
        labels = np.zeros((18, 20, 22), np.uint8)
        labels[4 + i : 10 + i, 5:13, 4:10], labels[4 + i : 10 + i, 5:13, 10:15] = 1, 2
        image = np.random.default_rng(i).normal(0, 0.4, labels.shape) + labels
        image[:2] = 0
        for kind, array in (("images", image.astype(np.float32)), ("labels", labels)):
            (folder / kind).mkdir(exist_ok=True)
            np.save(folder / kind / f"c{i}.npy", array)
    return open_cases(folder)


@pytest.fixture(scope="module")
def plan(toys: CaseFolder) -> Plan:
    """The folder's plan with a patch of an eighth of a case, and what follows from that, by hand; two folds."""
    made = plan_cases(toys)
    whole = made.configuration("3d")
    spec = replace(whole.backbone, widths=(4, 8, 16)[: len(whole.backbone.widths)])
    full = replace(whole, patch=(8, 8, 8), batch=2, backbone=spec)
    low = replace(full, name="3d_low", spacing=(2.0, 2.0, 2.0), size=(8, 10, 11))
    after = replace(full, name="3d_cascade", after="3d_low", backbone=replace(spec, in_channels=3))
    training = replace(made.training, inference=replace(made.training.inference, folds=2))
    return replace(made, configurations=(made.configuration("2d"), full, low, after), training=training)


def run_with_constants(root: Path, toys: CaseFolder, plan: Plan) -> SegmentRun:
    """The first network of fold 0 says class 1 everywhere, that of fold 1 says class 2."""
    folds = chosen_folds(toys, 2, 0)
    run = written(root, plan, Record("", toys.classes, toys.codes, toys.channels, 0, folds))
    for fold in range(2):
        with seeded(0):
            net = build_unet(plan.configuration("3d_low"), 3)
        state = net.state_dict()
        for name, value in state.items():
            if name.startswith("heads"):
                state[name] = torch.zeros_like(value)
                if value.ndim == 1:
                    state[name][fold + 1] = 9.0
        write_fold(run, "3d_low", fold, state, {})
    return run


def test_no_answer_comes_from_a_network_that_saw_the_case(toys: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    run, cascade = run_with_constants(tmp_path / "run", toys, plan), plan.configuration("3d_cascade")
    stored = cache_cases(toys, plan, cascade, tmp_path / "cache", PRINTS)
    answered = answer_first(run, toys, cascade, stored, mirror=False, runtime=QUIET)
    assert list(answered) == list(stored)
    for fold, names in enumerate(run.record.folds):
        for name in names:
            assert (answered[name].open(FIRST) == fold + 1).all()
            assert answered[name].open(FIRST).shape == stored[name].shape
    other = answer_first(run, toys, cascade, stored, mirror=False, runtime=QUIET)
    assert other == answered
    image, labels = make_batch(draw_batch(list(answered.values()), cascade, plan.training, seed=0, step=0), cascade)
    assert (image.shape, labels.shape) == ((2, 3, 8, 8, 8), (2, 8, 8, 8))


def test_training_sees_the_channels_that_prediction_does(toys: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    """One window holds the whole case, whose grid is not that of the network."""
    finer = replace(plan.configuration("3d_cascade"), spacing=(1.3, 0.9, 1.1), patch=(24, 24, 24))
    there = replace(plan, configurations=(*plan.configurations[:3], finer))
    seen: list[Tensor] = []

    class Listen(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            seen.append(x)
            return x

    class Threshold(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([0 * x, x - 0.5, 2 * x - 2.5], 1)

    scene = read_case(toys, toys.cases[0])
    networks = {"3d_low": [Threshold()], "3d_cascade": [Listen()]}
    predict_case(scene, there, networks, ["3d_cascade"], mirror=False)
    first = predict_case(scene, there, networks, ["3d_low"], mirror=False)
    assert set(np.unique(first)) == {0, 1, 2}
    expected = prepare(scene.with_(labels=first), there, finer, labels=True).labels
    found = on_grid(first, scene, there, finer)
    assert (found == expected).all()
    stored = cache_cases(replace(toys, cases=toys.cases[:1]), there, finer, tmp_path / "cache", PRINTS)["c0"]
    np.save(stored.folder / FIRST, found)
    start = tuple(-((24 - n) // 2) for n in stored.shape)
    image, _ = make_batch([patch_at(replace(stored, answered=True), finer, start, Changes())], finer)
    assert torch.allclose(image, seen[0])


def test_flips_and_turns_move_the_answer_with_the_labels(toys: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    """Where the first answer is the truth, and is not disturbed, its channels are the truth after every change."""
    cascade = plan.configuration("3d_cascade")
    stored = list(cache_cases(toys, plan, cascade, tmp_path / "cache", PRINTS).values())
    for case in stored:
        np.save(case.folder / FIRST, case.open("labels.npy"))
    still = replace(plan.training.augmentation.stage1, p=0.0, removal_p=0.0)
    training = replace(plan.training, augmentation=replace(plan.training.augmentation, rotation_p=1.0, stage1=still))
    answered = [replace(case, answered=True) for case in stored]
    for step in range(4):
        image, labels = make_batch(draw_batch(answered, cascade, training, seed=0, step=step), cascade)
        assert torch.equal(image[:, 1], (labels == 1).float())
        assert torch.equal(image[:, 2], (labels == 2).float())


def test_the_first_network_comes_first_and_on_all_folds(plan: Plan) -> None:
    def asked(*names: str, fold: int | None = None) -> list[tuple[str, tuple[int, ...]]]:
        return [(one.name, folds) for one, folds in work_of(plan, names, fold, 3)]

    assert asked("3d_cascade") == [("3d_low", (0, 1, 2)), ("3d_cascade", (0, 1, 2))]
    assert asked("3d_cascade", "3d", fold=1) == [("3d_low", (0, 1, 2)), ("3d_cascade", (1,)), ("3d", (1,))]
    assert asked("3d_low", "3d", "3d", fold=1) == [("3d_low", (1,)), ("3d", (1,))]
    with pytest.raises(SettingError, match="no configuration '3d_low'"):
        work_of(replace(plan, configurations=plan.configurations[3:]), ["3d_cascade"], None, 3)


def test_a_cascade_is_trained_goes_on_and_predicts(toys: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    def stop(title: str, done: int) -> None:
        if "cascade" in title and done == 2:
            raise KeyboardInterrupt

    order, whole, cut = Order(Budget(steps=4), ("3d_cascade",), 0), tmp_path / "whole", tmp_path / "cut"
    train_cases(toys, plan, whole, order, QUIET)
    run = read_run(whole)
    assert run.record.trained == {"3d_low": [0, 1], "3d_cascade": [0]}
    with pytest.raises(KeyboardInterrupt):
        train_cases(toys, plan, cut, order, replace(QUIET, on_step=stop))
    assert trained_folds(read_run(cut), "3d_low") == (0, 1)
    assert len(list((cut / "cache" / "3d_cascade").glob(f"*/{FIRST}"))) == 4
    train_cases(toys, plan, cut, order, QUIET, resume=True)
    a, b = (load_file(fold_folder(root, "3d_cascade", 0) / "weights.safetensors") for root in (whole, cut))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not (cut / "cache").exists()
    train_cases(toys, plan, cut, replace(order, fold=None), QUIET, resume=True)
    run = read_run(cut)
    assert run.record.trained["3d_cascade"] == [0, 1]
    written(cut, plan, replace(run.record, chosen=("3d_cascade",)))
    (file,) = predict_images(cut, toys.cases[0].images[0], out=tmp_path / "out", mirror=False, folds=[1], quiet=True)
    assert np.load(file).shape == (18, 20, 22)

"""Training by folds: it learns, it goes on where it stopped, and it keeps the folds apart."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from hyperseg.core import LabelError, RunError, SettingError, SplitError
from hyperseg.core.runtime import Runtime
from hyperseg.io.cases import CaseFolder, open_cases
from hyperseg.losses.dice import DiceCE
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.patches import StoredCase
from hyperseg.medical.plan import Plan
from hyperseg.medical.training import MSD2018
from hyperseg.recipes.segment.caching import cache_cases
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.folder import fold_folder, load_networks, read_run
from hyperseg.recipes.segment.learning import SHORT_STEPS, start_net, steps_in
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.recipes.segment.planning import plan_cases
from hyperseg.recipes.segment.starting import budget_of, plan_of
from hyperseg.recipes.segment.training import Order, train_cases
from hyperseg.recipes.training.nnunet import phase_of

QUIET = Runtime(quiet=True)
PRINTS = {f"c{i}": str(i) for i in range(6)}


def write_case(folder: Path, name: str, image: np.ndarray, labels: np.ndarray) -> None:
    for kind, array in (("images", image.astype(np.float32)), ("labels", labels.astype(np.uint8))):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        np.save(folder / kind / f"{name}.npy", array)


def ball(seed: int, side: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """A ball of class 1 in a ring of class 2, in noise."""
    rng = np.random.default_rng(seed)
    middle, radius = rng.integers(7, side - 7, 3), rng.integers(5, 7)
    far = np.sqrt(((np.stack(np.indices((side,) * 3), -1) - middle) ** 2).sum(-1))
    labels = np.where(far < radius - 2, 1, np.where(far < radius, 2, 0))
    return np.choose(labels, [0, 2, 1]) + 0.4 * rng.normal(size=labels.shape), labels


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> CaseFolder:
    folder = tmp_path_factory.mktemp("toys")
    for i in range(6):
        write_case(folder, f"c{i}", *ball(i))
    return open_cases(folder)


def small(plan: Plan, patch: int = 16) -> Plan:
    """The same plan with networks of a few channels."""

    def smaller(configuration: Configuration) -> Configuration:
        spec = replace(configuration.backbone, widths=(8, 16, 32)[: len(configuration.backbone.widths)])
        return replace(configuration, backbone=spec, patch=(patch,) * configuration.n_axes)

    return replace(plan, configurations=tuple(map(smaller, plan.configurations)))


@pytest.fixture(scope="module")
def plan(toys: CaseFolder) -> Plan:
    return small(plan_cases(toys))


def order(steps: int = 4, fold: int | None = 0, *names: str) -> Order:
    return Order(Budget(steps=steps), names, fold)


def weights(root: Path, name: str = "3d", fold: int = 0) -> dict[str, torch.Tensor]:
    return load_file(fold_folder(root, name, fold) / "weights.safetensors")


def history(root: Path, name: str = "3d", fold: int = 0) -> dict:
    return json.loads((fold_folder(root, name, fold) / "history.json").read_text())


@pytest.fixture(scope="module")
def learnt(toys: CaseFolder, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs") / "run"
    train_cases(toys, plan, root, order(80), QUIET)
    return root


def test_balls_and_rings_are_learnt(learnt: Path, toys: CaseFolder) -> None:
    run = read_run(learnt)
    assert run.record.trained == {"3d": [0]}
    found = history(learnt)
    assert found["patch_dice"][-1] > 0.7
    assert len(found["validated"]) == 10
    assert sorted(found["cases"]) == sorted(run.record.folds[0])
    for name, case in found["cases"].items():
        truth = ball(int(name[1:]))[1]
        for k in (1, 2):
            n = int((truth == k).sum())
            everywhere = 2 * n / (n + truth.size)  # no constant answer has a higher Dice
            assert case["raw"][k - 1] > max(0.4, 4 * everywhere), (name, k)
    assert min(run.record.found["dice"]["3d"]["classes"].values()) > 0.7
    (net,) = load_networks(run, "3d")
    assert not net.training
    assert sorted(p.name for p in learnt.iterdir()) == ["3d", "plan.json", "run.json"]
    files = ["history.json", "slices.npz", "weights.safetensors"]
    assert sorted(p.name for p in fold_folder(learnt, "3d", 0).iterdir()) == files


def test_the_rate_falls_to_nothing_and_losses_fall_too(learnt: Path) -> None:
    losses = history(learnt)["losses"]
    assert set(losses) == {"dice", "cross_entropy"}
    total = np.array(losses["dice"]) + np.array(losses["cross_entropy"])
    assert total[-10:].mean() < total[:10].mean() - 0.5


def test_an_interrupted_training_ends_with_the_same_bytes(toys: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    def stop(title: str, done: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    train_cases(toys, plan, tmp_path / "whole", order(7), QUIET)
    with pytest.raises(KeyboardInterrupt):
        train_cases(toys, plan, tmp_path / "cut", order(7), replace(QUIET, on_step=stop))
    assert list(fold_folder(tmp_path / "cut", "3d", 0).glob("unfinished*"))
    with pytest.raises(RunError, match="was begun with --steps 7"):
        train_cases(toys, plan, tmp_path / "cut", order(8), QUIET, resume=True)
    assert budget_of(tmp_path / "cut", otherwise=Budget(1.0), resume=True) == Budget(steps=7)
    told: list[int] = []
    on = replace(QUIET, on_step=lambda title, done: told.append(done))
    train_cases(toys, plan, tmp_path / "cut", order(7), on, resume=True)
    assert told == [4, 5, 6, 7]
    a, b = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert history(tmp_path / "whole")["losses"] == history(tmp_path / "cut")["losses"]


def test_validation_cases_are_never_learnt_from(toys: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    """The voxels of a fold's cases are changed: not a bit of its weights is."""
    train_cases(toys, plan, tmp_path / "a", order(3), QUIET)
    held_out = read_run(tmp_path / "a").record.folds[0]
    assert held_out
    for i in range(6):
        image, labels = ball(i)
        if f"c{i}" in held_out:
            image, labels = image[::-1] + 3 * labels, labels[:, ::-1]
        write_case(tmp_path / "other", f"c{i}", image, labels)
    train_cases(open_cases(tmp_path / "other"), plan, tmp_path / "b", order(3), QUIET)
    assert read_run(tmp_path / "b").record.folds[0] == held_out
    a, b = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert history(tmp_path / "a")["patch_dice"] != history(tmp_path / "b")["patch_dice"]


def test_all_folds_then_the_better_configuration_or_the_pair(toys: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    train_cases(toys, plan, tmp_path / "run", order(2, None, "2d"), QUIET)
    assert not (tmp_path / "run" / "pairs").exists()
    run = train_cases(toys, plan, tmp_path / "run", order(4, None, "3d"), QUIET, resume=True)
    assert run.record.trained == {"2d": [0, 1, 2, 3, 4], "3d": [0, 1, 2, 3, 4]}
    table = run.record.found["dice"]
    assert [(name, row["cases"]) for name, row in table.items()] == [("2d", 6), ("3d", 6), ("2d + 3d", 6)]
    best = max(table, key=lambda name: table[name]["mean"])
    assert " + ".join(run.record.chosen) == best
    assert run.record.found["kept"]["mean"] >= table[best]["mean"]
    assert read_run(tmp_path / "run").record == run.record


def test_long_trainings_have_the_plans_optimiser_and_schedule(plan: Plan) -> None:
    configuration = plan.configuration("2d")
    net = start_net(case_method(), plan, configuration, QUIET)
    steps = SHORT_STEPS
    phase = phase_of(net, plan, configuration, steps, DiceCE())
    assert isinstance(phase.optimizer, torch.optim.SGD)
    (group,) = phase.optimizer.param_groups
    assert (group["momentum"], group["nesterov"], group["weight_decay"], phase.clip) == (0.99, True, 3e-5, 12.0)
    assert phase.scheduler is not None
    for step in range(steps):
        if step % 500 == 0:
            assert group["lr"] == pytest.approx(1e-2 * (1 - step / steps) ** 0.9)
        phase.optimizer.step()
        phase.scheduler.step()
    assert group["lr"] == pytest.approx(0, abs=1e-8)
    assert not isinstance(phase_of(net, plan, configuration, steps - 1, DiceCE()).optimizer, torch.optim.SGD)


def test_minutes_become_steps(toys: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    configuration = plan.configuration("2d")
    stored = list(cache_cases(toys, plan, configuration, tmp_path / "cache", PRINTS).values())
    net = start_net(case_method(), plan, configuration, QUIET)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    cases = (stored[1:], stored[:1])
    few, many = (steps_in(m, net, case_method(), plan, configuration, *cases, QUIET) for m in (0.0001, 10))
    assert few == 10
    assert many > 100
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_a_plan_for_the_minutes_on_a_cpu(
    toys: CaseFolder, learnt: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hyperseg.medical.networks.measure_pace", lambda n_axes: 1e7)
    made = plan_of(toys, tmp_path / "none", Budget(minutes=2), device="cpu")
    assert made.limit.patience_s == pytest.approx(2 * 60 / 500)
    assert plan_of(toys, tmp_path / "none", Budget(steps=2), device="cpu").limit.patience_s is None
    assert plan_of(toys, learnt, Budget(minutes=2), device="cpu", resume=True) == read_run(learnt).plan


def test_cases_are_prepared_once(toys: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    told: list[int] = []

    def cached(prints: dict[str, str], by: Plan = plan) -> dict[str, StoredCase]:
        where = tmp_path / "cache"
        return cache_cases(toys, by, by.configuration("3d"), where, prints, progress=lambda n, _: told.append(n))

    first = cached(PRINTS)
    assert told == [1, 2, 3, 4, 5, 6]
    again = cached(PRINTS)
    assert len(told) == 6
    assert again == first
    cached(PRINTS | {"c3": "other"})
    assert len(told) == 12, "a file has changed"
    cached(PRINTS | {"c3": "other"}, small(plan, 8))
    assert len(told) == 18, "the plan has changed"


def test_refusals(toys: CaseFolder, plan: Plan, learnt: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    with pytest.raises(SettingError, match=r"fold 5 is unknown: there are 5"):
        train_cases(toys, plan, new, order(1, 5), QUIET)
    with pytest.raises(SettingError, match="no configuration '3d_low', but 2d and 3d"):
        train_cases(toys, plan, new, order(1, 0, "3d_low"), QUIET)
    with pytest.raises(RunError, match="--resume goes on"):
        train_cases(toys, plan, learnt, order(1), QUIET)
    with pytest.raises(RunError, match="another plan"):
        train_cases(toys, small(plan, 8), learnt, order(1), QUIET, resume=True)
    with pytest.raises(RunError, match="other seed"):
        train_cases(toys, plan, learnt, order(1), replace(QUIET, seed=1), resume=True)
    with pytest.raises(SettingError, match="for the channels"):
        train_cases(replace(toys, channels=("T1",)), plan, new, order(1), QUIET)
    no_power = replace(plan.training, schedule=replace(plan.training.schedule, power=None))
    with pytest.raises(SettingError, match=r"sgd: give schedule.epochs and schedule.power"):
        train_cases(toys, replace(plan, training=no_power), new, order(1), QUIET)
    no_plateau = replace(plan.training, optimiser=MSD2018.optimiser)
    with pytest.raises(SettingError, match=r"adam: give schedule.plateau"):
        train_cases(toys, replace(plan, training=no_plateau), new, order(1), QUIET)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(RunError, match="is no run"):
        train_cases(toys, plan, tmp_path / "mine", order(1), QUIET, overwrite=True)
    with pytest.raises(RunError, match="is no run"):
        train_cases(toys, plan, tmp_path / "mine", order(1), QUIET, resume=True)
    assert (tmp_path / "mine" / "letter.txt").exists()
    assert not new.exists()


def test_overwriting_replaces_a_run(toys: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    train_cases(toys, plan, tmp_path / "run", order(1, 0, "2d"), QUIET)
    run = train_cases(toys, plan, tmp_path / "run", order(1, 1, "2d"), QUIET, overwrite=True)
    assert run.record.trained == {"2d": [1]}
    assert sorted(p.name for p in (tmp_path / "run" / "2d").iterdir()) == ["costs.json", "fold1"]


def test_one_case_is_no_cross_validation(toys: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    with pytest.raises(SplitError, match="1 labelled case, two groups at least"):
        train_cases(replace(toys, cases=toys.cases[:1]), plan, tmp_path / "run", order(1), QUIET)


def test_few_groups_are_few_folds(toys: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    cases = tuple(replace(case, group="ab"[i % 2]) for i, case in enumerate(toys.cases))
    run = train_cases(replace(toys, cases=cases), plan, tmp_path / "run", order(1, 0, "2d"), QUIET)
    assert sorted(map(set, run.record.folds), key=min) == [{"c0", "c2", "c4"}, {"c1", "c3", "c5"}]


def test_a_class_in_no_training_case(tmp_path: Path) -> None:
    for i in range(6):
        image, labels = ball(i)
        write_case(tmp_path / "data", f"c{i}", image, np.where(labels == 2, 0, labels) if i else labels)
    folder = open_cases(tmp_path / "data")
    made = small(plan_cases(folder))
    with pytest.raises(LabelError, match=r"fold \d: .* is in no training case: only c0 has it"):
        train_cases(folder, made, tmp_path / "run", order(1, None), QUIET)
    assert not list((tmp_path / "run").glob("3d/*/weights.safetensors"))


@pytest.mark.gpu
def test_on_a_card_it_learns_the_same(toys: CaseFolder, plan: Plan, tmp_path: Path) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    train_cases(toys, plan, tmp_path / "run", order(80), replace(QUIET, device="cuda"))
    found = history(tmp_path / "run")
    assert found["patch_dice"][-1] > 0.7
    assert found["mirrored"]
    on_cpu = tmp_path / "cpu"
    train_cases(toys, plan, on_cpu, order(3), QUIET)
    train_cases(toys, plan, tmp_path / "gpu", order(3), replace(QUIET, device="cuda"))
    first = [history(root)["losses"]["dice"][0] for root in (on_cpu, tmp_path / "gpu")]
    assert first[0] == pytest.approx(first[1], abs=0.05)

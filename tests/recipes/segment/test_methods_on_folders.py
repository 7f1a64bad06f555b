"""Methods other than the planned U-Net on folders: a run, the one beside it, predictions, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from small_cases import corner_boxes, two_levels

from hyperseg.backbone import seeded
from hyperseg.core import RunError, SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.words import listed, thousands
from hyperseg.dpm.masks.codes import MaskCode
from hyperseg.dpm.masks.learning import noisiest_place
from hyperseg.dpm.masks.settings import FeedForwardSettings
from hyperseg.io.cases import CaseFolder
from hyperseg.medical.plan import Plan
from hyperseg.recipes.methods import METHODS, ON_FOLDERS
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.folder import SegmentRun, fold_folder, load_networks, read_run, write_run
from hyperseg.recipes.segment.methods.answers import scores_of
from hyperseg.recipes.segment.methods.beside import about_folds, dice_rows
from hyperseg.recipes.segment.methods.chosen import case_method, methods_on_cases
from hyperseg.recipes.segment.planning import plan_cases
from hyperseg.recipes.segment.predicting import predict_images
from hyperseg.recipes.segment.prediction.cost import Cost
from hyperseg.recipes.segment.reporting.run_page import write_run_page
from hyperseg.recipes.segment.starting import begun_method
from hyperseg.recipes.segment.training import Order, train_cases
from hyperseg.recipes.training.masks.scene import MOST_NOISE

QUIET = Runtime(quiet=True)
FEW = {"samples": "2", "calls": "2"}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> CaseFolder:
    return corner_boxes(tmp_path_factory.mktemp("pictures"), (12, 14), 6)


@pytest.fixture(scope="module")
def plan(pictures: CaseFolder) -> Plan:
    return two_levels(plan_cases(pictures))


def order(steps: int = 3, **more: str) -> Order:
    return Order(Budget(steps=steps), (), 0, method=case_method("medsegdiff", FEW | more))


@pytest.fixture(scope="module")
def drawn(pictures: CaseFolder, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> SegmentRun:
    return train_cases(pictures, plan, tmp_path_factory.mktemp("runs") / "run", order(), QUIET)


def weights(root: Path, name: str = "2d") -> dict[str, torch.Tensor]:
    return load_file(fold_folder(root, name, 0) / "weights.safetensors")


def history(root: Path) -> dict:
    return json.loads((fold_folder(root, "2d", 0) / "history.json").read_text())


def test_what_it_has_to_beat_is_a_run_of_its_own_on_the_same_folds_for_as_many_steps(drawn: SegmentRun) -> None:
    run = read_run(drawn.root)
    (name, other), *more = run.beside.items()
    assert not more
    assert name == other.record.method == "feed-forward"
    assert other.plan == run.plan
    for same in ("folds", "seed", "mirrored", "prints", "folder", "trained"):
        assert getattr(other.record, same) == getattr(run.record, same)
    assert history(run.root)["steps"] == history(other.root)["steps"] == 3
    mine, its = weights(run.root), weights(other.root)
    assert {k: v.shape for k, v in mine.items()} == {k: v.shape for k, v in its.items()}
    assert list(dice_rows(run)) == ["2d, medsegdiff", "2d, feed-forward"]
    page = write_run_page(run).read_text()
    assert "2d, feed-forward" in page
    assert "the same folds, for as many steps" in page
    assert "one answer from one noise" in page
    assert "draw.samples 2" in page
    n = sum(tensor.numel() for tensor in mine.values())
    assert f"{thousands(n)} parameters" in page
    assert n != run.plan.configuration("2d").parameters


def test_on_other_folds_it_tells_dice_of_both_on_those_they_share(drawn: SegmentRun, tmp_path: Path) -> None:
    """The method has a second fold, which is a copy of the first: rows are of other cases, the sentence of the same."""
    shutil.copytree(drawn.root, tmp_path / "run")
    shutil.copytree(fold_folder(drawn.root, "2d", 0), fold_folder(tmp_path / "run", "2d", 1))
    write_run(tmp_path / "run", drawn.plan, replace(drawn.record, trained={"2d": [0, 1]}))
    run = read_run(tmp_path / "run")
    other = beside_of(run)
    (told,) = about_folds(run)
    means = []
    for one in (run, other):
        rows = history(one.root)["cases"].values()
        means.append(f"{np.mean([np.nan if v is None else v for row in rows for v in row['raw']]):.3f}")
    assert f"On fold 0 mean Dice is {means[0]} by medsegdiff, {means[1]} by feed-forward" in told
    assert told in unescape(write_run_page(run).read_text())
    write_run(other.root, other.plan, replace(other.record, trained={}))
    assert "cannot be compared" in about_folds(run)[0]


def test_the_record_holds_the_method_and_all_its_settings(drawn: SegmentRun) -> None:
    method = read_run(drawn.root).method
    assert method.name == "medsegdiff"
    assert method.settings == case_method("medsegdiff", FEW).settings
    assert drawn.beside["feed-forward"].method.settings == FeedForwardSettings()


def test_two_predictions_are_the_same_bytes_and_another_seed_is_another_answer(
    drawn: SegmentRun, pictures: CaseFolder, tmp_path: Path
) -> None:
    def predicted(name: str, **settings: int) -> list[bytes]:
        files = predict_images(
            drawn.root, pictures.root / "images", out=tmp_path / name, device="cpu", settings=settings, quiet=True
        )  # fmt: skip
        return [file.read_bytes() for file in files]

    first = predicted("a")
    assert len(first) == 6
    assert predicted("b") == predicted("c", samples=2) == first
    (net,) = load_networks(drawn, "2d")
    image = np.random.default_rng(0).normal(size=(1, 12, 14)).astype(np.float32)
    a, b, c = (scores(drawn, net, image, seed) for seed in (0, 0, 1))
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


def scores(run: SegmentRun, net: torch.nn.Module, image: np.ndarray, seed: int) -> torch.Tensor:
    method = run.method.drawing({"fusion": "mean"})
    parts = scores_of(method, [net], image, (8, 8), run.plan, mirror=False, seed=seed, device=CPU, cost=Cost())
    return torch.cat(list(parts), 1)


@pytest.mark.parametrize("size", [(5, 6), (8, 8), (5, 21)])
def test_answers_have_the_size_of_the_image_and_are_probabilities(drawn: SegmentRun, size: tuple[int, ...]) -> None:
    (net,) = load_networks(drawn, "2d")
    found = scores(drawn, net, np.random.default_rng(0).normal(size=(1, *size)).astype(np.float32), 0)
    assert found.shape == (2, *size)
    assert torch.allclose(found.sum(0), torch.ones(size), atol=1e-5)


def test_classes_of_a_first_answer_are_channels_of_0_and_1(plan: Plan) -> None:
    """A cascade's image with classes in its last channel is the image with a channel for the foreground class."""
    method, one = case_method("medsegdiff", FEW), plan.configuration("2d")
    one = replace(one, backbone=replace(one.backbone, in_channels=2))
    with seeded(0):
        net = method.build(one, 2).eval()
    rng = np.random.default_rng(0)
    image = np.stack([rng.normal(size=(8, 8)), rng.integers(0, 2, (8, 8))]).astype(np.float32)
    told = {"mirror": False, "seed": 0, "device": CPU, "cost": Cost()}
    a, b = (
        torch.cat(list(scores_of(method, [net], image, (8, 8), plan, classes=on, **told)), 1) for on in (True, False)
    )
    assert torch.equal(a, b)


def test_the_twin_answers_what_its_network_says_of_a_blank_mask(drawn: SegmentRun) -> None:
    other = drawn.beside["feed-forward"]
    (net,) = load_networks(other, "2d")
    image = np.random.default_rng(0).normal(size=(1, 8, 8)).astype(np.float32)
    found = scores_of(other.method, [net], image, (8, 8), other.plan, mirror=False, seed=0, device=CPU, cost=Cost())
    with torch.no_grad():
        said = net.blank(torch.from_numpy(image)[None], noisiest_place(MOST_NOISE))
    assert torch.allclose(torch.cat(list(found), 1), MaskCode(2).logits(said)[0], atol=1e-5)


def test_volumes_are_learnt_and_predicted_by_volumes_and_by_planes(tmp_path: Path) -> None:
    volumes = corner_boxes(tmp_path / "volumes", (9, 12, 10), 6)
    made = two_levels(plan_cases(volumes))
    asked = replace(order(2), configurations=("2d", "3d"), alone=True)
    run = train_cases(volumes, made, tmp_path / "run", asked, QUIET)
    assert run.record.trained == {"2d": [0], "3d": [0]}
    assert run.beside == {}
    for name in ("2d", "3d"):
        (net,) = load_networks(run, name)
        image = np.random.default_rng(0).normal(size=(1, 9, 12, 10)).astype(np.float32)
        parts = scores_of(
            run.method, [net], image, run.plan.configuration(name).patch, run.plan, mirror=True, seed=0, device=CPU,
            cost=Cost(),
        )  # fmt: skip
        assert torch.cat(list(parts), 1).shape == (2, 9, 12, 10)


def test_cases_are_prepared_once_for_all_that_learn_from_them(drawn: SegmentRun) -> None:
    mine, its = (json.loads((root / "2d" / "costs.json").read_text()) for root in (drawn.root, beside_of(drawn).root))
    assert mine["estimate"]["preparing_s"] > 0
    assert its["estimate"]["preparing_s"] == 0
    assert its["preparing"]["seconds"] < mine["preparing"]["seconds"]
    assert not list(drawn.root.rglob("cache"))


def beside_of(run: SegmentRun) -> SegmentRun:
    return run.beside["feed-forward"]


@pytest.mark.parametrize(("says", "calls"), [("x0", 1), ("v", 1), ("eps", 3)])
def test_trainings_are_validated_by_one_call(plan: Plan, says: str, calls: int) -> None:
    """Of noise alone, where the network says the mask; the answer is what it says there."""
    method = case_method("medsegdiff", {"says": says})
    with seeded(0):
        net = method.build(plan.configuration("2d"), 2).eval()
    asked: list[torch.Tensor] = []
    net.register_forward_hook(lambda module, given, answer: asked.append(given[1]))
    found = method.score([net], plan, mirror=False)(torch.zeros(1, 1, 8, 8))
    assert [len(place) for place in asked] == [1] * calls
    assert torch.allclose(found.sum(1), torch.ones(1, 8, 8), atol=1e-5)
    if says == "x0":
        assert torch.allclose(found, torch.full((1, 2, 8, 8), 0.5)), "it says zero at first: both classes alike"


def test_a_setting_brings_along_what_goes_with_it(plan: Plan) -> None:
    for changes in ({"dynamic": False}, {"network.dynamic": "false"}):
        method = case_method("medsegdiff", changes)
        assert not method.settings.network.ff_parser
        method.on.check(plan, method.settings)
    both = case_method("medsegdiff", {"dynamic": False, "ff_parser": True})
    with pytest.raises(SettingError, match="FF-Parser"):
        both.on.check(plan, both.settings)


def test_interrupted_beside_it_a_run_ends_with_the_same_weights(
    pictures: CaseFolder, plan: Plan, drawn: SegmentRun, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        train_cases(pictures, plan, tmp_path / "cut", order(), replace(QUIET, on_step=stop_in(2)))
    assert (tmp_path / "cut" / "cache" / "2d" / "cases.json").exists()
    run = train_cases(pictures, plan, tmp_path / "cut", order(), QUIET, resume=True)
    for a, b in ((drawn, run), (drawn.beside["feed-forward"], run.beside["feed-forward"])):
        mine, its = weights(a.root), weights(b.root)
        assert all(torch.equal(mine[name], its[name]) for name in mine)


def stop_in(training: int) -> Callable[[str, int], None]:
    """Ctrl-C after the second step of that training."""
    begun = 0

    def stop(title: str, done: int) -> None:
        nonlocal begun
        begun += done == 1
        if begun == training and done == 2:
            raise KeyboardInterrupt

    return stop


def test_a_run_goes_on_with_its_method_and_settings_alone(pictures: CaseFolder, plan: Plan, drawn: SegmentRun) -> None:
    with pytest.raises(RunError, match="was begun by medsegdiff, not by unet"):
        train_cases(pictures, plan, drawn.root, replace(order(), method=case_method()), QUIET, resume=True)
    with pytest.raises(RunError, match=r"was begun with draw\.calls=2, not 3"):
        train_cases(pictures, plan, drawn.root, order(calls="3"), QUIET, resume=True)
    assert begun_method(drawn.root, None, {}, resume=True) == drawn.method
    assert begun_method(drawn.root, None, {}, resume=False) == case_method()


def test_refusals_come_before_any_work(pictures: CaseFolder, plan: Plan, drawn: SegmentRun, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=f"cnn3d takes scenes, no folders; {listed(methods_on_cases())} do"):
        case_method("cnn3d")
    with pytest.raises(SettingError, match="no setting named sample"):
        case_method("medsegdiff", {"sample": 3})
    for more, told in (({"sampler": "dddim"}, "dddim"), ({"schedule": "linar"}, "linar")):
        with pytest.raises(SettingError, match=told):
            train_cases(pictures, plan, tmp_path / "run", order(**more), QUIET)
    with pytest.raises(SettingError, match="says of medsegdiff was decided by training"):
        predict_images(drawn.root, pictures.root, out=tmp_path / "out", settings={"says": "eps"}, quiet=True)
    with pytest.raises(SettingError, match="the method unet has no setting named samples"):
        case_method().drawing({"samples": 3})
    assert not list(tmp_path.iterdir())


def test_runs_of_earlier_versions_are_of_the_default_method(drawn: SegmentRun, tmp_path: Path) -> None:
    record = json.loads((drawn.root / "run.json").read_text())
    (tmp_path / "plan.json").write_bytes((drawn.root / "plan.json").read_bytes())
    (tmp_path / "run.json").write_text(json.dumps({k: v for k, v in record.items() if k not in ("method", "settings")}))
    assert read_run(tmp_path).method == case_method()
    (tmp_path / "run.json").write_text(json.dumps(record | {"settings": {"says": "nothing"}}))
    with pytest.raises(RunError, match="damaged: says is one of x0, eps, v"):
        read_run(tmp_path)


def test_the_default_is_among_the_methods_that_take_folders() -> None:
    assert methods_on_cases()[0] == ON_FOLDERS
    assert all(METHODS[name].takes in (set(), {"scene", "images", "volumes"}) for name in methods_on_cases())

"""Tricks before the training: what they leave in the network, what they never look at, and how they go on."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from small_cases import QUIET, beginning, boxes, order, patches, stopped_at, tiny_plan
from torch import Tensor

from hyperseg.core import RunError, SettingError
from hyperseg.core.parts import read_settings, respelt, split_spelling
from hyperseg.io.cases import CaseFolder
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.folder import fold_folder
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.recipes.segment.training import train_cases
from hyperseg.recipes.tricks.pretraining.given_weights import GivenWeights
from hyperseg.recipes.tricks.pretraining.self_supervised import SelfSupervised, parts_of, restore

ENCODER = "encoder."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> CaseFolder:
    return boxes(tmp_path_factory.mktemp("boxes"))


@pytest.fixture(scope="module")
def plan(folder: CaseFolder) -> Plan:
    return tiny_plan(folder)


@pytest.fixture(scope="module")
def plain(folder: CaseFolder, plan: Plan, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs") / "plain"
    train_cases(folder, plan, root, order(4), QUIET)
    return fold_folder(root, "2d", 0) / "weights.safetensors"


@pytest.fixture(scope="module")
def whole(plan: Plan, folder: CaseFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that nothing interrupted."""
    root = tmp_path_factory.mktemp("runs") / "whole"
    train_cases(folder, plan, root, order(4, "self-supervised"), QUIET)
    return root


def weights(root: Path) -> dict[str, Tensor]:
    return load_file(fold_folder(root, "2d", 0) / "weights.safetensors")


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def test_restoring_moves_encoder_and_decoder_and_nothing_else(plan: Plan) -> None:
    here = beginning(plan)
    before = {name: value.clone() for name, value in here.net.state_dict().items()}
    restore(here, SelfSupervised())
    moved = {name for name, value in here.net.state_dict().items() if not torch.equal(value, before[name])}
    learnt = {name for name, _ in here.net.named_parameters() if not name.startswith("heads.")}
    assert learnt <= moved
    assert not any(name.startswith("heads.") for name in moved)


def test_labels_never_reach_the_restoring(plan: Plan) -> None:
    def unlabelled(number: int) -> tuple[Tensor, Tensor]:
        images, classes = patches(number)
        return images, torch.full_like(classes, -1)

    one, other = beginning(plan), beginning(plan, batch=unlabelled)
    for here in (one, other):
        restore(here, SelfSupervised())
    assert same(one.net.state_dict(), other.net.state_dict())


def test_restoring_is_learnt(plan: Plan) -> None:
    """After more steps disturbed patches are nearer to what they were."""
    from hyperseg.backbone import seeded
    from hyperseg.medical.changes.restoring import Disturbance, Restorer, disturbed, restoring_loss

    def left(steps: int) -> float:
        here = beginning(plan, steps=steps)
        restore(here, SelfSupervised(share=1.0, lr=1e-2))
        with seeded(0):
            restorer = Restorer(*parts_of(here.net)).requires_grad_(False)
        restorer.head.requires_grad_(True)
        images, _ = patches(1000)
        features = restorer.decoder(restorer.encoder(disturbed(images, Disturbance(), torch.Generator())))[0].detach()
        columns = torch.cat((features.movedim(1, -1).flatten(0, -2), torch.ones(features[:, 0].numel(), 1)), 1)
        wanted = images.movedim(1, -1).flatten(0, -2)  # the best head there is: the one trained is thrown away
        return float(restoring_loss(columns @ torch.linalg.lstsq(columns, wanted).solution, wanted))

    assert left(60) < 0.8 * left(1)


def test_what_restoring_left_is_kept_until_the_network_is_trained(plan: Plan, tmp_path: Path) -> None:
    """The training begins with exactly the weights on disk; asked again, no step is done again."""
    seen: list[int] = []
    runtime = replace(QUIET, checkpoints=tmp_path / "here", on_step=lambda title, done: seen.append(done))
    first, again = beginning(plan, runtime=runtime), beginning(plan, runtime=runtime)
    restore(first, SelfSupervised(share=0.5))
    assert seen == [1, 2, 3]
    file = runtime.checkpoint("restore")
    assert file is not None
    state = torch.load(file, weights_only=True)["modules"]["restore"]
    assert all(torch.equal(v, state[ENCODER + name]) for name, v in first.net.encoder.state_dict().items())
    restore(again, SelfSupervised(share=0.5))
    assert seen == [1, 2, 3]
    assert same(again.net.state_dict(), first.net.state_dict())


def test_an_interrupted_restoring_ends_with_the_same_bytes(
    plan: Plan, folder: CaseFolder, whole: Path, tmp_path: Path
) -> None:
    root = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        train_cases(folder, plan, root, order(4, "self-supervised"), stopped_at(1, "restoring"))
    assert [path.name for path in fold_folder(root, "2d", 0).glob("*.pt")] == ["unfinished-restore.pt"]
    train_cases(folder, plan, root, order(4, "self-supervised"), QUIET, resume=True)
    assert not list(fold_folder(root, "2d", 0).glob("unfinished*"))
    assert same(weights(root), weights(whole))


@pytest.mark.parametrize("others", [(), ("ensemble-average:2",)])
def test_a_training_that_goes_on_is_not_begun_again(
    plan: Plan, folder: CaseFolder, whole: Path, tmp_path: Path, others: tuple[str, ...]
) -> None:
    """It was stopped within the training itself: the same bytes, and no step of restoring.

    What restoring left is removed: a member of an ensemble has no unfinished training of its own.
    """
    root, seen, chosen = tmp_path / "run", [], order(4, "self-supervised", *others)
    with pytest.raises(KeyboardInterrupt):
        train_cases(folder, plan, root, chosen, stopped_at(2, "fold 0"))
    for file in fold_folder(root, "2d", 0).glob("*restore.pt"):
        file.unlink()
    runtime = replace(QUIET, on_step=lambda title, done: seen.append(title))
    train_cases(folder, plan, root, chosen, runtime, resume=True)
    assert seen
    assert not any("restoring" in title for title in seen)
    assert others or same(weights(root), weights(whole))


def test_a_network_without_one_encoder_is_refused_before_cases_are_prepared(
    plan: Plan, folder: CaseFolder, tmp_path: Path
) -> None:
    with pytest.raises(SettingError, match=r"--trick self-supervised, with the method medsegdiff: .*plain U-Net"):
        train_cases(folder, plan, tmp_path / "run", order(2, "self-supervised", method="medsegdiff"), QUIET)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("file", ["network", "encoder"])
def test_given_weights_are_those_of_the_file(plan: Plan, plain: Path, tmp_path: Path, file: str) -> None:
    """Of a network, and of an encoder saved by itself; the decoder begins as it would without."""
    from hyperseg.backbone import save_encoder
    from hyperseg.backbone.encoder import Encoder

    source = plain
    if file == "encoder":
        encoder = Encoder(plan.configurations[0].backbone)
        encoder.load_state_dict({n.removeprefix(ENCODER): t for n, t in load_file(plain).items() if ENCODER in n})
        source = tmp_path / "encoder.safetensors"
        save_encoder(source, encoder, encoder.spec)
    here = beginning(plan)
    before = {name: value.clone() for name, value in here.net.state_dict().items()}
    method = case_method(tricks=[f"given-weights:file={source}"])
    assert method.begin(here) is None
    given = load_file(plain)
    for name, value in here.net.state_dict().items():
        assert torch.equal(value, given[name] if name.startswith(ENCODER) else before[name])


@pytest.mark.parametrize("others", [(), ("ensemble-vote:2",)])
def test_a_run_begins_with_given_weights(
    plan: Plan, folder: CaseFolder, plain: Path, tmp_path: Path, others: tuple[str, ...]
) -> None:
    """It ends elsewhere than without; the file is needed to begin, not to go on or to be read again."""
    source = tmp_path / "a=b:c, d.safetensors"
    shutil.copy(plain, source)
    chosen = order(4, f"given-weights:file={source}", *others)
    with pytest.raises(KeyboardInterrupt):
        train_cases(folder, plan, tmp_path / "run", chosen, stopped_at(2, "fold 0"))
    source.unlink()
    run = train_cases(folder, plan, tmp_path / "run", chosen, QUIET, resume=True)
    assert run.method.tricks[0] == f"given-weights:file={source}"
    assert not same(weights(tmp_path / "run"), load_file(plain))
    with pytest.raises(RunError, match="does not exist"):
        train_cases(folder, plan, tmp_path / "other", chosen, QUIET)
    assert not (tmp_path / "other").exists()


def test_weights_that_do_not_fit_are_refused_before_cases_are_prepared(
    folder: CaseFolder, plan: Plan, plain: Path, tmp_path: Path
) -> None:
    def refused(file: Path, by: Plan = plan) -> str:
        with pytest.raises(RunError) as caught:
            train_cases(folder, by, tmp_path / "run", order(2, f"given-weights:{file}"), QUIET)
        assert not (tmp_path / "run").exists()
        assert str(file) in str(caught.value)
        return str(caught.value)

    wide = refused(plain, tiny_plan(folder, (5, 6)))
    assert "stages.0.blocks.0.conv.layer.weight has shape (4, 1, 3, 3), expected (5, 1, 3, 3)" in wide
    assert "expected (5,)" in wide
    assert "other difference" in wide
    assert "missing encoder.stages.2" in refused(plain, tiny_plan(folder, (4, 6, 8)))
    (tmp_path / "text.safetensors").write_text("no weights")
    assert "is not a whole safetensors file" in refused(tmp_path / "text.safetensors")
    save_file({"head.weight": torch.zeros(2)}, tmp_path / "head.safetensors")
    assert "holds no encoder" in refused(tmp_path / "head.safetensors")


@pytest.mark.parametrize(
    "file",
    [
        "w.safetensors",
        "C:/a=b/w.safetensors",
        "a, b,c.safetensors",
        "runs:2/x.safetensors",
        "/a,,b/w",
        "/a/b,c=d/w",
        "x,",
    ],
)
def test_any_path_can_be_spelled(file: str) -> None:
    chosen = GivenWeights(file)
    name, words = split_spelling(respelt("given-weights", chosen))
    assert name == "given-weights"
    assert read_settings(GivenWeights, words, name) == chosen


def test_the_file_has_to_be_told() -> None:
    with pytest.raises(SettingError, match="given-weights lacks file"):
        case_method(tricks=["given-weights"])

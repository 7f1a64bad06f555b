"""Images made by a GAN in a training: what it learns from, what it does to a batch, and how it goes on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from small_cases import CHANNELS, QUIET, beginning, boxes, order, patches, stopped_at, tiny_plan
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.io.cases import CaseFolder
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.folder import fold_folder
from hyperseg.recipes.segment.methods.chosen import case_method
from hyperseg.recipes.segment.training import train_cases
from hyperseg.recipes.tricks.augmentation.gan import GanAugmentation, made_by, trained_generator

TRICK = "gan-augmentation:share=1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> CaseFolder:
    return boxes(tmp_path_factory.mktemp("boxes"))


@pytest.fixture(scope="module")
def plan(folder: CaseFolder) -> Plan:
    return tiny_plan(folder)


@pytest.fixture(scope="module")
def whole(plan: Plan, folder: CaseFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that nothing interrupted."""
    root = tmp_path_factory.mktemp("runs") / "whole"
    train_cases(folder, plan, root, order(4, TRICK), QUIET)
    return root


def weights(root: Path) -> dict[str, Tensor]:
    return load_file(fold_folder(root, "2d", 0) / "weights.safetensors")


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(value, other[name]) for name, value in one.items())


def test_a_batch_has_made_images_and_its_own_labels(plan: Plan) -> None:
    change = case_method(tricks=["gan-augmentation:p=1"]).begin(beginning(plan, steps=2))
    assert change is not None
    images, classes = patches(7)
    found, kept = change(images, classes)
    assert kept is classes
    assert found.shape == images.shape
    assert (found != images).flatten(1).any(1).all()
    generator = trained_generator(beginning(plan, steps=2), GanAugmentation())
    assert made_by(generator, 0.0)(images, classes) == (images, classes)


def test_the_network_itself_is_left_alone(plan: Plan) -> None:
    here = beginning(plan, steps=2)
    before = {name: value.clone() for name, value in here.net.state_dict().items()}
    trained_generator(here, GanAugmentation())
    assert same(here.net.state_dict(), before)


def test_it_learns_what_a_class_looks_like_from_the_patches_of_the_fold_alone(plan: Plan) -> None:
    """Boxes are about 2, what is around them about 0; every patch asked for is one of a training."""
    asked: list[int] = []

    def batch(number: int) -> tuple[Tensor, Tensor]:
        asked.append(number)
        return patches(number)

    generator = trained_generator(beginning(plan, steps=60, batch=batch), GanAugmentation(share=1.0))
    assert asked == list(range(60))
    torch.manual_seed(0)
    images, classes = patches(1000)
    made, _ = made_by(generator, 1.0)(images, classes)
    box, around = made[:, 0][classes == 1].mean(), made[:, 0][classes == 0].mean()
    assert box - around > 1
    assert made.shape[1] == CHANNELS


def test_a_generator_that_is_on_disk_is_not_trained_again(plan: Plan, tmp_path: Path) -> None:
    seen: list[int] = []
    runtime = replace(QUIET, checkpoints=tmp_path / "here", on_step=lambda title, done: seen.append(done))
    first, again = (trained_generator(beginning(plan, runtime=runtime), GanAugmentation()) for _ in range(2))
    assert seen == [1, 2, 3]
    assert same(first.state_dict(), again.state_dict())
    assert not any(weight.requires_grad for weight in again.parameters())


@pytest.mark.parametrize("word", ["GAN", "fold 0"])
def test_an_interrupted_training_ends_with_the_same_bytes(
    plan: Plan, folder: CaseFolder, whole: Path, tmp_path: Path, word: str
) -> None:
    """Stopped while the GAN was trained, or the network."""
    with pytest.raises(KeyboardInterrupt):
        train_cases(folder, plan, tmp_path / "cut", order(4, TRICK), stopped_at(2, word))
    train_cases(folder, plan, tmp_path / "cut", order(4, TRICK), QUIET, resume=True)
    assert same(weights(whole), weights(tmp_path / "cut"))
    assert not list(fold_folder(tmp_path / "cut", "2d", 0).glob("unfinished*"))


def test_probabilities_and_lengths_have_bounds() -> None:
    for spelled in ("p=0", "p=1.5", "share=0"):
        with pytest.raises(SettingError, match=spelled.partition("=")[0]):
            case_method(tricks=[f"gan-augmentation:{spelled}"])

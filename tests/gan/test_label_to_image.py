"""Images from maps of classes: what the networks see, what the game weighs, and which images are replaced."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hyperseg.backbone import seeded
from hyperseg.gan.label_to_image import Critic, ImageGame, LabelToImage, Told, noise_for, planes_of, with_made

SIZES = [(9, 11), (5, 8, 6)]
K = 3


def numbers(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def classes_of(size: tuple[int, ...], n: int = 4) -> Tensor:
    return torch.randint(-1, K, (n, *size), generator=numbers())


def sides(n_axes: int, channels: int = 2) -> tuple[LabelToImage, Critic]:
    with seeded(0):
        return LabelToImage(n_axes, K, channels), Critic(n_axes, K, channels)


def test_every_voxel_has_one_plane_and_unknown_ones_their_own() -> None:
    classes = torch.tensor([[[0, 2, -1]]])
    wanted = torch.tensor([[1, 0, 0], [0, 0, 0], [0, 1, 0], [0, 0, 1]]).float()
    assert torch.equal(planes_of(classes, K)[0, :, 0], wanted)
    assert torch.equal(planes_of(classes_of(SIZES[1]), K).sum(1), torch.ones(4, *SIZES[1]))


@pytest.mark.parametrize("size", SIZES)
def test_images_have_the_size_of_their_classes_and_follow_classes_and_noise(size: tuple[int, ...]) -> None:
    generator, critic = sides(len(size))
    classes = classes_of(size)
    made, same, other = (generator(classes, noise_for(classes, numbers(seed))) for seed in (1, 1, 2))
    assert made.shape == (4, 2, *size)
    assert torch.equal(made, same)
    assert not torch.equal(made, other)
    assert not torch.equal(made, generator((classes + 1) % K, noise_for(classes, numbers(1))))
    assert critic(made, classes).shape[:2] == (4, 1)


def test_an_image_does_not_depend_on_others_of_its_batch() -> None:
    generator, _ = sides(2)
    classes = classes_of(SIZES[0])
    noise = noise_for(classes, numbers())
    together = generator(classes, noise)
    alone = torch.cat([generator(classes[i : i + 1], noise[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(together, alone)


def test_noise_is_standard_normal_and_its_tone_is_the_same_everywhere() -> None:
    noise = noise_for(torch.zeros(500, 6, 7, dtype=torch.long), numbers())
    assert noise.mean().abs() < 0.1
    assert (noise.std((0, 2, 3)) - 1).abs().max() < 0.1
    assert (noise[:, 2:].std((2, 3)) == 0).all()
    assert (noise[:, :2].std((2, 3)) > 0).all()


def test_the_terms_are_those_of_a_critic_that_knows_nothing() -> None:
    """Log odds 0: both of its terms and the generator's are log 2; likeness is the mean absolute difference."""
    generator, _ = sides(2)
    classes = classes_of(SIZES[0])
    noise = noise_for(classes, numbers())
    game = ImageGame(generator, lambda images, classes: torch.zeros(len(images), 1, 3, 3), likeness=2.0)
    told = Told(generator(classes, noise).detach() + 0.25, classes, noise)
    wanted = {"real": math.log(2), "made": math.log(2), "fool": math.log(2), "likeness": 0.5}
    found = game.judge(told) | game.make(told)
    assert {name: float(value.detach()) for name, value in found.items()} == pytest.approx(wanted, rel=1e-4)


def test_the_critic_teaches_the_generator_and_is_not_taught_by_it() -> None:
    generator, critic = sides(2)
    classes = classes_of(SIZES[0])
    told = Told(torch.randn(4, 2, *SIZES[0], generator=numbers()), classes, noise_for(classes, numbers()))
    game = ImageGame(generator, critic, likeness=0.0)
    sum(game.judge(told).values(), torch.zeros(())).backward()
    assert all(weight.grad is None for weight in generator.parameters())
    game.make(told)["fool"].backward()
    assert any(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in generator.parameters())


def replaced(images: Tensor, p: float, seed: int = 0) -> Tensor:
    generator, _ = sides(2)
    torch.manual_seed(seed)
    return with_made(images, torch.zeros(len(images), *SIZES[0], dtype=torch.long), generator, p)


def test_none_or_all_images_are_replaced_and_further_channels_stay() -> None:
    images = torch.randn(6, 3, *SIZES[0], generator=numbers())
    before = images.clone()
    assert replaced(images, 0.0) is images
    every = replaced(images, 1.0)
    assert torch.equal(images, before)
    assert (every[:, :2] != images[:, :2]).flatten(1).any(1).all()
    assert torch.equal(every[:, 2:], images[:, 2:])
    assert not every.requires_grad


def test_each_image_is_replaced_with_the_same_probability_and_the_others_stay_bit_for_bit() -> None:
    n, p = 400, 0.2
    images = torch.randn(n, 2, *SIZES[0], generator=numbers())
    changed = (replaced(images, p) != images).flatten(1)
    assert (changed.all(1) == changed.any(1)).all()
    assert abs(int(changed.any(1).sum()) - n * p) < 4 * math.sqrt(n * p * (1 - p))
    assert torch.equal(replaced(images, p, 1), replaced(images, p, 1))

"""The aim of a student: its one step is the teacher's several."""

from itertools import pairwise

import torch
from torch import Tensor

from hyperseg.dpm.denoise import Denoise, Prediction, per_sample
from hyperseg.dpm.faster.distil import distance
from hyperseg.dpm.faster.target import step, wanted
from hyperseg.dpm.grid import make_grid
from hyperseg.dpm.schedules.cosine import COSINE

SPREAD = 0.5


def gaussian(x: Tensor, sigma: Tensor) -> Prediction:
    """The exact denoiser of data N(0, SPREAD^2)."""
    return Prediction(SPREAD**2 / (SPREAD**2 + per_sample(sigma, x) ** 2) * x)


def clipped(x: Tensor, sigma: Tensor) -> Prediction:
    return Prediction(gaussian(x, sigma).x0.clamp(-0.3, 0.3))


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def follow(denoise: Denoise, x: Tensor, levels: Tensor) -> Tensor:
    """A teacher's DDIM steps through levels (k + 1, B)."""
    for now, then in pairwise(levels):
        x = step(x, denoise(x, now).x0, now, then)
    return x


def levels_of(steps: int, follows: int) -> Tensor:
    """(follows + 1, steps) levels of all the student's steps at once."""
    sigmas = make_grid(COSINE, steps * follows, "trailing").sigmas
    return torch.stack([sigmas[i : len(sigmas) - follows + i : follows] for i in range(follows + 1)])


def test_a_student_at_its_target_makes_the_teachers_two_steps() -> None:
    levels = levels_of(4, 2)
    x = per_sample(levels[0], torch.empty(1, 1, 1, 1)) * noise(4, 3, 5, 7)
    reached = follow(gaussian, x, levels)
    aim = wanted(x, reached, levels[0], levels[2])
    assert levels[2, -1] == 0  # the last step ends at clean data
    torch.testing.assert_close(step(x, aim, levels[0], levels[2]), reached, rtol=1e-12, atol=1e-12)


def test_the_target_is_the_papers() -> None:
    """(z'' - (s'' / s) z) / (a'' - (s'' / s) a) in the coordinates z = a x of the process."""
    levels = levels_of(8, 2)[:, :-1]
    times = COSINE.time(levels)
    a, s = COSINE.alpha(times), COSINE.std(times)
    x = levels[0, :, None] * noise(7, 2)
    reached = follow(gaussian, x, levels)
    z, then, ratio = a[0, :, None] * x, a[2, :, None] * reached, (s[2] / s[0])[:, None]
    aim = (then - ratio * z) / (a[2, :, None] - ratio * a[0, :, None])
    torch.testing.assert_close(wanted(x, reached, levels[0], levels[2]), aim, rtol=1e-9, atol=1e-9)


def test_the_target_keeps_to_the_teachers_bounds() -> None:
    levels = levels_of(4, 2)
    x = levels[0, :, None] * noise(4, 500)
    assert wanted(x, follow(clipped, x, levels), levels[0], levels[2]).abs().max() <= 0.3 + 1e-9


def test_many_steps_of_the_teacher_are_the_exact_jump() -> None:
    """The probability-flow equation keeps x / sqrt(spread^2 + sigma^2): the error of k steps falls like 1 / k."""
    x, errors = noise(1, 9), []
    for follows in (50, 100, 200):
        sigmas = torch.cat([torch.logspace(0.5, -3, follows, dtype=torch.float64), torch.zeros(1).double()])
        exact = SPREAD / (SPREAD**2 + sigmas[0] ** 2).sqrt() * x
        errors.append(float((wanted(x, follow(gaussian, x, sigmas[:, None]), *sigmas[[0, -1], None]) - exact).norm()))
    for before, after in pairwise(errors):
        assert 1.8 < before / after < 2.2


def test_a_perfect_student_has_no_loss() -> None:
    levels = levels_of(4, 2)
    x = levels[0, :, None] * noise(4, 6)
    aim = wanted(x, follow(gaussian, x, levels), levels[0], levels[2])
    assert distance(aim, aim).eq(0).all()
    assert distance(gaussian(x, levels[0]).x0, aim).gt(0).all()  # the teacher itself is not perfect


def test_who_cannot_tell_two_ends_apart_says_one_of_them() -> None:
    """Of what is asked for 7 times in 10, the smallest mean distance is there; of the square it is between."""
    aims = torch.tensor([1.0] * 7 + [-1.0] * 3)[:, None]
    said = torch.linspace(-1, 1, 201)
    means = torch.stack([distance(one.expand_as(aims), aims).mean() for one in said])
    assert float(said[means.argmin()]) == 1.0

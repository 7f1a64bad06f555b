"""Masks drawn for an image of any size: windows see one state, which is stepped as a whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from math import prod

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Prediction
from hyperseg.dpm.grid import Grid, start_level
from hyperseg.dpm.masks.model import MaskModel
from hyperseg.dpm.masks.settings import DrawSettings
from hyperseg.dpm.masks.steps import MeanOfSteps
from hyperseg.dpm.masks.windows import Sight
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.samplers.sampler import Sample
from hyperseg.dpm.schedules.schedule import Schedule
from hyperseg.engine.device import full_float32

TOGETHER = 2**25  # probabilities of all samples that are drawn together (256 MiB)
Noise = Callable[[int], Tensor]
Done = Callable[[int, int], None]
Watch = Callable[[int, Tensor], None]


def check_draw(how: DrawSettings, schedule: Schedule) -> tuple[Sample, Grid, int]:
    """The sampler, the noise levels it visits, and how many network calls a mask takes.

    Raises:
        SettingError: a sampler that is unknown, lacks its package, or asks for more than masks are told; too few calls,
            or more steps than the schedule has.
    """
    sampler = SAMPLERS[how.sampler]
    sampler.check()
    if sampler.sample is None or sampler.needs is not None:
        lacks = "a network with a further head" if sampler.needs else "to be fitted to data"
        raise SettingError(f"masks cannot be drawn by {how.sampler}, which needs {lacks}: take {SAMPLERS.default}.")
    grid = sampler.grid(schedule, how.calls)
    return sampler.sample, grid, sampler.nfe(grid.steps)


def normal_noise(seed: int, channels: int, size: Sequence[int]) -> Noise:
    """Number of a sample -> (M, *S) standard normal noise, drawn on the CPU: the same for all devices."""

    def noise(number: int) -> Tensor:
        generator = torch.Generator().manual_seed((seed * 1_000_003 + number) % 2**63)
        return torch.randn(channels, *size, generator=generator)

    return noise


def draw_masks(
    model: MaskModel, image: Tensor, patch: Sequence[int], how: DrawSettings, *, noise: Noise,
    device: torch.device | str, mirror: bool = False, done: Done | None = None, watch: Watch | None = None,
) -> Iterator[Tensor]:  # fmt: skip
    """Draw `how.samples` masks, one after the other (drawn together as memory allows).

    Args:
        image: (C, *S) float32; one axis more than the patch for a volume of planes.
        patch: sides of a window. Windows overlap and their predictions of the mask are blended at every step, on one
            noise field, so that no sample has seams; an image that one patch holds is one window.
        noise: number of a sample -> (M, *S) standard normal noise it starts from: the same noise, the same mask, as
            what a sampler adds on the way is drawn from a generator that it seeds.
        mirror: predictions are averaged over mirror images, at every step.
        done: told how many network calls (of some windows, for a batch of samples) of how many are done.
        watch: told the number of a network call, from 0, and the (r, M, *S) clean masks that are predicted there.

    Yields:
        (K, *S) float32 probabilities, on the device; with the rule "steps" those of all steps of a sample, weighted by
        their certainty, see `MeanOfSteps`.

    Raises:
        SettingError: see `check_draw`, or an image with values that are not finite; before any work.
    """
    sample, grid, calls = check_draw(how, model.schedule)
    if not bool(image.isfinite().all()):
        raise SettingError("the image holds NaN or infinity: fill these pixels, with 0 where images are standardised.")
    counted = count(1)

    def called() -> None:
        if done is not None:
            done(next(counted), len(groups) * calls * sight.calls)

    sight = Sight(model, image, patch, samples=how.samples, device=device, mirror=mirror, called=called)
    together = min(sight.together, max(1, TOGETHER // (model.code.n_classes * prod(image.shape[1:]))))
    groups = [range(a, min(a + together, how.samples)) for a in range(0, how.samples, together)]

    def drawn(numbers: range) -> Tensor:
        """(r, K, *S) probabilities of some samples."""
        fields = [noise(number) for number in numbers]
        generators = [torch.Generator(device).manual_seed(_seed(one)) for one in fields]
        x = start_level(grid) * torch.stack(fields).to(device, torch.float64)
        mean = MeanOfSteps(model.code, calls) if how.fusion == "steps" else None
        step = count()

        def denoise(x: Tensor, sigma: Tensor) -> Prediction:
            said = sight(x, sigma)
            if watch is not None:
                watch(next(step), said.x0)
            if mean is not None:
                mean.add(said.x0)
            return said

        x0 = sample(denoise, x, grid.to(device), generator=generators).x
        return (model.code.probabilities(x0) if mean is None else mean.probabilities()).float()

    def each() -> Iterator[Tensor]:
        for numbers in groups:
            with full_float32(device), torch.no_grad():
                found = drawn(numbers)
            yield from found

    return each()


def _seed(noise: Tensor) -> int:
    """Of what is added on the way: another one for every noise that a mask starts from."""
    some = noise.flatten()[:256].double().cpu().numpy()
    return int.from_bytes(hashlib.blake2b(some.tobytes(), digest_size=7).digest())

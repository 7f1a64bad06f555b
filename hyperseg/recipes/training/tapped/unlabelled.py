"""What is learnt of a scene without its labels: what a denoiser reads, and the denoiser itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task
from hyperseg.data.patches import PatchSource
from hyperseg.data.preprocess import Preprocess, fit_preprocess, gather_spectra
from hyperseg.dpm.batches import Batch, terms_of
from hyperseg.dpm.objectives import OBJECTIVES
from hyperseg.dpm.objectives.objective import Objective
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.schedules.schedule import Schedule
from hyperseg.engine import Ema, History
from hyperseg.engine.one_cycle import one_cycle, step_generator, train
from hyperseg.recipes.training.gan import pool_of
from hyperseg.recipes.training.tapped.network import TappedNet
from hyperseg.regions.mnf import fit_mnf

if TYPE_CHECKING:
    from hyperseg.recipes.methods.diffusion.denoiser_head import DenoiseSettings

Drawn = tuple[Tensor, Tensor, Tensor]


def components_of(task: Task, n: int) -> Preprocess:
    """Raw spectra -> at most n minimum noise fractions, those of most signal first, with one scale for all of them.

    They are learnt from the pixels of the pool of the first scene, without labels. Together they have a mean square of
    1, and keep their ratios: the noise of each is as large as that of the others, so that noise that is added to all
    alike hides what is hardly more than noise first. Where too few pixels lie side by side to tell noise from signal
    they are principal components.
    """
    scene = task.scenes[0]
    pool = task.looked_at[0]
    found = fit_mnf(scene.with_(valid=pool), n)
    spectra = gather_spectra(scene, pool)
    if found is None:
        bands = fit_preprocess(spectra, good_bands=scene.good_bands)
        found_n = min(n, bands.n_out, len(spectra) - 1)
        return fit_preprocess(spectra, good_bands=scene.good_bands, n_components=found_n) if found_n else bands
    made, ratios = found
    scale = max(float(ratios.mean()), float(np.finfo(np.float32).tiny)) ** 0.5
    assert made.components is not None
    return replace(made, components=(made.components / scale).astype(np.float32))


def objective_of(name: str, schedule: str | None) -> tuple[Objective, Schedule]:
    """An objective, and the schedule it is trained in."""
    objective: Objective = OBJECTIVES[name]
    return objective, objective.schedule if schedule is None else SCHEDULES[schedule]


def learn_denoiser(
    task: Task, net: TappedNet, preprocess: Preprocess, chosen: DenoiseSettings, runtime: Runtime, *, name: str,
    title: str,
) -> History | None:  # fmt: skip
    """Train the denoiser of a network in place on windows around the pixels of the pool; labels are not looked at.

    Windows lie around any of these pixels, in any of eight orientations, and get noise of any time: no window is
    stored.

    Returns:
        Its losses; None where it is to have no step, so that its weights are those it was built with.
    """
    if not chosen.steps:
        return None
    denoiser = net.denoiser.to(runtime.device)
    objective, schedule = objective_of(chosen.objective, chosen.schedule)
    draw, make = noisy_windows(task, net.spec.window, preprocess, chosen.batch, objective, schedule, runtime)
    lost = terms_of(denoiser, objective.loss(schedule, objective.predicts))
    phase = one_cycle(
        "denoiser", lambda batch: {of: term.mean() for of, term in lost(batch).items()}, denoiser.parameters(),
        steps=chosen.steps, lr=chosen.lr, weight_decay=chosen.weight_decay,
    )  # fmt: skip
    return train(
        [phase], draw, chosen.steps, modules={"denoiser": denoiser},
        averages={"denoiser": Ema(denoiser, decay=chosen.average)}, runtime=runtime, name=name, title=title, make=make,
    )  # fmt: skip


def noisy_windows(
    task: Task, window: int, preprocess: Preprocess, batch: int, objective: Objective, schedule: Schedule,
    runtime: Runtime,
) -> tuple[Callable[[int], Drawn], Callable[[Drawn], Batch]]:  # fmt: skip
    """What is drawn in a step, a pure function of (seed, step), and the windows with noise that are made of it."""
    cubes = [scene.features(preprocess) for scene in task.scenes]
    source = PatchSource(cubes, radius=window // 2, layout="channels", device=runtime.device)
    places = torch.from_numpy(pool_of(task)).to(source.device)

    def draw(step: int) -> Drawn:
        generator = step_generator(runtime.seed, step)
        chosen = torch.randint(0, len(places), (batch,), generator=generator)
        turns = torch.randint(0, source.orientations, (batch,), generator=generator)
        within = torch.rand(batch, generator=generator, dtype=torch.float64)
        return chosen, turns, (torch.arange(batch) + within) / batch

    def make(drawn: Drawn) -> Batch:
        chosen, turns, quantile = drawn
        x0 = source.gather(places[chosen], turns).contiguous()
        return Batch(x0, torch.randn_like(x0), objective.times(schedule, quantile), quantile, None, None)

    return draw, make

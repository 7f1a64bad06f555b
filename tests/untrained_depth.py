"""A run of depth that nobody trained, for tests of what is done with runs: small networks of random weights."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from hyperseg.backbone import seeded
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import Denoiser, DenoiserSpec
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.stored import write_model
from hyperseg.recipes.depth.folder import (
    DENOISER,
    JUDGE,
    PRIOR,
    ROOMS,
    DepthRun,
    Record,
    new_heads,
    picture_spec,
    prior_spec,
    write_heads,
    write_run,
)
from hyperseg.recipes.depth.judge_networks import DepthCoder, DepthNetwork, JudgeSpec
from hyperseg.recipes.depth.judging import DepthJudge
from hyperseg.recipes.depth.settings import DepthSettings, HeadsSettings, NetworkSettings, PriorSettings

SMALL = DepthSettings(
    size=16, pictures=8, labelled=4, held_out=2, denoiser=NetworkSettings(width=8, stages=3),
    heads=HeadsSettings(hidden=(8,)), prior=PriorSettings(width=8, stages=2),
)  # fmt: skip


def untrained_run(root: Path, *, prior: bool = True, judge: float | None = 0.97) -> DepthRun:
    """Write one.

    Args:
        prior: with a prior of depth maps.
        judge: the delta1 that its judge says of itself; None for none.
    """
    settings = SMALL if prior else DepthSettings(**{**vars(SMALL), "prior": PriorSettings(width=8, stages=2, steps=0)})
    run = write_run(root, Record(ROOMS, 0, settings))
    write_model(root / DENOISER, _model(picture_spec(settings), 1))
    write_heads(run, *new_heads(settings, 2))
    if prior:
        write_model(root / PRIOR, _model(prior_spec(settings), 3))
    if judge is not None:
        spec = JudgeSpec(settings.size, 1.0, 10.0, (8, 8), (8, 8))
        with seeded(4):
            networks = DepthNetwork(spec).eval(), DepthCoder(spec).eval()
        DepthJudge(spec, *networks, judge, 0.05).write(root / JUDGE)
    return run


def _model(spec: DenoiserSpec, seed: int) -> DiffusionModel:
    with seeded(seed):
        return DiffusionModel(stirred(Denoiser(spec)), spec, SCHEDULES["linear"], "eps", clip=1.0)


def stirred(network: Denoiser) -> Denoiser:
    """With noise on its weights: as built, a denoiser says 0 of everything."""
    with torch.no_grad():
        for weights in network.parameters():
            weights.add_(0.1 * torch.randn_like(weights))
    found: nn.Module = network.eval()
    assert isinstance(found, Denoiser)
    return found

"""Schedulers of diffusers that go by the steps of a process."""

from __future__ import annotations

from hyperseg.dpm.samplers.diffusers.adapter import PACKAGE, SAME, from_diffusers
from hyperseg.dpm.samplers.diffusers.telling import (
    by_process,
    by_process_ending_in_data,
    by_process_twice,
    by_schedule,
)  # fmt: skip
from hyperseg.dpm.samplers.sampler import Sampler

DISTILLED = "training schedule: distillation"
STUDENTS = "is for networks that were distilled for it"

DDIM = Sampler(
    "diffusers-ddim", from_diffusers("DDIMScheduler", by_process, scaled=True),
    family="training-free sampling: implicit", source="Song et al., ICLR 2021", order=1, aside=SAME, package=PACKAGE,
)  # fmt: skip
DDPM = Sampler(
    "diffusers-ddpm", from_diffusers("DDPMScheduler", by_process_ending_in_data, scaled=True, noisy=True),
    family="ancestral sampling", source="Ho et al., NeurIPS 2020", aside=SAME, package=PACKAGE,
)  # fmt: skip
PNDM = Sampler(
    "pndm", from_diffusers("PNDMScheduler", by_process_twice, scaled=True), family="training-free sampling: solvers",
    source="Liu et al., ICLR 2022", saved=-1, least=2, order=2, package=PACKAGE,
    memory=True,
)  # fmt: skip
LCM = Sampler(
    "lcm", from_diffusers("LCMScheduler", by_schedule, scaled=True, noisy=True), family=DISTILLED,
    source="Luo et al., 2023", on_steps=True,
    aside=STUDENTS, package=PACKAGE,
)  # fmt: skip
TCD = Sampler(
    "tcd", from_diffusers("TCDScheduler", by_schedule, scaled=True, noisy=True), family=DISTILLED,
    source="Zheng et al., 2024", on_steps=True,
    aside=STUDENTS, package=PACKAGE,
)  # fmt: skip

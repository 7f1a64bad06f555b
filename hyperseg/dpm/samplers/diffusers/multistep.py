"""Schedulers of diffusers that go by noise levels and remember earlier answers."""

from __future__ import annotations

from torch import Tensor

from hyperseg.dpm.samplers.diffusers.adapter import PACKAGE, SAME, from_diffusers
from hyperseg.dpm.samplers.diffusers.telling import by_level, by_number
from hyperseg.dpm.samplers.sampler import Sampler

SOLVERS = "training-free sampling: solvers"
IMPLICIT = "training-free sampling: implicit"
SIGMA_DATA = 0.5  # what the scheduler for EDM's mixture assumes


def mixture_of(x: Tensor, x0: Tensor, sigma: float) -> Tensor:
    """What a network of EDM's mixture would say for x0 to come out of it."""
    total = sigma**2 + SIGMA_DATA**2
    return (x0 - SIGMA_DATA**2 / total * x) * total**0.5 / (sigma * SIGMA_DATA)


def noise_share(level: float) -> float:
    """Where SA-Solver adds noise: at full strength between two levels, none beyond (our reconstruction)."""
    return float(0.05 <= level <= 1)


DEIS = Sampler(
    "deis", from_diffusers("DEISMultistepScheduler", by_level, scaled=True, finish=True, solver_order=3),
    family=IMPLICIT, source="Zhang & Chen, ICLR 2023", order=2, package=PACKAGE, memory=True,
)  # fmt: skip
UNIPC = Sampler(
    "unipc", from_diffusers("UniPCMultistepScheduler", by_level, scaled=True), family=SOLVERS,
    source="Zhao et al., NeurIPS 2023", order=2, package=PACKAGE, memory=True,
)  # fmt: skip
MULTISTEP = Sampler(
    "diffusers-dpmpp-2m", from_diffusers("DPMSolverMultistepScheduler", by_level, scaled=True), family=SOLVERS,
    source="Lu et al., 2022 (DPM-Solver++)", order=2, aside=SAME, package=PACKAGE, memory=True,
)  # fmt: skip
MULTISTEP_SDE = Sampler(
    "dpmpp-2m-sde",
    from_diffusers(
        "DPMSolverMultistepScheduler", by_level, scaled=True, noisy=True, algorithm_type="sde-dpmsolver++",
    ), family=SOLVERS, source="Lu et al., 2022 (DPM-Solver++)", package=PACKAGE, memory=True,
)  # fmt: skip
EDM_DPM = Sampler(
    "edm-dpm", from_diffusers("EDMDPMSolverMultistepScheduler", by_level, scaled=False, answer=mixture_of),
    family=SOLVERS, source="Lu et al., 2022; Karras et al., NeurIPS 2022", order=2, package=PACKAGE, memory=True,
)  # fmt: skip
SA_SOLVER = Sampler(
    "sa-solver",
    from_diffusers("SASolverScheduler", by_level, scaled=True, noisy=True, finish=True, tau_func=noise_share),
    family=SOLVERS, source="Xue et al., NeurIPS 2023", package=PACKAGE, memory=True,
)  # fmt: skip
LMS = Sampler(
    "lms", from_diffusers("LMSDiscreteScheduler", by_number, scaled=False), family=SOLVERS,
    source="linear multistep of order 4, as in k-diffusion", order=2, package=PACKAGE, memory=True,
)  # fmt: skip

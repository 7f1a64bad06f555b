"""Schedulers of diffusers that go by noise levels and remember nothing beyond a step."""

from __future__ import annotations

from hyperseg.dpm.samplers.diffusers.adapter import PACKAGE, SAME, from_diffusers
from hyperseg.dpm.samplers.diffusers.telling import by_half, by_half_down, by_level
from hyperseg.dpm.samplers.sampler import Sampler

SOLVERS = "training-free sampling: solvers"

SINGLESTEP = Sampler(
    "dpmpp-3s",
    from_diffusers("DPMSolverSinglestepScheduler", by_level, scaled=True, solver_order=3, lower_order_final=True),
    family=SOLVERS, source="Lu et al., 2022 (DPM-Solver++)", order=2, package=PACKAGE, memory=True,
)  # fmt: skip
HALF = Sampler(
    "kdpm2", from_diffusers("KDPM2DiscreteScheduler", by_half, scaled=False), family=SOLVERS,
    source="Karras et al., NeurIPS 2022, with DPM-Solver-2's midpoint", calls=2, saved=1, order=2, aside=SAME,
    package=PACKAGE,
)  # fmt: skip
HALF_ANCESTRAL = Sampler(
    "kdpm2-ancestral", from_diffusers("KDPM2AncestralDiscreteScheduler", by_half_down, scaled=False, noisy=True),
    family=SOLVERS, source="as kdpm2, with noise", calls=2, saved=1, package=PACKAGE,
)  # fmt: skip
ANCESTRAL = Sampler(
    "euler-ancestral", from_diffusers("EulerAncestralDiscreteScheduler", by_level, scaled=False, noisy=True),
    family=SOLVERS, source="Song et al., ICLR 2021 (DDIM, eta = 1)", package=PACKAGE,
)  # fmt: skip

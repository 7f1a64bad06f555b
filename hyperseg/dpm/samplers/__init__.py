"""Samplers, one file each; this is their table. See `hyperseg.dpm.samplers.sampler` for what they have in common."""

from hyperseg.core.parts import Entry, Parts

SAMPLERS = Parts(
    "sampler",
    {
        "ddim": Entry("hyperseg.dpm.samplers.euler:EULER", "DDIM without noise: Euler's method, order 1"),
        "heun": Entry("hyperseg.dpm.samplers.heun:HEUN", "EDM without noise: Heun's method, order 2"),
        "dpm-solver-2": Entry("hyperseg.dpm.samplers.dpm_solver_2:DPM_SOLVER_2", "the slope half-way, order 2"),
        "dpmpp-2m": Entry("hyperseg.dpm.samplers.dpmpp_2m:DPMPP_2M", "DPM-Solver++ with memory, order 2"),
        "dpmpp-3m": Entry("hyperseg.dpm.samplers.dpmpp_3m:DPMPP_3M", "DPM-Solver++ with more memory, order 3"),
        "pf-ode": Entry("hyperseg.dpm.samplers.pf_ode:PF_ODE", "the probability-flow equation, Runge-Kutta, order 4"),
    },
)

"""Samplers, one file each; this is their table. See `hyperseg.dpm.samplers.sampler` for what they have in common."""

from hyperseg.core.parts import Entry, Parts

SAMPLERS = Parts(
    "sampler", {"ddim": Entry("hyperseg.dpm.samplers.euler:EULER", "DDIM without noise: Euler's method, order 1")}
)

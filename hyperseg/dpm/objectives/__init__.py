"""Objectives of denoising networks, one file each; this is their table."""

from hyperseg.core.parts import Entry, Parts

OBJECTIVES = Parts("objective", {"eps": Entry("hyperseg.dpm.objectives.eps:EPS", "DDPM: the noise, mean square")})

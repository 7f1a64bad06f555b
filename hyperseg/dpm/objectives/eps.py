"""DDPM's objective: the noise is predicted, errors count the same at all times."""

from __future__ import annotations

from hyperseg.dpm.losses.simple import simple
from hyperseg.dpm.objectives.objective import Objective
from hyperseg.dpm.schedules.linear import LINEAR

EPS = Objective("eps", simple, "eps", LINEAR, "Ho et al., NeurIPS 2020")

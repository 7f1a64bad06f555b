"""The velocity alpha noise - std x0 is predicted: as hard at all times, and made for distillation."""

from __future__ import annotations

from hyperseg.dpm.losses.simple import simple
from hyperseg.dpm.objectives.objective import Objective
from hyperseg.dpm.schedules.cosine import COSINE

V = Objective("v", simple, "v", COSINE, "Salimans & Ho, ICLR 2022")

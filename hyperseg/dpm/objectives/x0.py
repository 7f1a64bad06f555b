"""Clean data are predicted, errors count the same at all times."""

from __future__ import annotations

from hyperseg.dpm.losses.simple import simple
from hyperseg.dpm.objectives.objective import Objective
from hyperseg.dpm.schedules.linear import LINEAR

X0 = Objective("x0", simple, "x0", LINEAR, "Salimans & Ho, ICLR 2022")

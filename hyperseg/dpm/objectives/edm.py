"""EDM's objective: its mixture of state and answer, noise levels log-normal."""

from __future__ import annotations

from hyperseg.dpm.losses.edm import weighted
from hyperseg.dpm.objectives.objective import Objective
from hyperseg.dpm.objectives.times import log_normal
from hyperseg.dpm.schedules import edm

EDM = Objective("edm", weighted, "edm", edm.EDM, "Karras et al., NeurIPS 2022", times=log_normal())

"""VDM's objective: the variational bound in continuous time, the schedule learnt with the network."""

from __future__ import annotations

from hyperseg.dpm.losses.vdm import continuous
from hyperseg.dpm.objectives.objective import Objective
from hyperseg.dpm.schedules import vdm

VDM = Objective("vdm", continuous, "eps", vdm.VDM, "Kingma et al., NeurIPS 2021", learnt=vdm.LearntGamma)

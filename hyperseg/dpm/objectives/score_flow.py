"""Score matching weighted for likelihood: by g squared, which times even in log noise-to-signal ratio come to.

Source: Song et al., "Maximum Likelihood Training of Score-Based Diffusion Models", NeurIPS 2021: times are drawn in
proportion to g squared / variance, which is the slope of the log ratio, times 2.
"""

from __future__ import annotations

from hyperseg.dpm.losses.dsm import dsm
from hyperseg.dpm.objectives.objective import Objective
from hyperseg.dpm.objectives.times import even_ratio
from hyperseg.dpm.schedules.vp import VP

SCORE_FLOW = Objective("score-flow", dsm, "eps", VP, "Song et al., NeurIPS 2021", times=even_ratio)

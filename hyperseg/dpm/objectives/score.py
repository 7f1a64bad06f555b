"""Denoising score matching with a network that says the score itself, weighted by the variance of the noise.

It is the textbook's form: the answer has to grow as 1 / std, which small networks learn badly.
"""

from __future__ import annotations

from hyperseg.dpm.losses.dsm import dsm
from hyperseg.dpm.objectives.objective import Objective
from hyperseg.dpm.schedules.vp import VP

SCORE = Objective("score", dsm, "score", VP, "Song et al., ICLR 2021")

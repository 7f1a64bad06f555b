"""Improved DDPM's objective: the noise, and where the variance of a reverse step lies between its bounds."""

from __future__ import annotations

from hyperseg.dpm.losses.hybrid import hybrid
from hyperseg.dpm.objectives.objective import Objective
from hyperseg.dpm.schedules.cosine import COSINE

HYBRID = Objective(
    "hybrid", hybrid, "eps", COSINE, "Nichol & Dhariwal, ICML 2021", extras=("share",), on_steps=True
)  # fmt: skip

"""The plan of a benchmark: networks small enough to be trained some hundred times."""

from __future__ import annotations

from collections.abc import Callable

from hyperseg.io.cases import CaseFolder
from hyperseg.medical import networks
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.coarsening import coarsened
from hyperseg.recipes.segment.methods.chosen import CaseMethod
from hyperseg.recipes.segment.narrowing import narrowed, unmirrored
from hyperseg.recipes.segment.planning import pace_of, plan_cases

STEPS = 60  # that a training should have time for
TRAINING = 0.5  # share of a cell's time; the rest is for the cases that are held out
SHORTEST, LEAST_WIDTH = 24, 8  # voxels of the longest axis and channels first that are not gone below


def small_plan(
    folder: CaseFolder, seconds: float, *, device: str, method: CaseMethod,
    progress: Callable[[int, int], None] | None = None,
) -> Plan:  # fmt: skip
    """A plan whose trainings have about `STEPS` steps in the time that a cell may take.

    Images are made coarser and networks narrower than any training that is to be used would have them: tricks are
    compared, and what is compared is told with them.

    Args:
        folder: of cases.
        seconds: of a cell.
        device: where networks are; on a GPU the plan is that of the card.
        method: the baseline.
        progress: told how many cases of how many were looked at.
    """
    plan = plan_cases(folder, progress=progress)
    if not device.startswith("cpu"):
        return unmirrored(plan)
    patience = TRAINING * seconds / STEPS

    def fitted(pace: float) -> Plan:
        coarse = coarsened(
            plan, plan.main.name, patience=patience, pace=pace, shortest=SHORTEST, least_width=LEAST_WIDTH
        )  # fmt: skip
        return unmirrored(narrowed(coarse, patience=patience, pace=pace, least_width=LEAST_WIDTH))

    return fitted(pace_of(folder, fitted(networks.measure_pace(len(plan.axes))), device, method))

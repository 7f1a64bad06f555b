"""`Estimate`: seconds, memory and energy of a training and of a prediction, from a plan and a machine; arithmetic."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil

from hyperseg.medical.configuration import Configuration
from hyperseg.medical.cost.counts import forward_madds, scores_memory, training_madds, training_memory
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.costs.pace import Pace
from hyperseg.recipes.segment.fold import Budget
from hyperseg.recipes.segment.learning import CHECKED, FEWEST_STEPS, VALIDATIONS, planned_steps

HOUR_S = 3600.0


@dataclass(frozen=True)
class Estimate:
    """What one network of a plan is expected to take on a machine that does nothing else.

    Attributes:
        step_madds, window_madds: multiply-adds of a training step, and of a window in prediction.
        windows, mirrors: of a case in the mean, and images made of each window by mirroring, itself among them.
        n_cases, n_folds: labelled cases, and folds they are divided into.
        steps: of the training of a fold.
        step_s, case_s: of a training step; of predicting such a case with one network without mirroring.
        mirrored_s: the same with mirror images and the networks of all folds.
        preparing_s: of all cases.
        training_s, validation_s: of one fold: its steps with the validations between them; its cases predicted whole.
        by_clock: minutes of training are given: then steps are as many as fit in beside what else the machine does.
        training_bytes, prediction_bytes: most memory, with what the process (the card) held before.
        waiting, watts, watts_from: see `Pace`.
    """

    step_madds: int
    window_madds: int
    windows: float
    mirrors: int
    n_cases: int
    n_folds: int
    steps: int
    step_s: float
    case_s: float
    mirrored_s: float
    preparing_s: float
    training_s: float
    validation_s: float
    by_clock: bool
    training_bytes: int
    prediction_bytes: int
    waiting: float
    watts: float
    watts_from: str

    def seconds(self, folds: int) -> float:
        """Of a run of so many folds."""
        return self.preparing_s + folds * (self.training_s + self.validation_s)

    def watt_hours(self, folds: int) -> float:
        """Energy of a run of so many folds."""
        return self.watts * self.seconds(folds) / HOUR_S


def estimate(
    plan: Plan, one: Configuration, pace: Pace, budget: Budget, *, n_cases: int, n_folds: int, mirror: bool = False
) -> Estimate:
    """What a network takes.

    Args:
        plan, one: the plan and its configuration.
        pace: of the machine with this network.
        budget: of a fold's training.
        n_cases, n_folds: of the data set.
        mirror: cases of a fold are predicted with their mirror images too.
    """
    n_classes = len(plan.facts.classes)
    size = (*plan.size[: len(plan.size) - one.n_axes], *one.size)  # a network of planes has slices of a volume
    seen, mirrors = pace.windows * pace.window_s, 2**one.n_axes
    patches = min(max(one.batch, CHECKED[0]), CHECKED[1])
    steps, training_s = _training(plan, budget, pace, patches * pace.look_s)
    mirrored = mirrors if mirror else 1
    return Estimate(
        training_madds(one, n_classes), forward_madds(one.backbone, one.patch, n_classes), pace.windows, mirrors,
        n_cases, n_folds, steps, pace.step_s, pace.around_s + seen, pace.around_s + seen * mirrors * n_folds,
        pace.prepare_s * n_cases, training_s, n_cases / n_folds * (pace.around_s + mirrored * seen),
        budget.minutes is not None,
        pace.training_bytes + training_memory(one, half=pace.half)
        - training_memory(replace(one, batch=pace.patches), half=pace.half),
        pace.prediction_bytes + scores_memory(one, size, n_classes), pace.waiting, pace.watts, pace.watts_from,
    )  # fmt: skip


def _training(plan: Plan, budget: Budget, pace: Pace, check_s: float) -> tuple[int, float]:
    """Steps of a fold's training, and its seconds with the validations; as many as fit where minutes are given."""
    if budget.minutes is not None:
        seconds = 60 * budget.minutes
        steps = max(FEWEST_STEPS, int((seconds * (1 - pace.waiting) - VALIDATIONS * check_s) / pace.step_s))
        return steps, max(seconds, steps * pace.step_s + VALIDATIONS * check_s)
    steps = planned_steps(plan.training) if budget.steps is None else budget.steps
    checks = ceil(steps / max(steps // VALIDATIONS, 1))
    return steps, steps * pace.step_s + checks * check_s

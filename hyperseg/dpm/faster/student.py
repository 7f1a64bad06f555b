"""Denoising student: all steps of the teacher in one jump from pure noise."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from hyperseg.core.runtime import Runtime
from hyperseg.dpm.faster.distil import RoundSettings, beginner, check_teacher, distilled
from hyperseg.dpm.faster.paths import bearable, walk
from hyperseg.dpm.faster.speedup import Generate, Speedup, generator_of
from hyperseg.dpm.model import DiffusionModel

FOLLOWS, PATHS, STEPS = 16, 10_000, 1200  # steps of the teacher for each jump; jumps; training steps
UNTOLD = 0.1  # share of the jumps whose class is not told


def train_student(
    model: DiffusionModel, data: Tensor, labels: Tensor | None, runtime: Runtime
) -> Mapping[int, Generate]:
    """See `hyperseg.dpm.faster.speedup.Train`.

    Source: Luhman & Luhman, "Knowledge Distillation in Iterative Generative Models for Improved Sampling Speed", 2021:
        the jump from pure noise to where the teacher's steps without noise end.
    Differs: see `distilled`; the student says v where its teacher says noise.
    """
    told = labels if model.spec.n_classes else None
    check_teacher(model, data, told)
    shape = tuple(data.shape[1:])
    paths = walk(model, shape, runtime, n=bearable(PATHS, shape), first=FOLLOWS, steps=1, labels=told, untold=UNTOLD)
    student = distilled(
        beginner(model), paths, RoundSettings(steps=STEPS), runtime, name="student", title="student of 1 step"
    )
    return {1: generator_of(student, shape, 1, told)}


STUDENT = Speedup("student", "training schedule: distillation", "Luhman & Luhman, 2021", (1,), train_student)

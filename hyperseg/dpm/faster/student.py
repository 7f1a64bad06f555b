"""Denoising student: all steps of the teacher in one jump from pure noise."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from hyperseg.core.runtime import Runtime
from hyperseg.dpm.faster.distil import RoundSettings, beginner, check_teacher, distilled
from hyperseg.dpm.faster.speedup import Generate, Speedup, generator_of
from hyperseg.dpm.model import DiffusionModel

FOLLOWS = 16  # steps of the teacher for each jump


def train_student(
    model: DiffusionModel, data: Tensor, labels: Tensor | None, runtime: Runtime
) -> Mapping[int, Generate]:
    """See `hyperseg.dpm.faster.speedup.Train`.

    Source: Luhman & Luhman, "Knowledge Distillation in Iterative Generative Models for Improved Sampling Speed", 2021:
        the square error of the jump to where the teacher's steps without noise end.
    Differs: the jump starts from data with the largest noise, as in the other distillations here, and the student says
        v where its teacher says noise; the teacher makes 16 steps.
    """
    told = labels if model.spec.n_classes else None
    check_teacher(model, data, told)
    student = distilled(
        model, data, told, RoundSettings(steps=400), runtime, steps=1, follows=FOLLOWS, name="student",
        title="student of 1 step", begin=beginner(model),
    )  # fmt: skip
    return {1: generator_of(student, tuple(data.shape[1:]), 1, told)}


STUDENT = Speedup("student", "training schedule: distillation", "Luhman & Luhman, 2021", (1,), train_student)

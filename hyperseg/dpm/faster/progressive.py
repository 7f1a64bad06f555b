"""Progressive distillation: a student learns several steps of its teacher in one, and becomes the next teacher."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import option, settings
from hyperseg.core.words import counted, listed
from hyperseg.dpm.faster.distil import RoundSettings, beginner, check_teacher, distilled
from hyperseg.dpm.faster.speedup import Generate, Speedup, generator_of
from hyperseg.dpm.model import DiffusionModel


@settings
class ProgressiveSettings:
    """How many steps the students have, and how each round is trained."""

    first: int = option(64, "Steps of the first teacher.", low=2)
    students: tuple[int, ...] = option((4, 2, 1), "Steps of the students; each number divides the one before.", low=1)
    round: RoundSettings = option(RoundSettings(), "Training of a round.")

    def __post_init__(self) -> None:
        every = (self.first, *self.students)
        if not self.students or any(a <= b or a % b for a, b in pairwise(every)):
            raise SettingError(
                f"students of {listed(map(str, self.students)) or 'no'} steps after a teacher of {self.first}: each "
                "number of steps divides the one before, as 64, 16, 4, 2, 1 do."
            )


def halved(
    model: DiffusionModel, data: Tensor, settings: ProgressiveSettings, runtime: Runtime, *,
    labels: Tensor | None = None,
) -> dict[int, DiffusionModel]:  # fmt: skip
    """The students by their number of steps, most steps first; see `distilled`.

    Source: Salimans & Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", ICLR 2022.
    Differs: a round may leave more of the steps out than half of them. The usual first student learns 16 steps in one:
        in short trainings every round adds the error of its own training, and early halvings teach nearly nothing.

    Raises:
        SettingError: data or labels that the teacher does not know.
    """
    check_teacher(model, data, labels)
    students = {}
    teacher, begin = model, beginner(model)
    for before, steps in pairwise((settings.first, *settings.students)):
        teacher = begin = distilled(
            teacher, data, labels, settings.round, runtime, steps=steps, follows=before // steps,
            name=f"progressive-{steps}", title=f"student of {counted(steps, 'step')}", begin=begin,
        )  # fmt: skip
        students[steps] = teacher
    return students


def train_progressive(
    model: DiffusionModel, data: Tensor, labels: Tensor | None, runtime: Runtime
) -> Mapping[int, Generate]:
    """See `hyperseg.dpm.faster.speedup.Train`."""
    told = labels if model.spec.n_classes else None
    students = halved(model, data, ProgressiveSettings(), runtime, labels=told)
    shape = tuple(data.shape[1:])
    return {steps: generator_of(student, shape, steps, told) for steps, student in students.items()}


PROGRESSIVE = Speedup(
    "progressive", "training schedule: distillation", "Salimans & Ho, ICLR 2022", nfes=ProgressiveSettings().students,
    train=train_progressive,
)  # fmt: skip

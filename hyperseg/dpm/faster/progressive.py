"""Progressive distillation: a student learns several steps of its teacher in one, and the next one begins from it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise

from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import option, settings
from hyperseg.core.words import counted, listed
from hyperseg.dpm.faster.distil import RoundSettings, beginner, check_teacher, distilled
from hyperseg.dpm.faster.paths import bearable, walk
from hyperseg.dpm.faster.speedup import Generate, Speedup, generator_of
from hyperseg.dpm.model import DiffusionModel


@settings
class ProgressiveSettings:
    """How many steps the students have, and how each round is trained."""

    first: int = option(16, "Steps of the teacher, DPM-Solver++ 2M; about what 64 of DDIM are.", low=2)
    students: tuple[int, ...] = option((4, 2, 1), "Steps of the students; each number divides the one before.", low=1)
    paths: int = option(20000, "Paths of the teacher that all students learn from.", low=1)
    untold: float = option(0.1, "Share of the paths whose class is not told.", low=0, high=1)
    round: RoundSettings = option(RoundSettings(), "Training of a round.")

    def __post_init__(self) -> None:
        every = (self.first, *self.students)
        if not self.students or any(a <= b or a % b for a, b in pairwise(every)):
            raise SettingError(
                f"students of {listed(map(str, self.students)) or 'no'} steps after a teacher of {self.first}: each "
                "number of steps divides the one before, as 16, 4, 2, 1 do."
            )


def halved(
    model: DiffusionModel, data: Tensor, settings: ProgressiveSettings, runtime: Runtime, *,
    labels: Tensor | None = None,
) -> dict[int, DiffusionModel]:  # fmt: skip
    """The students by their number of steps, most steps first; see `distilled`.

    Args:
        data: (n, C, *S) that the model was trained on; only the shape is read.
        labels: (n,) classes of the data, where the model is told them.

    Source: Salimans & Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", ICLR 2022.
    Differs: every student begins from the one before, and all learn from the paths of the first teacher, walked once:
        in short trainings a student adds the error of its own training to what the next one learns.

    Raises:
        SettingError: data or labels that the teacher does not know.
    """
    check_teacher(model, data, labels)
    begin, most = beginner(model), settings.students[0]
    paths = walk(
        model, tuple(data.shape[1:]), runtime, n=settings.paths, first=settings.first, steps=most, labels=labels,
        untold=settings.untold,
    )  # fmt: skip
    students = {}
    for steps in settings.students:
        begin = students[steps] = distilled(
            begin, paths.every(most // steps), settings.round, runtime, name=f"progressive-{steps}",
            title=f"student of {counted(steps, 'step')}",
        )  # fmt: skip
    return students


def train_progressive(
    model: DiffusionModel, data: Tensor, labels: Tensor | None, runtime: Runtime
) -> Mapping[int, Generate]:
    """See `hyperseg.dpm.faster.speedup.Train`."""
    told = labels if model.spec.n_classes else None
    shape = tuple(data.shape[1:])
    how = ProgressiveSettings(paths=bearable(ProgressiveSettings().paths, shape))
    students = halved(model, data, how, runtime, labels=told)
    return {steps: generator_of(student, shape, steps, told) for steps, student in students.items()}


PROGRESSIVE = Speedup(
    "progressive", "training schedule: distillation", "Salimans & Ho, ICLR 2022", nfes=ProgressiveSettings().students,
    train=train_progressive,
)  # fmt: skip

"""Progressive distillation: a student learns two steps of its teacher in one, and becomes the next teacher."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import option, settings
from hyperseg.dpm.faster.distil import RoundSettings, beginner, check_teacher, distilled
from hyperseg.dpm.faster.speedup import Generate, Speedup, generator_of
from hyperseg.dpm.model import DiffusionModel


@settings
class ProgressiveSettings:
    """How many steps are halved, and how each round is trained."""

    first: int = option(64, "Steps of the first teacher.", low=2)
    last: int = option(1, "Steps of the last student.", low=1)
    round: RoundSettings = option(RoundSettings(), "Training of a round.")

    def __post_init__(self) -> None:
        if self.first // self.last * self.last != self.first or (self.first // self.last).bit_count() != 1:
            raise SettingError(f"steps are halved from {self.first} to {self.last}: give powers of two.")

    @property
    def rounds(self) -> tuple[int, ...]:
        """Steps of the students."""
        halves = (self.first // self.last).bit_length() - 1
        return tuple(self.first >> (i + 1) for i in range(halves))


def halved(
    model: DiffusionModel, data: Tensor, settings: ProgressiveSettings, runtime: Runtime, *,
    labels: Tensor | None = None,
) -> dict[int, DiffusionModel]:  # fmt: skip
    """The students by their number of steps, most steps first; see `distilled`.

    Source: Salimans & Ho, "Progressive Distillation for Fast Sampling of Diffusion Models", ICLR 2022.

    Raises:
        SettingError: data or labels that the teacher does not know.
    """
    check_teacher(model, data, labels)
    students = {}
    teacher, begin = model, beginner(model)
    for steps in settings.rounds:
        teacher = distilled(
            teacher, data, labels, settings.round, runtime, steps=steps, follows=2, name=f"progressive-{steps}",
            title=f"student of {steps} step{'s' if steps > 1 else ''}", begin=begin,
        )  # fmt: skip
        students[steps] = begin = teacher
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
    "progressive", "training schedule: distillation", "Salimans & Ho, ICLR 2022", nfes=ProgressiveSettings().rounds,
    train=train_progressive,
)  # fmt: skip

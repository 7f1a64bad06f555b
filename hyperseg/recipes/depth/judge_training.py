"""A judge is trained, on drawn rooms or on pictures that are given, and must prove itself before it judges."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import option, settings
from hyperseg.data.inverse_depth import InverseDepth
from hyperseg.recipes.depth.judging import DepthJudge

Float32 = NDArray[np.float32]


@settings
class JudgeSettings:
    """How a judge is trained."""

    pictures: int = option(4000, "Rooms that are drawn for it.", low=16, shown="judge-pictures")
    held: int = option(1000, "Rooms that are held out, and measured on.", low=16, shown="judge-held")
    steps: int = option(1500, "Training steps of the depth network.", low=1, shown="judge-steps")
    batch: int = option(32, "Pictures of a step.", low=2)
    lr: float = option(4e-3, "Largest learning rate of the one-cycle schedule.", above=0)
    weight_decay: float = option(1e-2, "Of AdamW.", low=0)
    coder_steps: int = option(600, "Training steps of the auto-encoder of depth maps.", low=1)
    widths: tuple[int, ...] = option((16, 32, 64, 64), "Channels of the depth network's stages.", low=1)
    code: tuple[int, ...] = option((8, 16, 32, 32), "Channels of the auto-encoder's stages.", low=1)
    least: float = option(0.95, "delta1 on held-out pictures below which it does not judge.", low=0, high=1)


def judge_of_rooms(size: int, settings: JudgeSettings, runtime: Runtime) -> DepthJudge:
    """A judge trained on rooms that no head sees: those of another seed, see `other_rooms`."""
    raise NotImplementedError


def train_judge(
    x: Float32,
    y: Float32,
    held_x: Float32,
    held_y: Float32,
    inverse: InverseDepth,
    settings: JudgeSettings,
    runtime: Runtime,
    *,
    name: str = "judge",
) -> DepthJudge:
    """Train a judge on pictures that the heads are not trained on.

    Args:
        x: (n, 3, s, s) pictures from -1 to 1.
        y: (n, s, s) their inverse depth from 0 to 1, NaN where unknown.
        held_x, held_y: the same of other pictures, which it is measured on. The auto-encoder learns their depth.
        inverse: what y means.
        settings: how.
        runtime: where; an unfinished training is continued.
        name: of the training states' files.

    Raises:
        SettingError: shapes that do not fit, or nothing known.
        RunError: delta1 on held-out pictures is below `settings.least`; the message names what was reached.
    """
    raise NotImplementedError

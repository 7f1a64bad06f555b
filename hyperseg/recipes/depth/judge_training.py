"""A judge is trained, on drawn rooms or on pictures that are given, and must prove itself before it judges."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from hyperseg.backbone import seeded
from hyperseg.core import RunError, SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import option, settings
from hyperseg.data.inverse_depth import InverseDepth
from hyperseg.engine.one_cycle import step_generator, train_one_cycle
from hyperseg.metrics.depth import abs_rel, delta1
from hyperseg.recipes.depth.judge_networks import DepthCoder, DepthNetwork, JudgeSpec
from hyperseg.recipes.depth.judging import DepthJudge, told
from hyperseg.recipes.depth.pictures import from_rooms
from hyperseg.simulated.rooms import Z_MAX, Z_MIN

Float32 = NDArray[np.float32]
Batch = tuple[Tensor, Tensor]
APART = 1_000_003  # what is added to a run's seed for the judge's rooms
HELD_APART = 2_000_003  # and for those it is measured on
FEWEST = 8  # pictures
SMALL = 0.1  # difference of logarithms of depth below which the loss is a square


class NoJudge(RunError):
    """A judge was trained to the end and is not good enough to judge."""


@settings
class JudgeSettings:
    """How a judge is trained."""

    pictures: int = option(4000, "Rooms that are drawn for it.", low=16, shown="judge-pictures")
    held: int = option(1000, "Rooms that are held out, and measured on.", low=16, shown="judge-held")
    steps: int = option(8000, "Training steps of the depth network.", low=1, shown="judge-steps")
    batch: int = option(8, "Pictures of a step.", low=2)
    lr: float = option(4e-3, "Largest learning rate of the one-cycle schedule.", above=0)
    weight_decay: float = option(1e-2, "Of AdamW.", low=0)
    coder_steps: int = option(1500, "Training steps of the auto-encoder of depth maps.", low=1)
    widths: tuple[int, ...] = option((24, 48, 64, 64), "Channels of the depth network's stages.", low=1)
    code: tuple[int, ...] = option((16, 32, 32), "Channels of the auto-encoder's stages.", low=1)
    noise: float = option(
        0.1,
        "Most noise (standard deviation) that is added to a picture of the training: drawn ones keep some.",
        low=0,
        high=1,
    )
    least: float = option(0.95, "delta1 on held-out pictures below which it does not judge.", low=0, high=1)


def other_rooms(n: int, size: int, seed: int, *, held: bool = False) -> tuple[Float32, Float32]:
    """Rooms for the judge of a run of this seed, whose own rooms are of `seed`: pictures, and inverse depth."""
    found = from_rooms(n, size, seed + (HELD_APART if held else APART))
    return found.images, found.y


def judge_of_rooms(size: int, settings: JudgeSettings, runtime: Runtime) -> DepthJudge:
    """A judge trained on rooms that no head of a run of this seed sees, see `other_rooms` and `train_judge`."""
    seen = other_rooms(settings.pictures, size, runtime.seed)
    held = other_rooms(settings.held, size, runtime.seed, held=True)
    return train_judge(*seen, *held, InverseDepth(Z_MIN, Z_MAX), settings, runtime)


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
        NoJudge: delta1 on held-out pictures is below `settings.least`; the message names what was reached.
    """
    _check(x, y, "pictures")
    _check(held_x, held_y, "held-out pictures")
    size = x.shape[-1]
    if held_x.shape[1:] != x.shape[1:]:
        raise SettingError(f"held-out pictures {held_x.shape[1:]} are not of the size of the others, {x.shape[1:]}.")
    spec = JudgeSpec(size, inverse.z_min, inverse.z_max, settings.widths, settings.code)
    network = _network(spec, x, inverse.back(y), settings, runtime, name)
    said = told(network, torch.from_numpy(held_x), inverse)
    pred, true = inverse.back(said), inverse.back(held_y)
    reached, relative = delta1(pred, true), abs_rel(pred, true)
    if reached < settings.least:
        raise NoJudge(
            f"the judge reached delta1 = {reached:.3f} on {len(held_x)} held-out pictures, below {settings.least:g}: "
            "it does not judge. Train it longer (--judge-steps) or on more pictures (--judge-pictures); from Python "
            "less can be asked for: judge={'least': ...}."
        )
    known = np.where(np.isnan(held_y), said, held_y).astype(np.float32)
    return DepthJudge(spec, network, _coder(spec, known, settings, runtime, name), reached, relative)


def _network(
    spec: JudgeSpec, x: Float32, z: Float32, settings: JudgeSettings, runtime: Runtime, name: str
) -> DepthNetwork:
    """Trained on the distance of the logarithms, as delta1 counts; about every second picture is mirrored.

    Noise is added, as pictures that were drawn keep a little of it, and their depth shall be judged all the same.
    The distance is |d| for all but small d, and a square for these (Huber): with |d| alone the network says the median
    of each pixel for a long time, whatever the picture is.
    """
    with seeded(runtime.seed):
        network = DepthNetwork(spec).to(runtime.device)
    pictures, depth = torch.from_numpy(x).to(runtime.device), torch.from_numpy(-np.log(z)).to(runtime.device)

    def make(drawn: Batch) -> Batch:
        index, mirrored = drawn
        some, their = pictures[index], depth[index]
        some = torch.where(mirrored[:, None, None, None], some.flip(-1), some)
        strength = settings.noise * torch.rand(len(some), 1, 1, 1, device=some.device)
        some = (some + strength * torch.randn_like(some)).clamp(-1, 1)
        return some, torch.where(mirrored[:, None, None], their.flip(-1), their)

    def loss(batch: Batch) -> Mapping[str, Tensor]:
        known = ~torch.isnan(batch[1])
        away = torch.where(known, network(batch[0]) - torch.nan_to_num(batch[1]), 0.0)
        lost = functional.smooth_l1_loss(away, torch.zeros_like(away), reduction="sum", beta=SMALL)
        return {"depth": lost / known.sum().clamp(min=1)}

    train_one_cycle(
        {"network": network}, loss, _batches(len(x), settings.batch, runtime.seed), steps=settings.steps,
        lr=settings.lr, weight_decay=settings.weight_decay, runtime=runtime, name=name, title="judge of depth",
        make=make,
    )  # fmt: skip
    return network


def _coder(spec: JudgeSpec, y: Float32, settings: JudgeSettings, runtime: Runtime, name: str) -> DepthCoder:
    """Trained to give depth maps back."""
    with seeded(runtime.seed + 1):
        coder = DepthCoder(spec).to(runtime.device)
    depth = torch.from_numpy(y).to(runtime.device)

    def make(drawn: Batch) -> Tensor:
        index, mirrored = drawn
        some = depth[index]
        return torch.where(mirrored[:, None, None], some.flip(-1), some)

    def loss(batch: Tensor) -> Mapping[str, Tensor]:
        return {"depth maps": (coder(batch) - batch).abs().mean()}

    train_one_cycle(
        {"coder": coder}, loss, _batches(len(y), settings.batch, runtime.seed), steps=settings.coder_steps,
        lr=settings.lr, weight_decay=settings.weight_decay, runtime=runtime, name=f"{name}-coder",
        title="depth maps of the judge", make=make,
    )  # fmt: skip
    return coder


def _batches(n: int, batch: int, seed: int) -> Callable[[int], Batch]:
    """Numbers of pictures, and which of them are mirrored."""

    def draw(step: int) -> Batch:
        generator = step_generator(seed, step)
        return torch.randint(n, (batch,), generator=generator), torch.rand(batch, generator=generator) < 0.5

    return draw


def _check(x: Float32, y: Float32, what: str) -> None:
    square = x.ndim == 4 and x.shape[1] == 3 and x.shape[2] == x.shape[3]
    if not square or len(x) < FEWEST or y.shape != (len(x), *x.shape[2:]):
        raise SettingError(
            f"{what} for the judge are (n, 3, s, s) with inverse depth (n, s, s), n = {FEWEST} or more, got {x.shape} "
            f"and {y.shape}."
        )
    if np.isnan(y).all() or not np.isfinite(x).all():
        raise SettingError(f"{what} for the judge have no known depth, or values that are not finite.")

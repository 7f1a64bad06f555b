"""The network that a benchmark trains: small, and larger where pictures are large and a card is at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hyperseg.core import SettingError

if TYPE_CHECKING:
    from hyperseg.dpm.model import DiffusionModel
    from hyperseg.dpm.network import DenoiserSpec
    from hyperseg.dpm.objectives.objective import Objective

SMALL_PX = 16  # along the longest axis: up to here the smallest network does


@dataclass(frozen=True)
class Size:
    """Widths of the stages, blocks of each, heads of attention, and samples of a training step."""

    widths: tuple[int, ...]
    depth: int
    heads: tuple[int, ...]
    batch: int


def size_of(shape: tuple[int, ...], device: str) -> Size:
    """For samples (C, *S): what two cores train in two minutes, or a card in half an hour.

    On a card 4.4 million parameters for 32 x 32 pixels: below the 5 million of the survey's comparison.
    """
    longest = max(shape[1:])
    if longest <= SMALL_PX:
        stages = 3 if longest >= 8 else 2
        return Size((16, 32, 32)[:stages], 1, (), 128)
    if device.startswith("cuda"):
        return Size((64, 128, 128, 128), 2, (0, 0, 4, 4), 128)
    return Size((24, 48, 64), 1, (), 64)


def spec_of(shape: tuple[int, ...], objective: Objective, device: str) -> DenoiserSpec:
    """The network for samples (C, *S) and what an objective trains."""
    from hyperseg.dpm.network import denoiser_spec

    size = size_of(shape, device)
    return denoiser_spec(
        shape[0], len(shape) - 1, widths=size.widths, depth=size.depth, heads=size.heads, cond_dim=96,
        extras=objective.extras,
    )  # fmt: skip


def check_fits(model: DiffusionModel, shape: tuple[int, ...], file: Path) -> None:
    """Refuse a model of other data.

    Raises:
        SettingError: another number of channels or axes.
    """
    backbone = model.spec.backbone
    if (backbone.in_channels, backbone.conv.ndim) != (shape[0], len(shape) - 1):
        raise SettingError(
            f"{file}: this model makes {backbone.in_channels} channels over {backbone.conv.ndim} axes, and the data "
            f"are {shape[0]} channels over {len(shape) - 1}: give the data that it was trained on."
        )

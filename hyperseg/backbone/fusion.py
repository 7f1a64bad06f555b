"""Affine maps folded into convolutions: the same function with fewer passes over memory."""

from __future__ import annotations

from copy import deepcopy
from typing import TypeVar

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized, remove_parametrizations

from hyperseg.backbone.blocks import ConvBlock, ResidualBlock
from hyperseg.backbone.conv import Conv
from hyperseg.backbone.layers import BATCH_NORMS
from hyperseg.core import SettingError

M = TypeVar("M", bound=nn.Module)


def fuse_batch_norm(net: M) -> M:
    """A copy of `net`, for prediction only, whose batch norms are part of the convolutions.

    Equal to `net` in evaluation mode up to float rounding. Blocks without batch norm are left as they are.

    Raises:
        SettingError: `net` is in training mode, where batch norm is no fixed affine map.
    """
    if net.training:
        raise SettingError("batch norm can be folded for prediction only: call net.eval() first.")
    lean = deepcopy(net).requires_grad_(False)
    for block in lean.modules():
        if isinstance(block, ConvBlock | ResidualBlock) and isinstance(block.finish.norm, BATCH_NORMS):
            _fuse(block.conv, block.finish.norm)
            block.finish.norm = None
        if isinstance(block, ResidualBlock) and isinstance(block.project_norm, BATCH_NORMS):
            _fuse(block.project, block.project_norm)
            block.project_norm = None
    return lean


def absorb_linear(block: nn.Module, matrix: Tensor) -> None:
    """Make a linear map of the channels part of a 1x1 `ConvBlock`, in place.

    Args:
        block: a block whose convolution is 1x1 in two dimensions, reading C channels.
        matrix: (C, C') map from C' raw channels, which the block reads from then on.
    """
    layer = block.conv.layer if isinstance(block, ConvBlock) else None
    if not isinstance(layer, nn.Conv2d) or layer.kernel_size != (1, 1) or layer.in_channels != len(matrix):
        raise SettingError(f"a {tuple(matrix.shape)} map needs a 1x1 convolution of {len(matrix)} channels after it.")
    weight = layer.weight[:, :, 0, 0].double() @ matrix.to(layer.weight.device).double()
    layer.weight = nn.Parameter(weight.float()[:, :, None, None], requires_grad=False)
    layer.in_channels = matrix.shape[1]


def _fuse(conv: nn.Module | None, norm: nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d) -> None:
    assert isinstance(conv, Conv)
    if is_parametrized(conv.layer):  # spectral norm: its weight as it is now
        remove_parametrizations(conv.layer, "weight")
    conv.layer = fuse_conv_bn_eval(conv.layer, norm)  # type: ignore[type-var]

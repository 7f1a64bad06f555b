"""Normalisations, activations and dropout in one, two or three dimensions, as a `ConvSpec` says."""

from __future__ import annotations

from torch import nn

from hyperseg.backbone.spec import ConvSpec
from hyperseg.core import SettingError

LEAK = 0.01
BATCH_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
_BATCH_NORM = dict(enumerate(BATCH_NORMS, 1))
_INSTANCE_NORM = {1: nn.InstanceNorm1d, 2: nn.InstanceNorm2d, 3: nn.InstanceNorm3d}
_DROPOUT = {1: nn.Dropout1d, 2: nn.Dropout2d, 3: nn.Dropout3d}


def norm(spec: ConvSpec, channels: int) -> nn.Module | None:
    """The normalisation of `spec.norm` with a learnt scale and shift, or None.

    Groups hold at least four channels where there are that many, and never fewer than two: GroupNorm(c, c)
    would be instance norm, which turns a map of one element into zeros.
    """
    match spec.norm:
        case "batch":
            return _BATCH_NORM[spec.ndim](channels)
        case "instance":
            return _INSTANCE_NORM[spec.ndim](channels, affine=True)
        case "group":
            if channels < 2:
                raise SettingError("group norm of one channel is instance norm: use at least 2 channels.")
            most = max(1, min(32, channels // 4))
            return nn.GroupNorm(max(g for g in range(1, most + 1) if channels % g == 0), channels)
        case "none":
            return None
        case _:
            raise SettingError(f"unknown norm {spec.norm!r}.")


def activation(spec: ConvSpec) -> nn.Module | None:
    """The activation of `spec.act`, or None. In place where the derivative needs only the result."""
    match spec.act:
        case "relu":
            return nn.ReLU(inplace=True)
        case "leaky_relu":
            return nn.LeakyReLU(LEAK, inplace=True)
        case "prelu":
            return nn.PReLU()
        case "elu":
            return nn.ELU(inplace=True)
        case "silu":
            return nn.SiLU()
        case "gelu":
            return nn.GELU()
        case "none":
            return None
        case _:
            raise SettingError(f"unknown activation {spec.act!r}.")


def dropout(spec: ConvSpec) -> nn.Module | None:
    """Dropout of whole channels, or None."""
    return _DROPOUT[spec.ndim](spec.dropout) if spec.dropout > 0 else None

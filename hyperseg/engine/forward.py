"""Windows through a network: what a network must tell, and the eight symmetries.

Here and in `hyperseg.data.patches`, nowhere else, NumPy's channels last become torch's channels first.
"""

from __future__ import annotations

from functools import reduce
from typing import Protocol, get_args

import torch
from torch import Tensor, nn

from hyperseg.core import Scene, SceneError, SettingError
from hyperseg.core.tiles import Layout, PerAxis, per_axis
from hyperseg.core.words import listed
from hyperseg.engine.device import Precision


class SceneModel(Protocol):
    """What a network must tell to be applied to a scene.

    A network may also have a `layout`, which says what it takes; without one it is "depth".

    | layout     | a batch of windows | its logits               | of                                         |
    |------------|--------------------|--------------------------|--------------------------------------------|
    | "depth"    | (B, 1, L, h, w)    | (B, K, h - 2 m, w - 2 m) | scenes (rows, columns, bands)              |
    | "channels" | (B, L, *S)         | (B, K, *(S - 2 m))       | scenes, images and volumes: S of 2 or 3 axes |

    Attributes:
        margin: m, pixels lost on each side by unpadded spatial convolutions, one number or one per axis; 0 for a
            padded network. Of an even receptive field its half.
        padded: True where spatial convolutions are zero-padded, so that windows must be blended.
    """

    @property
    def margin(self) -> PerAxis: ...
    @property
    def padded(self) -> bool: ...
    def __call__(self, x: Tensor) -> Tensor: ...


class FeatureModel(Protocol):
    """A network whose features can be read: as its logits, with F features instead of K classes."""

    @property
    def margin(self) -> PerAxis: ...
    def features(self, x: Tensor) -> Tensor: ...


@torch.inference_mode()
def class_probabilities(model: SceneModel, x: Tensor, *, precision: Precision = "fp32", flips: bool = False) -> Tensor:
    """(B, *(S - 2 margin), K) float32 probabilities of (B, *S, L) features, from a network in evaluation mode.

    Args and Raises are those of `predict_scene`; the softmax is float32 always, each symmetry is turned back.
    """
    ndim = x.ndim - 2
    if flips and ndim == 2 and len(set(per_axis("the margin of a network", model.margin, ndim))) > 1:
        raise SettingError(f"flips turn an image by quarters: they need one margin, not {model.margin}.")
    x, n = channels_first(x, layout_of(model)), 8 if flips else 1

    def seen(k: int) -> Tensor:
        with torch.autocast(x.device.type, torch.bfloat16, enabled=precision == "bf16"):
            logits = model(_turned(x, k, ndim))
        return _turned(logits.float().softmax(1), k, ndim, back=True)

    return (reduce(torch.add, map(seen, range(n))) / n).movedim(1, -1)


def check_evaluating(model: object) -> None:
    """Raise SettingError for a network, or a part of it, in training mode."""
    if isinstance(model, nn.Module) and any(module.training for module in model.modules()):
        raise SettingError("the network is in training mode: call model.eval() before predicting.")


def layout_of(model: object) -> Layout:
    """How the network reads bands; refuses (SettingError) what is no layout."""
    layout: Layout = getattr(model, "layout", "depth")
    if layout not in get_args(Layout):
        raise SettingError(f"the layout of a network is {listed(get_args(Layout), last='or')}, got {layout!r}.")
    return layout


def channels_first(x: Tensor, layout: Layout) -> Tensor:
    """(B, *S, L) as the network takes it: (B, 1, L, *S) for "depth", (B, L, *S) for "channels"."""
    x = x.movedim(-1, 1)
    return x.unsqueeze(1) if layout == "depth" else x


def _turned(x: Tensor, k: int, ndim: int, *, back: bool = False) -> Tensor:
    """One of eight symmetries of the last `ndim` axes, or its inverse; the one numbered 0 changes nothing."""
    if k == 0:
        return x
    if ndim == 3:
        return x.flip([axis for bit, axis in enumerate((-3, -2, -1)) if k >> bit & 1])
    if back:
        return torch.rot90(x.flip(-2) if k > 3 else x, -(k % 4), (-2, -1))
    turned = torch.rot90(x, k % 4, (-2, -1))
    return turned.flip(-2) if k > 3 else turned


def margin_of(model: SceneModel | FeatureModel, scene: Scene) -> tuple[int, ...]:
    """The network's margin along every axis of the scene.

    Raises:
        SceneError: a volume for a network with bands as depth.
        SettingError: a margin for another number of axes.
    """
    if layout_of(model) == "depth" and len(scene.shape) != 2:
        raise SceneError(
            f"{scene.name}: a network with bands as depth makes maps of scenes (rows, columns, bands), not "
            f'{scene.cube.shape}. Use one for volumes: its layout is "channels".'
        )
    return per_axis("the margin of a network", model.margin, len(scene.shape))

"""The network for pictures of objects, and the patches that it learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hyperseg.core.words import counted, listed
from hyperseg.detection.network import planned_anchors
from hyperseg.io.detections.masks import boxes_of
from hyperseg.recipes.instances.pictures import Example
from hyperseg.recipes.instances.settings import InstanceSettings
from hyperseg.zoo.instances.mask_rcnn import MaskRCNNSpec, mask_rcnn_spec

PATCH = {"cpu": 128, "cuda": 256}
AXES = 2


@dataclass(frozen=True)
class Plan:
    """What a network is and learns from.

    Attributes:
        spec: the network with its anchors.
        patch: pixels per axis.
        batch: patches of a step.
    """

    spec: MaskRCNNSpec
    patch: tuple[int, ...]
    batch: int

    def told(self) -> str:
        """In words."""
        anchors = listed(f"{size[0]:.3g}" for level in self.spec.sizes for size in level)
        widths = self.spec.backbone.widths
        return (
            f"patch {'x'.join(map(str, self.patch))}, anchors {anchors} pixels at every "
            f"{listed(str(s[0]) for s in self.spec.strides)} pixels, {counted(len(widths), 'stage')} of {widths[0]} to "
            f"{widths[-1]} channels, {counted(self.batch, 'patch', 'patches')} a step"
        )


def make_plan(
    examples: Sequence[Example], settings: InstanceSettings, *, channels: int, n_classes: int, device: str
) -> Plan:
    """Anchors follow from the boxes of the training pictures, see `planned_anchors`; patches from the device."""
    chosen, network = settings.training, settings.network
    boxes = np.concatenate([boxes_in(one) for one in examples])
    alike = (0,) * AXES
    if network.anchors:
        shapes: Sequence[Sequence[float]] = [(side,) * AXES for side in network.anchors]
    else:
        shapes = planned_anchors(torch.from_numpy(boxes), len(network.levels) * network.per_level, alike)
    spec = mask_rcnn_spec(channels, AXES, n_classes, network, shapes)
    cell = spec.backbone.stride[0]
    side = chosen.patch or PATCH["cpu" if device.startswith("cpu") else "cuda"]
    return Plan(spec, (max(1, round(side / cell)) * cell,) * AXES, chosen.batch)


def boxes_in(one: Example) -> NDArray[np.float64]:
    """(M, 4) of the objects of a picture."""
    assert one.numbers is not None
    found: NDArray[np.float64] = boxes_of(one.numbers, instances=True).reshape(-1, 2 * AXES).astype(np.float64)
    return found

"""The U-Net of a configuration, from parts of the backbone, and how fast this machine trains one."""

from __future__ import annotations

import time
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import Decoder, DeepSupervision, Encoder, Pyramid
from hyperseg.backbone.conv import seeded
from hyperseg.backbone.encoder import Stage
from hyperseg.backbone.spec import BackboneSpec, Size
from hyperseg.core import SettingError
from hyperseg.medical import v2
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.topology import Down, values_of

PACE_SIDES = {2: 128, 3: 32}  # of the patches whose steps are timed
PACE_BATCH, PACE_STEPS = 2, 3
_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


class UNet(nn.Module):
    """A plain U-Net: encoder, transposed convolutions up, class scores at the finest `heads` levels of the decoder.

    Sizes that the strides do not divide are allowed: every map is raised to its skip's size.

    Args:
        spec: of the encoder.
        n_classes: K, background included.
        heads: levels that are scored in training; prediction reads the finest.
        down: how the encoder makes maps smaller.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, *, heads: int = 1, down: Down = "stride") -> None:
        super().__init__()
        self.encoder: nn.Module
        match down:
            case "stride":
                self.encoder = Encoder(spec)
            case "pool":
                self.encoder = PooledEncoder(spec)
            case _:
                raise SettingError(f"down is stride or pool, got {down!r}.")
        self.decoder = Decoder(spec, up="transpose")
        self.heads = DeepSupervision(spec, n_classes, levels=range(heads))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, K, *S) logits.

        What `levels` gives first. A skip is let go as soon as it is merged: calling the module would hold on to it.
        """
        skips = self.encoder(x)
        coarse = skips.pop()
        for merge in reversed(self.decoder.merges):
            coarse = merge.forward(coarse, skips.pop())
        return self.heads.heads[0]([coarse])

    def levels(self, x: Tensor) -> list[Tensor]:
        """(B, C, *S) -> logits of every scored level, (B, K, *S_level) from fine to coarse."""
        return self.heads(self.decoder(self.encoder(x)))


class PooledEncoder(nn.Module):
    """An encoder whose maps are max-pooled by a stage's stride; all its convolutions have stride 1.

    A last row or column that is no whole window is a window of its own, so that sizes are `spec.sizes`.
    """

    def __init__(self, spec: BackboneSpec) -> None:
        super().__init__()
        ones = ((1,) * spec.conv.ndim,) * len(spec.widths)
        flat = replace(spec, strides=ones)
        self.strides = tuple(stage.stride for stage in spec.stages)
        self.stages = nn.ModuleList(Stage(flat, level) for level in range(len(spec.widths)))

    def forward(self, x: Tensor) -> Pyramid:
        """(B, in_channels, *S) -> (B, widths[i], *spec.sizes(S)[i]), fine to coarse."""
        pyramid = []
        for stride, stage in zip(self.strides, self.stages, strict=True):
            x = stage(pooled(x, stride))
            pyramid.append(x)
        return pyramid


def pooled(x: Tensor, stride: Size) -> Tensor:
    """(B, C, *S) max-pooled; a last row or column that is no whole window is a window of its own."""
    return x if max(stride) == 1 else _POOL[len(stride)](x, stride, ceil_mode=True)


def build_unet(configuration: Configuration, n_classes: int, *, n_channels: int | None = None) -> UNet:
    """The network of a configuration; initial weights come from torch's generator, see `backbone.seeded`.

    Args:
        configuration: of a plan.
        n_classes: K, background included.
        n_channels: of the input, where it is another than planned.

    Source: nnU-Net's "PlainConvUNet"; the first version pools.
    Differs: no bias before a norm, see `topology.cancelled_biases`; He normal weights for the slope of leaky ReLU 0.
    """
    spec = configuration.backbone
    if n_channels is not None:
        spec = replace(spec, in_channels=n_channels)
    return UNet(spec, n_classes, heads=len(configuration.supervision), down=configuration.down)


def measure_pace(n_axes: int, *, device: torch.device | str = "cpu", seed: int = 0) -> float:
    """Feature values a second of a training step on this machine: a small network is trained for a few steps.

    A first guess, off by a factor of two or three: values of coarse stages cost more arithmetic each than those of fine
    ones, and planned networks are deeper. The network that is planned by it is timed then, see
    `recipes.segment.costs.pace`.
    """
    side, n_classes = PACE_SIDES[n_axes], 2
    topology = v2.halve((1.0,) * n_axes, (side,) * n_axes)
    widths: Size = v2.widths(topology)
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn((PACE_BATCH, 1, *topology.patch), generator=generator).to(device)
    y = torch.randint(n_classes, (PACE_BATCH, *topology.patch), generator=generator).to(device)
    with seeded(seed):
        net = UNet(topology.backbone(1, widths), n_classes).to(device)
    optimiser = torch.optim.SGD(net.parameters(), lr=1e-3)
    seconds = []
    for _ in range(PACE_STEPS + 1):
        began = time.perf_counter()
        optimiser.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimiser.step()
        loss.item()  # waits for the device
        seconds.append(time.perf_counter() - began)
    pace = (
        PACE_BATCH * values_of(topology, widths, n_classes) / min(seconds[1:])
    )  # other work makes steps slower, never faster
    return float(f"{pace:.2g}")  # the next measurement differs in the third digit

"""The single U-Nets that a bridged one has to beat: of its levels and widths, and of as many parameters."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import torch
from torch import nn

from hyperseg.backbone import BackboneSpec, seeded
from hyperseg.medical.bridged.network import BridgedUNet
from hyperseg.medical.bridged.settings import BridgeSettings
from hyperseg.medical.networks import UNet
from hyperseg.medical.topology import Down

CLOSE, MOST_STEPS = 0.01, 4  # of the wanted number; widths are changed one by one until so near


def n_parameters(net: nn.Module) -> int:
    """Numbers that a network learns."""
    return sum(weight.numel() for weight in net.parameters())


def bridged_unet(spec: BackboneSpec, n_classes: int, chosen: BridgeSettings, *, heads: int, down: Down) -> BridgedUNet:
    """The bridged U-Net that is chosen; weights come from torch's generator."""
    return BridgedUNet(
        spec, n_classes, act_first=chosen.act_first, act_second=chosen.act_second, bridge=chosen.bridge, heads=heads,
        auxiliary=chosen.auxiliary, down=down, reads=chosen.reads,
    )  # fmt: skip


@cache
def equal_parameters(
    spec: BackboneSpec, n_classes: int, chosen: BridgeSettings, *, heads: int = 1, down: Down = "stride"
) -> BackboneSpec:
    """The spec of a single U-Net with as many parameters as the bridged one, of the same levels, activation and norm.

    All widths are multiplied by one factor and rounded; then single ones are changed by one until the numbers agree to
    2 % at least (of a single stage, or of a few channels, there may be none so near). The single U-Net of equal levels
    and widths needs no function: it is `UNet(spec, ...)`.

    Args:
        spec, n_classes, heads, down: as of the bridged U-Net.
        chosen: which bridged U-Net.
    """
    with seeded(0), torch.device("meta"):
        wanted = n_parameters(bridged_unet(spec, n_classes, chosen, heads=heads, down=down))

    def off(candidate: BackboneSpec) -> int:
        with seeded(0), torch.device("meta"):
            return n_parameters(UNet(candidate, n_classes, heads=heads, down=down)) - wanted

    low, high = 1.0, 2.0
    while off(_times(spec, high)) < 0:
        low, high = high, 2 * high
    while _times(spec, low).widths != _times(spec, high).widths and high - low > 1e-4:
        middle = (low + high) / 2
        low, high = (middle, high) if off(_times(spec, middle)) < 0 else (low, middle)
    best = min((_times(spec, low), _times(spec, high)), key=lambda one: abs(off(one)))
    for _ in range(MOST_STEPS):
        if abs(off(best)) <= CLOSE * wanted:
            break
        nearer = min(_neighbours(best), key=lambda one: abs(off(one)))
        if abs(off(nearer)) >= abs(off(best)):
            break
        best = nearer
    return best


def _times(spec: BackboneSpec, factor: float) -> BackboneSpec:
    """Every width times a factor; attention keeps a whole number of channels a head."""
    heads = [max(1, n) for n in spec.attention] or [1] * len(spec.widths)
    widths = tuple(n * max(1, round(factor * width / n)) for width, n in zip(spec.widths, heads, strict=True))
    return replace(spec, widths=widths)


def _neighbours(spec: BackboneSpec) -> list[BackboneSpec]:
    """The same with one width one step smaller or larger."""
    heads = [max(1, n) for n in spec.attention] or [1] * len(spec.widths)
    found = []
    for level, (width, n) in enumerate(zip(spec.widths, heads, strict=True)):
        for other in (width - n, width + n):
            if other >= 2:
                found.append(replace(spec, widths=(*spec.widths[:level], other, *spec.widths[level + 1 :])))
    return found

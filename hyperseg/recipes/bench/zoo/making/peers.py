"""MONAI's networks as peers: about as wide as ours, on the same data, by the same recipe, in the same run.

Differs: each is MONAI's own network with its own depth, activations and downsampling; widths are the backbone's as far
as its constructor takes them. Images are continued at their borders to sides that it can halve, and its answer is cut
back.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, ConvBlock, ConvSpec
from hyperseg.core import SettingError

PREFIX = "monai:"
VNET_WIDTH, HEAD_WIDTH, GROUPS = 16, 12, 8  # V-Net's first maps; Swin's widths and SegResNet's are multiples of these
NO_MONAI = (
    "MONAI is not installed, so that its networks are no rows: pip install 'hyperseg[peers]', then --resume adds them."
)
Build = Callable[[Any, BackboneSpec, int], nn.Module]
"""(monai.networks.nets, backbone, number of classes) -> the network."""


@dataclass(frozen=True)
class Kind:
    """A peer.

    Attributes:
        build: how it is built.
        divisor: what sides of images must be multiples of; 0 is the backbone's stride.
        needs: what MONAI itself needs for it.
    """

    build: Build
    divisor: int = 0
    needs: str = "monai"


class Peer(nn.Module):
    """(B, C, *S) -> (B, K, *S) logits of a network that takes sides of some sizes only.

    Args:
        net: gives logits at the size of its input, or a list of them, the first of which counts.
        divisor: sides are continued to multiples of it, of twice as much at least.
        inputs: (C, channels that the net reads): a pointwise convolution is put before it where they differ.
    """

    def __init__(self, net: nn.Module, divisor: int, inputs: tuple[int, int], ndim: int) -> None:
        super().__init__()
        self.net, self.divisor = net, divisor
        given, read = inputs
        self.before = nn.Identity() if given == read else ConvBlock(ConvSpec(ndim), given, read, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = x.shape[2:]
        more: list[int] = []
        for n in reversed(size):
            more += [0, grown(n, self.divisor) - n]
        padded = F.pad(self.before(x), more, mode="replicate") if any(more) else self.before(x)
        found = self.net(padded)
        logits: Tensor = found if isinstance(found, Tensor) else found[0]
        return logits[:, :, *(slice(n) for n in size)]


def _norm(spec: BackboneSpec) -> Any:
    return "batch" if spec.conv.norm == "batch" else ("instance", {"affine": True})


def _unet(nets: Any, spec: BackboneSpec, k: int) -> nn.Module:
    found: nn.Module = nets.UNet(
        spec.conv.ndim, spec.in_channels, k, spec.widths, _strides(spec), norm=_norm(spec), num_res_units=2
    )
    return found


def _unet_plus_plus(nets: Any, spec: BackboneSpec, k: int) -> nn.Module:
    widths = (*spec.widths, *(spec.widths[-1],) * 5)[:5]
    found: nn.Module = nets.BasicUNetPlusPlus(
        spec.conv.ndim, spec.in_channels, k, features=(*widths, widths[0]), norm=_norm(spec)
    )
    return found


def _attention_unet(nets: Any, spec: BackboneSpec, k: int) -> nn.Module:
    found: nn.Module = nets.AttentionUnet(spec.conv.ndim, spec.in_channels, k, spec.widths, _strides(spec))
    return found


def _vnet(nets: Any, spec: BackboneSpec, k: int) -> nn.Module:
    found: nn.Module = nets.VNet(spec.conv.ndim, _vnet_inputs(spec), k, dropout_dim=spec.conv.ndim)
    return found


def _vnet_inputs(spec: BackboneSpec) -> int:
    return spec.in_channels if VNET_WIDTH % spec.in_channels == 0 else VNET_WIDTH


def _segresnet(nets: Any, spec: BackboneSpec, k: int) -> nn.Module:
    width = max(spec.widths[0] // GROUPS * GROUPS, GROUPS)
    found: nn.Module = nets.SegResNet(spec.conv.ndim, width, spec.in_channels, k)
    return found


def _swin(nets: Any, spec: BackboneSpec, k: int) -> nn.Module:
    width = max(round(spec.widths[0] / HEAD_WIDTH), 1) * HEAD_WIDTH
    name = "batch" if spec.conv.norm == "batch" else "instance"
    found: nn.Module = nets.SwinUNETR(
        spec.in_channels, k, feature_size=width, norm_name=name, spatial_dims=spec.conv.ndim
    )
    return found


def _strides(spec: BackboneSpec) -> Sequence[Any]:
    return [s if isinstance(s, int) else tuple(s) for s in spec.strides[1:]]


PEERS = {
    "UNet": Kind(_unet),
    "BasicUNetPlusPlus": Kind(_unet_plus_plus, 16),
    "AttentionUnet": Kind(_attention_unet),
    "VNet": Kind(_vnet, 16),
    "SegResNet": Kind(_segresnet, 8),
    "SwinUNETR": Kind(_swin, 32, "einops"),
}


def lacking(name: str) -> str:
    """Why a peer cannot be built here, in a sentence; "" where it can."""
    if find_spec("monai") is None:
        return NO_MONAI
    if find_spec(needs := PEERS[name].needs) is None:
        return f"MONAI needs {needs} for it, which is not installed: pip install {needs}."
    return ""


def check_sides(name: str, spec: BackboneSpec, window: Sequence[int]) -> None:
    """Refuse windows that a peer would have to continue to more than twice their sides.

    Raises:
        SettingError: most of what it computes there would be continued border.
    """
    divisor = PEERS[name].divisor or max(spec.stride)
    for side in window:
        if grown(side, divisor) > 2 * side:
            raise SettingError(
                f"MONAI's {name} takes {grown(side, divisor)} pixels a side or more, and windows have {side} here: "
                "nearly all that it computes would be continued border."
            )


def grown(side: int, divisor: int) -> int:
    """The side to which an image is continued."""
    return max(-(-side // divisor) * divisor, 2 * divisor)


def build_peer(name: str, spec: BackboneSpec, n_classes: int) -> Peer:
    """A peer for a backbone's channels, axes and widths; weights come from torch's generator.

    Args:
        name: of `PEERS`.
        spec: of the backbone that networks of the zoo get.
        n_classes: K.

    Raises:
        ValueError, TypeError, RuntimeError: MONAI's own, where it cannot build the network.
    """
    from monai.networks import nets

    kind, read = PEERS[name], spec.in_channels
    if kind.build is _vnet:
        read = _vnet_inputs(spec)
    divisor = kind.divisor or max(spec.stride)
    return Peer(kind.build(nets, spec, n_classes), divisor, (spec.in_channels, read), spec.conv.ndim)

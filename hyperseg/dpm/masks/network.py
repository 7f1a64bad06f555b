"""The network of MedSegDiff: one encoder for the image, one for the noisy mask, stepped side by side, one decoder."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, Conv, ConvBlock, ConvSpec, Decoder, Encoder, FiLM, Stage, TimeEmbedding
from hyperseg.core import SettingError
from hyperseg.core.settings import option, required, settings
from hyperseg.dpm.masks.conditioning import DynamicEncoding
from hyperseg.dpm.masks.ff_parser import FFParser
from hyperseg.dpm.masks.settings import MaskNetworkSettings, Skips

Stem = Literal["none", "pixel", "cube"]
STIR = 0.1  # spread of what the time adds to the mask's maps at first


@settings
class MaskDenoiserSpec:
    """What the network is built from."""

    backbone: BackboneSpec = required(
        "Encoder of the noisy mask, and the decoder: in_channels is M, the channels of a coded mask; cond_dim is above "
        "0. The image's encoder has the same widths, without a condition."
    )
    image_channels: int = required("C of the image: channels, or features of a pixel of a scene.", low=1)
    size: tuple[int, ...] = required(
        "Sides of the patches it is trained on; the FF-Parser's maps belong to them.", low=1
    )
    stem: Stem = option(
        "none", "What comes before the image's encoder: nothing, 1x1 convolutions, or a cube's encoder."
    )
    dynamic: bool = option(True, "Eq. 3 on the middle two stages; else the image's map goes on as it is.")
    ff_parser: bool = option(True, "Eq. 4-6 on the noisy mask's maps before Eq. 3.")
    skips: Skips = option("both", "Skips of the decoder: the sum of both encoders' maps, or the mask's alone.")
    norm: Literal["channel", "all"] = option("channel", "LN of Eq. 3.")

    def __post_init__(self) -> None:
        backbone = self.backbone
        ndim, stages = backbone.conv.ndim, len(backbone.widths)
        if not backbone.conv.cond_dim:
            raise SettingError("a denoising network is told the time: its backbone needs cond_dim above 0.")
        if stages < 2 or set(backbone.stages[0].stride) != {1}:
            raise SettingError(
                f"the network needs two stages or more, the first of stride 1; the backbone has {stages}, the first of "
                f"stride {backbone.stages[0].stride}."
            )
        if len(self.size) != ndim:
            raise SettingError(f"the patches' size is {self.size}, and the backbone has {ndim} spatial axes.")
        if self.stem == "cube" and ndim != 2:
            raise SettingError(f"a cube's stem reads bands of an image: use it with 2 spatial axes, not {ndim}.")
        if self.ff_parser and not self.dynamic:
            raise SettingError("the FF-Parser filters what Eq. 3 reads: turn it off where `dynamic` is off.")

    @property
    def fused(self) -> range:
        """Stages after which Eq. 3 stands: the middle two of all that come before the last."""
        stages = len(self.backbone.widths)
        first = (stages - 2) // 2
        return range(first, min(first + 2, stages - 1)) if self.dynamic else range(0)


def mask_denoiser_spec(
    backbone: BackboneSpec, *, channels: int, size: tuple[int, ...], image_channels: int,
    chosen: MaskNetworkSettings, stem: Stem = "none", cond_dim: int = 128,
) -> MaskDenoiserSpec:  # fmt: skip
    """The spec with the widths, strides and kernels of a planned backbone.

    Args:
        backbone: of any kind: residual blocks, group norms and SiLU take the place of its own, attention is left out.
        channels: M, of a coded mask.
        size: of the patches.
        image_channels: C.
        chosen: by the user.
    """
    body = replace(
        backbone, in_channels=channels, depths=(chosen.depth,) * len(backbone.widths), attention=(),
        conv=ConvSpec(backbone.conv.ndim, norm="group", act="silu", residual=True, cond_dim=cond_dim),
    )  # fmt: skip
    return MaskDenoiserSpec(
        body, image_channels, size, stem=stem, dynamic=chosen.dynamic, ff_parser=chosen.ff_parser,
        skips=chosen.skips, norm=chosen.norm,
    )  # fmt: skip


class Condition(NamedTuple):
    """What of an image does not depend on the noisy mask: computed once, for all samples and steps.

    Attributes:
        maps: (B, w_k, *S_k) of the image's encoder, fine to coarse, up to the first stage that is fused.
    """

    maps: tuple[Tensor, ...]

    def repeated(self, n: int) -> Condition:
        """For n samples of every image: (B * n, ...), those of an image one after the other."""
        return Condition(tuple(one.repeat_interleave(n, 0) for one in self.maps))


class MaskDenoiser(nn.Module):
    """(x (B, M, *S), place (B,), image (B, C, *S) or its `Condition`) -> (B, M, *S) what it says of the mask.

    Two encoders are stepped side by side. After the middle two stages the image's map is weighted by the mask's; the
    last stage, which is one for both, reads the sum of their maps. It says zero at first.

    Source: Wu et al., "MedSegDiff", 2023.
    Differs: with skips "both" the decoder sees image and mask at every level, not the mask alone; blocks are those of
        `hyperseg.backbone`, where the time scales and shifts instead of being added.
    """

    def __init__(self, spec: MaskDenoiserSpec) -> None:
        super().__init__()
        self.spec, backbone = spec, spec.backbone
        plain = replace(backbone, conv=replace(backbone.conv, cond_dim=0))
        levels, sizes = range(len(backbone.widths) - 1), backbone.sizes(spec.size)
        self.time = TimeEmbedding(backbone.conv.cond_dim)
        self.stem, features = stem_of(spec, plain)
        self.image = nn.ModuleList(Stage(plain, k, in_channels=None if k else features) for k in levels)
        self.mask = nn.ModuleList(Stage(backbone, k) for k in levels)
        self.parsers = nn.ModuleList(
            FFParser(backbone.widths[k], sizes[k]) if spec.ff_parser else nn.Identity() for k in spec.fused
        )
        self.weighings = nn.ModuleList(DynamicEncoding(backbone.widths[k], spec.norm) for k in spec.fused)
        self.deepest = Stage(backbone, len(levels))
        self.decoder = Decoder(backbone)
        self.last = Conv(backbone.conv, backbone.widths[0], backbone.in_channels, 1, bias=True)
        nn.init.zeros_(self.last.layer.weight)  # type: ignore[arg-type]
        for module in self.mask.modules():
            if isinstance(module, FiLM):  # else a blank mask stays 0, whose norms have gradients without bounds
                nn.init.normal_(module.to_scale_shift.bias, std=STIR)

    def condition(self, image: Tensor) -> Condition:
        """(B, C, *S) -> what does not depend on the mask.

        Raises:
            SettingError: another number of axes or channels than the spec has.
        """
        spec = self.spec
        if image.ndim != len(spec.size) + 2 or image.shape[1] != spec.image_channels:
            raise SettingError(
                f"the network got an image of shape {tuple(image.shape)}; expected (batch, {spec.image_channels}, "
                f"{len(spec.size)} spatial axes)."
            )
        found, maps = self.stem(image), []
        for stage in self.image[: spec.fused.start + 1] if spec.fused else self.image:
            found = stage(found)
            maps.append(found)
        return Condition(tuple(maps))

    def forward(self, x: Tensor, place: Tensor, image: Tensor | Condition) -> Tensor:
        """See the class.

        Raises:
            SettingError: mask and image do not fit each other, or the spec.
        """
        known = (image if isinstance(image, Condition) else self.condition(image)).maps
        self._check(x, known[0])
        told, seen, skips = self.time(place), known[0], []
        for level, stage in enumerate(self.mask):
            x = stage(x, told)
            seen = known[level] if level < len(known) else self.image[level](seen)
            if level in self.spec.fused:
                at = level - self.spec.fused.start
                seen = self.weighings[at](seen, self.parsers[at](x))
            both = x + seen
            skips.append(both if self.spec.skips == "both" else x)
        coarse = self.deepest(both, told)
        return self.last(self.decoder([*skips, coarse], told)[0])

    def blank(self, image: Tensor | Condition, place: float) -> Tensor:
        """What it says where the mask is all zero, at one place for all: the feed-forward twin's forward."""
        known = image if isinstance(image, Condition) else self.condition(image)
        finest = known.maps[0]
        x = finest.new_zeros(len(finest), self.spec.backbone.in_channels, *finest.shape[2:])
        return self(x, torch.full((len(x),), place, device=x.device), known)

    def _check(self, x: Tensor, finest: Tensor) -> None:
        wanted = (len(finest), self.spec.backbone.in_channels, *finest.shape[2:])
        if tuple(x.shape) != wanted:
            raise SettingError(
                f"the mask has shape {tuple(x.shape)}; the image asks for {wanted}. For several masks of an image, "
                "repeat its condition: `condition.repeated(n)`."
            )


def stem_of(spec: MaskDenoiserSpec, plain: BackboneSpec) -> tuple[nn.Module, int]:
    """What comes before the image's encoder, and how many channels it gives."""
    match spec.stem:
        case "none":
            return nn.Identity(), spec.image_channels
        case "pixel":
            width = plain.widths[0]
            blocks = (ConvBlock(plain.conv, n, width, 1) for n in (spec.image_channels, width))
            return nn.Sequential(*blocks), width
        case "cube":
            return CubeStem(plain.widths[0]), plain.widths[0]
        case _:
            raise SettingError(f"the stem must be none, pixel or cube, got {spec.stem!r}.")


class CubeStem(nn.Module):
    """Bands as depth of a 3-D encoder that strides along bands alone; the mean over what is left of them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        first = max(width // 4, 2)
        self.encoder = Encoder(BackboneSpec(
            1, (first, 2 * first, width), ((4, 1, 1), (2, 1, 1), (2, 1, 1)), ((7, 1, 1), (5, 1, 1), 3), (1, 1, 1),
            ConvSpec(3, norm="group", act="silu"),
        ))  # fmt: skip

    def forward(self, image: Tensor) -> Tensor:
        """(B, L, h, w) -> (B, width, h, w)."""
        return self.encoder(image.unsqueeze(1))[-1].mean(2)

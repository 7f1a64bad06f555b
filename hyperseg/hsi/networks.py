"""Networks for scenes: cube in, map of class scores out, without spatial padding.

All are functions (B, 1, L, h, w) -> (B, K, h - 2 margin, w - 2 margin): a patch of side 2 margin + 1 gives one
score vector, a scene gives the whole map with the same weights and the same numbers.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from hyperseg.backbone import (
    BackboneSpec,
    ClassHead,
    ConvBlock,
    ConvSpec,
    Encoder,
    GroupEncoder,
    Groups,
    absorb_linear,
    dropout,
    fuse_batch_norm,
    scale_weights,
    seeded,
)
from hyperseg.core import SettingError
from hyperseg.core.settings import option, required, settings
from hyperseg.data.preprocess import Preprocess

Net = TypeVar("Net", bound=nn.Module)


@settings
class NetworkSpec:
    """What a network is built from that collapses the bands, then looks at space."""

    n_features: int = required("L, features per pixel after preprocessing.", low=1)
    n_classes: int = required("K.", low=1)
    stage: Literal["none", "short", "groups"] = required(
        "What stands before the band collapse: nothing (none), short convolutions along the bands with a residual "
        "block (short), or features of groups of bands (groups)."
    )
    width: int = option(64, "Channels of the spatial stage.", low=1, high=8_192)
    blocks: int = option(2, "Spatial residual blocks; each costs 2 pixels of margin.", low=0)
    dropout: float = option(
        0.3, "Probability of dropping a feature map before the head, in training only.", low=0, below=1
    )
    initial_scale: float = option(
        0.2,
        "Spread of the initial weights, relative to He's. Behind batch norm it changes no output, only how far a step "
        "turns the weights; small values did better on parcels not trained on.",
        above=0,
    )
    groups: Groups = option(
        (), "(start, stop) of each group of bands; together all features. `data.bands.groups.cut_bands` makes them."
    )
    group_maps: int = option(16, "Features per group.", low=1)
    group_shared: bool = option(True, "One set of weights for all groups instead of one each.")
    group_kernel: int = option(
        0,
        "0 for one convolution over the whole group; else bands of a short convolution with stride 2 that comes before "
        "the one over all that is left.",
        low=0,
    )


@settings
class HybridSpec:
    """What a network is built from that begins with 3-D convolutions over bands and space, and goes on in 2-D."""

    n_features: int = required("L, features per pixel after preprocessing.", low=1)
    n_classes: int = required("K.", low=1)
    width: int = option(64, "Channels of the first 2-D stage; the second has twice as many.", low=1, high=8_192)
    dropout: float = option(
        0.3, "Probability of dropping a feature map before the head, in training only.", low=0, below=1
    )
    initial_scale: float = option(0.2, "Spread of the initial weights, relative to He's.", above=0)


SceneSpec = NetworkSpec | HybridSpec


def build_network(spec: SceneSpec, *, seed: int) -> SceneNet:
    """The network of `spec` with weights drawn from `seed`."""
    with seeded(seed):
        net = HybridNet(spec) if isinstance(spec, HybridSpec) else SpectralSpatialNet(spec)
    scale_weights(net, spec.initial_scale)
    return net


def for_inference(net: Net, preprocess: Preprocess) -> tuple[Net, Preprocess]:
    """The same function of the raw cube with less work: what mapping a scene uses.

    Batch norms are folded into convolutions. Where nothing stands before the band collapse, the preprocessing's linear
    part (scaling, whitening) is folded into its first 1x1 convolution; the means are still subtracted first, so that no
    digits are lost.

    Returns:
        A copy of the network for prediction only, and the preprocessing that is left to do before it.
    """
    lean = fuse_batch_norm(net)
    if not isinstance(lean, SpectralSpatialNet) or lean.spectral is not None:
        return lean, preprocess
    matrix = np.diag(1.0 / preprocess.std.astype(np.float64))
    if preprocess.components is not None:
        matrix = preprocess.components.astype(np.float64) @ matrix
    absorb_linear(lean.collapse[0], torch.from_numpy(matrix))
    return lean, replace(preprocess, std=np.ones_like(preprocess.std), components=None)


class SpectralSpatialNet(nn.Module):
    """Spectral stage, band collapse, spatial stage; unpadded in space.

    Source: Zhong et al., "Spectral-Spatial Residual Network for Hyperspectral Image Classification", TGRS 2018:
    convolutions along the bands, one convolution over all that is left of them, then 3x3 residual blocks; 7 bands
    and stride 2 along them are SSRN's.
    Differs: unpadded in space; after the collapse the data are 2-D, the same arithmetic as depth-1 3-D convolutions and
    several times faster; a 1x1 head at the centre instead of pooling; 16 spectral maps and one spectral residual block
    instead of 24 and two. The stage "none" leaves the short spectral convolutions out, so that the collapse, a (L, 1,
    1) convolution, is all that reads the spectrum: they cost several times the training time, and what they gain on
    leaky splits a wider window gains too. The stage "groups" puts a `GroupEncoder` in their place.
    """

    padded = False

    def __init__(self, spec: NetworkSpec) -> None:
        super().__init__()
        self.spec = spec
        self.spectral, channels = spectral_stage(spec)
        self.collapse = nn.Sequential(
            ConvBlock(ConvSpec(2), channels, spec.width, 1), ConvBlock(ConvSpec(2), spec.width, spec.width, 1)
        )
        flat = ConvSpec(2, padding="valid", residual=True)
        space = BackboneSpec(spec.width, (spec.width,), (1,), (3,), (max(spec.blocks, 1),), flat)
        self.spatial = Encoder(space) if spec.blocks else None  # without: a classifier of single spectra
        self.drop = dropout(ConvSpec(2, dropout=spec.dropout))
        self.head = ClassHead(space, spec.n_classes)
        self.margin = space.margin[0] if spec.blocks else 0

    def features(self, x: Tensor) -> Tensor:
        """(B, 1, L, h, w) -> (B, width, h - 2 margin, w - 2 margin), what the head reads."""
        bands = x if self.spectral is None else self.spectral(x)
        y = self.collapse(bands.flatten(1, -3))  # bands, groups and maps are all channels from here on
        if self.spatial is not None:
            y = self.spatial(y)[-1]
        return y if self.drop is None else self.drop(y)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, L, h, w) -> (B, K, h - 2 margin, w - 2 margin) logits."""
        return self.head([self.features(x)])


def spectral_stage(spec: NetworkSpec) -> tuple[SpectralStage | GroupEncoder | None, int]:
    """What comes before the band collapse, None for nothing, and the channels the collapse reads."""
    match spec.stage:
        case "none":
            return None, spec.n_features
        case "short":
            stage = SpectralStage(spec.n_features)
            return stage, stage.channels
        case "groups":
            encoder = group_encoder(spec)
            return encoder, len(spec.groups) * encoder.channels
        case _:
            raise SettingError(f"unknown stage {spec.stage!r}.")


def group_encoder(spec: NetworkSpec) -> GroupEncoder:
    """The stage "groups": `spec.group_maps` features per group of bands, pointwise in space.

    Raises:
        SettingError: groups that are not all the features in order, or a kernel that does not fit them.
    """
    if not spec.groups or spec.groups[-1][1] != spec.n_features:
        raise SettingError(
            f"band groups must cover the network's {spec.n_features} features, got {spec.groups}: "
            "cut them with hyperseg.data.bands.groups.cut_bands."
        )
    maps, kernel, longest = spec.group_maps, spec.group_kernel, max(b - a for a, b in spec.groups)
    if kernel != 0 and not 2 <= kernel <= longest:  # a kernel of 1 with stride 2 would skip every other band
        raise SettingError(
            f"group_kernel must be 0, or 2 or more and at most {longest}, the longest group, got {kernel}."
        )
    pointwise = ConvSpec(3, padding=("valid", "same", "same"))
    backbone = BackboneSpec(1, (maps,), (1,), ((longest, 1, 1),), (1,), pointwise)
    if kernel:
        rest = -(-(longest - kernel) // 2) + 1  # places of the short kernel, the last one on the last band
        kernels = ((kernel, 1, 1), (rest, 1, 1))
        backbone = BackboneSpec(1, (maps, maps), ((2, 1, 1), 1), kernels, (1, 1), pointwise)
    return GroupEncoder(spec.groups, backbone, shared=spec.group_shared)


class SpectralStage(nn.Module):
    """Convolutions along the bands, pointwise in space; bands and maps come out as channels."""

    def __init__(self, n_features: int, *, maps: int = 16, kernel: int = 7) -> None:
        super().__init__()
        if n_features < kernel:
            raise SettingError(f"the spectral stage needs at least {kernel} bands, got {n_features}.")
        valid = ConvSpec(3, padding=("valid", "same", "same"))
        stem = BackboneSpec(1, (maps,), ((2, 1, 1),), ((kernel, 1, 1),), (1,), valid)
        blocks = BackboneSpec(maps, (maps,), (1,), ((kernel, 1, 1),), (1,), ConvSpec(3, residual=True))
        self.stem, self.blocks = Encoder(stem), Encoder(blocks)
        self.channels = maps * stem.sizes((n_features, 1, 1))[-1][0]

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, L, h, w) -> (B, channels, h, w)."""
        return self.blocks(self.stem(x)[-1])[-1].flatten(1, 2)


class HybridNet(nn.Module):
    """3-D convolutions over bands and space, depth folded into channels, then 2-D.

    Source: Roy et al., "HybridSN", GRSL 2020: 8, 16, 32 maps with kernels 7, 5, 3 along the components, then 64.
    Differs: a 9x9 window instead of 25x25 (four unpadded 3x3 steps), fully convolutional, batch norm, a 1x1 head
    with one hidden layer instead of two fully connected ones; 16 maps in the first stage instead of 8.
    """

    padded = False

    def __init__(self, spec: HybridSpec) -> None:
        super().__init__()
        if spec.n_features < 13:
            raise SettingError(
                "a network that begins with 3-D convolutions needs at least 13 features per pixel for its kernels of "
                f"7, 5 and 3, got {spec.n_features}."
            )
        self.spec = spec
        cube = BackboneSpec(
            1, (16, 16, 32), (1, 1, 1), ((7, 3, 3), (5, 3, 3), (3, 3, 3)), (1, 1, 1), ConvSpec(3, padding="valid")
        )
        depth = cube.sizes((spec.n_features, 9, 9))[-1][0]
        plane = BackboneSpec(
            32 * depth, (spec.width, 2 * spec.width), (1, 1), (3, 1), (1, 1), ConvSpec(2, padding="valid")
        )
        self.cube, self.plane = Encoder(cube), Encoder(plane)
        self.drop = dropout(ConvSpec(2, dropout=spec.dropout))
        self.head = ClassHead(plane, spec.n_classes, level=-1)
        self.margin = cube.margin[1] + plane.margin[0]

    def features(self, x: Tensor) -> Tensor:
        """(B, 1, L, h, w) -> (B, 2 width, h - 8, w - 8), what the head reads."""
        y = self.plane(self.cube(x)[-1].flatten(1, 2))[-1]
        return y if self.drop is None else self.drop(y)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, L, h, w) -> (B, K, h - 8, w - 8) logits."""
        return self.head([self.features(x)])


SceneNet = SpectralSpatialNet | HybridNet

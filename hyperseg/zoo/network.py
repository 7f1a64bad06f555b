"""`ZooNet`: a member of the zoo as networks of a scene and of images are asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, ConvBlock, ConvSpec, seeded
from hyperseg.core import SettingError
from hyperseg.core.settings import option, required, settings
from hyperseg.core.tiles import Layout
from hyperseg.core.words import listed
from hyperseg.zoo import parse_network
from hyperseg.zoo.member import Minimised
from hyperseg.zoo.receptive import reach


@settings
class ZooSpec:
    """What a `ZooNet` is built from."""

    network: str = required("A member with its settings, as `zoo.parse_network` reads it.")
    n_features: int = required("L, features per pixel, or channels.", low=1)
    n_classes: int = required("K.", low=1)
    body: BackboneSpec = required("The backbone that the member makes its network of.")
    tile: tuple[int, ...] = required("Sides of the windows that it is trained on and maps in, per axis.", low=1)
    pointwise: bool = option(False, "Two pointwise convolutions before it, else it reads the features themselves.")
    whole: bool = option(True, "Images keep their size: of a network without padding they are continued by reflection.")


class ZooNet(nn.Module):
    """(B, L, *S) -> (B, K, *S) logits: features made pixel by pixel where the spec says so, then the member.

    Attributes:
        margin: pixels that an unpadded network loses on each side; 0 otherwise.
        padded: whether its windows are blended.
        tile: sides of the windows it maps in; of an unpadded network None: any do.
    """

    layout: Layout = "channels"

    def __init__(self, spec: ZooSpec) -> None:
        super().__init__()
        self.spec = spec
        self.member, self.chosen = parse_network(spec.network)
        axes, first = spec.body.conv.ndim, spec.body.in_channels
        if axes not in self.member.axes:
            raise SettingError(
                f"{self.member.name} is a network for images of {listed(map(str, self.member.axes), last='or')} axes, "
                f"not of {axes}."
            )
        if not spec.pointwise and first != spec.n_features:
            raise SettingError(f"the backbone reads {first} channels, the images have {spec.n_features}.")
        flat = ConvSpec(axes)
        blocks = [ConvBlock(flat, spec.n_features, first, 1), ConvBlock(flat, first, first, 1)]
        self.collapse = nn.Sequential(*blocks) if spec.pointwise else nn.Identity()
        self.body = self.member.build(spec.body, spec.n_classes, self.chosen)
        adversary = self.member.adversary
        self.critic = None if adversary is None else adversary.build(spec.body, spec.n_classes, self.chosen)
        self.lost = 0 if self.member.padded else int(getattr(self.body, "margin"))  # noqa: B009
        self.padded = self.member.padded or spec.whole
        self.margin = 0 if self.padded else self.lost
        self.tile = spec.tile if self.padded else None
        self.weights: tuple[float, ...] = tuple(getattr(self.body, "weights", (1.0,)))
        self._context: int | None = None

    @property
    def context_px(self) -> int:
        """How far a decision looks along the axis where that is most, within a window; found by trying."""
        if not self.padded:
            return self.margin
        if self._context is None:
            seen = max(reach(self, self.spec.n_features, self.spec.tile, steps=max(self.spec.body.stride)))
            self._context = min(seen + int(getattr(self.body, "moved", 0)), max(self.spec.tile) - 1)
        return self._context

    def read(self, x: Tensor) -> Tensor:
        """(B, L, *S) -> (B, C, *S), what the member reads."""
        y: Tensor = self.collapse(x)
        if self.lost and self.padded:
            if min(y.shape[2:]) <= self.lost:
                raise SettingError(
                    f"an image of {' x '.join(map(str, y.shape[2:]))} pixels is smaller than what {self.member.name} "
                    f"looks at, {2 * self.lost + 1} pixels: give larger images, or a network with padding."
                )
            y = F.pad(y, (self.lost,) * (2 * (y.ndim - 2)), mode="reflect")
        return y

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.body(self.read(x))
        return logits

    def levels(self, x: Tensor) -> Sequence[Tensor]:
        """(B, L, *S) -> logits that count in training, those of `forward` first; `weights` are theirs."""
        return self._levels(self.read(x))

    def terms(self, x: Tensor, labels: Tensor, minimised: Minimised) -> dict[str, Tensor]:
        """All terms of the network's loss: (B, L, *S) features, (B, *S) labels, -1 unknown."""
        read = self.read(x)
        own = getattr(self.body, "terms", None)
        if self.critic is None:
            if own is not None:
                return dict(own(read, labels, minimised))
            return dict(minimised(self._levels(read), labels, self.weights))
        levels = self._levels(read)
        assert self.member.adversary is not None
        rival = self.member.adversary.rival(self.critic, read.detach(), levels[0], labels, self.chosen)
        return {**minimised(levels, labels, self.weights), **rival}

    def critic_terms(self, x: Tensor, labels: Tensor) -> Mapping[str, Tensor]:
        """All terms of the critic's loss; the network itself gets no gradient, and its batch norms forget the look."""
        assert self.critic is not None
        assert self.member.adversary is not None
        before = [(buffer, buffer.clone()) for part in (self.collapse, self.body) for buffer in part.buffers()]
        with torch.no_grad():
            read = self.read(x)
            logits = self.body(read)
            for buffer, kept in before:
                buffer.copy_(kept)
        return self.member.adversary.critic(self.critic, read, logits, labels, self.chosen)

    def _levels(self, read: Tensor) -> Sequence[Tensor]:
        levels = getattr(self.body, "levels", None)
        found: Sequence[Tensor] = [self.body(read)] if levels is None else levels(read)
        return found


def build(spec: ZooSpec, seed: int) -> ZooNet:
    """The network of `spec` with weights drawn from `seed`."""
    with seeded(seed):
        return ZooNet(spec)

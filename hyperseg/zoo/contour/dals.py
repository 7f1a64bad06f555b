"""DALS: level sets that evolve from a network's scores, by forces whose weights it predicts for every pixel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ClassHead, Decoder, Encoder, resized
from hyperseg.core.settings import option, settings
from hyperseg.zoo.member import Member

FLAT = 0.1  # logits per pixel: below such a slope a border has no direction and its curvature fades
FARTHEST = 4.0  # square distance of a pixel from a region's mean, in variances: beyond, it counts as this


@settings
class DalsSettings:
    """Of the evolution; all are our reconstruction."""

    steps: int = option(5, "Steps of the level sets.", low=0, high=100)
    rate: float = option(1.0, "Length of a step, in logits per unit of force.", above=0, high=10)
    auxiliary: float = option(0.5, "Weight of the loss of the scores that they start from.", low=0, high=10)


def slope(x: Tensor, axis: int) -> Tensor:
    """Central differences along an axis, one-sided at its ends; 0 where it has one pixel."""
    n = x.shape[axis]
    if n == 1:
        return torch.zeros_like(x)
    ahead = torch.cat((x.narrow(axis, 1, n - 1), x.narrow(axis, n - 1, 1)), axis)
    behind = torch.cat((x.narrow(axis, 0, 1), x.narrow(axis, 0, n - 1)), axis)
    apart = x.new_full((n,), 2.0)
    apart[0] = apart[-1] = 1.0
    return (ahead - behind) / apart.view(-1, *[1] * (x.ndim - 1 - axis))


def curvature(level_set: Tensor, *, flat: float = 1e-6) -> Tensor:
    """(B, K, *S) -> (B, K, *S), the divergence of the unit normals: 0 on a plane, 1 / r on a circle, 2 / r on a sphere.

    That is around a hole. Around a region of positive values it is negative, and a step along it makes the region
    smaller and its border shorter. `flat` is the slope below which there is no direction.
    """
    slopes = [slope(level_set, axis) for axis in range(2, level_set.ndim)]
    steep = (torch.stack([each.square() for each in slopes]).sum(0) + flat**2).sqrt()
    return torch.stack([slope(each / steep, axis) for axis, each in enumerate(slopes, 2)]).sum(0)


def distances(image: Tensor, inside: Tensor) -> Tensor:
    """Square distance of every pixel from the mean of each region, in variances of the image, at most `FARTHEST`.

    Args:
        image: (B, C, N), of mean 0 and variance 1 in every channel.
        inside: (B, K, N), 0 to 1, how much a pixel is of a region.

    Returns:
        (B, K, N), the mean over channels.
    """
    means = inside @ image.transpose(1, 2) / inside.sum(2, keepdim=True).clamp(min=1e-3)
    own = image.square().sum(1, keepdim=True) - 2 * means @ image + means.square().sum(2, keepdim=True)
    return (own / image.shape[1]).clamp(0, FARTHEST)


def evolved(logits: Tensor, image: Tensor, forces: Tensor, *, steps: int, rate: float) -> Tensor:
    """Level sets of all classes after some steps of their forces.

    A class's level set is the logit of its probability, its region's indicator that probability p, and the border's
    width the derivative 4 p (1 - p), which is 1 on the border.

    Args:
        logits: (B, K, *S), where they start.
        image: (B, C, *S), standardised.
        forces: (B, 3, K, *S), 0 or more: weights of the pixel's distance from the mean inside, of that from the mean
            outside, and of the curvature.

    Returns:
        (B, K, *S), `logits` plus what every step added.
    """
    inner, outer, bend = forces.unbind(1)
    pixels = image.flatten(2)
    for _ in range(steps):
        logs = logits.log_softmax(1)
        p = logs.exp()
        flat = p.flatten(2)
        near, far = (distances(pixels, part).view_as(p) for part in (flat, 1 - flat))
        level_set = logs - (1 - p).clamp(min=1e-6).log()
        speed = bend * curvature(level_set, flat=FLAT) - inner * near + outer * far
        logits = logits + rate * 4 * p * (1 - p) * speed
    return logits


class Dals(nn.Module):
    """(B, C, *S) -> (B, K, *S): class scores as level sets, which then evolve for some steps in the image itself.

    Defined by: each class's border moves as an active contour does. A pixel joins a region whose mean it resembles
    (Chan and Vese's forces), and the border becomes shorter by its curvature. The network predicts, pixel by pixel,
    how much each of the three forces counts, and the steps are part of what is trained.
    Use: where objects differ from their surroundings in the image, and few labels teach where borders are.

    Source: Hatamizadeh, Hoogi, Sengupta, Lu, Wilcox, Rubin, Terzopoulos, "Deep Active Lesion Segmentation",
    arXiv 1908.06933; forces of Chan and Vese, "Active Contours Without Edges", TIP 10(2), 2001.
    Differs: much is our reconstruction. The evolution is trained through (in the paper it follows the network), starts
    from the scores instead of a distance map, and has all classes side by side. Means are of the whole image, not of a
    window around each pixel, and of all channels that the network reads. The steps are few. Weights of the forces come
    from a layer of their own and lie between 0 and 2, where the paper computes them from the probability.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: DalsSettings) -> None:
        super().__init__()
        self.chosen = chosen
        self.encoder, self.decoder = Encoder(spec), Decoder(spec)
        self.head = ClassHead(spec, n_classes)
        self.forces = ClassHead(spec, 3 * n_classes) if chosen.steps else None
        self.weights = (1.0, chosen.auxiliary) if chosen.steps else (1.0,)

    def levels(self, x: Tensor) -> Sequence[Tensor]:
        maps, size = self.decoder(self.encoder(x)), x.shape[2:]
        start = resized(self.head(maps), size)
        if self.forces is None:
            return [start]
        forces = 2 * resized(self.forces(maps), size).sigmoid().unflatten(1, (3, -1))
        flat = x.detach().flatten(2)
        image = flat - flat.mean(2, keepdim=True)
        image = image / image.square().mean(2, keepdim=True).sqrt().clamp(min=1e-6)
        after = evolved(start, image.view_as(x), forces, steps=self.chosen.steps, rate=self.chosen.rate)
        return [after, start]

    def forward(self, x: Tensor) -> Tensor:
        return self.levels(x)[0]


DALS = Member("dals", "DALS", 2019, "active contour", Dals, Dals, DalsSettings)

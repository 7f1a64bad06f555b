"""CRF as RNN: mean field of a dense CRF as the last layers of a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec
from hyperseg.core.settings import option, settings
from hyperseg.filters.gaussians import Filter, gaussian_filter
from hyperseg.zoo.encoder_decoder.u_net import UNet
from hyperseg.zoo.member import Member


@settings
class CrfSettings:
    """Of the mean field; the widths are our reconstruction (the paper's are for photographs of 500 pixels)."""

    steps: int = option(5, "Steps of mean field in training; 5 in the paper.", low=1, high=50)
    steps_mapping: int = option(10, "Steps when it maps; 10 in the paper.", low=1, high=50)
    gaussian_px: float = option(3.0, "Width of the kernel of positions alone; 3 in the paper.", low=0.1, high=1e4)
    bilateral_px: float = option(20.0, "Width in pixels of the bilateral kernel; 160 in the paper.", low=0.1, high=1e4)
    bilateral_sd: float = option(
        0.5, "Its width in the guide: 1 is how far the pixels of an image are from their mean.", low=1e-2, high=1e3
    )
    guide: int = option(3, "Most dimensions of the guide; the lattice's memory grows with them.", low=1, high=5)
    auxiliary: float = option(0.4, "Weight of the loss of the scores before the mean field.", low=0, high=10)


class DenseMeanField(nn.Module):
    """Steps of mean field with a Gaussian and a bilateral kernel, and a table of compatibilities, all learnt.

    Attributes:
        weights: (2, K), of the messages of each kernel, class by class; 1 at first.
        compatibility: (K, K), what class l costs beside class m; at first Potts: 1 where they differ, 0 elsewhere.
    """

    def __init__(self, n_classes: int, chosen: CrfSettings) -> None:
        super().__init__()
        self.chosen = chosen
        self.weights = nn.Parameter(torch.ones(2, n_classes))
        self.compatibility = nn.Parameter(1 - torch.eye(n_classes))

    def forward(self, logits: Tensor, x: Tensor) -> Tensor:
        """(B, K, *S) logits, (B, C, *S) what the guide is made of -> (B, K, *S) logits after the last step."""
        with torch.autocast(logits.device.type, enabled=False):
            own = logits if logits.dtype == torch.float64 else logits.float()
            filters = self.filters(x.detach().to(own.dtype))
            unary = own.flatten(2).transpose(1, 2)
            field = unary
            for _ in range(self.chosen.steps if self.training else self.chosen.steps_mapping):
                q = field.softmax(2)
                message = sum(weight * each(q) for weight, each in zip(self.weights, filters, strict=True))
                field = unary - message @ self.compatibility.T
        return field.transpose(1, 2).unflatten(2, logits.shape[2:])

    @torch.no_grad()
    def filters(self, x: Tensor) -> list[Filter]:
        """The Gaussian and the bilateral kernel of (B, C, *S) images."""
        size = x.shape[2:]
        axes = [torch.arange(n, dtype=x.dtype, device=x.device) for n in size]
        at = torch.stack(torch.meshgrid(*axes, indexing="ij"), -1).view(1, -1, len(size))
        told = guide_of(x, self.chosen.guide) / self.chosen.bilateral_sd
        both = torch.cat([(at / self.chosen.bilateral_px).expand(len(x), -1, -1), told], 2)
        return [gaussian_filter(at / self.chosen.gaussian_px), gaussian_filter(both)]


def guide_of(x: Tensor, most: int) -> Tensor:
    """(B, C, *S) -> (B, N, F) with F at most `most`: of many channels the first principal components of each image.

    Every image is centred and divided by the root of its pixels' mean square distance from the mean.
    """
    flat = x.flatten(2).transpose(1, 2)
    flat = torch.nan_to_num(flat - flat.mean(1, keepdim=True), nan=0.0, posinf=0.0, neginf=0.0)
    if flat.shape[2] > most:
        directions = torch.linalg.eigh(flat.transpose(1, 2) @ flat / flat.shape[1]).eigenvectors
        flat = flat @ directions[..., -most:]
    return flat / flat.square().sum(2).mean(1).sqrt().clamp(min=1e-6).view(-1, 1, 1)


class CrfAsRnn(nn.Module):
    """(B, C, *S) -> (B, K, *S): class scores, then steps of a dense CRF's mean field, trained together.

    Defined by: every step filters the probabilities with two Gaussian kernels, one of positions alone and one of
    positions and the image. It weighs the two, mixes classes by a table, and adds what comes out to the scores. All
    weights are learnt through the steps.
    Use: where borders of classes follow borders of the image, and scores alone are ragged. A step of training takes
    about twice the time of the network before it.

    Source: Zheng, Jayasumana, Romera-Paredes, Vineet, Su, Du, Huang, Torr, "Conditional Random Fields as Recurrent
    Neural Networks", arXiv 1502.03240.
    Differs: the scores come from a U-Net instead of FCN-8s, they have a loss of their own, and all is trained at once
    instead of scores first. The kernels read what the network reads (no gradient goes into it); of more than three
    channels the first three principal components of each image, in units of their spread. Widths, but that of the
    Gaussian, and first weights (1) are our reconstruction. A pixel's message to itself is part of a filter, as it is in
    the lattice. Up to 600 pixels the kernels are exact; larger images are filtered by the permutohedral lattice, an
    approximation of the same kernels. In an image with a value that is no number no pixel has an answer.
    """

    def __init__(self, spec: BackboneSpec, n_classes: int, chosen: CrfSettings) -> None:
        super().__init__()
        self.scores = UNet(spec, n_classes, chosen)
        self.mean_field = DenseMeanField(n_classes, chosen)
        self.weights = (1.0, chosen.auxiliary)

    def levels(self, x: Tensor) -> Sequence[Tensor]:
        scores = self.scores(x)
        # of an image with a value that is not finite every pixel depends on it, by the guide's scale
        lost = 0 * x.detach().flatten(1).sum(1).view(-1, *[1] * (x.ndim - 1))
        return [self.mean_field(scores + lost, x), scores]

    def forward(self, x: Tensor) -> Tensor:
        return self.levels(x)[0]


CRF_AS_RNN = Member("crf-as-rnn", "CRF-as-RNN", 2015, "graphical model", CrfAsRnn, CrfAsRnn, CrfSettings)

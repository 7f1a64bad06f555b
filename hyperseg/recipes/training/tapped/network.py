"""`TappedNet`: a denoiser and a head on its features as one network that maps windows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ConvSpec, seeded
from hyperseg.core.settings import option, required, settings
from hyperseg.core.tiles import Layout
from hyperseg.dpm.model import DiffusionModel
from hyperseg.dpm.network import Denoiser, DenoiserSpec
from hyperseg.dpm.parameterisation import Predicts
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.dpm.tapped.head import HeadSpec, PixelHead, head_spec
from hyperseg.dpm.tapped.learning import tapped_at

COND = 64  # length of the embedded time, of denoiser and head


@settings
class TappedSpec:
    """What a denoiser with a head on it is built from."""

    denoiser: DenoiserSpec = required("The denoising network.")
    head: HeadSpec = required("The head.")
    schedule: str = required("Of the noise, as in the table of schedules.")
    predicts: Predicts = required("What the denoiser says.")
    window: int = required("Side of the windows that are learnt.", low=1)
    times: tuple[float, ...] = option((0.1,), "Times at which features are read.", low=0, high=1)


def tapped_spec(
    channels: int, n_classes: int, *, widths: tuple[int, ...], hidden: tuple[int, ...], schedule: str,
    predicts: Predicts, window: int, times: tuple[float, ...], mean: int = 1,
) -> TappedSpec:  # fmt: skip
    """The usual one: residual blocks, all levels of the decoder read, without norms and without strides.

    A norm over a window would take away what a field of one class is known by: the level of its spectrum. Dilation that
    doubles from stage to stage looks as far as strides would, and a pixel has the same features in every window.
    """
    conv, n = ConvSpec(2, norm="none", act="silu", residual=True, cond_dim=COND), len(widths)
    far = tuple(2**stage for stage in range(n))
    backbone = BackboneSpec(channels, widths, (1,) * n, (3,) * n, (1,) * n, conv, dilations=far)
    denoiser = DenoiserSpec(backbone)
    every = [block / max(n - 1, 1) for block in range(n)]
    head = head_spec(denoiser, every, n_classes, hidden=hidden, cond_dim=COND, mean=mean)
    return TappedSpec(denoiser, head, schedule, predicts, window, times)


def margin_of(backbone: BackboneSpec) -> int:
    """Pixels that a decision of the encoder and its decoder looks to each side."""
    across = sum(kernel[0] // 2 for stage in backbone.stages for kernel, _ in backbone.convolutions(stage))
    blocks = 2 if backbone.conv.residual else 1  # convolutions of a block of the decoder, which are not dilated
    return across + sum(blocks * stage.depth * (stage.kernel[0] // 2) for stage in backbone.stages[:-1])


class TappedNet(nn.Module):
    """(B, L, h, w) -> (B, K, h - 2 m, w - 2 m): the mean over times of what the head says, as logarithms of
    probabilities.

    Data are scaled as at each time, alpha x0, and get no noise: a pixel has one answer, in whatever window it lies. The
    head learns without noise too.

    Attributes:
        margin: m, how far a decision looks; what lies within the margin saw the zeros beyond the window.
    """

    padded = False
    layout: Layout = "channels"

    def __init__(self, spec: TappedSpec) -> None:
        super().__init__()
        self.spec, self.margin = spec, margin_of(spec.denoiser.backbone) + spec.head.mean // 2
        self.denoiser, self.head = Denoiser(spec.denoiser), PixelHead(spec.head)

    @property
    def model(self) -> DiffusionModel:
        """The denoiser as heads are told of it."""
        spec = self.spec
        return DiffusionModel(self.denoiser, spec.denoiser, SCHEDULES[spec.schedule], spec.predicts)

    def forward(self, x: Tensor) -> Tensor:
        model, none = self.model, torch.zeros_like(x)
        total = torch.zeros((), device=x.device)
        for time in self.spec.times:
            t = torch.full((len(x),), time, dtype=torch.float64, device=x.device)
            total = total + self.head(tapped_at(model, x, none, t)).float().log_softmax(1)
        m = self.margin
        return total[..., m : x.shape[-2] - m, m : x.shape[-1] - m] / len(self.spec.times)


def build_tapped(spec: TappedSpec, seed: int) -> TappedNet:
    """The network with weights drawn from `seed`."""
    with seeded(seed):
        return TappedNet(spec)

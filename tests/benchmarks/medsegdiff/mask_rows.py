"""Rows of bench_medsegdiff.py: networks, and their training on the same batches for as many steps."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from mask_sets import Images, batches_of, make_of
from torch import Tensor, nn

from hyperseg.backbone import BackboneSpec, ConvSpec, seeded
from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.dpm.masks.codes import MaskCode
from hyperseg.dpm.masks.learning import diffusion_loss, noisiest_place, twin_loss
from hyperseg.dpm.masks.network import MaskDenoiser, mask_denoiser_spec
from hyperseg.dpm.masks.settings import PURE, MaskNetworkSettings, MedSegDiffSettings, Says
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.engine.ema import Ema
from hyperseg.engine.one_cycle import one_cycle, train

CODE = MaskCode(2)
COND_DIM = 64
MONAI = "MONAI U-Net"


@dataclass(frozen=True)
class Row:
    """What is trained.

    Attributes:
        settings: of the diffusion model; a network that is none of it has its `train` alone.
        samples: it draws masks; else it answers once.
        monai: the network is MONAI's.
    """

    settings: MedSegDiffSettings = field(default_factory=MedSegDiffSettings)
    samples: bool = True
    monai: bool = False


def _row(
    says: Says = "x0", *, pure: float = PURE, samples: bool = True, monai: bool = False, **network: Any
) -> Row:  # fmt: skip
    return Row(MedSegDiffSettings(says=says, pure=pure, network=MaskNetworkSettings(**network)), samples, monai)


ROWS = {
    "vanilla": _row(dynamic=False, ff_parser=False),
    "+ dynamic": _row(ff_parser=False),
    "+ dynamic + FF-Parser": _row(),
    "same, skips of the mask alone": _row(skips="mask"),
    "same, times even": _row(pure=0.0),
    "same, learns the noise (Eq. 7)": _row("eps", pure=0.0),
    "twin (feed-forward)": _row(samples=False),
    "twin, no mask": _row(dynamic=False, ff_parser=False, samples=False),
    MONAI: _row(samples=False, monai=True),
}
FULL, TWIN = "+ dynamic + FF-Parser", "twin (feed-forward)"


@dataclass(frozen=True)
class Training:
    """How long, and how wide."""

    steps: int = 400
    batch: int = 8
    widths: tuple[int, ...] = (8, 16, 32, 64)


@dataclass(frozen=True)
class Trained:
    """A network with averaged weights, in evaluation mode, and the seconds of processor that it took."""

    network: nn.Module
    parameters: int
    seconds: float


class Plain(nn.Module):
    """Another network in the place of a twin: it sees the image alone, and says a logit for each of two classes."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def blank(self, image: Tensor, place: float) -> Tensor:
        found: Tensor = self.network(image)
        return found[:, 1:] - found[:, :1]  # what the mask's one channel would be


def build(row: Row, channels: int, size: tuple[int, int], training: Training) -> nn.Module:
    """The untrained network; weights come from torch's generator."""
    n = len(training.widths)
    if row.monai:
        from monai.networks.nets import UNet  # type: ignore[import-not-found, unused-ignore]

        wider = tuple(int(w * 1.5) for w in training.widths)  # about as many weights as the twin has
        return Plain(UNet(2, channels, 2, channels=wider, strides=(2,) * (n - 1), num_res_units=2))
    backbone = BackboneSpec(CODE.channels, training.widths, (1,) + (2,) * (n - 1), (3,) * n, (1,) * n, ConvSpec(2))
    return MaskDenoiser(
        mask_denoiser_spec(
            backbone, channels=CODE.channels, size=size, image_channels=channels, chosen=row.settings.network,
            cond_dim=COND_DIM,
        )
    )  # fmt: skip


def fit_row(row: Row, learnt: Images, training: Training, seed: int, weights: Path) -> Trained:
    """Train, or take up the weights that lie there.

    Raises:
        SettingError: MONAI is asked for and not installed.
    """
    if row.monai and find_spec("monai") is None:
        raise SettingError("monai is not installed: pip install monai --no-deps, or leave that row out with --rows.")
    rows, columns = learnt.images.shape[2:]
    with seeded(seed):
        network: Any = build(row, learnt.images.shape[1], (rows, columns), training)
    parameters = sum(weight.numel() for weight in network.parameters())
    if weights.is_file():
        stored = torch.load(weights, weights_only=True)
        network.load_state_dict(stored["weights"])
        return Trained(network.eval(), parameters, stored["seconds"])
    how, schedule = row.settings.train, SCHEDULES[row.settings.schedule]
    if row.samples:
        loss = diffusion_loss(network, CODE, schedule, row.settings.says, pure=row.settings.pure)
    else:
        loss = twin_loss(network, CODE, schedule)
    phase = one_cycle(
        "net", loss, network.parameters(), steps=training.steps, lr=how.lr, weight_decay=how.weight_decay, rise=how.rise
    )
    began = time.process_time()
    train(
        [phase], batches_of(learnt, training.batch, seed), training.steps, modules={"net": network},
        averages={"net": Ema(network, decay=how.ema)}, runtime=Runtime(seed=seed, quiet=True), name="net", title="net",
        make=make_of(learnt),
    )  # fmt: skip
    seconds = time.process_time() - began
    part = weights.with_suffix(".part")
    torch.save({"weights": network.state_dict(), "seconds": seconds}, part)
    part.replace(weights)
    return Trained(network, parameters, seconds)


def answers(row: Row, network: Any, images: Tensor) -> Tensor:
    """(n, C, H, W) -> (n, 2, H, W) probabilities of a network that answers once."""
    place = noisiest_place(SCHEDULES[row.settings.schedule])
    with torch.inference_mode():
        return torch.cat([CODE.logits(network.blank(part, place)).softmax(1) for part in images.split(8)])


def with_settings(row: Row, changes: dict[str, Any]) -> Row:
    """The row with fields of its settings changed, by their names: "lr", "schedule", "norm", "sampler", ..."""
    settings = row.settings
    for name, value in changes.items():
        if hasattr(settings, name):
            settings = replace(settings, **{name: value})
            continue
        part = next((of for of in ("train", "network", "draw") if hasattr(getattr(settings, of), name)), None)
        if part is None:
            raise SettingError(f"no setting of MedSegDiff is called {name!r}.")
        settings = replace(settings, **{part: replace(getattr(settings, part), **{name: value})})
    return replace(row, settings=settings)

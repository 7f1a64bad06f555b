"""The deconvolution refiner in a run: trained on maps that were made without the pixels it is trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hyperseg.core import UNLABELLED, Scene, SegmentationMap, SettingError, Split, tiles
from hyperseg.crf.deconv import DeconvNet, DeconvSpec, build_deconv
from hyperseg.crf.deep import log_probs
from hyperseg.crf.tune import Tuned, choose
from hyperseg.data.augment import SpectralNoise
from hyperseg.data.bands.groups import Cut
from hyperseg.data.preprocess import Preprocess
from hyperseg.recipes.training.network import band_groups, prepare
from hyperseg.recipes.training.one_cycle import Where, train_one_cycle

NAME = "deconv"


@dataclass(frozen=True)
class Strength:
    """How far the refiner's correction is followed: 0 not at all, 1 as it was trained."""

    strength: float = 1.0


@dataclass(frozen=True)
class DeconvSettings:
    """How the deconvolution network is set up and trained; sizes are a reconstruction.

    Attributes:
        width, stages, fuse, switches: see `hyperseg.crf.deconv.DeconvSpec`.
        groups, group_length: how bands are cut, see `hyperseg.data.bands.groups`.
        parts: of the training pixels, for cross-fitting; 1 trains on the map as it is, which knows its own training
            pixels too well.
        steps, batch, crop, lr, weight_decay: of the training (AdamW, one cycle), on squares of `crop` pixels.
        noise: disturbance of the bands.
        strengths: tried on validation pixels, "leave the map alone" beside them; without any, the last is used.
        forced: use the last strength without asking validation pixels.
    """

    width: int = 16
    stages: int = 2
    fuse: Literal["conv", "mean"] = "conv"
    switches: bool = True
    groups: Cut = "auto"
    group_length: int = 20
    parts: int = 2
    steps: int = 120
    batch: int = 8
    crop: int = 32
    lr: float = 2e-3
    weight_decay: float = 1e-2
    noise: SpectralNoise = field(default_factory=lambda: SpectralNoise(noise=0.3))
    strengths: tuple[float, ...] = (0.5, 1.0)
    forced: bool = False

    def __post_init__(self) -> None:
        if min(self.parts, self.steps, self.batch, self.group_length) < 1 or not self.strengths:
            raise SettingError(
                "parts, steps, batch and group_length are 1 or more, and one strength at least is needed."
            )
        if self.crop < 2**self.stages:
            raise SettingError(
                f"crops of {self.crop} pixels are smaller than the coarse grid's {2**self.stages}."
            )


@dataclass(frozen=True)
class FittedDeconv:
    """A trained refiner, the strength that was chosen (None: leave maps alone), and what the report says."""

    network: DeconvNet
    preprocess: Preprocess
    tuned: Tuned[Strength]
    report: dict[str, Any]


def fit_deconv(
    map: SegmentationMap,
    scene: Scene,
    split: Split,
    held_out: Sequence[tuple[NDArray[np.bool_], SegmentationMap]],
    settings: DeconvSettings,
    *,
    where: Where,
) -> tuple[SegmentationMap, FittedDeconv]:
    """Train on held-out maps, choose the strength on validation pixels, and refine the map.

    Args:
        map: what to refine.
        scene, split: training pixels, each used with the map that was made without it.
        held_out: (training pixels, map made without them), together all training pixels.
        settings: how.
        where: as for every training.
    """
    assert scene.labels is not None
    preprocess = prepare(scene, split, kind="groups")
    groups = band_groups(scene, split, preprocess, how=settings.groups, length=settings.group_length)
    spec = DeconvSpec(
        preprocess.n_out, scene.n_classes, groups, width=settings.width, stages=settings.stages, fuse=settings.fuse,
        switches=settings.switches,
    )  # fmt: skip
    cube = torch.from_numpy(preprocess(scene.cube[:])).permute(2, 0, 1).to(where.device)
    network = train_deconv(spec, cube, scene.labels, held_out, settings, where=where)

    def refined(chosen: Strength) -> SegmentationMap:
        return apply_deconv(map, network, scene, preprocess, strength=chosen.strength, device=where.device)

    tuned: Tuned[Strength] = Tuned(Strength(settings.strengths[-1]), (), 0)
    if split.val.any() and not settings.forced:
        candidates = [Strength(s) for s in settings.strengths]
        tuned = choose(map, ((s, refined(s)) for s in candidates), scene.labels, split.val)
    report = {"band_groups": [list(g) for g in groups], "held_out_parts": len(held_out)}
    after = map if tuned.settings is None else refined(tuned.settings)
    return after, FittedDeconv(network, preprocess, tuned, report)


def train_deconv(
    spec: DeconvSpec,
    cube: Tensor,
    labels: NDArray[np.int16],
    held_out: Sequence[tuple[NDArray[np.bool_], SegmentationMap]],
    settings: DeconvSettings,
    *,
    where: Where,
) -> DeconvNet:
    """Masked cross-entropy on squares around training pixels, classes drawn alike, flipped and turned.

    Args:
        spec: of the network.
        cube: (L, H, W) preprocessed, on the device.
        labels: (H, W) classes, -1 unlabelled.
        held_out, settings: see `fit_deconv`.
    """
    network = build_deconv(spec, seed=where.seed).to(where.device)
    logs = torch.stack([log_probs(made.probs, where.device) for _, made in held_out])
    masked = [np.where(mask, labels, np.int16(UNLABELLED)).astype(np.int64) for mask, _ in held_out]
    truth = torch.from_numpy(np.stack(masked)).to(where.device)
    places = (truth != UNLABELLED).nonzero().cpu()  # part, row, column
    classes = truth[tuple(places.T)].cpu()
    rarity = 1.0 / torch.bincount(classes).double()[classes]
    side = min(settings.crop, *labels.shape)
    room = torch.tensor([n - side for n in labels.shape])

    def batches(step: int) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(where.seed * 1_000_003 + step)
        chosen = places[torch.multinomial(rarity, settings.batch, replacement=True, generator=generator)]
        shift = torch.randint(0, side, (settings.batch, 2), generator=generator)
        corner = torch.minimum((chosen[:, 1:] - shift).clamp(min=0), room)
        turns = torch.randint(0, 8, (settings.batch,), generator=generator)
        parts = []
        for (part, _, _), (top, left), turn in zip(
            chosen.tolist(), corner.tolist(), turns.tolist(), strict=True
        ):
            at = (..., slice(top, top + side), slice(left, left + side))
            parts.append([_turned(x[at], turn) for x in (cube, logs[part], truth[part])])
        bands, inputs, targets = (torch.stack(list(x)) for x in zip(*parts, strict=True))
        return settings.noise(bands[:, None]), inputs, targets

    def loss(drawn: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        scores = network(drawn[0], drawn[1])
        return {"loss": F.cross_entropy(scores.float(), drawn[2], ignore_index=UNLABELLED)}

    train_one_cycle(
        {"deconvolution": network}, loss, batches, steps=settings.steps, lr=settings.lr,
        weight_decay=settings.weight_decay, where=where,
    )  # fmt: skip
    return network


@torch.inference_mode()
def apply_deconv(
    map: SegmentationMap,
    network: DeconvNet,
    scene: Scene,
    preprocess: Preprocess,
    *,
    strength: float = 1.0,
    tile: int = 256,
    device: str = "cpu",
) -> SegmentationMap:
    """Refine a map tile by tile; tiles start on the coarse grid and overlap by the network's reach.

    Args:
        map: (H, W, K) of the scene.
        network: in evaluation mode.
        scene, preprocess: bands are read window by window.
        strength: see `Strength`.
        tile: side of a tile in pixels, a multiple of the network's stride.
        device: where to compute.
    """
    network = network.to(device)
    if tile % network.stride:
        raise SettingError(f"tiles of {tile} pixels do not fit the coarse grid of {network.stride} pixels.")
    out = np.empty_like(map.probs)
    for part in tiles(map.shape, size=(tile, tile), halo=network.halo):
        bands = (
            torch.from_numpy(preprocess(np.asarray(scene.cube[part.read_slices]))).permute(2, 0, 1).to(device)
        )
        logs = log_probs(map.probs[part.read_slices], device)
        scores = network(bands[None, None], logs[None], strength=strength)[0].float()
        (top, bottom), (left, right) = (
            (a - r, b - r) for (a, b), (r, _) in zip(part.core, part.read, strict=True)
        )
        out[part.core_slices] = scores[:, top:bottom, left:right].softmax(0).permute(1, 2, 0).cpu().numpy()
    return map.refined(out, NAME)


def _turned(x: Tensor, turn: int) -> Tensor:
    """One of the eight symmetries of the square, on the last two axes."""
    return torch.rot90(x.flip(-1) if turn > 3 else x, turn % 4, (-2, -1))

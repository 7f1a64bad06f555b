"""The deconvolution network: trained on maps that were made without the pixels it is trained on, applied in tiles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hyperseg.backbone import Groups
from hyperseg.core import UNLABELLED, Scene, SegmentationMap, SettingError, Tile, tiles
from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task
from hyperseg.crf.deconv import DeconvNet, DeconvSpec, build_deconv
from hyperseg.crf.deep import log_probs
from hyperseg.data.preprocess import Preprocess
from hyperseg.engine.device import full_float32
from hyperseg.engine.feed import Feed
from hyperseg.engine.one_cycle import step_generator, train_one_cycle

if TYPE_CHECKING:
    from hyperseg.recipes.refiners.deconv import DeconvSettings


@dataclass(frozen=True)
class Trainer:
    """What trainings of a deconvolution for one map, on different held-out maps, have in common.

    Attributes:
        map: what is to be refined; `by` is what the refined map's chain calls this.
        groups: of the features that `preprocess` makes.
    """

    map: SegmentationMap
    task: Task
    settings: DeconvSettings
    preprocess: Preprocess
    groups: Groups
    runtime: Runtime
    by: str

    @cached_property
    def spec(self) -> DeconvSpec:
        s = self.settings
        return DeconvSpec(
            self.preprocess.n_out, self.task.n_classes, self.groups, width=s.width, stages=s.stages, fuse=s.fuse,
            switches=s.switches,
        )  # fmt: skip

    @cached_property
    def cube(self) -> Tensor:
        """(L, H, W) preprocessed, on the device."""
        features = torch.from_numpy(self.task.scene.features(self.preprocess))
        return features.permute(2, 0, 1).to(self.runtime.device)

    def untrained(self) -> DeconvNet:
        """A network that leaves every map as it is."""
        return build_deconv(self.spec, seed=self.runtime.seed).eval()

    def trained(
        self, held_out: Sequence[tuple[NDArray[np.bool_], SegmentationMap]], settings: DeconvSettings, runtime: Runtime
    ) -> DeconvNet:
        """A network trained on these, see `train_deconv`."""
        labels = self.task.scene.labels
        assert labels is not None
        return train_deconv(self.spec, self.cube, labels, held_out, settings, runtime=runtime)

    def refined(self, network: DeconvNet, strength: float) -> SegmentationMap:
        """The map as the network makes it."""
        return apply_deconv(
            self.map, network, self.task.scene, self.preprocess, strength=strength, device=self.runtime.device,
            made_by=self.by,
        )  # fmt: skip


def train_deconv(
    spec: DeconvSpec,
    cube: Tensor,
    labels: NDArray[np.int16],
    held_out: Sequence[tuple[NDArray[np.bool_], SegmentationMap]],
    settings: DeconvSettings,
    *,
    runtime: Runtime,
) -> DeconvNet:
    """Masked cross-entropy on squares around training pixels, classes drawn alike, flipped and turned.

    Args:
        spec: of the network.
        cube: (L, H, W) preprocessed, on the device.
        labels: (H, W) classes, -1 unlabelled.
        held_out: (training pixels, map made without them), together all training pixels.
        settings: how.
    """
    network = build_deconv(spec, seed=runtime.seed).to(runtime.device)
    logs = torch.stack([log_probs(made.probs, runtime.device) for _, made in held_out])
    masked = [np.where(mask, labels, np.int16(UNLABELLED)).astype(np.int64) for mask, _ in held_out]
    truth = torch.from_numpy(np.stack(masked)).to(runtime.device)
    places = (truth != UNLABELLED).nonzero().cpu()  # part, row, column
    classes = truth[tuple(places.T)].cpu()
    rarity = 1.0 / torch.bincount(classes).double()[classes]
    side = min(settings.crop, *labels.shape)
    room = torch.tensor([n - side for n in labels.shape])

    turned = torch.stack([_turned(torch.arange(side**2).view(side, side), turn).flatten() for turn in range(8)])
    places_of = torch.stack((turned // side, turned % side)).to(runtime.device)  # (2, 8, side^2) rows and columns
    # values of a pixel lie next to each other
    spectra = cube.permute(1, 2, 0).flatten(0, 1)
    unaries = logs.permute(0, 2, 3, 1).flatten(0, 2)

    def batches(step: int) -> tuple[Tensor, Tensor, Tensor]:
        generator = step_generator(runtime.seed, step)
        chosen = places[torch.multinomial(rarity, settings.batch, replacement=True, generator=generator)]
        shift = torch.randint(0, side, (settings.batch, 2), generator=generator)
        corner = torch.minimum((chosen[:, 1:] - shift).clamp(min=0), room)
        turns = torch.randint(0, 8, (settings.batch,), generator=generator)
        return chosen[:, 0], corner, turns

    def make(drawn: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        part, corner, turns = drawn
        rows, columns = (along[turns] + start[:, None] for along, start in zip(places_of, corner.T, strict=True))
        at = rows * labels.shape[1] + columns
        within = at + part[:, None] * labels.size
        bands, inputs = (
            x.index_select(0, where.flatten()).view(len(at), side, side, -1).permute(0, 3, 1, 2).contiguous()
            for x, where in ((spectra, at), (unaries, within))
        )
        return settings.noise(bands[:, None]), inputs, truth.flatten()[within].view(len(at), side, side)

    def loss(drawn: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        scores = network(drawn[0], drawn[1])
        return {"loss": F.cross_entropy(scores.float(), drawn[2], ignore_index=UNLABELLED)}

    train_one_cycle(
        {"deconvolution": network}, loss, batches, make=make, steps=settings.steps, lr=settings.lr,
        weight_decay=settings.weight_decay, runtime=runtime, name="deconvolution", title="deconvolution",
    )  # fmt: skip
    return network


@torch.inference_mode()
def apply_deconv(
    map: SegmentationMap,
    network: DeconvNet,
    scene: Scene,
    preprocess: Preprocess,
    *,
    made_by: str,
    strength: float = 1.0,
    tile: int = 256,
    device: str = "cpu",
) -> SegmentationMap:
    """Refine a map tile by tile; tiles start on the coarse grid and overlap by the network's reach.

    Args:
        map: (H, W, K) of the scene.
        network: in evaluation mode.
        scene, preprocess: bands are read window by window.
        made_by: what the refined map's chain calls it.
        strength: how far the correction is followed.
        tile: side of a tile in pixels, a multiple of the network's stride.
        device: where to compute.
    """
    network, feed = network.to(device), Feed(scene, preprocess, device)
    if tile % network.stride:
        raise SettingError(f"tiles of {tile} pixels do not fit the coarse grid of {network.stride} pixels.")
    out = np.empty_like(map.probs)
    parts = list(tiles(map.shape, size=(tile, tile), halo=network.halo))

    def scores() -> Iterator[tuple[Tile, tuple[Tensor]]]:
        for part, sent in zip(parts, feed.send_all((part.read_slices, ()) for part in parts), strict=True):
            bands, logs = feed.features(sent).permute(2, 0, 1), log_probs(map.probs[part.read_slices], device)
            with full_float32(device):
                made = network(bands[None, None], logs[None], strength=strength)[0].float().softmax(0)
            (top, bottom), (left, right) = ((a - r, b - r) for (a, b), (r, _) in zip(part.core, part.read, strict=True))
            yield part, (made[:, top:bottom, left:right].permute(1, 2, 0),)

    for part, (values,) in feed.results(scores()):
        out[part.core_slices] = values
    return map.refined(out, made_by)


def _turned(x: Tensor, turn: int) -> Tensor:
    """One of the eight symmetries of the square, on the last two axes."""
    return torch.rot90(x.flip(-1) if turn > 3 else x, turn % 4, (-2, -1))

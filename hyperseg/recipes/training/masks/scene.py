"""A diffusion model over the classes of a scene's pixels, and its feed-forward twin: how they learn and map."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.core.parts import Saved, prefixed
from hyperseg.core.runtime import Runtime
from hyperseg.core.sections import Section
from hyperseg.core.settings import from_json, to_json
from hyperseg.core.task import Task
from hyperseg.core.tiles import Layout
from hyperseg.data.preprocess import Preprocess
from hyperseg.dpm.masks.codes import MaskCode
from hyperseg.dpm.masks.field import noise_field
from hyperseg.dpm.masks.fusion import fuse
from hyperseg.dpm.masks.learning import Loss, noisiest_place
from hyperseg.dpm.masks.network import MaskDenoiser, MaskDenoiserSpec
from hyperseg.dpm.masks.sampling import MaskModel, draw_masks
from hyperseg.dpm.masks.settings import MaskTrainSettings, MedSegDiffSettings
from hyperseg.dpm.schedules import SCHEDULES
from hyperseg.engine import Ema, History, scene_progress
from hyperseg.engine.one_cycle import one_cycle, train
from hyperseg.recipes.training.model import load_weights, weights_of
from hyperseg.recipes.training.windows import window_batches

if TYPE_CHECKING:
    from hyperseg.recipes.methods.diffusion.feed_forward import Design

MOST_NOISE = SCHEDULES[MedSegDiffSettings().schedule]  # the schedule whose noisiest place the twin is told


class FeedForward(nn.Module):
    """(B, L, *S) -> (B, K, *S) logits: what a mask denoiser says of a blank mask at the most noise.

    Attributes:
        tile: sides of the windows it maps in.
        context_px: how far a decision looks, at most.
    """

    padded, margin = True, 0
    layout: Layout = "channels"

    def __init__(self, net: MaskDenoiser, n_classes: int) -> None:
        super().__init__()
        self.net, self.tile = net, net.spec.size
        self.context_px = max(self.tile) - 1
        self.code = code_of(net.spec, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.code.logits(self.net.blank(x, noisiest_place(MOST_NOISE)))


def code_of(spec: MaskDenoiserSpec, n_classes: int) -> MaskCode:
    """The code of the masks of a network: with fewer channels than classes it is one of bits."""
    return MaskCode(n_classes, "onehot" if spec.backbone.in_channels == n_classes else "bits")


def fit_windows(
    task: Task, net: nn.Module, design: Design, loss: Loss, training: MaskTrainSettings, runtime: Runtime, *, name: str
) -> History:
    """Train `net` in place by `loss` on windows around training pixels; it ends with averaged weights."""
    net.to(runtime.device)
    made = design.made
    draw, make = window_batches(task, made.tile, design.preprocess, runtime, batch=made.batch, noise=design.noise)
    phase = one_cycle(
        "masks", loss, net.parameters(), steps=made.steps, lr=training.lr, weight_decay=training.weight_decay,
        rise=training.rise,
    )  # fmt: skip
    return train(
        [phase], draw, made.steps, modules={"network": net}, averages={"network": Ema(net, decay=training.ema)},
        runtime=runtime, name=name, title=name, make=make,
    )  # fmt: skip


@dataclass(frozen=True)
class MaskSceneModel:
    """A diffusion model that maps scenes by drawing masks; see `hyperseg.core.parts.Model`.

    A place of a scene starts from the same noise in whatever window it is mapped: the noise is that of `Scene.origin`.

    Attributes:
        network: in evaluation mode.
        preprocess: raw spectra -> what the network reads.
        n_classes: K.
        chosen: how masks are drawn, and what the network was trained with.
        seed: of the noise.
        history: of the training; empty for a model taken up again.
        told: what the report shows of it, in sentences and numbers.
    """

    name: str
    network: MaskDenoiser
    preprocess: Preprocess
    n_classes: int
    chosen: MedSegDiffSettings
    seed: int
    history: History = field(default_factory=History)
    told: Section | None = None

    @property
    def margin_px(self) -> int:
        return max(self.network.spec.size) - 1  # windows overlap: what a pixel is told comes from its own window

    @property
    def code(self) -> MaskCode:
        return code_of(self.network.spec, self.n_classes)

    def map(self, scene: Scene, runtime: Runtime) -> SegmentationMap:
        """What the masks come to; its probabilities are the scores of the fusion, the disagreement beside them."""
        code, how = self.code, self.chosen.draw
        model = MaskModel([self.network.to(runtime.device)], code, SCHEDULES[self.chosen.schedule], self.chosen.says)
        image = torch.from_numpy(scene.features(self.preprocess)).movedim(-1, 0).contiguous()
        origin = scene.origin or (0,) * len(scene.shape)
        window = [(start, start + n) for start, n in zip(origin, scene.shape, strict=True)]
        pixels = prod(scene.shape)

        def noise(number: int) -> Tensor:
            return noise_field(window, code.channels, seed=self.seed, number=number)

        with scene_progress(runtime.label("mapping"), pixels, quiet=runtime.quiet) as progress:
            samples = draw_masks(
                model, image, self.network.spec.size, how, noise=noise, device=runtime.device,
                done=lambda done, of: progress(pixels * done // of, pixels),
            )  # fmt: skip
            fused = fuse(samples, how.fusion)
        shares = fused.scores / fused.scores.sum(0).clamp(min=torch.finfo(torch.float32).tiny)
        probs = shares.movedim(0, -1).float().contiguous().cpu().numpy()
        return SegmentationMap(
            probs, scene.classes, scene.colours, scene.grid, (self.name,), scene.valid, scene.codes,
            fused.disagreement.float().cpu().numpy(),
        )  # fmt: skip

    def features(self, scene: Scene, runtime: Runtime) -> Callable[[Any], Any] | None:
        return None

    def saved(self) -> Saved:
        """Settings, weights and preprocessing."""
        arrays = prefixed("preprocess", self.preprocess.to_arrays()) | weights_of("network", self.network)
        record = {
            "name": self.name,
            "spec": to_json(self.network.spec),
            "n_classes": self.n_classes,
            "chosen": to_json(self.chosen),
            "seed": self.seed,
        }
        return Saved(record, arrays)

    def section(self, scene: Scene, split: Split, runtime: Runtime) -> Section | None:
        return self.told


def load_masks(saved: Saved) -> MaskSceneModel:
    """A model taken up again."""
    record = saved.record
    network = MaskDenoiser(from_json(MaskDenoiserSpec, record["spec"]))
    load_weights(network, "network", saved.arrays)
    return MaskSceneModel(
        record["name"], network, Preprocess.from_arrays(saved.within("preprocess")), int(record["n_classes"]),
        from_json(MedSegDiffSettings, record["chosen"]), int(record["seed"]),
    )  # fmt: skip

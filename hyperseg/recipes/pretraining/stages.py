"""Both stages of contrastive pre-training: the encoder by whole slices, then levels of the decoder by places."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hyperseg.backbone import Decoder, seeded
from hyperseg.backbone.spec import BackboneSpec
from hyperseg.contrast.collapse import Watcher
from hyperseg.contrast.global_loss import collapse_value, global_loss
from hyperseg.contrast.heads import GlobalHead, LocalHead
from hyperseg.contrast.local_loss import local_collapse_value, local_loss
from hyperseg.contrast.pairs import Pairs, views
from hyperseg.contrast.regions import BEHIND, QUARTERS, Regions
from hyperseg.contrast.views import view
from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.engine.fit import fit
from hyperseg.engine.one_cycle import one_cycle, step_generator, train
from hyperseg.engine.training import History
from hyperseg.recipes.pretraining.batches import Batch, disturbed
from hyperseg.recipes.pretraining.settings import FolderContrast

GLOBAL, LOCAL, TERM = "global", "local", "contrast"
DECAY = 1e-4
TIMED = 4  # steps; the first is not counted
FEWEST_STEPS = 10
LOOKS = 10  # of a stage, whether it has collapsed
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Stage:
    """One stage, ready to be trained.

    Attributes:
        name: of it, and of its unfinished state.
        modules: what is trained, heads that are dropped later included.
        weights: that are learnt.
        loss: (`Batch` on the device) -> terms.
        watcher: of its embeddings.
    """

    name: str
    modules: Mapping[str, nn.Module]
    weights: Sequence[nn.Parameter]
    loss: Callable[[Batch], Mapping[str, Tensor]]
    watcher: Watcher


class Embedding(nn.Module):
    """An encoder and what reads its coarsest map."""

    def __init__(self, encoder: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.encoder, self.head = encoder, head

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.head(self.encoder(x)[-1])
        return found


def global_stage(net: Any, spec: BackboneSpec, pairs: Pairs, chosen: FolderContrast, first: Batch, seed: int) -> Stage:
    """Stage 1: slices that are alike get embeddings that are alike.

    Args:
        net: with an `encoder`, which is trained in place.
        first: a batch of those to come; all have as many slices of as many volumes.

    Source: Chaitanya et al. 2020, sections 3.1 and 4.
    """
    with seeded(seed):
        embedding = Embedding(net.encoder, GlobalHead(spec.widths[-1])).to(first.images.device)
    how = views(pairs)

    def indices(batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        n = len(batch.volume)
        found = (torch.arange(n), torch.from_numpy(batch.volume), torch.from_numpy(batch.partition))
        image, volume, partition = (one.repeat(how.number) for one in found)
        return image, volume, partition

    watcher = Watcher(collapse_value(*indices(first), pairs=pairs))

    def loss(batch: Batch) -> Mapping[str, Tensor]:
        generator = step_generator(seed, batch.number)
        made = [view(batch.images, generator, use="global", clip=None) for _ in range(how.augmented)]
        z = embedding(torch.cat([batch.images, *made] if how.original else made)).float()
        with full(z):
            found = global_loss(z, *indices(batch), pairs=pairs, temperature=chosen.temperature)
        watcher.see(found, z)
        return {TERM: found}

    return Stage(GLOBAL, {"embedding": embedding}, list(embedding.parameters()), loss, watcher)


class Places(nn.Module):
    """The first levels of a decoder and what reads the last of them."""

    def __init__(self, decoder: Decoder, head: nn.Module, finest: int) -> None:
        super().__init__()
        self.decoder, self.head, self.finest = decoder, head, finest

    def forward(self, pyramid: list[Tensor]) -> Tensor:
        found: Tensor = self.head(self.decoder(pyramid, finest=self.finest)[0])
        return found


def local_stage(net: Any, spec: BackboneSpec, finest: int, chosen: FolderContrast, seed: int) -> Stage:
    """Stage 2: the same place of two differently bright views is alike, other places are not.

    The encoder is frozen: in evaluation mode, nothing of it moves, statistics of norms neither.

    Args:
        net: with `encoder` and `decoder`, whose levels down to `finest` are trained in place.

    Source: Chaitanya et al. 2020, sections 3.2 and 4.
    Differs: views differ in smooth fields of brightness and in noise too, see `batches.disturbed`.
    """
    encoder, decoder = net.encoder, net.decoder
    device = next(encoder.parameters()).device
    with seeded(seed):
        head = LocalHead(spec.conv, spec.widths[finest]).to(device)
    places, watcher = Places(decoder, head, finest), Watcher(local_collapse_value())
    weights = [p for merge in list(decoder.merges)[finest:] for p in merge.parameters()]
    regions: dict[tuple[int, ...], Regions] = {}

    def loss(batch: Batch) -> Mapping[str, Tensor]:
        generator = step_generator(seed, batch.number)
        two = [view(batch.images, generator, use="local", clip=None) for _ in range(2)]
        both = disturbed(torch.cat(two), generator, field=chosen.field, noise=chosen.noise)
        encoder.eval()
        with torch.no_grad():
            pyramid = encoder(both)
        maps = places(pyramid).float()
        size = tuple(maps.shape[2:])
        known = regions.setdefault(size, Regions(size))
        a, b = maps.chunk(2)
        with full(a):
            found = local_loss(a, b, known, temperature=chosen.temperature)
        watcher.see(found, known.of(a))
        return {TERM: found}

    return Stage(LOCAL, {"places": places}, [*weights, *head.parameters()], loss, watcher)


def full(x: Tensor) -> torch.autocast:
    """In there numbers keep all their digits: cosines over a small temperature need them."""
    return torch.autocast(x.device.type, enabled=False)


def finest_level(spec: BackboneSpec, patch: Sequence[int], levels: int) -> int:
    """The level that the local stage reads: so many above the coarsest, more where regions need a larger map.

    Raises:
        SettingError: a network without decoder levels, or patches too small for regions.
    """
    coarsest, least = len(spec.widths) - 1, BEHIND + QUARTERS
    sizes = spec.sizes(patch)
    for level in range(max(coarsest - levels, 0), -1, -1):
        if level < coarsest and min(sizes[level]) >= least:
            return level
    raise SettingError(
        f"the local stage needs a map of {least} positions a side at least in the decoder; patches of "
        f"{'x'.join(map(str, patch))} have none. Leave --local out, or plan larger patches."
    )


def time_steps(stage: Stage, batches: Callable[[int], Batch], runtime: Runtime) -> float:
    """Seconds of a step: a few are done by copies of what the stage trains."""
    times = [perf_counter()]
    fit(
        [_phase(stage, TIMED, 1e-9)], batches, TIMED, modules=stage.modules, seed=runtime.seed, device=runtime.device,
        precision=runtime.precision, report=lambda done, values: times.append(perf_counter()), read_every=1,
        graphs=None,
    )  # fmt: skip
    return float(median(np.diff(times[1:])))


def learn(
    stage: Stage, batches: Callable[[int], Batch], steps: int, chosen: FolderContrast, runtime: Runtime, *,
    title: str, warn: Callable[[str], None],
) -> History:  # fmt: skip
    """Train a stage, or go on with it; `warn` gets the sentence where it has collapsed, once."""
    told: list[str] = []
    every = max(ceil(steps / LOOKS), 1)

    def looked(text: str, done: int) -> None:
        if runtime.on_step is not None:
            runtime.on_step(text, done)
        if not told and (done % every == 0 or done == steps) and (sentence := stage.watcher.told()):
            told.append(sentence)
            warn(sentence)

    return train(
        [_phase(stage, steps, chosen.lr)], batches, steps, modules=stage.modules, averages={},
        runtime=replace(runtime, on_step=looked), name=stage.name, title=title,
    )  # fmt: skip


def _phase(stage: Stage, steps: int, lr: float) -> Any:
    phase = one_cycle(stage.name, stage.loss, stage.weights, steps=steps, lr=lr, weight_decay=DECAY)
    return replace(phase, recorded=False)  # views are drawn on the host

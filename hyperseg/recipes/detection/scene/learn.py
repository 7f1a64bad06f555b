"""A detector that learns, on one part of a scene, to find targets that are implanted anew in every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hyperseg.backbone import seeded
from hyperseg.core import Scene
from hyperseg.core.runtime import Runtime
from hyperseg.detection.batch import Batch
from hyperseg.detection.lesson import NETWORK, lesson
from hyperseg.detection.network import Detector, DetectorSpec, detector_spec
from hyperseg.detection.settings import ABLATION, DetectorSettings, FocalMixSettings
from hyperseg.engine.one_cycle import train
from hyperseg.io.look.valid import valid_at
from hyperseg.recipes.detection.scene.background import Background, Float32
from hyperseg.recipes.detection.scene.parts import Parts
from hyperseg.recipes.detection.scene.positions import Mask
from hyperseg.recipes.detection.scene.settings import Detectors, SceneTargetSettings
from hyperseg.simulated.targets import Implant, boxes_of, draw_implants, mixed, with_decoys

BLOCKS = 64  # of a part that are learned from, at most: they are held in memory
ANCHORS = (1.0, 2.5)  # sides in pixels
STRIDE = 2  # of the coarser of the network's two levels
CROP = 32
SUPERVISED = FocalMixSettings(**next(iter(ABLATION.values())))


@dataclass(frozen=True, eq=False)
class Ground:
    """A block of a scene that targets are implanted in.

    Attributes:
        raw: (h, w, C) as in the scene.
        channels: (h, w, P + 1) what a detector reads of it, ACE last.
        free: (h, w) bool, pixels with data that no known target covers.
    """

    raw: NDArray[Any]
    channels: Float32
    free: Mask


def read_ground(
    scene: Scene, parts: Parts, part: int, background: Background, known: Mask | None, *, seed: int
) -> list[Ground]:
    """Blocks of a part, at most `BLOCKS` of them; what holds no data or a known target has the background's mean."""
    windows = parts.windows(part)
    if len(windows) > BLOCKS:
        chosen = np.random.default_rng([seed, part]).choice(len(windows), BLOCKS, replace=False)
        windows = [windows[i] for i in np.sort(chosen)]
    found = []
    for window in windows:
        raw = np.asarray(scene.cube[window])
        free = valid_at(scene, window, raw)
        if known is not None:
            free = free & ~known[window]
        channels = np.where(free[..., None], background.channels(raw, with_ace=True), np.float32(0))
        found.append(Ground(raw, channels, free))
    return found


def crop_of(
    ground: Ground, background: Background, settings: SceneTargetSettings, side: tuple[int, int],
    rng: np.random.Generator, *, plain: bool = False,
) -> tuple[Float32, Float32, tuple[Implant, ...]]:  # fmt: skip
    """A window of a block with targets and decoys in it, or `plain` as it is.

    Decoys have spectra of other pixels of the block.

    Returns:
        (P + 1, *side) channels, (m, 4) boxes of the m targets, and targets and decoys.
    """
    start = [int(rng.integers(0, size - s + 1)) for size, s in zip(ground.free.shape, side, strict=True)]
    at = tuple(slice(a, a + s) for a, s in zip(start, side, strict=True))
    targets, decoys = (0, 0) if plain else rng.poisson(settings.taught, 2).tolist()
    implants = draw_implants(ground.free[at], targets + decoys, rng=rng, apart_px=2, **settings.drawn)
    free = np.flatnonzero(ground.free)
    if len(free):
        free = free[rng.integers(len(free), size=max(len(implants) - targets, 0))]
    implants = with_decoys(implants, ground.raw.reshape(-1, ground.raw.shape[-1])[free])
    channels = ground.channels[at].copy()
    if implants:
        within = [np.indices(i.fill.shape).reshape(2, -1) for i in implants]
        rows = np.concatenate([r + i.row for (r, _), i in zip(within, implants, strict=True)])
        columns = np.concatenate([c + i.column for (_, c), i in zip(within, implants, strict=True)])
        cover = np.concatenate([np.tile(i.spectrum(background.target), (i.fill.size, 1)) for i in implants])
        fills = np.concatenate([i.fill.ravel() for i in implants])
        made = mixed(ground.raw[at][rows, columns], cover, fills)
        channels[rows, columns] = background.channels(made, with_ace=True)
    boxes = boxes_of([i for i in implants if i.decoy is None]).astype(np.float32)
    return np.ascontiguousarray(np.moveaxis(channels, -1, 0)), boxes, implants


def scene_detector(settings: SceneTargetSettings, channels: int) -> DetectorSpec:
    """A shallow network that answers for every pixel."""
    chosen = DetectorSettings(
        widths=(settings.width, settings.width), stem=1, levels=(0,), anchors=ANCHORS, head_width=settings.width
    )
    return detector_spec(channels, 2, chosen)


def train_detector(
    ground: Sequence[Ground], unlabelled: Sequence[Ground], background: Background, which: Detectors,
    settings: SceneTargetSettings, runtime: Runtime, *, name: str,
) -> Detector:  # fmt: skip
    """Train one detector; those of one seed see the same windows and targets, whatever they are.

    Args:
        ground: blocks to learn on.
        unlabelled: blocks that FocalMix predicts targets for; nothing is implanted there.
    """
    focal = FocalMixSettings() if which == "focalmix" else SUPERVISED
    n_channels = ground[0].channels.shape[-1] - (which == "plain")
    with seeded(runtime.seed):
        net = Detector(scene_detector(settings, n_channels)).to(runtime.device)
    phases, averages = lesson(net, focal, steps=settings.steps, lr=settings.lr)
    sides = np.min([g.free.shape for g in (*ground, *unlabelled)], axis=0)
    side = tuple(int(min(s, CROP)) // STRIDE * STRIDE for s in sides)
    others = unlabelled if focal.unlabelled else ()
    draw = _batches(ground, others, background, settings, (side[0], side[1]), n_channels, runtime.seed)
    train(
        phases, draw, settings.steps, modules={NETWORK: net}, averages=averages, name=name, title=name,
        runtime=replace(runtime, precision="fp32"),
    )  # fmt: skip
    return net.eval()


def _batches(
    ground: Sequence[Ground], unlabelled: Sequence[Ground], background: Background, settings: SceneTargetSettings,
    side: tuple[int, int], n_channels: int, seed: int,
) -> Callable[[int], Batch]:  # fmt: skip
    def draw(step: int) -> Batch:
        rng = np.random.default_rng([seed, step])
        crops = [
            crop_of(ground[i], background, settings, side, rng) for i in rng.integers(len(ground), size=settings.crops)
        ]
        own = int(rng.integers(2**62))
        others = [
            crop_of(unlabelled[i], background, settings, side, rng, plain=True)[0][:n_channels]
            for i in (rng.integers(len(unlabelled), size=settings.crops // 2) if unlabelled else ())
        ]
        return Batch(
            torch.from_numpy(np.stack([image[:n_channels] for image, _, _ in crops])),
            [torch.from_numpy(boxes) for _, boxes, _ in crops],
            torch.from_numpy(np.stack(others)) if others else None, own, step,
        )  # fmt: skip

    return draw

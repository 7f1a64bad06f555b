"""Windows laid around training pixels, with the labels within them: what networks that map windows learn from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from hyperseg.core import UNLABELLED
from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task
from hyperseg.data.augment import SpectralNoise
from hyperseg.data.patches import PatchSource, draw_pixels
from hyperseg.data.preprocess import Preprocess
from hyperseg.engine import share
from hyperseg.engine.one_cycle import step_generator
from hyperseg.recipes.training.network import labelled_pixels

Drawn = tuple[Tensor, Tensor]


def window_source(task: Task, tile: Sequence[int], preprocess: Preprocess, runtime: Runtime) -> PatchSource:
    """The preprocessed scenes of a task, labels of training pixels as last channel, for windows of any place."""
    cubes = []
    for scene, split in zip(task.scenes, task.splits, strict=True):
        assert scene.labels is not None
        known = np.where(split.train, scene.labels, UNLABELLED).astype(np.float32)
        cubes.append(np.concatenate([scene.features(preprocess), known[..., None]], -1))
    return PatchSource(cubes, radius=tuple(side // 2 for side in tile), layout="channels", device=runtime.device)


def window_batches(
    task: Task, tile: Sequence[int], preprocess: Preprocess, runtime: Runtime, *, batch: int, noise: SpectralNoise
) -> tuple[Callable[[int], Drawn], Callable[[Drawn], Drawn]]:
    """What `engine.one_cycle.train` draws in a step, and makes of it: (B, L, *tile) features and (B, *tile) classes.

    Labels go as one more channel beside the features, so that both are turned alike; of pixels that do not train there
    are none.
    """
    source = window_source(task, tile, preprocess, runtime)
    pixels, _ = labelled_pixels(task, "train", torch.device("cpu"))
    sizes, shift = torch.tensor([scene.shape for scene in task.scenes]), torch.tensor(tuple(tile)) // 4

    def draw(step: int) -> Drawn:
        generator = step_generator(runtime.seed, step)
        drawn = draw_pixels(len(pixels), batch=batch, step=step, seed=runtime.seed)
        around, far = pixels[drawn], torch.rand((len(drawn), len(shift)), generator=generator)
        moved = around[:, 1:] + (far * (2 * shift + 1)).long() - shift
        inside = torch.minimum(moved.clamp(min=0), sizes[around[:, 0]] - 1)
        turns = torch.randint(0, source.orientations, (len(drawn),), generator=generator)
        return torch.cat([around[:, :1], inside], 1), turns

    def make(drawn: Drawn) -> Drawn:
        found = source.gather(*drawn)
        features = noise(found[:, :-1].flatten(2)[:, None, ..., None]).reshape(found[:, :-1].shape)
        return share(features), share(found[:, -1].long())

    return draw, make

"""The few labels: windows around training pixels, from which a head on the frozen denoiser learns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task
from hyperseg.data.preprocess import Preprocess
from hyperseg.dpm.tapped.learning import HeadSettings, train_heads
from hyperseg.engine import History
from hyperseg.engine.one_cycle import step_generator
from hyperseg.recipes.training.network import labelled_pixels
from hyperseg.recipes.training.tapped.network import TappedNet
from hyperseg.recipes.training.windows import window_source

FEWEST, MOST_VALUES = 1024, 2**26  # windows; float32 values of all of them together (256 MiB)
EACH = 4  # windows for each training pixel, where there are many


class Windows(NamedTuple):
    """(n, L, *tile) float32 features, and (n, *tile) int64 classes of training pixels, -1 of all others."""

    features: Tensor
    classes: Tensor


def labelled_windows(task: Task, tile: Sequence[int], preprocess: Preprocess, runtime: Runtime) -> Windows:
    """Windows with a training pixel in each, classes alike, shifted by up to a quarter of their side and turned."""
    source = window_source(task, tile, preprocess, runtime)
    pixels, classes = labelled_pixels(task, "train", torch.device("cpu"))
    values = (preprocess.n_out + 1) * int(torch.tensor(tuple(tile)).prod())
    n = max(min(max(FEWEST, EACH * len(pixels)), MOST_VALUES // values), task.n_classes)
    generator = step_generator(runtime.seed, 0)
    counts = torch.bincount(classes, minlength=task.n_classes).double()
    chosen = torch.multinomial(1 / counts[classes], n, replacement=True, generator=generator)
    around, shift = pixels[chosen], torch.tensor(tuple(tile)) // 4
    far = torch.rand((n, len(shift)), generator=generator)
    sizes = torch.tensor([scene.shape for scene in task.scenes])[around[:, 0]]
    moved = around[:, 1:] + (far * (2 * shift + 1)).long() - shift
    inside = torch.minimum(moved.clamp(min=0), sizes - 1)
    turns = torch.randint(0, source.orientations, (n,), generator=generator)
    found = source.gather(torch.cat([around[:, :1], inside], 1).to(source.device), turns.to(source.device))
    return Windows(found[:, :-1].contiguous(), found[:, -1].long())


def learn_head(
    task: Task, net: TappedNet, preprocess: Preprocess, chosen: HeadSettings, runtime: Runtime, *, name: str,
    title: str,
) -> History:  # fmt: skip
    """Train the head of a network in place; the denoiser stays as it is.

    Times are drawn from none to a little beyond the latest at which the head will be asked.
    """
    windows = labelled_windows(task, net.tile, preprocess, runtime)
    net.to(runtime.device)
    return train_heads(
        net.model, {"head": net.head}, windows.features, windows.classes, chosen, runtime,
        latest=max(net.spec.times), name=name, title=title,
    )  # fmt: skip

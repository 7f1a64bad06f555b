"""The few labels: windows around training pixels, from which a head on the frozen denoiser learns."""

from __future__ import annotations

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
    """(n, L, w, w) float32 features, and (n, w, w) int64 classes of training pixels, -1 of all others."""

    features: Tensor
    classes: Tensor


def labelled_windows(task: Task, window: int, preprocess: Preprocess, runtime: Runtime) -> Windows:
    """Windows around training pixels, classes alike, turned: the pixel in the middle sees no edge, as in a map."""
    source = window_source(task, (window, window), preprocess, runtime)
    pixels, classes = labelled_pixels(task, "train", source.device)
    n = min(max(FEWEST, EACH * len(pixels)), MOST_VALUES // ((preprocess.n_out + 1) * window**2))
    generator = step_generator(runtime.seed, 0)
    known = classes.cpu()
    counts = torch.bincount(known, minlength=task.n_classes).double()
    chosen = torch.multinomial(1 / counts[known], max(n, task.n_classes), replacement=True, generator=generator)
    turns = torch.randint(0, source.orientations, (len(chosen),), generator=generator)
    found = source.gather(pixels[chosen.to(source.device)], turns.to(source.device))
    return Windows(found[:, :-1].contiguous(), found[:, -1].long())


def learn_head(
    task: Task, net: TappedNet, preprocess: Preprocess, chosen: HeadSettings, runtime: Runtime, *, name: str,
    title: str,
) -> History:  # fmt: skip
    """Train the head of a network in place; the denoiser stays as it is.

    Windows are as large as a decision looks, or larger. Times are drawn evenly up to the latest at which the head will
    be asked, and there is no noise, as in a map.
    """
    windows = labelled_windows(task, max(net.spec.window, 2 * net.margin + 1), preprocess, runtime)
    net.to(runtime.device)
    return train_heads(
        net.model, {"head": net.head}, windows.features, windows.classes, chosen, runtime,
        latest=max(net.spec.times), noisy=False, name=name, title=title,
    )  # fmt: skip

"""Training a network on the labelled pixels of a task: one place for every method that does."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone.centring import centre_batch_norms
from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task
from hyperseg.data.augment import illuminated
from hyperseg.data.patches import PatchSource, draw_pixels
from hyperseg.data.preprocess import Preprocess
from hyperseg.engine import Ema, History, share
from hyperseg.engine.forward import layout_of
from hyperseg.engine.one_cycle import one_cycle, step_generator, train
from hyperseg.losses import PLAIN, parse_loss
from hyperseg.losses.loss import Sums
from hyperseg.recipes.training.settings import TrainSettings

CENTRED_PX, FEWEST_CENTRED = 100_000, 16  # pixels and patches that say what a scene's mean is
MOST_LOST = 0.01  # nats per training pixel that centring may cost
FEWEST_STEPS = 20  # a one-cycle schedule needs room to rise and fall
Batch = tuple[Tensor, Tensor]


def fit_network(
    task: Task,
    net: Any,
    preprocess: Preprocess,
    settings: TrainSettings,
    runtime: Runtime,
    *,
    name: str,
    title: str = "",
    loss: Callable[[Tensor, Tensor], Tensor] | None = None,
    augment: Callable[[Tensor], Tensor] | None = None,
    batches: Callable[[int], Batch] | None = None,
) -> History:
    """Train `net` in place on the training pixels; test pixels are not touched.

    The cubes are held in memory once, preprocessed, on the device.

    Args:
        task: training and validation pixels.
        net: a module with `margin`; patches of side 2 margin + 1 give one score vector.
        preprocess: raw spectra -> what the network reads.
        settings: how.
        runtime: where; an unfinished training that lies there is continued.
        name: of the training state's file; `title` is the text of the progress bar, by default the same.
        loss: (B, K) scores and (B,) classes -> what is minimised; by default what the settings say.
        augment: patches -> patches; by default varied light and spectral noise, as the settings say.
        batches: step -> patches and their classes, a pure function of the step; by default training pixels are drawn on
            the host, and their patches gathered and disturbed on the device.
    """
    net.to(runtime.device)
    source = patch_source(task, preprocess, net, runtime)
    pixels, targets = labelled_pixels(task, "train", source.device)
    dark = torch.from_numpy(preprocess(np.zeros(task.scenes[0].n_bands, np.float32))).to(source.device)
    batch = min(settings.batch, len(targets))
    steps = training_steps(settings.epochs, settings.min_steps, batch, len(targets))
    seed = runtime.seed

    def vary(patches: Tensor) -> Tensor:
        return settings.noise(illuminated(patches, dark, spread=settings.illumination))

    disturb, minimised = augment or vary, loss or chosen_loss(settings)

    classes = targets.cpu() if settings.balanced else None

    def draw(step: int) -> Batch:
        generator = step_generator(seed, step)
        drawn = draw_pixels(len(targets), batch=batch, step=step, seed=seed, balanced=classes)
        return drawn, torch.randint(0, source.orientations, (len(drawn),), generator=generator)

    def make(drawn: Batch) -> Batch:
        chosen, turns = drawn
        # noise of the whole batch, so that it does not depend on how many processes share it
        return share(disturb(source.gather(pixels[chosen], turns))), share(targets[chosen])

    def objective(drawn: Batch) -> dict[str, Tensor]:
        return {"loss": minimised(net(drawn[0]).flatten(1).float(), drawn[1])}

    phase = one_cycle(
        "classify", objective, net.parameters(), steps=steps, lr=settings.lr, weight_decay=settings.weight_decay,
        rise=0.2,
    )  # fmt: skip
    averages = {"network": Ema(net, decay=settings.average)} if settings.average else {}
    judged = averages["network"].module if averages else net
    return train(
        [phase], batches or draw, steps, modules={"network": net}, averages=averages, runtime=runtime, name=name,
        title=title or name, validate=validator(judged, source, task), keep=settings.keep,
        end="average", **({} if batches else {"make": make}),
    )  # fmt: skip


def chosen_loss(settings: TrainSettings) -> Callable[[Tensor, Tensor], Tensor]:
    """(B, K) scores and (B,) classes -> what the settings say is minimised: no class is background, and sums of overlap
    run over the batch."""
    if settings.loss == PLAIN:
        return lambda scores, classes: F.cross_entropy(scores, classes, label_smoothing=settings.label_smoothing)
    found, sums = parse_loss(settings.loss), Sums(batch=True, first=0)
    return lambda scores, classes: torch.stack(list(found(scores, classes, sums).values())).sum()


def centred(task: Task, net: Any, preprocess: Preprocess, settings: TrainSettings, runtime: Runtime) -> bool:
    """Centre the batch norms of a trained network on all pixels of its scenes, as the settings say.

    "auto" does so where every split keeps a guard, and takes it back where the network then knows its own training
    pixels worse: a scene whose mean is that of one large class, or of ground of no class, is no guide.

    Returns:
        Whether it is centred. Of labels those of training pixels are looked at.
    """
    match settings.centre:
        case "auto":
            wanted = all(split.guard_px > 0 for split in task.splits)
        case "always" | "never":
            wanted = settings.centre == "always"
        case _:
            raise ValueError(f"batch norms are centred always, never or auto, not {settings.centre!r}.")
    places = np.concatenate([np.insert(np.argwhere(s.usable), 0, i, axis=1) for i, s in enumerate(task.scenes)])
    if not wanted or not len(places):
        return False
    source = patch_source(task, preprocess, net, runtime)
    n = min(len(places), max(CENTRED_PX // prod(source.window), FEWEST_CENTRED))
    drawn = np.random.default_rng(runtime.seed).choice(len(places), n, replace=False)
    before, kept = training_loss(net, source, task), deepcopy(net.state_dict())
    centre_batch_norms(net, source.gather(torch.from_numpy(places[np.sort(drawn)])))
    if settings.centre == "auto" and training_loss(net, source, task) > before + MOST_LOST:
        net.load_state_dict(kept)
        return False
    return True


def training_loss(net: Any, source: PatchSource, task: Task, *, batch: int = 512) -> float:
    """Mean cross-entropy of the training pixels, as they are, in nats."""
    pixels, targets = labelled_pixels(task, "train", source.device)
    found = []
    with torch.inference_mode():
        for part, truth in zip(pixels.split(batch), targets.split(batch), strict=True):
            scores = net(source.gather(part)).flatten(1).float()
            found.append(F.cross_entropy(scores, truth, reduction="none"))
    return float(torch.cat(found).mean())


def training_steps(epochs: int, min_steps: int, batch: int, n: int) -> int:
    """Steps of `epochs` passes over n training pixels, and no fewer than `min_steps`."""
    return max(min_steps, epochs * max(n // batch, 1), FEWEST_STEPS)


def patch_source(task: Task, preprocess: Preprocess, net: Any, runtime: Runtime) -> PatchSource:
    """The preprocessed scenes of a task, for the patches that `net` reads; pixels begin with their scene's number."""
    cubes = [scene.features(preprocess) for scene in task.scenes]
    return PatchSource(cubes, radius=net.margin, layout=layout_of(net), device=runtime.device)


def labelled_pixels(task: Task, part: str, device: torch.device) -> Batch:
    """(n, 1 + ndim) scene, row and column, and (n,) classes of the pixels of a part of the splits, on the device."""
    places, classes = [], []
    for n, (scene, split) in enumerate(zip(task.scenes, task.splits, strict=True)):
        mask = getattr(split, part)
        assert scene.labels is not None
        places.append(np.insert(np.argwhere(mask), 0, n, axis=1))
        classes.append(scene.labels[mask].astype(np.int64))
    found = (torch.from_numpy(np.concatenate(x)).to(device) for x in (places, classes))
    return next(found), next(found)


def validator(network: nn.Module, source: PatchSource, task: Task, *, batch: int = 512) -> Callable[[], float] | None:
    """A function that gives the OA on validation pixels in percent; None where there are none."""
    pixels, targets = labelled_pixels(task, "val", source.device)
    if not len(targets):
        return None

    def validate() -> float:
        right = 0
        with torch.inference_mode():
            for part, truth in zip(pixels.split(batch), targets.split(batch), strict=True):
                right += int((network(source.gather(part)).flatten(1).argmax(1) == truth).sum())
        return 100.0 * right / len(targets)

    return validate

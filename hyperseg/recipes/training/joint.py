"""Training the deep CRF through its inference: what piecewise training is measured against."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hyperseg.core import UNLABELLED, SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.core.task import Task
from hyperseg.crf.meanfield import infer
from hyperseg.crf.piecewise import Pairwise
from hyperseg.crf.settings import DeepCRF, MeanField
from hyperseg.data.patches import PatchSource, draw_pixels
from hyperseg.data.preprocess import Preprocess
from hyperseg.engine import History
from hyperseg.engine.one_cycle import train_one_cycle
from hyperseg.recipes.training.network import labelled_pixels

if TYPE_CHECKING:
    from hyperseg.recipes.refiners.deep_crf import JointSettings


def train_jointly(
    network: Any,
    pairwise: Pairwise,
    task: Task,
    preprocess: Preprocess,
    crf: DeepCRF,
    settings: JointSettings,
    *,
    runtime: Runtime,
) -> History:
    """Train `network` and `pairwise`, in place, so that the marginals after mean field give the labels.

    -log Q_p(y_p) at the labelled nodes of every crop, Q after a few unrolled parallel iterations; edges at the rim of
    a crop are missing, as at the rim of a scene.

    Args:
        network: scores are the unary potentials, features what the heads read.
        pairwise: the heads.
        task, preprocess: training pixels only.
        crf: radius, form and weight of the pairwise energies; nodes must be pixels.
        settings: how.
        runtime: as for every training.

    Raises:
        SettingError: nodes larger than a pixel.

    Differs: not part of Alam et al. or of Lin et al., who train piecewise to avoid it; after Zheng et al.,
        "Conditional Random Fields as Recurrent Neural Networks", ICCV 2015, with a learnt table for every edge.
    """
    if crf.stride != 1:
        raise SettingError(f"joint training has pixels as nodes, got a stride of {crf.stride}.")
    scene, split = task.scene, task.split
    assert scene.labels is not None
    half, side = settings.half, 2 * settings.half + 1
    source = PatchSource([scene.features(preprocess)], radius=network.margin + half, device=runtime.device)
    known = np.where(split.train, scene.labels, np.int16(UNLABELLED)).astype(np.int64)
    around = torch.from_numpy(np.pad(known, half, constant_values=UNLABELLED)).to(runtime.device)
    pixels, targets = labelled_pixels(task, "train", source.device)
    network, pairwise = network.to(runtime.device), pairwise.to(runtime.device)
    inference = MeanField(iterations=settings.unrolled)

    square = torch.arange(side, device=source.device)

    def batches(step: int) -> Tensor:
        return draw_pixels(len(targets), batch=settings.batch, step=step, seed=runtime.seed)

    def make(drawn: Tensor) -> tuple[Tensor, Tensor]:
        at = pixels[drawn]
        rows, columns = at[:, 1, None, None] + square[:, None], at[:, 2, None, None] + square
        return settings.noise(source.gather(at)), around[rows, columns]

    def loss(drawn: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        features = network.features(drawn[0])
        tables = pairwise.tables(features, radius=crf.radius, weight=crf.weight, heads=crf.heads, form=crf.form)
        q = infer(-network.head([features]), tables, settings=inference).q
        return {"marginals": F.nll_loss(q.clamp(min=1e-6).log(), drawn[1], ignore_index=UNLABELLED)}

    return train_one_cycle(
        {"network": network, "pairwise": pairwise}, loss, batches, make=make, steps=settings.steps, lr=settings.lr,
        weight_decay=settings.weight_decay, runtime=runtime, name="joint", title="joint training",
    )  # fmt: skip

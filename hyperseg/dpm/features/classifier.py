"""A small classifier of the very data that are to be generated: its last features are what they are compared in."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from hyperseg.backbone import BackboneSpec, ConvSpec, Encoder, PoolHead, seeded
from hyperseg.core import SettingError
from hyperseg.core.runtime import Runtime
from hyperseg.dpm.features.features import Features, key_of, of_network
from hyperseg.engine.one_cycle import step_generator, train_one_cycle

WIDTHS = (16, 32, 64)
EPOCHS, LEAST, MOST = 10, 300, 3000  # of training, and steps
BATCH, LR, DECAY = 64, 4e-3, 1e-2
CLUSTERS = 10
FEWEST_OF_CLUSTER = 20  # samples, on average


def train_features(
    data: Tensor,
    labels: Tensor | None,
    runtime: Runtime,
    *,
    name: str,
    test: tuple[Tensor, Tensor] | None = None,
    steps: int = 0,
    widths: tuple[int, ...] = WIDTHS,
) -> Features:
    """Train a classifier and take the mean of its last level as features, which its scores are a linear map of.

    Without labels it learns which of some k-means clusters of the values a sample is in, and the name says so
    ("scans-clusters"): features of such a network know less of what a sample shows.

    Args:
        data: (n, C, *S) training samples in [-1, 1], of one, two or three axes S.
        labels: (n,) their classes 0..K - 1, or None.
        runtime: where; an unfinished training on the same data is continued, a finished one taken up.
        name: of the data.
        test: samples and classes to measure the accuracy with. Without labels the accuracy is not measured.
        steps: of training; 0 takes 10 passes over the data, and 300 to 3000 steps.
        widths: of the levels, each half as long as the one before; the last is the length of the features.

    Raises:
        SettingError: samples without axes, labels that do not fit, or too few samples.

    Source: the use of a network of one's own instead of Inception: Xu et al., "An empirical study on evaluation metrics
        of generative adversarial networks", 2018, find that features of a network fit for the data matter.
    """
    _check(data, labels)
    if labels is None:
        name, labels, test = f"{name}-clusters", _clusters(data, runtime.seed), None
        told = f"learnt to tell {int(labels.max()) + 1} clusters of the values apart, as there are no labels"
    else:
        told = f"learnt to tell the {int(labels.max()) + 1} classes apart"
    n_classes = int(labels.max()) + 1
    steps = steps or min(max(EPOCHS * len(data) // BATCH, LEAST), MOST)
    with seeded(runtime.seed):
        spec = _spec(data, widths)
        encoder, head = Encoder(spec).to(runtime.device), PoolHead(spec, n_classes).to(runtime.device)
    samples, answers = (t.to(runtime.device) for t in (data.float(), labels.long()))

    def batches(step: int) -> Tensor:
        return torch.randint(len(data), (BATCH,), generator=step_generator(runtime.seed, step))

    def make(index: Tensor) -> tuple[Tensor, Tensor]:
        return samples[index], answers[index]

    def loss(batch: tuple[Tensor, Tensor]) -> Mapping[str, Tensor]:
        return {"classes": F.cross_entropy(head(encoder(batch[0])), batch[1])}

    train_one_cycle(
        {"encoder": encoder, "head": head}, loss, batches, steps=steps, lr=LR, weight_decay=DECAY, runtime=runtime,
        name=f"features-{_checksum(data, labels)}", title="network of the features", make=make,
    )  # fmt: skip
    of = of_network(_say(encoder, head), runtime.device)
    accuracy = None
    if test is not None:
        accuracy = float((of(test[0])[1].argmax(1) == test[1].cpu().numpy()).mean())
    right = "" if accuracy is None else f"; {100 * accuracy:.1f} % of the test samples are put right"
    note = f"{widths[-1]} features of a small network that {told}, trained on the same training samples{right}."
    return Features(name, of, key_of(encoder, head), accuracy, note)


def _say(encoder: Encoder, head: PoolHead) -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    def say(x: Tensor) -> tuple[Tensor, Tensor]:
        pyramid = encoder(x)
        return pyramid[-1].flatten(2).mean(2), head(pyramid)

    return say


def _spec(data: Tensor, widths: tuple[int, ...]) -> BackboneSpec:
    n = len(widths)
    conv = ConvSpec(data.ndim - 2, norm="batch", act="relu", residual=True)
    return BackboneSpec(
        in_channels=data.shape[1], widths=widths, strides=(1,) + (2,) * (n - 1), kernels=(3,) * n, depths=(1,) * n,
        conv=conv,
    )  # fmt: skip


def _check(data: Tensor, labels: Tensor | None) -> None:
    if not 3 <= data.ndim <= 5:
        raise SettingError(
            f"samples have shape (n, C, *S) with one, two or three axes S, got {tuple(data.shape)}: a spectrum is "
            "(n, 1, bands)."
        )
    if len(data) < 2 * FEWEST_OF_CLUSTER:
        raise SettingError(f"{len(data)} samples: features need at least {2 * FEWEST_OF_CLUSTER} to be learnt from.")
    if labels is not None and (labels.shape != data.shape[:1] or int(labels.min()) < 0 or not int(labels.max())):
        raise SettingError(
            f"labels are one number from 0 on for each of {len(data)} samples, of two classes or more, got "
            f"{tuple(labels.shape)} from {int(labels.min())} to {int(labels.max())}. Give None where there are none."
        )


def _checksum(data: Tensor, labels: Tensor) -> str:
    """Of what is learnt from, in the name of the training's file: other data are never taken for these."""
    values: NDArray[Any] = np.ascontiguousarray(data.detach().cpu().numpy())
    return f"{zlib.crc32(np.ascontiguousarray(labels.cpu().numpy()).data, zlib.crc32(values.data)):08x}"


def _clusters(data: Tensor, seed: int) -> Tensor:
    from sklearn.cluster import KMeans

    n: Any = min(CLUSTERS, len(data) // FEWEST_OF_CLUSTER)
    found = KMeans(n, n_init=4, random_state=seed % 2**32).fit(data.flatten(1).cpu().numpy())
    return torch.from_numpy(found.labels_).long()

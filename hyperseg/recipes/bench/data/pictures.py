"""`Pictures`: what a generative model learns from and is measured against; and how a set is divided."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, SettingError
from hyperseg.core.words import counted, listed

if TYPE_CHECKING:
    from torch import Tensor

FEWEST = 16  # of training and of test samples: covariances and neighbours of fewer say nothing
SEED = 0  # of divisions: they are part of the data


@dataclass(frozen=True)
class Pictures:
    """Images, cubes or spectra, in [-1, 1].

    Attributes:
        name: as it stands in tables.
        x: (n, C, *S) float32 to learn from.
        labels: (n,) int64 classes of x, or None.
        classes: their names.
        test_x: (m, C, *S) float32 that nothing is learnt from.
        test_labels: (m,), or None.
        note: what has to be said beside every number; one sentence or more.
        levels: how many values a pixel can have, evenly spaced from -1 to 1; None where values are continuous.
    """

    name: str
    x: Tensor
    labels: Tensor | None
    classes: tuple[str, ...]
    test_x: Tensor
    test_labels: Tensor | None
    note: str
    levels: int | None = None

    @property
    def checksum(self) -> str:
        """Of all values and labels: another one is another set."""
        found = 0
        for part in (self.x, self.labels, self.test_x, self.test_labels):
            found = zlib.crc32(repr(None if part is None else (tuple(part.shape), part.dtype)).encode(), found)
            if part is not None:
                found = zlib.crc32(np.ascontiguousarray(part.numpy()).data, found)
        return f"{found:08x}"

    def subset(self, *, classes: int | tuple[str, ...] = 0, size: int = 0, n: int = 0) -> Pictures:
        """A smaller problem of the same kind.

        Args:
            classes: the first so many, or these; 0 for all.
            size: pixels along every axis, by averages of whole blocks; 0 leaves it. Levels stay what they are.
            n: training samples, the same share of every class; 0 for all.

        Raises:
            SettingError: classes, a size or a number that the set does not have.
        """
        found = self
        if classes:
            found = _of_classes(found, classes)
        if size and tuple(found.x.shape[2:]) != (size,) * (found.x.ndim - 2):
            found = _smaller(found, size)
        if n:
            found = _fewer(found, n)
        return found


def pictures(
    name: str,
    train: tuple[NDArray[Any], NDArray[Any] | None],
    test: tuple[NDArray[Any], NDArray[Any] | None],
    *,
    classes: tuple[str, ...] = (),
    note: str,
    levels: int | None = None,
) -> Pictures:
    """From arrays: (samples (n, C, *S) in [-1, 1], labels (n,) or None), of training and test.

    Raises:
        DataFileError: too few of them.
    """
    import torch

    for of, (x, _) in (("learn from", train), ("test with", test)):
        if len(x) < FEWEST:
            raise DataFileError(
                f"{name}: {counted(len(x), 'sample')} to {of}, at least {FEWEST} are needed: give more data."
            )

    def tensors(x: NDArray[Any], labels: NDArray[Any] | None) -> tuple[Tensor, Tensor | None]:
        told = None if labels is None else torch.from_numpy(np.ascontiguousarray(labels, np.int64))
        return torch.from_numpy(np.ascontiguousarray(x, np.float32)), told

    return Pictures(name, *tensors(*train), classes, *tensors(*test), note, levels)


def scaled(values: NDArray[Any], levels: int) -> NDArray[np.float32]:
    """Whole numbers 0..levels - 1 as numbers from -1 to 1."""
    return (2 * values.astype(np.float32) / (levels - 1) - 1).astype(np.float32)


def divided(labels: NDArray[Any], n_test: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Indices to learn from and to test with: the same share of every class, always the same ones.

    Args:
        labels: (n,) classes, 0..K - 1.
        n_test: how many in all.
    """
    rng, counts = np.random.default_rng(SEED), np.bincount(labels)
    exact = counts * n_test / len(labels)
    take = np.floor(exact).astype(int)
    take[np.argsort(take - exact, kind="stable")[: n_test - take.sum()]] += 1  # those that lost most by rounding
    test = np.zeros(len(labels), bool)
    for k, number in enumerate(take):
        test[rng.permutation(np.flatnonzero(labels == k))[:number]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)


def _of_classes(of: Pictures, classes: int | tuple[str, ...]) -> Pictures:
    import torch

    if of.labels is None or of.test_labels is None:
        raise SettingError(f"{of.name} has no classes to choose from: leave the classes out.")
    wanted = of.classes[:classes] if isinstance(classes, int) else classes
    unknown = [name for name in wanted if name not in of.classes]
    if unknown or (isinstance(classes, int) and not 0 < classes <= len(of.classes)):
        told = listed(unknown) if unknown else str(classes)
        raise SettingError(f"{of.name} has the {len(of.classes)} classes {listed(of.classes)}, got {told}.")
    places = torch.full((len(of.classes),), -1)
    places[[of.classes.index(name) for name in wanted]] = torch.arange(len(wanted))
    new, test = places[of.labels], places[of.test_labels]
    return replace(
        of, x=of.x[new >= 0], labels=new[new >= 0], test_x=of.test_x[test >= 0], test_labels=test[test >= 0],
        classes=tuple(wanted), note=f"{of.note} Only {listed(wanted)}.",
    )  # fmt: skip


def _smaller(of: Pictures, size: int) -> Pictures:
    def mean(x: Tensor) -> Tensor:
        for axis, n in enumerate(x.shape[2:], 2):
            if size < 1 or n % size:
                raise SettingError(
                    f"{of.name} is {n} pixels long: blocks of it give sizes that divide {n}, not {size}."
                )
            x = x.unflatten(axis, (size, n // size)).mean(axis + 1)
        if of.levels is None:
            return x
        return ((x + 1) * (of.levels - 1) / 2).round() * 2 / (of.levels - 1) - 1

    note = f"{of.note} Averaged to {' x '.join([str(size)] * (of.x.ndim - 2))} pixels."
    return replace(of, x=mean(of.x), test_x=mean(of.test_x), note=note)


def _fewer(of: Pictures, n: int) -> Pictures:
    import torch

    if not FEWEST <= n <= len(of.x):
        raise SettingError(f"{of.name} has {len(of.x)} training samples: ask for {FEWEST} to {len(of.x)}, not {n}.")
    if of.labels is None:
        keep = torch.arange(n)
    else:
        _, chosen = divided(of.labels.numpy(), n)
        keep = torch.from_numpy(chosen)
    labels = None if of.labels is None else of.labels[keep]
    return replace(of, x=of.x[keep], labels=labels, note=f"{of.note} {n} training samples.")

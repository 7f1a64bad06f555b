"""`Pictures`: what a generative model learns from and is measured against; parts of them, and how a set is divided."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, SettingError
from hyperseg.core.settings import option, settings
from hyperseg.core.words import counted, did_you_mean, listed

if TYPE_CHECKING:
    from torch import Tensor

FEWEST, FEWEST_TEST = 40, 16  # samples: covariances and neighbours of fewer say nothing
SEED = 0  # of divisions: they are part of the data


@settings
class Choice:
    """What is taken of a set; it is spelled behind its name, as in `cifar10:size=16,classes=2,n=2000`."""

    size: int = option(0, "Pixels along every axis, by averages of blocks; 0 leaves it.", low=0)
    classes: str = option("", "The first so many classes, or names with + between; all where nothing is said.")
    n: int = option(0, "Training samples, the same share of every class, and no more of test; 0 for all.", low=0)

    def name_of(self, name: str) -> str:
        """What of the set `name` is taken, as it stands in tables and in names of folders."""
        classes = int(self.classes) if self.classes.isdecimal() else len(self.classes.split("+"))
        parts = (f"{classes}classes" if self.classes else "", f"{self.size}px" if self.size else "", str(self.n or ""))
        return "-".join(filter(None, (name, *parts)))

    def pick(self, name: str, known: tuple[str, ...]) -> tuple[str, ...]:
        """The classes that are meant, among those of the set `name`.

        Raises:
            SettingError: fewer than two, or one that the set does not have.
        """
        wanted = known[: int(self.classes)] if self.classes.isdecimal() else tuple(self.classes.split("+"))
        wrong = [one for one in wanted if one not in known]
        if wrong or len(set(wanted)) < 2 or (self.classes.isdecimal() and int(self.classes) > len(known)):
            close = did_you_mean(wrong[0], known) if wrong else ""
            raise SettingError(
                f"classes={self.classes} of {name}: two or more of {listed(known) or 'none'} were expected, as a "
                f"number or as names with + between.{close}"
            )
        return wanted


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

    def subset(self, choice: Choice) -> Pictures:
        """A smaller problem of the same kind; its name says so.

        Raises:
            SettingError: classes, a size or a number that the set does not have.
        """
        found = self
        if choice.classes:
            found = _of_classes(found, choice.pick(self.name, self.classes))
        if choice.size:
            found = _smaller(found, choice.size)
        if choice.n:
            found = _fewer(found, choice.n)
        return replace(found, name=choice.name_of(self.name))


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

    for of, (x, _), least in (("learn from", train, FEWEST), ("test with", test, FEWEST_TEST)):
        if len(x) < least:
            raise DataFileError(
                f"{name}: {counted(len(x), 'sample')} to {of}, at least {least} are needed: give more data."
            )

    def tensors(x: NDArray[Any], labels: NDArray[Any] | None) -> tuple[Tensor, Tensor | None]:
        told = None if labels is None else torch.from_numpy(np.ascontiguousarray(labels, np.int64))
        return torch.from_numpy(np.ascontiguousarray(x, np.float32)), told

    return Pictures(name, *tensors(*train), classes, *tensors(*test), note, levels)


def scaled(values: NDArray[Any], levels: int) -> NDArray[np.float32]:
    """Whole numbers 0..levels - 1 as numbers from -1 to 1."""
    found = values.astype(np.float32)
    found *= 2
    found /= levels - 1
    found -= 1
    return found


def mixed(samples: NDArray[Any], labels: NDArray[Any] | None) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Samples and their labels in an order of chance, always the same.

    Files and pixels often come class by class, and where some are enough the first ones are taken: held-out samples
    whose bits are told, training samples that a sampler is fitted to, pictures that are shown.
    """
    order = np.random.default_rng(SEED).permutation(len(samples))
    return samples[order], None if labels is None else labels[order]


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


def _of_classes(of: Pictures, wanted: tuple[str, ...]) -> Pictures:
    import torch

    assert of.labels is not None
    assert of.test_labels is not None
    places = torch.full((len(of.classes),), -1)
    places[[of.classes.index(name) for name in wanted]] = torch.arange(len(wanted))
    new, test = places[of.labels], places[of.test_labels]
    return replace(
        of, x=of.x[new >= 0], labels=new[new >= 0], test_x=of.test_x[test >= 0], test_labels=test[test >= 0],
        classes=wanted, note=f"{of.note} Only {listed(wanted)}.",
    )  # fmt: skip


def _smaller(of: Pictures, size: int) -> Pictures:
    shape = tuple(of.x.shape[2:])
    if any(n % size for n in shape):
        raise SettingError(
            f"size={size} of {of.name}: {by(shape)} pixels are averaged in whole blocks, so that a size divides "
            f"{listed(map(str, sorted(set(shape))))}."
        )

    def mean(x: Tensor) -> Tensor:
        for axis, n in enumerate(shape, 2):
            x = x.unflatten(axis, (size, n // size)).mean(axis + 1)
        if of.levels is None:
            return x
        half = (of.levels - 1) / 2
        return ((x + 1) * half).round() / half - 1  # what a smaller file of the same kind would hold

    note = f"{of.note} Averaged to {by((size,) * len(shape))} pixels."
    return replace(of, x=mean(of.x), test_x=mean(of.test_x), note=note)


def _fewer(of: Pictures, n: int) -> Pictures:
    if not FEWEST <= n <= len(of.x):
        raise SettingError(f"n={n} of {of.name}: it has {len(of.x)} training samples, ask for {FEWEST} to {len(of.x)}.")

    def some(x: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if len(x) <= n:
            return x, labels
        same = np.zeros(len(x), int) if labels is None else labels.numpy()
        _, keep = divided(same, n)
        return x[keep], None if labels is None else labels[keep]

    (x, labels), (test_x, test_labels) = some(of.x, of.labels), some(of.test_x, of.test_labels)
    note = f"{of.note} {n} training samples."
    return replace(of, x=x, labels=labels, test_x=test_x, test_labels=test_labels, note=note)


def by(shape: tuple[int, ...]) -> str:
    """Sizes in words: "8 x 8"."""
    return " x ".join(map(str, shape))

"""Which pixels a model of spectra may learn from, and which are the truth it is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import LabelError, Scene, SceneError, SettingError
from hyperseg.core.words import counted, did_you_mean, listed
from hyperseg.data.preprocess import gather_spectra
from hyperseg.io.look.sample import take_sample
from hyperseg.io.look.values import valid_in

Mask = NDArray[np.bool_]
HELD_OUT = 0.5  # of the pixels that could be learned from, where a class is left out
FEWEST = 50


@dataclass(frozen=True)
class Choice:
    """Pixels of a scene by what they are for.

    Attributes:
        learn: (H, W) bool; None is every pixel with data.
        truth: (H, W) int8: 1 strange, 0 not, -1 does not count; or None.
        words: what is learned from, for messages and the record.
    """

    learn: Mask | None
    truth: NDArray[np.int8] | None
    words: str


def choose_pixels(
    scene: Scene, *, only: Sequence[str] = (), without: Sequence[str] = (), mask: Mask | None = None,
    truth: Mask | None = None, seed: int = 0,
) -> Choice:  # fmt: skip
    """What is learned from, and what counts as strange.

    Args:
        only: classes to learn from; none means all pixels, labelled or not.
        without: classes that are left out. All other labelled pixels are learned from but for a random half, which is
            kept for the truth: classes left out against that half.
        mask: learn from these pixels only.
        truth: strange pixels, all others being ordinary; it replaces the truth of `without`.
        seed: of the random half.

    Raises:
        LabelError: classes named of a scene without labels, or that it does not have.
        SettingError: both kinds of classes.
    """
    if only and without:
        raise SettingError("classes are named by --only or by --without, not both.")
    learn, found, words = mask, None, "all pixels" if mask is None else "the pixels of the mask"
    if only or without:
        labels = _labels(scene)
        named = np.isin(labels, [_index(scene, name) for name in only or without])
        learn = labels >= 0 if mask is None else (labels >= 0) & mask
        learn &= named if only else ~named
        words = f"{listed(only)} alone" if only else f"all labelled pixels but {listed(without)}"
        if without and truth is None:
            kept = learn & (np.random.default_rng(seed).random(scene.shape) < HELD_OUT)
            learn &= ~kept
            found = np.where(named, np.int8(1), np.where(kept, np.int8(0), np.int8(-1)))
            words += ", and of these one half"
    if truth is not None:
        found = truth.astype(np.int8)
    if found is not None and not ((found == 1).any() and (found == 0).any()):
        raise LabelError(
            f"{scene.name}: the truth needs strange and ordinary pixels, it has {int((found == 1).sum())} and "
            f"{int((found == 0).sum())}. Leave out another class, or give another --truth."
        )
    return Choice(learn, found, words)


def drop_bands(scene: Scene, spans: str) -> Scene:
    """The scene with the bands at some wavelengths marked bad.

    Args:
        spans: in nm, such as "1350-1450, 2450"; a single number is the band that rounds to it.

    Raises:
        SettingError: no such list, no wavelengths, or a span without a band.
    """
    if scene.wavelengths_nm is None:
        raise SettingError(f"--drop-nm: {scene.name} has no wavelengths to drop bands by.")
    good = np.ones(scene.n_bands, bool) if scene.good_bands is None else scene.good_bands.copy()
    for text in spans.split(","):
        try:
            low, high = (float(part) for part in (text.split("-") * 2)[:2])
        except ValueError:
            raise SettingError(f"--drop-nm is a list such as 1350-1450,2450 in nm, got {spans!r}.") from None
        inside = (scene.wavelengths_nm >= low - 0.5) & (scene.wavelengths_nm <= high + 0.5)
        if not inside.any():
            raise SettingError(f"--drop-nm: {scene.name} has no band at {text.strip()} nm.")
        good &= ~inside
    return scene.with_(good_bands=good)


def learning_spectra(scene: Scene, learn: Mask | None, *, most: int, seed: int) -> NDArray[np.float32]:
    """(n, C) spectra of at most about `most` of the pixels to learn from, drawn from all over the scene.

    Raises:
        SceneError: too few of them hold data.
    """
    if learn is None:
        seen = take_sample(scene.cube, valid=scene.valid, mask=scene.mask, max_pixels=most).pixels
    else:
        where = np.flatnonzero(learn if scene.valid is None else learn & scene.valid)
        if len(where) > most:
            where = np.random.default_rng(seed).choice(where, most, replace=False)
        seen = spectra_at(scene, where)
    whole = valid_in(seen[:, None], good=scene.good_bands, nodata=scene.nodata, gaps=scene.gaps)[:, 0]
    if np.count_nonzero(whole) < FEWEST:
        raise SceneError(
            f"{scene.name}: {counted(int(np.count_nonzero(whole)), 'pixel')} with data to learn from, at least "
            f"{FEWEST} are needed. Check mask, classes and the no-data value (--nodata)."
        )
    return np.asarray(seen[whole], np.float32)


def class_places(
    scene: Scene, *, only: Sequence[str] = ()
) -> tuple[NDArray[np.int64], NDArray[np.int64], tuple[str, ...]]:
    """(n,) row-major indices of labelled pixels, their (n,) classes 0..K-1 in a new numbering, and the K names."""
    labels = _labels(scene)
    wanted = [_index(scene, name) for name in only] or np.flatnonzero(scene.class_counts()).tolist()
    where = np.flatnonzero(scene.labelled() & np.isin(labels, wanted))
    number = np.full(scene.n_classes, -1, np.int64)
    number[wanted] = np.arange(len(wanted))
    return where, number[labels.flat[where]], tuple(scene.classes[k] for k in wanted)


def spectra_at(scene: Scene, places: NDArray[np.int64]) -> NDArray[np.float32]:
    """(n, C) spectra at row-major indices that rise."""
    drawn = np.zeros(scene.shape, bool)
    drawn.flat[places] = True
    return gather_spectra(scene, drawn)


def _labels(scene: Scene) -> NDArray[np.int16]:
    if scene.labels is None:
        raise LabelError(f"{scene.name} has no labels, and classes are named: give --labels FILE.")
    return scene.labels


def _index(scene: Scene, name: str) -> int:
    folded = {known.casefold(): k for k, known in enumerate(scene.classes)}
    if name.casefold() not in folded:
        close = did_you_mean(name, scene.classes)
        raise LabelError(f"{scene.name}: no class {name!r}; there are {listed(scene.classes)}.{close}")
    return folded[name.casefold()]

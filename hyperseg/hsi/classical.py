"""Classical baselines: RBF support vector machine, random forest and LDA, on spectra alone or on means of a window.

They are what a network has to beat. All predict scenes block by block: the cube never has to fit into memory.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import Cube, LabelError, Scene, SceneError, Split
from hyperseg.data.preprocess import BLOCK_BYTES, Preprocess, fit_preprocess, gather_spectra, row_blocks
from hyperseg.hsi.svm_decisions import decisions
from hyperseg.hsi.svm_tuning import DEFAULT_COST, draw_folds, softmax, tune_svm

Float32 = NDArray[np.float32]
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class SpectralClassifier:
    """A fitted classifier of single spectra.

    Attributes:
        estimator: the fitted scikit-learn estimator, on class positions within `present`.
        present: (k,) classes that had training pixels; all others get probability 0.
        n_classes: K.
        settings: what was chosen, for `run.json`.
        temperature: what decision values are divided by before the softmax that makes probabilities of them; None where
            the estimator gives probabilities itself.
        preprocess: map applied to raw spectra first, or None where spectra come preprocessed.
        window: side of the square of pixels whose mean spectrum is classified, 1 = the pixel alone.
        training: (n, C') features and (n,) classes it was fitted on: what `refit` makes it from again; or None.
    """

    estimator: Any
    present: NDArray[np.int64]
    n_classes: int
    settings: dict[str, Any]
    temperature: float | None = None
    preprocess: Preprocess | None = None
    window: int = 1
    training: tuple[NDArray[Any], NDArray[Any]] | None = None

    def probabilities(self, spectra: ArrayLike) -> Float32:
        """(n, C) preprocessed spectra -> (n, K) float32 summing to one; argmax = the estimator's choice."""
        x = np.asarray(spectra, np.float64)
        out = np.zeros((len(x), self.n_classes), np.float32)
        if self.temperature is None:
            out[:, self.present] = self.estimator.predict_proba(x)
        else:
            out[:, self.present] = softmax(decisions(self.estimator, x) / self.temperature)
        return out


class Fit(Protocol):
    """Any of the `fit_` functions."""

    def __call__(self, spectra: ArrayLike, labels: ArrayLike, *, seed: int, n_classes: int) -> SpectralClassifier: ...


def fit_svm(
    spectra: ArrayLike, labels: ArrayLike, *, seed: int, n_classes: int | None = None, tune: bool = True
) -> SpectralClassifier:
    """RBF support vector machine; cost and width by stratified 3-fold cross-validation on these pixels alone.

    C = 100 and gamma = 1 / (bands * variance) are kept unless another pair of the 3 x 3 grid is better by
    more than a standard error. Classes with fewer than 3 pixels stay in the training part of every fold;
    where fewer than two classes are left to validate on, nothing is tuned. Probabilities are a softmax of the
    one-against-rest decision values, at the temperature that is most likely on the held-out folds (1 without
    folds): the order of the classes, and so the map, is that of the machine itself.

    Args:
        spectra: (n, C) preprocessed training spectra.
        labels: (n,) classes 0..K-1.
        seed: draws the folds.
        n_classes: K, if larger than the largest label + 1.
        tune: False takes the defaults.

    Raises:
        LabelError: fewer than two classes, or shapes that do not fit.
    """
    from sklearn.svm import SVC

    x, position, present, k = _checked(spectra, labels, n_classes)
    gamma = 1.0 / (x.shape[1] * max(float(x.var()), 1e-12))
    fold = draw_folds(position, np.random.default_rng(seed)) if tune else np.full(len(x), -1)
    cost, temperature, accuracy = DEFAULT_COST, 1.0, None
    if len(np.unique(position[fold >= 0])) > 1:
        cost, gamma, temperature, accuracy = tune_svm(x, position, fold, gamma)
    estimator = SVC(C=cost, gamma=gamma, decision_function_shape="ovr", break_ties=len(present) > 2)
    estimator.fit(x, position)
    settings = {"C": cost, "gamma": gamma, "temperature": temperature, "cv_accuracy": accuracy}
    return SpectralClassifier(estimator, present, k, settings, temperature)


def fit_random_forest(
    spectra: ArrayLike, labels: ArrayLike, *, seed: int, n_classes: int | None = None, n_trees: int = 200
) -> SpectralClassifier:
    """Random forest; arguments and errors as in `fit_svm`."""
    from sklearn.ensemble import RandomForestClassifier

    x, position, present, k = _checked(spectra, labels, n_classes)
    estimator = RandomForestClassifier(n_trees, random_state=seed, n_jobs=1).fit(x, position)
    return SpectralClassifier(estimator, present, k, {"n_trees": n_trees})


def fit_lda(
    spectra: ArrayLike, labels: ArrayLike, *, seed: int = 0, n_classes: int | None = None
) -> SpectralClassifier:
    """Linear discriminant analysis with Ledoit-Wolf shrinkage, in which nothing is drawn; as in `fit_svm` otherwise."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    x, position, present, k = _checked(spectra, labels, n_classes)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Only one sample available")  # a class of one pixel has no spread of its own
        estimator = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto").fit(x, position)
    return SpectralClassifier(estimator, present, k, {"shrinkage": "Ledoit-Wolf"})


def fit_spectral(scene: Scene, split: Split, fit: Fit, *, window: int = 1, seed: int) -> SpectralClassifier:
    """Fit preprocessing and a classifier on the training pixels of a scene.

    Args:
        scene: with labels.
        split: only its training pixels are looked at.
        fit: `fit_svm`, `fit_random_forest`, `fit_lda`, or another function like them.
        window: preprocessed spectra are averaged over squares of this side, in training and prediction; a leak report
            has to use the same window.
        seed: of `fit`.

    Raises:
        LabelError: no labels, or fewer than two classes of training pixels.
    """
    if scene.labels is None:
        raise LabelError(f"{scene.name} has no labels to learn from.")
    preprocess = fit_preprocess(gather_spectra(scene, split.train), good_bands=scene.good_bands)
    features = gather_features(scene, split.train, preprocess=preprocess, window=window)
    return refit(
        features, scene.labels[split.train], fit, seed=seed, n_classes=scene.n_classes, preprocess=preprocess,
        window=window,
    )  # fmt: skip


def refit(
    features: NDArray[Any], labels: NDArray[Any], fit: Fit, *, seed: int, n_classes: int, preprocess: Preprocess,
    window: int,
) -> SpectralClassifier:  # fmt: skip
    """The classifier of (n, C') preprocessed, averaged training spectra; from stored ones the same again."""
    model = fit(features, labels, seed=seed, n_classes=n_classes)
    return replace(model, preprocess=preprocess, window=window, training=(features, labels))


def predict_map(
    model: SpectralClassifier,
    cube: Cube,
    *,
    valid: NDArray[np.bool_] | None = None,
    max_bytes: int = BLOCK_BYTES,
    on_rows: Progress | None = None,
) -> Float32:
    """(*S, K) float32 class probabilities of every pixel, in blocks of rows of at most `max_bytes`.

    Args:
        model: from one of the `fit_` functions.
        cube: (*S, C): raw where the model carries its preprocessing, else preprocessed.
        valid: (*S) bool: pixels whose values count in the means of windows, None for all.
        max_bytes: bound on the size of a float32 block of the cube.
        on_rows: called with (rows done, rows) after every block, for a progress bar.
    """
    out = np.empty((*cube.shape[:-1], model.n_classes), np.float32)
    for rows in row_blocks(cube, max_bytes=max_bytes):
        features = _features(Scene(cube, valid=valid), rows, model.preprocess, model.window)
        found = model.probabilities(features.reshape(-1, features.shape[-1]))
        out[rows] = found.reshape(*features.shape[:-1], -1)
        if on_rows is not None:
            on_rows(rows.stop, cube.shape[0])
    return out


def gather_features(
    scene: Scene, mask: NDArray[np.bool_], *, preprocess: Preprocess | None, window: int = 1
) -> Float32:
    """(n, C') preprocessed spectra, averaged over `window` pixels per axis, of the pixels in `mask`."""
    if window == 1:
        spectra = gather_spectra(scene, mask)
        return spectra if preprocess is None else preprocess(spectra)
    wanted = [rows for rows in row_blocks(scene.cube) if mask[rows].any()]
    parts = [_features(scene, rows, preprocess, window)[mask[rows]] for rows in wanted]
    return np.concatenate(parts) if parts else np.empty((0, scene.n_bands), np.float32)


def _features(scene: Scene, rows: slice, preprocess: Preprocess | None, window: int) -> Float32:
    """Preprocessed, averaged rows; neighbours beyond the block are read, those beyond the scene mirrored."""
    from scipy.ndimage import uniform_filter1d

    halo = window // 2
    start, stop = max(rows.start - halo, 0), min(rows.stop + halo, scene.shape[0])
    block = scene.features(preprocess or (lambda raw: raw.astype(np.float32)), slice(start, stop))
    if window > 1:
        for axis in range(block.ndim - 1):
            block = uniform_filter1d(block, window, axis=axis, mode="reflect")
    return block[rows.start - start : rows.stop - start]


def _checked(
    spectra: ArrayLike, labels: ArrayLike, n_classes: int | None
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64], int]:
    """Spectra, class position of every pixel, classes present, K."""
    x, y = np.asarray(spectra, np.float64), np.asarray(labels).astype(np.int64)
    if x.ndim != 2 or y.shape != x.shape[:1]:
        raise LabelError(f"expected (pixels, bands) spectra and (pixels,) labels, got {x.shape} and {y.shape}.")
    if not np.isfinite(x).all():
        raise SceneError("training spectra hold values that are not finite: pass them through a Preprocess first.")
    present, position = np.unique(y, return_inverse=True)
    k = int(present.max(initial=-1)) + 1 if n_classes is None else n_classes
    if len(present) < 2 or present[0] < 0 or present[-1] >= k:
        raise LabelError(
            f"training labels hold the classes {present.tolist()}; at least two of 0..{k - 1} are needed. "
            "Leave unlabelled pixels (-1) out and label a second class."
        )
    return x, position, present, k

"""The fully connected CRF with Gaussian edge potentials and Potts compatibility, as a refiner of maps.

E(x) = sum_i u_i(x_i) + sum_{i<j} [x_i != x_j] (w_g k_g(i, j) + w_b k_b(i, j)), where the Gaussian kernel k_g sees
positions and the bilateral kernel k_b positions and the guide (first principal components of the scene).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperseg.core import SceneError, SegmentationMap, SettingError
from hyperseg.core.words import listed
from hyperseg.crf.settings import DenseCRF, Engine
from hyperseg.filters.kernels import Kernel, Kernels
from hyperseg.filters.mean_field import Weight, mean_field


def energy(assignment: Tensor, unary: Tensor, kernels: Sequence[Kernel], weights: Sequence[Weight]) -> Tensor:
    """Energy of a labelling, or expected energy under independent marginals; lower is better.

    Args:
        assignment: (N,) integer labels or (N, K) probabilities.
        unary, kernels, weights: as in `mean_field`.

    Returns:
        Scalar. The diagonal of a kernel does not count for labels. It counts for probabilities, as in `mean_field`.
    """
    if assignment.ndim == 1:
        assignment = torch.nn.functional.one_hot(assignment.long(), unary.shape[1])
    q = assignment.to(unary.dtype)
    total = (q * unary).sum()
    for kernel, weight in zip(kernels, weights, strict=True):
        total = total + 0.5 * weight * (kernel(torch.ones_like(q[:, :1])).sum() - (q * kernel(q)).sum())
    return total


def free_energy(q: Tensor, unary: Tensor, kernels: Sequence[Kernel], weights: Sequence[Weight]) -> Tensor:
    """Mean-field free energy of (N, K) marginals: expected energy minus entropy (in nats).

    With a symmetric positive semi-definite kernel (the Gaussian itself, own value included) no update of `mean_field`
    can raise it: Krähenbühl & Koltun, "Parameter Learning and Convergent Inference for Dense Random Fields", 2013.
    """
    return energy(q, unary, kernels, weights) + torch.special.xlogy(q, q).sum()


def refine(
    map: SegmentationMap,
    guide: NDArray[np.floating],
    settings: DenseCRF | None = None,
    *,
    engine: Engine = "lattice",
    device: str | torch.device = "cpu",
    kernels: Kernels | None = None,
    by: str = "CRF",
) -> SegmentationMap:
    """Smooth a map along the structures of the scene.

    Args:
        map: the map; pixels with `map.valid` False take no part and come back as they were.
        guide: (*S, F), see `hyperseg.filters.kernels.guide_from_components`; cost rises steeply with F: keep 3 or 4.
        settings: default `DenseCRF()`.
        engine: "lattice" (NumPy and torch only) or "pydensecrf" (the C++ package, CPU).
        device: for the lattice.
        kernels: kernels of the same scene to share between calls; they then decide the device.
        by: what the map's chain calls it.

    Returns:
        The map with the marginals as probabilities; `map` itself where the settings change nothing or no pixel is
        valid. The lattice and pydensecrf agree to 1e-5 but on a few undecided pixels, where iterating magnifies float32
        rounding, mostly pydensecrf's (Indian Pines: 2 pixels, 7e-5; 610 x 340 and a noisy guide: 11 pixels, at worst
        3e-4).

    Raises:
        SceneError: the guide does not lie on the map's pixels, or NaN on valid pixels.
        SettingError: an unknown engine, or pydensecrf wanted and not installed.
    """
    settings = settings or DenseCRF()
    if engine not in get_args(Engine):
        raise SettingError(f"the engine is {listed(get_args(Engine), last='or')}, got {engine!r}.")
    if tuple(guide.shape[:-1]) != map.shape:
        raise SceneError(
            f"the guide's pixels are {tuple(guide.shape[:-1])}, the map's are {map.shape}: "
            "both must lie on the same grid, the guide's features last."
        )
    points = map.valid if map.valid is not None else np.ones(map.shape, bool)
    if settings.changes_nothing or not points.any():
        return map
    probs = map.probs[points]
    if not np.isfinite(probs).all():
        raise SceneError("the map holds NaN or infinite probabilities on pixels that count as data.")
    if kernels is None:
        kernels = Kernels(guide, valid=points, device=device)
    elif not np.array_equal(kernels.points, points):
        raise SettingError(f"the kernels were built for other pixels ({kernels.n_points} instead of {len(probs)}).")
    after = map.probs.astype(np.float32, copy=True)
    after[points] = (_run_pydensecrf if engine == "pydensecrf" else _run)(probs, kernels, settings)
    return map.refined(after, by=by)


def weighted_kernels(kernels: Kernels, settings: DenseCRF) -> tuple[list[Kernel], list[float]]:
    """Kernels and weights of `settings`, those of weight zero left out."""
    chosen: list[Kernel] = []
    weights = []
    if settings.gaussian_weight > 0:
        chosen.append(kernels.gaussian(settings.gaussian_sxy_px))
        weights.append(settings.gaussian_weight)
    if settings.bilateral_weight > 0:
        chosen.append(kernels.bilateral(settings.bilateral_sxy_px, settings.bilateral_sfeature))
        weights.append(settings.bilateral_weight)
    return chosen, weights


def _run(probs: NDArray[np.floating], kernels: Kernels, settings: DenseCRF) -> NDArray[np.float32]:
    with torch.no_grad():
        given = torch.from_numpy(probs).to(device=kernels.device, dtype=kernels.dtype)  # up once, back once
        unary = given.clamp(settings.floor, 1.0).log_().neg_()
        q = mean_field(unary, *weighted_kernels(kernels, settings), iterations=settings.iterations)
    return q.float().cpu().numpy()


def _run_pydensecrf(probs: NDArray[np.floating], kernels: Kernels, settings: DenseCRF) -> NDArray[np.float32]:
    try:
        from pydensecrf import densecrf
    except ImportError as error:
        raise SettingError(
            'engine="pydensecrf" needs the package of that name: pip install "hyperseg[crf]" (a C++ compiler is '
            'needed). engine="lattice" gives the same map and needs nothing.'
        ) from error
    unary = -np.log(np.clip(probs.astype(np.float64), settings.floor, 1.0))
    crf = densecrf.DenseCRF(*unary.shape)
    crf.setUnaryEnergy(np.ascontiguousarray(unary.T, np.float32))
    # the generic call: its "bilateral" shortcut reads exactly three uint8 channels, whatever it is given
    if settings.gaussian_weight > 0:
        features = kernels.gaussian_features(settings.gaussian_sxy_px).cpu().numpy()
        crf.addPairwiseEnergy(np.ascontiguousarray(features.T), compat=float(settings.gaussian_weight))
    if settings.bilateral_weight > 0:
        features = kernels.bilateral_features(settings.bilateral_sxy_px, settings.bilateral_sfeature).cpu().numpy()
        crf.addPairwiseEnergy(np.ascontiguousarray(features.T), compat=float(settings.bilateral_weight))
    return np.array(crf.inference(settings.iterations), np.float32).T

"""What a fully connected CRF smooths along: the guide of a scene and the kernels built from it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperseg.core import SceneError, SettingError
from hyperseg.filters.lattice import Lattice

Kernel = Callable[[Tensor], Tensor]
GuideRange = tuple[list[float], list[float]]  # lower and upper limit per component; a pair of lists, as in JSON


class Kernels:
    """The kernels of one scene, built when first asked for and shared by settings with the same widths.

    All Gaussian kernels are kept, but only the last bilateral one, because these are larger. Settings that are tried in
    the order of their bilateral widths build each kernel once.

    Attributes:
        n_points: number of pixels that take part.
    """

    def __init__(
        self,
        guide: NDArray[np.floating],
        *,
        valid: NDArray[np.bool_] | None = None,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        build: Callable[..., Kernel] = Lattice,
    ) -> None:
        """Take the guide.

        Args:
            guide: (*S, F) features of the bilateral kernel.
            valid: (*S) bool or None; False pixels are no points of the kernels.
            device: where products are computed.
            dtype: of the values that are multiplied.
            build: (N, d) tensor of features in units of the widths, `device` and `dtype` -> a kernel.

        Raises:
            SceneError: NaN on valid pixels.
        """
        self.points = valid if valid is not None else np.ones(guide.shape[:-1], bool)
        features = np.asarray(guide, np.float32)[self.points]
        if not np.isfinite(features).all():
            raise SceneError(
                f"the guide {guide.shape} holds NaN or infinite values on pixels that count as data: "
                "mark those pixels invalid or drop the bands they come from."
            )
        # column before row, as pydensecrf orders them: the order decides how the lattice lies
        positions = np.argwhere(self.points)[:, ::-1].astype(np.float32)
        self.n_points = len(positions)
        self.device, self.dtype = device, dtype
        # all kernels are built from these two, where they are used
        self.positions, self.features = (torch.from_numpy(part).to(device) for part in (positions, features))
        self._build = partial(build, device=device, dtype=dtype)
        self._gaussians: dict[float, Kernel] = {}
        self._bilaterals: dict[tuple[float, float], Kernel] = {}

    def gaussian_features(self, sxy_px: float) -> Tensor:
        """(N, 2) float32 positions in units of the width."""
        # divided by a tensor: by a number, a GPU would multiply by the rounded reciprocal and find other corners
        return self.positions / self.positions.new_full((1,), sxy_px)

    def bilateral_features(self, sxy_px: float, sfeature: float) -> Tensor:
        """(N, 2 + F) float32 positions and guide in units of the widths."""
        scaled = self.features / self.features.new_full((1,), sfeature)
        return torch.cat([self.gaussian_features(sxy_px), scaled], 1)

    def gaussian(self, sxy_px: float) -> Kernel:
        """The kernel on positions."""
        if sxy_px not in self._gaussians:
            self._gaussians[sxy_px] = self._build(self.gaussian_features(sxy_px))
        return self._gaussians[sxy_px]

    def bilateral(self, sxy_px: float, sfeature: float) -> Kernel:
        """The kernel on positions and guide."""
        widths = (sxy_px, sfeature)
        if widths not in self._bilaterals:
            self._bilaterals = {}  # free the old one before building
            self._bilaterals = {widths: self._build(self.bilateral_features(*widths))}
        return self._bilaterals[widths]


def guide_from_components(
    components: NDArray[np.floating], *, valid: NDArray[np.bool_] | None = None, limits: GuideRange | None = None
) -> NDArray[np.float32]:
    """Scale principal components to 0..255, each between its limits; what lies beyond is clipped.

    Args:
        components: (*S, F); fit the PCA on training pixels only.
        valid: (*S) bool or None; False pixels count for nothing and become 0.
        limits: what becomes 0 and what 255, per component; None is `guide_range` of these components.

    Returns:
        (*S, F) float32, C-contiguous. A constant component becomes 0.
    """
    points = valid if valid is not None else np.ones(components.shape[:-1], bool)
    guide = np.zeros(components.shape, np.float32)
    if points.any():
        inside = components[points].astype(np.float64)
        low, high = (np.asarray(x) for x in limits or guide_range(components, valid=valid))
        span = np.where(high > low, high - low, np.inf)
        guide[points] = np.clip((inside - low) / span, 0, 1) * 255
    return guide


def guide_range(
    components: NDArray[np.floating],
    *,
    valid: NDArray[np.bool_] | None = None,
    percentiles: tuple[float, float] = (1.0, 99.0),
) -> GuideRange:
    """Lower and upper limit of every component, for `guide_from_components`: percentiles over the valid pixels."""
    if not 0 <= percentiles[0] < percentiles[1] <= 100:
        raise SettingError(f"percentiles must rise within 0..100, got {percentiles}.")
    inside = components[...] if valid is None else components[valid]
    flat = inside.reshape(-1, components.shape[-1]).astype(np.float64)
    low, high = np.percentile(flat, percentiles, axis=0)
    return low.tolist(), high.tolist()

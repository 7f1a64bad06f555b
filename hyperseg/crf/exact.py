"""The fully connected Gaussian kernel written out, N x N: the mathematical reference for tiny scenes."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import FunctionCtx

from hyperseg.core import SettingError

NORM_FLOOR = 1e-20
KEPT_POINTS = 4096  # a matrix of 128 MiB
MOST_POINTS = 25_000  # 145 x 145 pixels take seconds per product; beyond this it is a mistake


class ExactKernel:
    """k_ij = exp(-|f_i - f_j|^2 / 2) over N points, applied in full; O(N^2 d) time per product.

    Calling it multiplies (N, K) values by the (N, N) kernel. Differentiable in the values.

    Source: Krähenbühl & Koltun, "Efficient Inference in Fully Connected CRFs with Gaussian Edge Potentials",
        2011, section 2 (kernels) and 3 (message passing excludes the pixel itself: `self_included=False`).
    Differs: by default each pixel's own value is part of its sum and the kernel is D^-1/2 k D^-1/2, D being
        the row sums: that is what pydensecrf and the lattice compute. Without the own value the row sums are
        still those of the whole kernel, so that the two forms differ by the diagonal alone.
    """

    def __init__(
        self,
        features: NDArray[np.floating],
        *,
        normalisation: Literal["symmetric", "none"] = "symmetric",
        self_included: bool = True,
        rows: int = 512,
        kept: int = KEPT_POINTS,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float64,
    ) -> None:
        """Take the points.

        Args:
            features: (N, d) coordinates in units of the Gaussian's standard deviation.
            normalisation: "symmetric" or "none".
            self_included: whether k_ii takes part.
            rows: rows of the kernel held at a time when it is too large to keep.
            kept: number of points up to which the whole matrix is kept.
            device: where products are computed.
            dtype: of the kernel and of the values it is given.

        Raises:
            SettingError: more than 25 000 points, or features that are not a finite (N, d) array.
        """
        if features.ndim != 2 or 0 in features.shape or not np.isfinite(features).all():
            raise SettingError(
                f"an exact kernel needs finite features of shape (points, dimensions), got {features.shape}. "
                "Mask pixels without data before building it."
            )
        if len(features) > MOST_POINTS:
            raise SettingError(
                f"the exact kernel of {len(features)} pixels has {len(features) ** 2:.1e} entries; "
                f'it is meant for at most {MOST_POINTS}. Use engine="lattice".'
            )
        centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
        self.points = torch.as_tensor(centred, dtype=dtype, device=device)
        self.self_included = self_included
        self.rows = rows
        self.n_points = len(features)
        self.norm = torch.ones(self.n_points, 1, dtype=dtype, device=device)
        self._kept: Tensor | None = None
        match normalisation:
            case "none":
                pass
            case "symmetric":
                sums = [self._block(i).sum(1, keepdim=True) for i in range(0, self.n_points, rows)]
                self.norm = (torch.cat(sums) + NORM_FLOOR).rsqrt()
            case _:
                raise SettingError(f'normalisation must be "symmetric" or "none", got {normalisation!r}.')
        if self.n_points <= kept:
            self._kept = torch.cat([self._row_block(i) for i in range(0, self.n_points, rows)])

    def matrix(self) -> Tensor:
        """The (N, N) kernel itself."""
        if self._kept is not None:
            return self._kept
        return torch.cat([self._row_block(i) for i in range(0, self.n_points, self.rows)])

    def __call__(self, values: Tensor) -> Tensor:
        """Multiply (N, K) values by the kernel."""
        product: Tensor = _Product.apply(values, self)
        return product

    def _block(self, start: int) -> Tensor:
        """Rows start, start + 1, ... of the plain Gaussian, the own value included."""
        here = self.points[start : start + self.rows]
        squared = here.square().sum(1, keepdim=True) + self.points.square().sum(1) - 2 * here @ self.points.T
        return squared.clamp_(min=0).mul_(-0.5).exp_()

    def _row_block(self, start: int) -> Tensor:
        block = self._block(start) * self.norm[start : start + self.rows] * self.norm.T
        if not self.self_included:
            own = torch.arange(len(block), device=block.device)
            block[own, own + start] = 0.0
        return block

    def _apply(self, values: Tensor) -> Tensor:
        if self._kept is not None:
            return self._kept @ values
        return torch.cat([self._row_block(i) @ values for i in range(0, self.n_points, self.rows)])


class _Product(torch.autograd.Function):
    """A symmetric matrix is its own derivative: nothing is kept for the backward pass."""

    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor, kernel: ExactKernel) -> Tensor:
        ctx.kernel = kernel  # type: ignore[attr-defined]
        return kernel._apply(values)

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor, None]:
        return _Product.apply(grads[0], ctx.kernel), None  # type: ignore[attr-defined]

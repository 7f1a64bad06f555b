"""The permutohedral lattice: Gaussian filtering in many dimensions as a chain of sparse products.

A point of the (features) space is written onto the d + 1 corners of the simplex it lies in (*splat*), the corners
exchange values with their neighbours along d + 1 directions (*blur*), and the point reads its corners again (*slice*).
All three are linear, so the filter is `slice · blur_d ··· blur_0 · splat`: d + 3 sparse matrices that are built once
in NumPy and applied by torch on any device.
"""

from __future__ import annotations

import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import FunctionCtx

from hyperseg.core import SettingError

Ints = NDArray[np.int64]
Floats = NDArray[np.floating]

NORM_FLOOR = 1e-20  # under the square root, as in pydensecrf


class Lattice:
    """A Gaussian kernel exp(-|f_i - f_j|^2 / 2) over N points, symmetrically normalised.

    Calling it multiplies (N, K) values by D^-1/2 G D^-1/2, where G is the lattice's Gaussian and D the diagonal matrix
    of its row sums. The result is differentiable in the values, any number of times.

    Attributes:
        n_points: N.
        n_vertices: M, lattice corners in use; cost and memory grow with it.
        splat_matrix: (M, N) sparse CSR, columns summing to one; slicing is its transpose.
        blurs: d + 1 symmetric (M, M) sparse CSR matrices with 1 on the diagonal and 1/2 per neighbour.
        norm: (N, 1), 1 / sqrt(G 1 + 1e-20).

    Source: Adams, Baek, Davis, "Fast High-Dimensional Filtering Using the Permutohedral Lattice", 2010.
    Differs: the result is normalised symmetrically, as pydensecrf does by default. The weights of the blur are 1/2, 1,
        1/2 and the whole is scaled by 1 / (1 + 2^-d), as in pydensecrf (the paper's 1/4, 1/2, 1/4 differs by a constant
        that the normalisation removes). Corners that no point touches are not created, so what would be blurred through
        them is lost; pydensecrf does the same. The value of a point at itself is part of the sum.
    """

    def __init__(
        self, features: Floats, *, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
    ) -> None:
        """Build the lattice of `features`.

        Args:
            features: (N, d) coordinates in units of the Gaussian's standard deviation.
            device: where products are computed.
            dtype: torch.float32, or torch.float64 for gradient checks.

        Raises:
            SettingError: features that are not a finite (N, d) array with N, d >= 1.
        """
        if features.ndim != 2 or 0 in features.shape or not np.isfinite(features).all():
            raise SettingError(
                f"a lattice needs finite features of shape (points, dimensions), got shape {features.shape}"
                f"{'' if 0 in features.shape else ' with NaN or infinite values'}. Mask pixels without data before "
                "building it."
            )
        self.n_points, d = features.shape
        place = np.float32 if dtype == torch.float32 else np.float64
        remainder0, rank, weights = _enclosing_simplices(np.ascontiguousarray(features.T, dtype=place))
        strides = _strides(remainder0)
        vertices, order, corner, first = _number(_corner_codes(remainder0, rank, strides).ravel())
        n, m = self.n_points, len(vertices)
        self.n_vertices = m
        starts = np.arange(0, n * (d + 1) + 1, d + 1)
        self.slice_matrix = _csr(starts, corner.reshape(d + 1, n).T.ravel(), weights.T.ravel(), (n, m)).to(device)
        self.splat_matrix = _csr(first, order % n, weights.ravel()[order], (m, n)).to(device)
        steps = (d + 1) * strides - strides.sum()  # from a corner's code to its neighbour's, per lattice direction
        self.blurs = [_blur_matrix(vertices, step, place).to(device) for step in steps]
        self.scale = 1.0 / (1.0 + 2.0**-d)
        ones = torch.ones(n, 1, dtype=dtype, device=device)
        self.norm = (self._apply(ones, transpose=False) + NORM_FLOOR).rsqrt()

    def __call__(self, values: Tensor) -> Tensor:
        """Filter (N, K) values with the normalised kernel."""
        return self.norm * self.filter(self.norm * values)

    def filter(self, values: Tensor) -> Tensor:
        """Filter (N, K) values with G, without normalisation."""
        return _Filter.apply(values, self, False)

    def _apply(self, values: Tensor, *, transpose: bool) -> Tensor:
        on_lattice = self.splat_matrix @ values
        # the blurs do not commute where corners are missing: the transpose runs them backwards
        for blur in reversed(self.blurs) if transpose else self.blurs:
            on_lattice = blur @ on_lattice
        return (self.slice_matrix @ on_lattice).mul_(self.scale)


class _Filter(torch.autograd.Function):
    """The linear map G, whose derivative is its transpose: no intermediate is kept for the backward pass."""

    @staticmethod
    def forward(ctx: FunctionCtx, values: Tensor, lattice: Lattice, transpose: bool) -> Tensor:
        ctx.lattice, ctx.transpose = lattice, transpose  # type: ignore[attr-defined]
        return lattice._apply(values, transpose=transpose)

    @staticmethod
    def backward(ctx: FunctionCtx, *grads: Tensor) -> tuple[Tensor, None, None]:
        lattice, transpose = ctx.lattice, ctx.transpose  # type: ignore[attr-defined]
        return _Filter.apply(grads[0].contiguous(), lattice, not transpose), None, None


def _enclosing_simplices(features: Floats) -> tuple[Ints, Ints, Floats]:
    """The simplex around every point: its corner of remainder 0, the order of its residuals, the weights.

    Args:
        features: (d, N).

    Returns:
        remainder0 (d + 1, N) lattice point with coordinates in multiples of d + 1; rank (d + 1, N), 0 for the
        coordinate with the largest residual; weights (d + 1, N), barycentric, row k for the corner of remainder k.
    """
    d, n = features.shape
    # unit standard deviation of the input becomes that of splat, blur and slice together
    spread = np.sqrt(2.0 / 3.0) * (d + 1) / np.sqrt(np.arange(1, d + 1) * np.arange(2, d + 2))
    scaled = features * spread.astype(features.dtype)[:, None]
    elevated = np.empty((d + 1, n), features.dtype)  # coordinates in the plane that sums to zero
    tail = np.zeros(n, features.dtype)
    for j in range(d, 0, -1):
        elevated[j] = tail - j * scaled[j - 1]
        tail += scaled[j - 1]
    elevated[0] = tail

    nearest = np.rint(elevated / (d + 1))
    excess = nearest.sum(0).astype(np.int64)
    nearest *= d + 1
    residual = elevated - nearest
    rank = np.zeros((d + 1, n), np.int64)
    for i in range(d):
        for j in range(i + 1, d + 1):
            smaller = residual[i] < residual[j]
            rank[i] += smaller
            rank[j] += ~smaller
    rank += excess  # rounding left the plane: move the coordinates that were rounded the furthest back into it
    shift = (rank < 0).astype(np.int64) - (rank > d)
    shift *= d + 1
    rank += shift
    nearest += shift
    by_rank = np.empty_like(residual)
    np.put_along_axis(by_rank, rank, (elevated - nearest) / (d + 1), axis=0)
    weights = np.empty_like(residual)
    weights[0] = 1 + by_rank[d] - by_rank[0]
    weights[1:] = by_rank[:d][::-1] - by_rank[1:][::-1]
    return nearest.astype(np.int64), rank, weights


def _strides(remainder0: Ints) -> Ints:
    """(d + 1,) multipliers that turn a corner into one integer; the last coordinate follows from the others.

    Being linear, they turn "the neighbour in direction j" into "plus a constant".
    """
    d = len(remainder0) - 1
    # a corner lies up to d from the corner of remainder 0, a neighbour up to d from there: no two may collide
    span = np.ptp(remainder0[:d], axis=1) + 4 * d + 2
    if np.log2(span.astype(np.float64)).sum() < 62:
        return np.concatenate([np.cumprod(np.concatenate([[1], span[:-1]])), [0]]).astype(np.int64)
    # too many dimensions to count: odd multipliers modulo 2^64; a collision among a million corners has a
    # chance of about 1e-7, and the multipliers are constants, so the result is the same every time
    hashed = np.random.default_rng(2010).integers(2**60, 2**62, size=d + 1) | 1
    hashed[d] = 0
    return hashed


def _corner_codes(remainder0: Ints, rank: Ints, strides: Ints) -> Ints:
    """(d + 1, N) codes of the corners of every simplex, row k for remainder k.

    The corner of remainder k adds k to every coordinate and takes d + 1 from those of the k highest ranks.
    """
    d = len(rank) - 1
    codes = np.empty_like(rank)
    codes[0] = strides @ remainder0
    by_rank = np.empty_like(rank)
    np.put_along_axis(by_rank, rank, np.broadcast_to(strides[:, None], rank.shape), axis=0)
    total = strides.sum()
    for k in range(1, d + 1):
        codes[k] = codes[k - 1] + total - (d + 1) * by_rank[d + 1 - k]
    return codes


def _number(codes: Ints) -> tuple[Ints, Ints, Ints, Ints]:
    """Distinct codes (sorted), the order that sorts, the number of each code, where each number starts."""
    order = np.argsort(codes)
    ordered = codes[order]
    new = np.empty(len(codes), bool)
    new[0] = True
    np.not_equal(ordered[1:], ordered[:-1], out=new[1:])
    first = np.flatnonzero(new)
    number = np.empty(len(codes), np.int64)
    number[order] = np.cumsum(new) - 1
    return ordered[first], order, number, np.append(first, len(codes))


def _blur_matrix(vertices: Ints, step: int, dtype: type[np.floating]) -> Tensor:
    """(M, M) matrix with 1 on the diagonal and 1/2 at the neighbours at distance `step` that exist."""
    m = len(vertices)
    ahead = np.searchsorted(vertices, vertices + step)
    ahead[ahead == m] = 0
    here = np.flatnonzero(vertices[ahead] == vertices + step)
    ahead = ahead[here]
    # three slots per row (before, self, ahead), then squeeze out the empty ones
    columns = np.full((m, 3), -1, np.int64)
    columns[ahead, 0] = here
    columns[:, 1] = np.arange(m)
    columns[here, 2] = ahead
    values = np.broadcast_to(np.array([0.5, 1.0, 0.5], dtype), (m, 3))
    used = columns >= 0
    return _csr(np.concatenate([[0], np.cumsum(used.sum(1))]), columns[used], values[used], (m, m))


def _csr(starts: Ints, columns: Ints, values: Floats, shape: tuple[int, int]) -> Tensor:
    # int32 because the CPU's sparse library would otherwise convert the indices at every product
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(
            torch.from_numpy(starts.astype(np.int32)),
            torch.from_numpy(columns.astype(np.int32)),
            torch.from_numpy(np.ascontiguousarray(values)),
            size=shape,
            check_invariants=False,  # ours by construction; checking costs as much as building
        )

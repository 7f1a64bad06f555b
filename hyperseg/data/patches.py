"""Patches gathered by index from one padded tensor: no patch array is ever stored.

Here NumPy's channels-last cube becomes torch's (B, 1, L, h, w); `hyperseg.engine.predict` is the only other place.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperseg.core import SceneError

# the symmetries of the square as maps of offsets: (dy, dx) -> matrix @ (dy, dx)
SQUARE = torch.tensor(
    [[[1, 0], [0, 1]], [[0, 1], [-1, 0]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]],
     [[1, 0], [0, -1]], [[0, 1], [1, 0]], [[-1, 0], [0, 1]], [[0, -1], [-1, 0]]]
)  # fmt: skip


class PatchSource:
    """A preprocessed cube on a device, padded by reflection so that every pixel has a whole patch.

    Args:
        cube: (H, W, L) float32, preprocessed.
        radius: r; a patch is (2r+1, 2r+1) pixels.
        device: where the cube stays.
    """

    def __init__(self, cube: NDArray[np.float32], *, radius: int, device: torch.device | str = "cpu") -> None:
        if cube.ndim != 3:
            raise SceneError(f"patches need a cube (rows, columns, bands), got an array of shape {cube.shape}.")
        self.radius = radius
        padded = np.pad(cube, ((radius, radius), (radius, radius), (0, 0)), mode="reflect") if radius else cube
        self.padded = torch.from_numpy(np.ascontiguousarray(padded)).to(device)
        self._window = torch.cartesian_prod(*[torch.arange(-radius, radius + 1)] * 2).reshape(-1, 2).to(device)
        self._square = SQUARE.to(device)

    @property
    def device(self) -> torch.device:
        return self.padded.device

    def gather(self, pixels: Tensor, orientation: Tensor | None = None) -> Tensor:
        """Patches around `pixels`.

        Args:
            pixels: (B, 2) long, row and column in the scene.
            orientation: (B,) long in 0..7, a flip or rotation per patch; None leaves them as they are.

        Returns:
            (B, 1, L, 2r+1, 2r+1).
        """
        n, side = len(pixels), 2 * self.radius + 1
        offsets = self._window.expand(n, -1, -1)
        if orientation is not None:
            offsets = torch.einsum("bij,kj->bki", self._square[orientation].float(), self._window.float()).long()
        at = pixels[:, None] + self.radius + offsets
        patches = self.padded[at[..., 0], at[..., 1]]  # (B, side * side, L)
        return patches.view(n, side, side, -1).permute(0, 3, 1, 2).unsqueeze(1)


def draw_pixels(n: int, *, batch: int, step: int, seed: int, balanced: Tensor | None = None) -> Tensor:
    """Indices into n training pixels for one step: epoch-wise permutations, a pure function of (seed, step).

    Being a pure function makes a resumed run draw exactly what the uninterrupted one would have drawn.

    Args:
        n: number of training pixels.
        batch: pixels per step; the last batch of an epoch is dropped unless it is the only one.
        step: 0-based step.
        seed: of the run.
        balanced: (n,) class of each pixel: draw classes with equal probability, then a pixel of the class.

    Returns:
        (min(batch, n),) long.
    """
    if balanced is not None:
        generator = torch.Generator().manual_seed(_mix(seed, step))
        weight = 1.0 / torch.bincount(balanced).clamp(min=1).double()[balanced]
        return torch.multinomial(weight, min(batch, n), replacement=True, generator=generator)
    per_epoch = max(n // batch, 1)
    epoch, place = divmod(step, per_epoch)
    order = torch.randperm(n, generator=torch.Generator().manual_seed(_mix(seed, epoch)))
    return order[place * batch : (place + 1) * batch]


def _mix(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))

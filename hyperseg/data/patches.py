"""Patches gathered by index from one padded tensor: no patch array is ever stored.

Here NumPy's channels-last cube becomes torch's (B, 1, L, h, w); `hyperseg.engine.predict` is the only other
place.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperseg.core import SceneError, SettingError

# the symmetries of the square as maps of offsets: (dy, dx) -> matrix @ (dy, dx)
SQUARE = torch.tensor(
    [[[1, 0], [0, 1]], [[0, 1], [-1, 0]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]],
     [[1, 0], [0, -1]], [[0, 1], [1, 0]], [[-1, 0], [0, 1]], [[0, -1], [-1, 0]]]
)  # fmt: skip


class PatchSource:
    """A preprocessed cube on a device, padded by reflection so that every pixel has a whole patch.

    Args:
        cube: (H, W, L) preprocessed; kept as float32. With radius 0 the array itself may be shared.
        radius: r; a patch is (2r+1, 2r+1) pixels. It may exceed the scene: reflections repeat.
        device: where the cube stays.

    Raises:
        SceneError: not a cube of three axes, or an empty one.
        SettingError: a negative radius.
    """

    def __init__(
        self, cube: NDArray[np.floating], *, radius: int, device: torch.device | str = "cpu"
    ) -> None:
        if cube.ndim != 3 or not cube.size:
            raise SceneError(
                f"patches need a cube (rows, columns, bands), got an array of shape {cube.shape}."
            )
        if radius < 0:
            raise SettingError(f"the radius of a patch is 0 pixels or more, got {radius}.")
        self.radius = radius
        padded = (
            np.pad(cube, ((radius, radius), (radius, radius), (0, 0)), mode="reflect") if radius else cube
        )
        self.padded = torch.from_numpy(np.ascontiguousarray(padded, np.float32)).to(device)
        window = torch.cartesian_prod(*[torch.arange(-radius, radius + 1)] * 2).reshape(-1, 2)
        turned = torch.einsum("oij,kj->oki", SQUARE, window)
        # per orientation and place in the patch: how far away the value lies in the flattened padded cube
        self._offsets = (turned[..., 0] * self.padded.shape[1] + turned[..., 1]).to(device)

    @property
    def device(self) -> torch.device:
        """Where the cube and the patches are."""
        return self.padded.device

    def gather(self, pixels: Tensor, orientation: Tensor | None = None) -> Tensor:
        """Patches around `pixels`.

        Args:
            pixels: (B, 2) long, row and column in the scene.
            orientation: (B,) long in 0..7, a flip or rotation per patch, 0 for none; None leaves all alone.

        Returns:
            (B, 1, L, 2r+1, 2r+1) on the source's device; a view whose bands lie next to each other in memory.
        """
        n, side = len(pixels), 2 * self.radius + 1
        row, column = (pixels.to(self.device) + self.radius).unbind(1)
        at = (row * self.padded.shape[1] + column)[:, None]
        turn = self._offsets[:1] if orientation is None else self._offsets[orientation.to(self.device)]
        values = self.padded.flatten(0, 1).index_select(0, (at + turn).flatten())
        return values.view(n, side, side, -1).permute(0, 3, 1, 2).unsqueeze(1)


def draw_pixels(n: int, *, batch: int, step: int, seed: int, balanced: Tensor | None = None) -> Tensor:
    """Indices into n training pixels for one step: epoch-wise permutations, a pure function of (seed, step).

    Being a pure function makes a resumed run draw exactly what the uninterrupted one would have drawn.

    Args:
        n: number of training pixels.
        batch: pixels per step; what is left of an epoch after the last whole batch is dropped. It is another
            rest in every epoch, so that every pixel is trained.
        step: 0-based step.
        seed: of the run, not negative.
        balanced: (n,) class of each pixel: draw classes with equal probability, then a pixel of the class,
            with replacement. Classes without pixels do not count.

    Returns:
        (min(batch, n),) long, on the CPU.

    Raises:
        SettingError: no pixels, an empty batch, or a negative seed or step.
    """
    if min(n, batch) < 1 or min(seed, step) < 0:
        raise SettingError(
            f"draw from 1 or more pixels, in batches of 1 or more, with a seed and step of 0 or more; "
            f"got n={n}, batch={batch}, seed={seed}, step={step}."
        )
    if balanced is not None:
        classes = balanced.cpu()
        weight = 1.0 / torch.bincount(classes).double()[classes]
        return torch.multinomial(weight, min(batch, n), replacement=True, generator=_generator(seed, step))
    epoch, place = divmod(step, max(n // batch, 1))
    return _permutation(n, seed, epoch)[place * batch : (place + 1) * batch]


@lru_cache(maxsize=2)
def _permutation(n: int, seed: int, epoch: int) -> Tensor:
    """The order of an epoch, kept for its steps; callers get slices and must not write to them."""
    return torch.randperm(n, generator=_generator(seed, epoch))


def _generator(seed: int, count: int) -> torch.Generator:
    mixed = np.random.SeedSequence([seed, count]).generate_state(1, np.uint64)[0]
    return torch.Generator().manual_seed(int(mixed >> np.uint64(1)))

"""Patches gathered by index from padded scenes that lie in one tensor: no patch array is ever stored.

Here NumPy's channels last become torch's channels first; `hyperseg.engine.forward` is the only other place.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hyperseg.core import SceneError, SettingError
from hyperseg.core.tiles import Layout, PerAxis, per_axis

# the symmetries of the square as maps of offsets: (dy, dx) -> matrix @ (dy, dx)
# on the CPU whichever device is the default when this is imported: shapes may be tried on none
SQUARE = torch.tensor(
    [[[1, 0], [0, 1]], [[0, 1], [-1, 0]], [[-1, 0], [0, -1]], [[0, -1], [1, 0]],
     [[1, 0], [0, -1]], [[0, 1], [1, 0]], [[-1, 0], [0, 1]], [[0, -1], [-1, 0]]], device="cpu",
)  # fmt: skip
# those of a box are reflections: where slices lie further apart than rows, a turned patch would be of another body
BOX = torch.diag_embed(torch.tensor(list(product((1, -1), repeat=3)), device="cpu"))


class PatchSource:
    """Preprocessed scenes on a device, padded by reflection so that every pixel has a whole patch.

    Labels, where a network learns maps of them, have a source of their own, as cubes of one band.

    Args:
        cubes: (*S, L), S of 2 axes (a scene or an image) or 3 (a volume); or a list of such, of any sizes. They are
            kept as float32. With one cube and radius 0 the array itself may be shared.
        radius: r, one number or one per axis; a patch is 2r + 1 pixels long. It may exceed the scene: reflections
            repeat.
        layout: of the network the patches are for; "depth" is for scenes only.
        device: where the cubes stay.

    Attributes:
        window: sides of a patch in pixels.
        orientations: number of orientations a patch can be gathered in: eight flips and quarter turns of an image,
            eight reflections of a volume along its three axes.

    Raises:
        SceneError: not cubes of three or four axes, an empty one, or some that do not go together.
        SettingError: a negative radius, or bands as depth for volumes.
    """

    orientations = 8

    def __init__(
        self,
        cubes: NDArray[np.floating] | Sequence[NDArray[np.floating]],
        *,
        radius: PerAxis,
        layout: Layout = "depth",
        device: torch.device | str = "cpu",
    ) -> None:
        self.several = not isinstance(cubes, np.ndarray)
        several: Sequence[NDArray[np.floating]] = cubes if self.several else [cubes]  # type: ignore[list-item, assignment]
        _check(several, layout)
        self.layout, self.ndim = layout, several[0].ndim - 1
        r = torch.tensor(per_axis("the radius of a patch", radius, self.ndim))
        symmetries = SQUARE if self.ndim == 2 else BOX
        wide = (symmetries.abs() @ r).amax(0)  # a long patch lies across in some orientations
        pads = [*((n, n) for n in wide.tolist()), (0, 0)]
        padded = [np.pad(cube, pads, mode="reflect") if any(wide) else cube for cube in several]
        sizes = [cube.shape[:-1] for cube in padded]
        flat = [np.ascontiguousarray(cube, np.float32).reshape(-1, cube.shape[-1]) for cube in padded]
        self.padded = torch.from_numpy(flat[0] if len(flat) == 1 else np.concatenate(flat)).to(device)
        # in the flattened padded cubes: how far a step along an axis goes, and where a scene's first pixel is
        steps = torch.tensor([[prod(size[axis + 1 :]) for axis in range(self.ndim)] for size in sizes])
        first = torch.tensor([0, *map(prod, sizes[:-1])]).cumsum(0) + steps @ wide
        self._steps, self._first = steps.to(device), first.to(device)
        # (scenes * orientations, sum of sides): how far away the values along each axis of a patch lie
        turned = torch.einsum("oij,si->soj", symmetries, steps).flatten(0, 1)
        along = [turned[:, axis, None] * torch.arange(-n, n + 1) for axis, n in enumerate(r.tolist())]
        self.window = tuple(len(far[0]) for far in along)
        self._along = torch.cat(along, 1).to(device)
        if not self.several:  # without looking up the only scene each time
            self._steps, self._first = self._steps[0], self._first[0]

    @property
    def device(self) -> torch.device:
        """Where the cubes and the patches are."""
        return self.padded.device

    def gather(self, pixels: Tensor, orientation: Tensor | None = None) -> Tensor:
        """Patches around `pixels`.

        Args:
            pixels: (B, ndim) long, row and column in the scene, in a volume its slice before them. Of a source made
                from a list (B, 1 + ndim), the number of the scene in front; scenes may mix within a batch.
            orientation: (B,) long, one of `orientations` per patch, 0 for none; None leaves all alone.

        Returns:
            (B, 1, L, *(2r+1)) for "depth", (B, L, *(2r+1)) for "channels", on the source's device; a view whose bands
            lie next to each other in memory.

        Raises:
            SettingError: pixels of another number of columns.
        """
        if pixels.shape[1:] != (self.ndim + self.several,):
            raise SettingError(
                f"pixels are (batch, {self.ndim + self.several}), "
                f"{'scene, ' * self.several}{'slice, ' * (self.ndim - 2)}row and column; got {tuple(pixels.shape)}."
            )
        at, row = pixels.to(self.device), None if orientation is None else orientation.to(self.device)
        steps, first = self._steps, self._first
        if self.several:
            scene, at = at[:, 0], at[:, 1:]
            steps, first = steps[scene], first[scene]
            row = scene * self.orientations if row is None else scene * self.orientations + row
        at = (at * steps).sum(1) + first
        along = self._along[:1] if row is None else self._along.index_select(0, row)
        for axis, far in enumerate(along.split(self.window, 1)):
            at = at.unsqueeze(-1) + far.view(-1, *[1] * axis, self.window[axis])
        values = self.padded.index_select(0, at.flatten()).view(*at.shape, -1).movedim(-1, 1)
        return values.unsqueeze(1) if self.layout == "depth" else values


def _check(cubes: Sequence[NDArray[np.floating]], layout: Layout) -> None:
    """Raise SceneError or SettingError unless patches can be taken from the cubes together."""
    shapes = [cube.shape for cube in cubes]
    if not shapes or any(len(shape) not in (3, 4) or not prod(shape) for shape in shapes):
        raise SceneError(
            f"patches need cubes (rows, columns, bands) or (depth, rows, columns, channels), got {shapes}."
        )
    if len({(len(shape), shape[-1]) for shape in shapes}) > 1:
        raise SceneError(f"the scenes of a source have as many axes and bands as each other, got {shapes}.")
    match layout:
        case "channels":
            pass
        case "depth":
            if len(shapes[0]) == 4:
                raise SettingError('patches of volumes have the layout "channels".')
        case _:
            raise SettingError(f"the layout of patches is depth or channels, got {layout!r}.")


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

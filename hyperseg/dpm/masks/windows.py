"""What networks say of the clean mask of a whole image, which they see through windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod

import torch
from torch import Tensor

from hyperseg.dpm.denoise import Prediction
from hyperseg.dpm.masks.model import MaskModel
from hyperseg.dpm.masks.network import Condition
from hyperseg.dpm.network import most_at_once
from hyperseg.engine.blend import mirrors, weights, windows

KEPT = 2**27  # values of conditions that are kept (512 MiB); those beyond are computed again at every call


class Sight:
    """An image as the networks of a model see it; called, it is a `Denoise` of masks of the whole image.

    What networks, mirror images and overlapping windows say of the clean mask is averaged at every call. An axis of the
    image that the patch has not is one of planes, which are seen one by one.

    Attributes:
        together: samples that one window is seen with.
    """

    def __init__(
        self, model: MaskModel, image: Tensor, patch: Sequence[int], *, samples: int, device: torch.device | str,
        mirror: bool = False, kept: int = KEPT, called: Callable[[], None] = lambda: None,
    ) -> None:  # fmt: skip
        """See.

        Args:
            image: (C, *S) float32.
            patch: sides of a window; the image's own where they are smaller.
            samples: that are wanted in all.
            kept: values of conditions that are kept.
            called: called once a network call, see `calls`.
        """
        self.model, self.image, self.device, self.room, self.called = model, image, device, kept, called
        size = tuple(image.shape[1:])
        planes = len(size) - len(patch)
        self.flat = tuple(map(min, size[planes:], patch))
        side = (1,) * planes + self.flat
        self.cuts = list(windows(size, side))
        self.weight = torch.from_numpy(weights(side)[..., 0]).to(device, torch.float64)
        self.mass = torch.zeros(size, dtype=torch.float64, device=device)
        for cut in self.cuts:
            self.mass[cut] += self.weight
        self.flips = mirrors(range(2, 2 + len(patch))) if mirror else [()]
        most = most_at_once(model.code.channels * prod(self.flat), str(device))
        self.together = min(samples, most)
        self.at_once = most // self.together  # windows in one batch
        self.conditions: dict[tuple[int, int, tuple[int, ...]], Condition] = {}

    @property
    def calls(self) -> int:
        """Network calls (of some windows, all networks and mirror images) of one question."""
        return -(-len(self.cuts) // self.at_once)

    def __call__(self, x: Tensor, sigma: Tensor) -> Prediction:
        total = torch.zeros_like(x)
        for first, cuts in self._groups():
            seen = torch.stack([x[:, :, *cut] for cut in cuts])
            said = self._said(first, seen.reshape(-1, x.shape[1], *self.flat), sigma.repeat(len(cuts)))
            for cut, value in zip(cuts, said.view(seen.shape), strict=True):
                total[:, :, *cut] += value * (self.weight / self.mass[cut])
            self.called()
        return Prediction(total)

    def _groups(self) -> Iterator[tuple[int, list[tuple[slice, ...]]]]:
        for first in range(0, len(self.cuts), self.at_once):
            yield first, self.cuts[first : first + self.at_once]

    def _said(self, first: int, x: Tensor, sigma: Tensor) -> Tensor:
        """(windows * samples, M, *patch): the mean over networks and mirror images."""
        total = torch.zeros_like(x)
        for flip in self.flips:
            for which, network in enumerate(self.model.networks):
                condition = self._condition(which, first, flip)
                condition = condition.repeated(len(x) // len(condition.maps[0]))
                total += self.model.clean(network, condition, x.flip(flip), sigma).flip(flip)
        return total / (len(self.flips) * len(self.model.networks))

    def _condition(self, which: int, first: int, flip: tuple[int, ...]) -> Condition:
        """Of the group of windows that begins with the given one."""
        key = which, first, flip
        if key in self.conditions:
            return self.conditions[key]
        pieces = [self.image[:, *cut].reshape(-1, *self.flat) for cut in self.cuts[first : first + self.at_once]]
        found = self.model.networks[which].condition(torch.stack(pieces).to(self.device).flip(flip))
        values = sum(one.numel() for one in found.maps)
        if values <= self.room:
            self.room -= values
            self.conditions[key] = found
        return found

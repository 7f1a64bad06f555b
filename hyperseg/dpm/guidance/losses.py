"""What a loss of guidance is: a number for each sample, of what a network says and of what it worked out on the way."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Generators, Prediction, Tapped

if TYPE_CHECKING:
    from hyperseg.dpm.model import DiffusionModel

Reads = Callable[[Tapped], Tensor]
"""What a network worked out -> (B, 1, *S) depth in [0, 1]: a `PixelHead`."""
Loss = Callable[[Prediction, Tensor], Tensor]
"""(prediction with features, (B,) sigma) -> (B,) losses: sums over pixels, a sample's own, whatever the batch."""


@dataclass(frozen=True)
class Sources:
    """What losses of guidance are made of; networks are in evaluation mode.

    Attributes:
        strong, weak: heads.
        prior: a diffusion model of depth maps, or None.
        shrink: how many times smaller than pictures its depth maps are; the paper's are half as large as its pictures.
    """

    strong: Reads
    weak: Reads
    prior: DiffusionModel | None = None
    shrink: int = 1


@dataclass(frozen=True)
class Guidance:
    """A term of guidance as a value.

    Attributes:
        name: as in the table.
        loss: (sources, generators of the noise that it draws) -> its loss. Noise is drawn at every call; with a
            generator for each sample it does not depend on the batch.
        weighs: the setting of `hyperseg depth` that is its weight. Terms with one are those of the paper, DAG; a term
            without one has the weight `usual`, and guides where it is named.
        usual: weight of a term without a setting.
        needs_prior: whether it asks the diffusion model of depth maps.
    """

    name: str
    loss: Callable[[Sources, Generators], Loss]
    weighs: Literal["consistency", "prior"] | None = None
    usual: float = 0.0
    needs_prior: bool = False


def added(*terms: tuple[float, Loss]) -> Loss:
    """The weighted sum of losses; each is asked of one and the same prediction, those of weight 0 are not asked.

    Raises:
        SettingError: none are given.
    """
    if not terms:
        raise SettingError("guidance needs at least one loss: give one, or sample without guidance.")

    asked = [term for term in terms if term[0]] or terms[:1]

    def loss(said: Prediction, sigma: Tensor) -> Tensor:
        first, *others = [weight * each(said, sigma) for weight, each in asked]
        for other in others:
            first = first + other
        return first

    return loss


def weighed(
    guidances: Mapping[str, Guidance], weights: Mapping[str, float], sources: Sources, generators: Generators
) -> Loss:
    """The sum of the terms that have a weight above 0; the strong head is asked once for all of them.

    Args:
        guidances: the table.
        weights: name in the table -> weight.

    Raises:
        SettingError: a name that is not in the table, no weight above 0, or sources that a term misses.
    """
    kept = {name: weight for name, weight in weights.items() if weight}
    if len(kept) > 1:
        sources = replace(sources, strong=_Once(sources.strong))
    return added(*((weight, guidances[name].loss(sources, generators)) for name, weight in kept.items()))


@dataclass
class _Once:
    """A head that answers from memory where it is asked again of the same features."""

    read: Reads
    of: Callable[[], Tensor | None] = field(default=lambda: None, init=False)
    said: Tensor | None = field(default=None, init=False)

    def __call__(self, features: Tapped) -> Tensor:
        finest = features.levels[0]
        if self.said is None or self.of() is not finest:
            with torch.enable_grad():  # one of the terms goes back through it, whoever asks first
                self.of, self.said = weakref.ref(finest), self.read(features)
        return self.said


def features_of(said: Prediction) -> Tapped:
    """What the network worked out on the way.

    Raises:
        SettingError: the prediction has none.
    """
    if said.features is None:
        raise SettingError(
            "this loss reads what the network works out on the way, and the prediction has no features: ask the "
            "network by DiffusionModel.tapped()."
        )
    return said.features

"""What a loss of guidance is: a number for each sample, of what a network says and of what it worked out on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Generators, Prediction, Tapped

if TYPE_CHECKING:
    from hyperseg.dpm.model import DiffusionModel
    from hyperseg.dpm.tapped.head import PixelHead

Loss = Callable[[Prediction, Tensor], Tensor]
"""(prediction with features, (B,) sigma) -> (B,) losses: sums over pixels, a sample's own, whatever the batch."""


@dataclass(frozen=True)
class Sources:
    """What losses of guidance are made of: two heads, and a diffusion model of depth maps; all in evaluation mode."""

    strong: PixelHead
    weak: PixelHead
    prior: DiffusionModel | None = None


@dataclass(frozen=True)
class Guidance:
    """A term of guidance as a value.

    Attributes:
        name: as in the table.
        loss: (sources, generators of the noise that it draws) -> its loss. Noise is drawn at every call; with a
            generator for each sample it does not depend on the batch.
        usual: weight that the paper gives it.
        needs_prior: whether it asks the diffusion model of depth maps.
    """

    name: str
    loss: Callable[[Sources, Generators], Loss]
    usual: float
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

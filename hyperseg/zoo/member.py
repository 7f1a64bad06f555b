"""`Member`: a network of the survey as a value; `Adversary`: what it plays against."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Literal

from torch import Tensor, nn

from hyperseg.backbone.spec import BackboneSpec
from hyperseg.core.parts import NoSettings

Family = Literal[
    "fully convolutional", "graphical model", "encoder-decoder", "multi-scale pyramid", "dilated", "instances",
    "recurrent", "attention", "adversarial", "active contour", "other", "transformer",
]  # fmt: skip
Minimised = Callable[[Sequence[Tensor], Tensor, Sequence[float]], Mapping[str, Tensor]]
"""(logits of levels, (B, *S) labels, -1 unknown, weights of the levels) -> terms of a loss."""


@dataclass(frozen=True)
class Adversary:
    """What a network plays against, in training alone.

    Attributes:
        build: (backbone of the network, number of classes, settings) -> the critic.
        critic: (critic, (B, C, *S) what the network reads, its (B, K, *S) logits, (B, *S) labels, settings) -> terms
            that the critic minimises; nothing it is given has a gradient.
        rival: the same -> terms that are added to the network's own; the logits have a gradient.
    """

    build: Callable[[BackboneSpec, int, Any], nn.Module]
    critic: Callable[[nn.Module, Tensor, Tensor, Tensor, Any], Mapping[str, Tensor]]
    rival: Callable[[nn.Module, Tensor, Tensor, Tensor, Any], Mapping[str, Tensor]]


@dataclass(frozen=True)
class Member:
    """A network as a value.

    The module that `build` makes maps (B, C, *S) to (B, K, *S) logits, for every S of one pixel a side and more (or
    raises SettingError that says what is needed). It may have beside `forward`:

    - `levels(x)` -> logits that count in training, `forward`'s first, others of any size, and `weights` of them;
    - `terms(x, labels, minimised)` -> all terms of its loss, where it has one of its own (see `Minimised`);
    - `moved`, pixels: where it puts values back to places that other values decide (of maxima), how far at most these
      places lie apart. It adds to how far it looks, as `receptive.reach` sees no places.

    Attributes:
        name: as in the table.
        title: as papers write it.
        year: of its paper.
        family: of the survey.
        network: class of the module; its docstring says what defines it ("Defined by:"), when to use it ("Use:"), where
            it is from ("Source:") and how it differs ("Differs:").
        build: (backbone, number of classes, settings) -> the module; weights come from torch's generator.
        settings: their class; made without arguments they are the defaults.
        axes: of images that it can be built for.
        padded: False where it has no padding: then S becomes S - 2 margin, and the module has `margin`; such a network
            has no levels, terms or adversary.
        loss: that its paper trains it with, as `losses.parse_loss` reads it; "" leaves it to the recipe.
        adversary: what it plays against, or None.
        highest_lr: of AdamW; it does not learn at a higher rate, and one that nobody chose is cut to it.

    Raises:
        ValueError: a network without padding has what would not count.
    """

    name: str
    title: str
    year: int
    family: Family
    network: type[nn.Module]
    build: Callable[[BackboneSpec, int, Any], nn.Module]
    settings: type = NoSettings
    axes: tuple[int, ...] = (2, 3)
    padded: bool = True
    loss: str = ""
    adversary: Adversary | None = None
    highest_lr: float = inf

    def __post_init__(self) -> None:
        if self.padded:
            return
        more = [name for name in ("levels", "terms") if hasattr(self.network, name)]
        if more or self.adversary is not None:
            raise ValueError(
                f"{self.name}: a network without padding learns a scene from single pixels, of which the loss of class "
                f"scores is all there is: {', '.join(more) or 'its adversary'} would not count. Give it padding."
            )

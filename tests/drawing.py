"""Methods on folders whose answers are known: one that draws masks, one that answers once; both need no training."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from hyperseg.core.maps import Fused
from hyperseg.core.parts import Method, OnCases
from hyperseg.core.settings import option, settings
from hyperseg.dpm.masks.fusion import fuse
from hyperseg.dpm.masks.settings import DrawSettings


@settings
class Drawing:
    """Masks of an image that is above its mean where class 1 is."""

    draw: DrawSettings = option(DrawSettings(samples=3, calls=2, fusion="majority"), "How masks are drawn.")


@settings
class Single:
    """One answer."""

    sure: float = option(0.9, "Probability of the class.", low=0.5, high=1)


class Blank(nn.Module):
    """A network that knows nothing; what it is given decides."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("nothing", torch.zeros(1))


def samples(
    networks: Any, image: Tensor, patch: Any, chosen: Drawing, *, n_classes: int, mirror: bool, seed: int, device: Any,
    done: Any = None,
) -> Iterator[Tensor]:  # fmt: skip
    """The truth; every third mask from the second on is a pixel to the side; nothing is found by a single call."""
    truth = (image[:1] > 0).float()
    for number in range(chosen.draw.samples):
        said = truth.roll(int(number % 3 == 1), -1) * (chosen.draw.calls > 1)
        yield torch.cat([1 - said, said])


def fused(drawn: Iterator[Tensor], chosen: Drawing) -> Fused:
    return fuse(drawn, chosen.draw.fusion)


def score(networks: Any, n_classes: int, how: Any, mirror: bool, chosen: Any) -> Any:
    """Logits of one probability: what is right has it."""
    sure = torch.tensor(getattr(chosen, "sure", 0.9))
    return lambda x: (sure / (1 - sure)).log() / 2 * torch.cat([-x[:, :1].sign(), x[:, :1].sign()], 1)


def lesson(*_: Any) -> Any:
    raise NotImplementedError


def nothing(*_: Any) -> Any:
    raise NotImplementedError


DRAWS = Method(
    "draws", Drawing, nothing, nothing, takes=frozenset({"images"}), has_features=False,
    on_cases=OnCases(Drawing, lambda *_: Blank(), lesson, score, samples, fused, changeable="draw"),
)  # fmt: skip
ONCE = Method(
    "once", Single, nothing, nothing, takes=frozenset({"images"}), has_features=False,
    on_cases=OnCases(Single, lambda *_: Blank(), lesson, score),
)  # fmt: skip

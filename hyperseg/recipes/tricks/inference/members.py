"""Several networks as one, on cases: each learns by a lesson of its own, and what they say is averaged or counted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from hyperseg.core import SettingError
from hyperseg.core.parts import Beginning, OnCases
from hyperseg.dpm.masks.fusion import fuse
from hyperseg.engine import Ema
from hyperseg.recipes.tricks.inference.seeds import member_runtime

if TYPE_CHECKING:
    from hyperseg.engine.training import Phase
    from hyperseg.recipes.segment.sliding import Score

A_PROBABILITY = 1e-3  # what all of it counts beside votes: it decides where they are equal, and nowhere else


class Members(nn.Module):
    """Networks of one method, in order; a score asks them one by one, see `answers`."""

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)


def begun(on: OnCases, beginning: Beginning, chosen: Any) -> None:
    """What is done before the first step, for each network by itself."""
    members = beginning.net.members
    for i, net in enumerate(members):
        on.begin(replace(beginning, net=net, runtime=member_runtime(beginning.runtime, i, len(members))), chosen)


def lessons(
    on: OnCases, net: Members, plan: Any, configuration: Any, steps: int, chosen: Any, loss: Any
) -> tuple[list[Phase], Mapping[str, Ema]]:  # fmt: skip
    """The phases of every network, and one moving average of all where each has one.

    Raises:
        SettingError: moving averages of something else than the network.
    """
    phases, averages = [], []
    for i, member in enumerate(net.members, 1):
        its, averaged = on.lesson(member, plan, configuration, steps, chosen, loss)
        phases += [replace(phase, name=f"{phase.name} of member {i}") for phase in its]
        averages.append(averaged)
    names = set().union(*averages)
    if names - {"net"}:
        raise SettingError("the method has moving averages of several modules, an ensemble of the network alone.")
    return phases, {"net": Ema(net, decay=averages[0]["net"].decay)} if names else {}


def answers(scores: Sequence[Score], vote: bool) -> Score:
    """What several scores, each of probabilities, come to: probabilities again."""
    return lambda x: together((score(x).movedim(1, 0) for score in scores), vote)[0].movedim(0, 1)


def together(samples: Iterable[Tensor], vote: bool) -> tuple[Tensor, Tensor]:
    """(K, *S) probabilities each -> (K, *S) of all, and (*S) how far they disagree, see `core.maps.Fused`.

    Args:
        samples: of at least one member.
        vote: what most say counts, and where as many say one thing as another the larger mean probability. Else the
            mean alone.
    """
    found = fuse(samples, "majority" if vote else "mean")
    if not vote:
        return found.mean, found.disagreement
    share = found.scores / found.scores.sum(0)
    return share.lerp(found.mean, A_PROBABILITY), found.disagreement

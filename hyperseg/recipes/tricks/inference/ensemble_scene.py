"""`EnsembleModel`: several models of one method that map a scene together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.core.parts import Model, Saved, prefixed
from hyperseg.core.runtime import Runtime
from hyperseg.core.sections import Section
from hyperseg.core.words import counted
from hyperseg.recipes.tricks.inference.members import together


@dataclass(frozen=True)
class EnsembleModel:
    """Models of one method, fitted with other seeds; see `hyperseg.core.parts.Model`.

    Its history is that of the first member; it has no features that a refiner could read.

    Attributes:
        members: two or more.
        vote: what most members say counts, not the mean of what they say.
    """

    members: tuple[Model, ...]
    vote: bool

    @property
    def name(self) -> str:
        return self.members[0].name

    @property
    def n_classes(self) -> int:
        return self.members[0].n_classes

    @property
    def margin_px(self) -> int:
        return max(member.margin_px for member in self.members)

    @property
    def history(self) -> Any:
        return self.members[0].history

    @property
    def preprocess(self) -> Any:
        return self.members[0].preprocess

    def map(self, scene: Scene, runtime: Runtime) -> SegmentationMap:
        """The maps of all members in one; how far they disagree is told beside it."""
        made: list[SegmentationMap] = []

        def answer(number: int, member: Model) -> torch.Tensor:
            map = member.map(scene, runtime.within(f"member {number} of {len(self.members)}", f"member{number}"))
            made[:] = [replace(map, disagreement=None)]
            return torch.from_numpy(map.probs).movedim(-1, 0)

        with torch.inference_mode():
            probs, disagreement = together((answer(*one) for one in enumerate(self.members, 1)), self.vote)
        return replace(
            made[0], probs=probs.movedim(0, -1).contiguous().numpy(), disagreement=disagreement.contiguous().numpy()
        )

    def features(self, scene: Scene, runtime: Runtime) -> None:
        return None

    def saved(self) -> Saved:
        """What each member leaves, under its number."""
        every = [member.saved() for member in self.members]
        record = {"vote": self.vote, "members": [saved.record for saved in every]}
        return Saved(record, {k: v for i, s in enumerate(every) for k, v in prefixed(f"member{i}", s.arrays).items()})

    def section(self, scene: Scene, split: Split, runtime: Runtime) -> Section | None:
        """What the first member shows, and how many there are."""
        found = self.members[0].section(scene, split, runtime) or Section("The ensemble")
        how = "what most of them say counts" if self.vote else "the mean of their probabilities counts"
        said = (
            f"The map is that of an ensemble: {counted(len(self.members), 'model')} of other seeds, of which {how}. "
            "What is told of one model or its training is of the first, which has the seed of the run."
        )
        return replace(
            found, sentences=(said, *found.sentences),
            numbers={**found.numbers, "ensemble": {"members": len(self.members), "vote": self.vote}},
        )  # fmt: skip


def load_ensemble(load: Callable[[Saved], Model], saved: Saved) -> EnsembleModel:
    """An ensemble taken up again, each member by `load`."""
    records = saved.record["members"]
    members = (load(Saved(record, saved.within(f"member{i}"))) for i, record in enumerate(records))
    return EnsembleModel(tuple(members), bool(saved.record["vote"]))

"""Groups of classes, and what a map answers where it can tell the group but only guess the class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core.errors import LabelError, SettingError
from hyperseg.core.maps import SegmentationMap
from hyperseg.core.scene import UNLABELLED
from hyperseg.core.words import clean_name, did_you_mean, listed, some

SURE = 0.5  # an answer as probable as this is right more often than not, where probabilities are calibrated


def in_words(table: Mapping[str, Sequence[str]]) -> str:
    """Groups with their classes: "corn (Corn, Corn-notill); grass (...)"."""
    return "; ".join(f"{group} ({some(classes, 8)})" for group, classes in table.items())


@dataclass(frozen=True)
class ClassGroups:
    """Which classes belong together; a class without a group is its own. There are two levels, no more.

    Attributes:
        names: G names.
        of_class: the group of each of K classes, as an index into `names`.

    Raises:
        LabelError: an index that is none, or a group without a class.
    """

    names: tuple[str, ...]
    of_class: tuple[int, ...]

    def __post_init__(self) -> None:
        if sorted(set(self.of_class)) != list(range(len(self.names))):
            raise LabelError(
                f"groups of classes: {len(self.names)} names, and classes in the groups "
                f"{listed(map(str, sorted(set(self.of_class))))}; every group has a class, and every class one group."
            )

    @staticmethod
    def of(table: Mapping[str, Iterable[str]], classes: Sequence[str], *, origin: object) -> ClassGroups:
        """Groups from the names of their classes.

        Args:
            table: group -> its classes.
            classes: all K class names.
            origin: where the table stands, for messages.

        Raises:
            LabelError: a class that is not there or stands twice, a group without one, or as in `by_class`.
        """
        place = {name: k for k, name in enumerate(classes)}
        found: list[str | None] = [None] * len(classes)
        if not table:
            raise LabelError(f'{origin}: names no group. Expected lines like corn = ["Corn-notill", "Corn-mintill"].')
        named: set[str] = set()
        for text, members in table.items():
            group, inside = clean_name(text), [clean_name(member) for member in members]
            if not group or group in named:
                raise LabelError(f"{origin}: {'two groups are' if group else 'a group is'} called {group!r}; rename.")
            if not inside:
                raise LabelError(f"{origin}: the group {group!r} holds no class. Name its classes, or remove it.")
            named.add(group)
            for name in inside:
                if name not in place:
                    raise LabelError(
                        f"{origin}: the group {group!r} names the class {name!r}, which is not there."
                        f"{did_you_mean(name, classes)} The classes are {some(classes, 20)}."
                    )
                if (other := found[place[name]]) is not None:
                    where = f"twice in the group {group!r}" if other == group else f"in two groups, {other} and {group}"
                    raise LabelError(f"{origin}: the class {name!r} is {where}. Leave it in one of them, once.")
                found[place[name]] = group
        return ClassGroups.by_class(found, classes, origin=origin)

    @staticmethod
    def by_class(groups: Sequence[str | None], classes: Sequence[str], *, origin: object) -> ClassGroups:
        """Groups from the name of the group of every class, None for a class that is its own.

        Raises:
            LabelError: a group is called like a class that is not its only one, all classes are in one group, or no
                group holds two.
        """
        of = [name if group is None else group for group, name in zip(groups, classes, strict=True)]
        for name in dict.fromkeys(group for group in groups if group is not None):
            inside = [classes[k] for k, group in enumerate(of) if group == name]
            if name in classes and inside != [name]:
                raise LabelError(
                    f"{origin}: the group {name!r}, of {some(inside, 6)}, is called like the class {name!r}: nobody "
                    "could tell them apart. Give the group another name."
                )
        names = tuple(dict.fromkeys(of))
        if len(names) == 1:
            raise LabelError(
                f"{origin}: all {len(classes)} classes are in the group {names[0]!r}: nothing is left to tell apart. "
                "Make two groups or more, or leave classes out of it."
            )
        found = ClassGroups(names, tuple(names.index(name) for name in of))
        if not found.joint:
            raise LabelError(
                f"{origin}: no group holds two classes, so that groups are the classes themselves. Put classes "
                "together, or give no groups."
            )
        return found

    @property
    def joint(self) -> tuple[int, ...]:
        """Groups of two classes or more, in order; the others are single classes."""
        return tuple(g for g in range(len(self.names)) if self.of_class.count(g) > 1)

    def table(self, classes: Sequence[str]) -> dict[str, list[str]]:
        """The classes of every group; left out are those of one class and its name. `of` is the way back."""
        found: dict[str, list[str]] = {group: [] for group in self.names}
        for g, name in zip(self.of_class, classes, strict=True):
            found[self.names[g]].append(name)
        return {group: inside for group, inside in found.items() if inside != [group]}

    def labels(self, labels: NDArray[Any]) -> NDArray[np.int16]:
        """Groups of classes 0..K-1; -1 stays."""
        return np.array([*self.of_class, UNLABELLED], np.int16)[labels]

    def sums(self, probs: NDArray[np.float32]) -> NDArray[np.float32]:
        """(*S, G) probabilities of the groups, from (*S, K) of the classes."""
        found = np.zeros((*probs.shape[:-1], len(self.names)), np.float32)
        for k, g in enumerate(self.of_class):  # one by one: a pixel's sum does not depend on the size of the window
            found[..., g] += probs[..., k]
        return found

    def kept(self, present: Sequence[int]) -> ClassGroups | None:
        """The groups of some of the classes, in this order; None where they tell nothing any more."""
        left = [self.of_class[k] for k in present]
        order = list(dict.fromkeys(left))
        if len(order) in (1, len(left)):
            return None
        return ClassGroups(tuple(self.names[g] for g in order), tuple(order.index(g) for g in left))


@dataclass(frozen=True)
class Fallback:
    """A map that answers with the class, with the group where the class is a guess, or not at all.

    Attributes:
        groups: of its classes.
        sure: the probability from 0 to 1 that an answer must have.

    Raises:
        SettingError: another threshold.
    """

    groups: ClassGroups
    sure: float = SURE

    def __post_init__(self) -> None:
        if not 0 <= self.sure <= 1:
            raise SettingError(f"sure is a probability from 0 to 1, got {self.sure}.")

    @property
    def n_groups(self) -> int:
        """How many groups can be an answer."""
        return len(self.groups.joint)

    def answers(self, map: SegmentationMap) -> NDArray[np.int16]:
        """(*S) int16: classes 0..K-1, then groups of two or more (K, K+1, ...), then "unsure"; -1 without data.

        The answer is the most probable class where its probability reaches `sure`; else the most probable group
        where the sum of its classes does.
        """
        best, p = map.probs.argmax(-1), map.probs.max(-1)
        joint, k = list(self.groups.joint), len(self.groups.of_class)
        sums = self.groups.sums(map.probs)[..., joint]
        rest = np.where(sums.max(-1) >= self.sure, k + sums.argmax(-1), k + len(joint))
        found = np.where(p >= self.sure, best, rest).astype(np.int16)
        return found if map.valid is None else np.where(map.valid, found, np.int16(UNLABELLED))

    def to_json(self) -> dict[str, Any]:
        return {"names": list(self.groups.names), "of_class": list(self.groups.of_class), "sure": self.sure}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Fallback:
        return Fallback(ClassGroups(tuple(data["names"]), tuple(data["of_class"])), float(data["sure"]))

"""A method with its settings, as folders of images and volumes ask it; none is known by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import SettingError
from hyperseg.core.maps import Fused
from hyperseg.core.parts import Beginning, Change, Method, OnCases
from hyperseg.core.settings import Leaf, changed, find_leaf, leaves, parsed, to_json, with_also
from hyperseg.core.words import did_you_mean, listed
from hyperseg.recipes.methods import METHODS, ON_FOLDERS
from hyperseg.recipes.tricks.choosing import added_tricks, spelled_tricks, tricked_cases

if TYPE_CHECKING:
    from torch import nn

    from hyperseg.engine.ema import Ema
    from hyperseg.engine.training import Phase
    from hyperseg.medical.configuration import Configuration
    from hyperseg.medical.plan import Plan
    from hyperseg.recipes.segment.sliding import Score


@dataclass(frozen=True)
class CaseMethod:
    """A method on cases.

    Attributes:
        name: in `METHODS`.
        on: what it does with cases, its tricks included.
        settings: of the class that `on` says.
        tricks: as they are spelled, see `recipes.tricks`.
    """

    name: str
    on: OnCases
    settings: Any
    tricks: tuple[str, ...] = ()

    def build(self, configuration: Configuration, n_classes: int) -> nn.Module:
        """The network of a configuration; weights come from torch's generator."""
        net: nn.Module = self.on.build(configuration, n_classes, self.settings)
        return net

    def lesson(
        self, net: nn.Module, plan: Plan, configuration: Configuration, steps: int
    ) -> tuple[Sequence[Phase], Mapping[str, Ema]]:
        """Phases and moving averages of a training of so many steps; the network is called "net"."""
        loss = None if self.on.loss is None else self.on.loss(self.settings)
        phases, averages = self.on.lesson(net, plan, configuration, steps, self.settings, loss)
        return phases, averages

    def begin(self, beginning: Beginning) -> Change | None:
        """What is done before the first step of a fold; gives what is done to every batch, or None."""
        self.on.begin(beginning, self.settings)
        return self.on.change(beginning, self.settings)

    def check_ready(self, configuration: Configuration, n_classes: int) -> None:
        """Raises what would stop the training of a configuration's network at its first step."""
        if self.on.ready is None:
            return
        import torch

        with torch.device("meta"):  # no memory, no random numbers
            net = self.build(configuration, n_classes)
        self.on.ready(net, configuration, self.settings)

    def planned(self, plan: Plan) -> Plan:
        """The plan that a new run of it is trained by."""
        found: Plan = self.on.plan(plan, self.settings)
        return found

    def finished(self, classes: NDArray[np.int16]) -> NDArray[np.int16]:
        """(*S) classes of a whole case, as they are given to who asked."""
        return self.on.finish(classes, self.settings)

    def score(self, networks: Sequence[nn.Module], plan: Plan, *, mirror: bool) -> Score:
        """What windows are blended of, and trainings validated by."""
        return self.on.score(networks, len(plan.facts.classes), plan.training.inference, mirror, self.settings)

    def fused(self, samples: Iterable[Any]) -> Fused:
        """What the answers of a method that draws come to."""
        assert self.on.fused is not None
        return self.on.fused(iter(samples), self.settings)

    def beside(self) -> tuple[CaseMethod, ...]:
        """Methods that are trained beside it, with the same tricks."""
        return tuple(chosen_method(name, settings, self.tricks) for name, settings in self.on.beside(self.settings))

    def with_(self, changes: Mapping[str, Any]) -> CaseMethod:
        """The method with other settings, by name, and what they bring along; texts are read as a setting's type says.

        Raises:
            SettingError: no such setting, or a value it cannot have.
        """
        typed = {}
        for name, value in changes.items():
            leaf = self._leaf(name)
            typed[leaf.path] = parsed(value, leaf.hint, name) if isinstance(value, str) else value
        return replace(self, settings=changed(self.settings, with_also(self.settings, typed)))

    def drawing(self, changes: Mapping[str, Any], tricks: Iterable[str] = ()) -> CaseMethod:
        """`with_` for a prediction: settings that decide what is trained stay as they are, tricks are added.

        Raises:
            SettingError: a setting that a prediction cannot change, or a trick that it cannot add.
        """
        for name in changes:
            if (leaf := self._leaf(name)) not in self.changeable:
                raise SettingError(f"{leaf.path} of {self.name} was decided by training: it cannot be changed now.")
        tricked = chosen_method(self.name, self.settings, added_tricks(self.tricks, tricks)) if tricks else self
        return tricked.with_(changes)

    @property
    def leaves(self) -> list[Leaf]:
        """Every single setting."""
        return list(leaves(self.settings))

    @property
    def changeable(self) -> list[Leaf]:
        """Settings that a prediction may change."""
        return [leaf for leaf in self.leaves if leaf.path.startswith(f"{self.on.changeable}.")]

    @property
    def record(self) -> dict[str, Any]:
        """Its settings as JSON."""
        found: dict[str, Any] = to_json(self.settings)
        return found

    def _leaf(self, name: str) -> Leaf:
        leaf = find_leaf(self.settings, name)
        if leaf is None:
            close = did_you_mean(name, (word for one in self.leaves for word in (one.path, one.name)))
            raise SettingError(f"the method {self.name} has no setting named {name}.{close}")
        return leaf


def on_cases(name: str) -> OnCases:
    """What a method does with cases.

    Raises:
        SettingError: there is no such method, or it takes scenes alone.
    """
    method: Method = METHODS[name]
    if method.on_cases is None and method.on_instances is not None:
        raise SettingError(
            f"the method {name} finds objects one by one, by hyperseg segment train --method {name} or "
            "hyperseg.instances.train."
        )
    if method.on_cases is None:
        raise SettingError(f"the method {name} takes scenes, no folders; {listed(methods_on_cases())} do.")
    return method.on_cases


def methods_on_cases() -> tuple[str, ...]:
    """Names of the methods that take folders."""
    return tuple(name for name in METHODS if METHODS[name].on_cases is not None)


def case_method(
    name: str = ON_FOLDERS, changes: Mapping[str, Any] | None = None, tricks: Iterable[str] = ()
) -> CaseMethod:  # fmt: skip
    """A method with its default settings, some of them changed, and with tricks; see `CaseMethod.with_`.

    Raises:
        SettingError: as `on_cases`, `CaseMethod.with_` and `tricks.choosing.tricked_cases`.
    """
    return chosen_method(name, on_cases(name).settings(), tricks).with_(changes or {})


def chosen_method(name: str, settings: Any, tricks: Iterable[str] = ()) -> CaseMethod:
    """A method with its settings, and with tricks."""
    spelled = spelled_tricks(tricks)
    return CaseMethod(name, tricked_cases(on_cases(name), spelled, name), settings, spelled)

"""The survey's networks as methods: one for each member of `zoo.NETWORKS`, spelled zoo:NAME.

Of a scene a member's window, stages, widths, batch and steps are planned as those of the method `unet`, of folders the
plan's; what differs between members is the network alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from hyperseg.core import SettingError
from hyperseg.core.parts import Kind, Method, Parts
from hyperseg.core.words import did_you_mean
from hyperseg.recipes.methods.zoo.on_cases import slots_of
from hyperseg.recipes.methods.zoo.on_scene import scene_method
from hyperseg.zoo import NETWORKS

if TYPE_CHECKING:
    from hyperseg.zoo.member import Member

FAMILY = "zoo"
TAKES: dict[int, frozenset[Kind]] = {2: frozenset({"scene", "images"}), 3: frozenset({"volumes"})}  # by axes


class Zoo(Mapping[str, Method]):
    """Networks of a table as methods; each is made, and its network imported, when it is first asked for.

    Raises:
        SettingError: on asking for a network that is not there; the nearest one is told.
    """

    def __init__(self, networks: Parts) -> None:
        self.networks = networks
        self.made: dict[str, tuple[Member, Method]] = {}

    def __getitem__(self, name: str) -> Method:
        if name not in self.networks:
            close = did_you_mean(f"{FAMILY}:{name}", (f"{FAMILY}:{known}" for known in self.networks))
            raise SettingError(f"unknown network {name!r}: `hyperseg networks` lists them.{close}")
        member = self.networks[name]
        if name not in self.made or self.made[name][0] is not member:
            self.made[name] = member, method_of(member)
        return self.made[name][1]

    def __contains__(self, name: object) -> bool:
        return name in self.networks

    def __iter__(self) -> Iterator[str]:
        return iter(self.networks)

    def __len__(self) -> int:
        return len(self.networks)


def method_of(member: Member) -> Method:
    """A member as a method."""
    takes: frozenset[Kind] = frozenset().union(*(TAKES[axes] for axes in member.axes))
    return scene_method(
        member, f"{FAMILY}:{member.name}", step=f"{FAMILY}-{member.name}", takes=takes, has_features=False,
        on_cases=slots_of(member),
    )  # fmt: skip


ZOO = Zoo(NETWORKS)

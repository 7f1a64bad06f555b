"""Networks of the zoo and peers as methods of scenes and of folders: one recipe for all of them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hyperseg.core.parts import Method, split_spelling
from hyperseg.core.settings import changed, find_leaf
from hyperseg.core.task import Task as OnTask
from hyperseg.recipes.bench.zoo.choosing import FAMILY, REFERENCE
from hyperseg.recipes.bench.zoo.making.peers import PREFIX, build_peer, check_sides
from hyperseg.recipes.bench.zoo.rows import Row
from hyperseg.recipes.methods import METHODS
from hyperseg.recipes.segment.methods.chosen import CaseMethod

if TYPE_CHECKING:
    from hyperseg.core.runtime import Runtime
    from hyperseg.recipes.training.model import NetworkModel

OWN = "network"  # where the settings of a method of the zoo have those of its network


def scene_method(row: Row, steps: int) -> tuple[Method, Any]:
    """The method of a network or a peer, and its settings: trained for so many steps, or as planned for 0."""
    name = REFERENCE if row.kind == "peer" else split_spelling(row.key)[0]
    method: Method = METHODS[FAMILY + name]
    chosen = _with_own(method.settings(), row)
    if steps:
        counted = find_leaf(chosen, "steps") is not None
        chosen = changed(chosen, {"steps": steps} if counted else {"epochs": 1, "min_steps": steps})
    if row.kind == "peer":
        peer = row.key[len(PREFIX) :]
        method = replace(method, fit=partial(_fit_peer, peer), check=partial(_fits, peer))
    return method, chosen


def case_method(row: Row) -> CaseMethod:
    """The same on folders; baselines of pixels have the reference's, which says how windows are joined."""
    name = split_spelling(row.key)[0] if row.kind == "network" else REFERENCE
    on = METHODS[FAMILY + name].on_cases
    assert on is not None
    if row.kind == "peer":
        on = replace(on, build=partial(_build_on_cases, on.build, row.key[len(PREFIX) :]))
    return CaseMethod(FAMILY + name, on, _with_own(on.settings(), row))


def _with_own(chosen: Any, row: Row) -> Any:
    """Settings of a method with those that the network is spelled with."""
    if row.kind != "network" or ":" not in row.key:
        return chosen
    from hyperseg.zoo import parse_network

    return replace(chosen, **{OWN: parse_network(row.key)[1]})


def _build_on_cases(build: Any, name: str, configuration: Any, n_classes: int, chosen: Any) -> Any:
    return with_peer(build(configuration, n_classes, chosen), name)


def with_peer(net: Any, name: str) -> Any:
    """A `ZooNet` whose member's module is replaced by a peer for the same backbone: all around it stays."""
    spec = net.spec
    net.body = build_peer(name, spec.body, spec.n_classes)
    net.weights = (1.0,)
    return net


def _fits(name: str, task: OnTask, chosen: Any) -> None:
    from hyperseg.recipes.methods.network import check_memory
    from hyperseg.recipes.methods.unet import plan_of

    check_memory(task)
    _, _, planned = plan_of(task, chosen.train)
    check_sides(name, planned.body, planned.tile)


def _fit_peer(name: str, task: OnTask, chosen: Any, runtime: Runtime) -> NetworkModel:
    """As the method of the zoo fits the reference, with another module in the middle."""
    from hyperseg.backbone import seeded
    from hyperseg.recipes.methods.unet import learnt, plan_of
    from hyperseg.recipes.methods.zoo.on_scene import spec_for
    from hyperseg.zoo import NETWORKS
    from hyperseg.zoo.network import ZooNet

    made, preprocess, planned = plan_of(task, chosen.train)
    with seeded(runtime.seed):
        net = with_peer(ZooNet(spec_for(NETWORKS[REFERENCE], planned, chosen.network)), name)
    return learnt(task, chosen.train, runtime, made, preprocess, net, name=PREFIX + name, tell=None)

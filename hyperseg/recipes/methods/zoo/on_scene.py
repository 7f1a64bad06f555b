"""A network of the zoo on a scene, planned as the method `unet`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hyperseg.core import SettingError
from hyperseg.core.parts import Method, Saved, respelt
from hyperseg.core.settings import from_json, option, settings
from hyperseg.core.task import Task
from hyperseg.losses import LOSSES, PLAIN
from hyperseg.recipes.methods.network import check_memory, network_method
from hyperseg.recipes.methods.unet import UnetSettings, check_loss, learnt, plan_of
from hyperseg.recipes.methods.zoo.memory import check_room
from hyperseg.recipes.training.settings import TrainSettings, flips_option, groups_option

if TYPE_CHECKING:
    from hyperseg.core.runtime import Runtime
    from hyperseg.data.preprocess import Preprocess
    from hyperseg.recipes.training.model import NetworkModel
    from hyperseg.zoo.member import Member
    from hyperseg.zoo.network import ZooNet, ZooSpec


def scene_method(member: Member, name: str, **more: Any) -> Method:
    """A member as a method; `more` are further fields of `Method`."""
    step = more["step"]
    if not member.padded:
        method = network_method(
            name, _patch_settings(member), describe=partial(_describe, member), build=_build, read=_read,
            prepare=_prepared, tell=tell, **more,
        )  # fmt: skip
        return replace(method, check=partial(_check_patches, member, method.check))
    return Method(name, _settings(member), partial(_fit, member, step), load, partial(_check, member), **more)


def spec_for(member: Member, planned: Any, chosen: Any, *, whole: bool = True) -> ZooSpec:
    """A member's network in the place of the U-Net that is planned.

    Args:
        planned: `recipes.training.unet.UNetSpec`.
        chosen: settings of the member.
        whole: see `ZooSpec`.
    """
    from hyperseg.zoo.network import ZooSpec

    return ZooSpec(
        respelt(member.name, chosen), planned.n_features, planned.n_classes, planned.body, planned.tile,
        pointwise=planned.pointwise, whole=whole,
    )  # fmt: skip


def load(saved: Saved) -> NetworkModel:
    from hyperseg.recipes.training.model import load_network

    spec = _read(saved.record["spec"])
    return load_network(saved, spec, _build(spec, 0))


def _build(spec: Any, seed: int) -> ZooNet:
    from hyperseg.zoo.network import build

    return build(spec, seed)


def _read(data: dict[str, Any]) -> ZooSpec:
    from hyperseg.zoo.network import ZooSpec

    return from_json(ZooSpec, data)


def _settings(member: Member) -> type:
    """Of a network with padding, on a scene."""
    loss = member.loss or LOSSES.default
    return class_of(
        "ZooSettings",
        train=(UnetSettings, option(UnetSettings(loss=loss), "Its size and how it learns; 0 leaves it to the plan.")),
        network=(member.settings, option(member.settings(), f"Of {member.title}.", hides=True)),
    )


def _patch_settings(member: Member) -> type:
    """Of a network without padding, on a scene: it learns from patches of single training pixels."""
    train = TrainSettings(loss=member.loss or PLAIN)
    return class_of(
        "ZooPatchSettings",
        groups=(int, groups_option()),
        width=(int, option(0, "Feature maps of the first stage; 0 is planned.", low=0, high=8_192)),
        whiten=(bool, option(True, "Within-class whitening; false standardises the bands.")),
        flips=(bool, flips_option()),
        train=(TrainSettings, option(train, "The training.")),
        network=(member.settings, option(member.settings(), f"Of {member.title}.", hides=True)),
    )


def class_of(name: str, check: Callable[[Any], None] | None = None, /, **fields: tuple[Any, Any]) -> type:
    """A class of settings, of (type, option) by name: what a member has is known when it is asked for."""
    kinds = {field: kind for field, (kind, _) in fields.items()}
    more = {"__post_init__": check} if check else {}
    body = {field: value for field, (_, value) in fields.items()}
    return settings(type(name, (), {"__annotations__": kinds, "__module__": __name__, **more, **body}))


def _check(member: Member, task: Task, chosen: Any) -> None:
    """Raise for what would stop `_fit`."""
    check_memory(task)
    made, _, planned = plan_of(task, chosen.train)
    check_loss(chosen.train.loss, made)
    try:
        net = _build(spec_for(member, planned, chosen.network), 0)
    except SettingError as why:
        least = getattr(why, "least", 0)
        if not least:
            raise
        raise SettingError(
            f"zoo:{member.name}: {why} A scene has as many as its windows have room for: give --set train.depth={least}"
            f" or more, and where windows are too small for that a larger --window."
        ) from None
    advice = "Give fewer or smaller windows (--set train.batch=N, --window N), or choose a smaller network."
    check_room(net, made.batch, planned.tile, advice=advice)


def _check_patches(member: Member, check: Callable[[Task, Any], None], task: Task, chosen: Any) -> None:
    """As `check`, and raise for a step that needs more memory than there is."""
    check(task, chosen)
    net = _build(_describe(member, task, _prepared(task, chosen), chosen), 0)
    sides = (2 * net.margin + 1,) * len(task.scenes[0].shape)
    advice = "Give fewer patches (--set train.batch=N) or a smaller network."
    check_room(net, chosen.train.batch, sides, advice=advice)


def _fit(member: Member, step: str, task: Task, chosen: Any, runtime: Runtime) -> NetworkModel:
    made, preprocess, planned = plan_of(task, chosen.train)
    network = _build(spec_for(member, planned, chosen.network), runtime.seed)
    return learnt(task, chosen.train, runtime, made, preprocess, network, name=step, tell=tell)


def _prepared(task: Task, chosen: Any) -> Preprocess:
    return plan_of(task, _plan_settings(chosen))[1]


def _describe(member: Member, task: Task, preprocess: Preprocess, chosen: Any) -> ZooSpec:
    return spec_for(member, plan_of(task, _plan_settings(chosen))[2], chosen.network, whole=False)


def _plan_settings(chosen: Any) -> UnetSettings:
    return UnetSettings(groups=chosen.groups, width=chosen.width, whiten=chosen.whiten)


def tell(model: Any, *_: Any) -> Any:
    """What the report shows of it."""
    from hyperseg.recipes.training.told import told

    return told(model.network)

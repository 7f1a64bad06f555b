"""Another loss instead of a method's own: what the tricks of that family share."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hyperseg.core import SettingError
from hyperseg.core.parts import Method, OnCases, Trick, respelt
from hyperseg.core.settings import changed, find_leaf
from hyperseg.losses import LOSSES
from hyperseg.recipes.tricks.slots import with_loss, with_settings

SCENE_LOSS = "train.loss"  # setting of methods of scenes whose loss can be chosen


def loss_trick(name: str, loss: type) -> Trick:
    """The trick that a loss of the table is minimised instead of the method's own; it has the settings of the loss."""
    in_table = f"{loss.__module__}:{loss.__qualname__}"
    (loss_name,) = (known for known, entry in LOSSES.entries.items() if entry.where == in_table)

    def on_cases(on: OnCases, chosen: Any) -> OnCases:
        own = on.loss

        def check(plan: Any, settings: Any) -> None:
            on.check(plan, settings)
            assert own is not None  # `with_loss`
            _check_free(own(settings), own(on.settings()), chosen)

        return replace(with_loss(on, lambda before: chosen), check=check)

    def on_scene(method: Method, chosen: Any) -> Method:
        usual = find_leaf(method.settings(), SCENE_LOSS)
        if usual is None:
            raise SettingError("it has no loss of class scores that can be chosen.")
        spelled = respelt(loss_name, chosen)
        changed(method.settings(), {SCENE_LOSS: spelled})  # raises for a loss that makes no sense on a scene

        def change(given: Any) -> Any:
            leaf = find_leaf(given, SCENE_LOSS)
            assert leaf is not None
            _check_free(leaf.value, usual.value, spelled)
            return changed(given, {SCENE_LOSS: spelled})

        return with_settings(method, change)

    return Trick(name, "model", on_cases, on_scene, loss, family="loss")


def _check_free(given: Any, usual: Any, chosen: Any) -> None:
    """Raise where a loss was asked for beside the trick."""
    if given == chosen:
        raise SettingError("the method has it already.")
    if given != usual:
        raise SettingError("--loss names another one: leave one of them out.")

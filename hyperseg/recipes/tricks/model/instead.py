"""Another loss instead of a method's own: what the tricks of that family share."""

from __future__ import annotations

from typing import Any

from hyperseg.core import SettingError
from hyperseg.core.parts import Method, OnCases, Trick, respelt
from hyperseg.core.settings import Leaf, changed, leaves
from hyperseg.losses import LOSSES
from hyperseg.recipes.tricks.slots import with_check, with_loss, with_settings

OPTION = "loss"  # of the command line: the setting of methods of scenes whose loss can be chosen


def loss_trick(name: str, loss: type) -> Trick:
    """The trick that a loss of the table is minimised instead of the method's own; it has the settings of the loss."""
    in_table = f"{loss.__module__}:{loss.__qualname__}"
    (loss_name,) = (known for known, entry in LOSSES.entries.items() if entry.where == in_table)

    def on_cases(on: OnCases, chosen: Any) -> OnCases:
        own = on.loss

        def check(plan: Any, settings: Any) -> None:
            assert own is not None  # `with_loss`
            _check_free(own(settings), own(on.settings()), chosen)

        return with_check(with_loss(on, lambda before: chosen), check)

    def on_scene(method: Method, chosen: Any) -> Method:
        usual = _loss_of(method.settings())
        if usual is None:
            raise SettingError("it has no loss of class scores that can be chosen.")
        path, spelled = usual.path, respelt(loss_name, chosen)
        changed(method.settings(), {path: spelled})  # raises for a loss that makes no sense on a scene

        def change(given: Any) -> Any:
            leaf = _loss_of(given)
            assert leaf is not None
            _check_free(leaf.value, usual.value, spelled)
            return changed(given, {path: spelled})

        return with_settings(method, change)

    always = getattr(loss(), "needs_background", False)  # which no class of a scene is
    return Trick(name, "model", on_cases, None if always else on_scene, loss, family="loss")


def _loss_of(given: Any) -> Leaf | None:
    """The setting that `--loss` is, by whatever path."""
    return next((leaf for leaf in leaves(given) if leaf.rule.shown == OPTION), None)


def _check_free(given: Any, usual: Any, chosen: Any) -> None:
    """Raise where a loss was asked for beside the trick."""
    if given == chosen:
        raise SettingError("the method has it already.")
    if given != usual:
        raise SettingError("--loss names another one: leave one of them out.")

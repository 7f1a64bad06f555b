"""Test-time augmentation: the mean answer to an image and its symmetries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from hyperseg.core import SettingError
from hyperseg.core.parts import Method, OnCases, Trick
from hyperseg.core.settings import option, settings
from hyperseg.core.sides import mirrored_pair
from hyperseg.recipes.tricks.slots import with_changed, with_check, with_score

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from hyperseg.engine.blend import View
    from hyperseg.medical.configuration import Configuration
    from hyperseg.medical.plan import Plan
    from hyperseg.recipes.segment.sliding import Score


@settings
class Views:
    """Which symmetries."""

    views: Literal["both", "flips", "turns"] = option(
        "both",
        "Of an image: flips along each axis alone, turns of its last two axes by 90, 180 and 270 degrees, or both.",
    )


def on_cases(on: OnCases, chosen: Views) -> OnCases:
    """The mean probabilities over an image and its views, each brought back first.

    Where mirror images are asked for too (`--mirror`, or the plan), every view counts once: they are among them.

    Source: "TTA" of arXiv 2209.10307: the image, flips along each axis alone, and three turns in the plane.
    """

    def change(ask: Any, networks: Any, mirror: bool) -> Score:
        score = ask(networks, False)
        return lambda x: mean_over(score, x, views_of(x.ndim - 2, chosen.views, mirror=mirror))

    def looks(settings: Any, axes: int, mirror: bool) -> int:
        return len(views_of(axes, chosen.views, mirror=mirror)) * on.looks(settings, axes, False)

    def check(plan: Plan, settings: Any) -> None:
        from hyperseg.recipes.segment.checks import warn_of_mirrors

        if chosen.views != "turns":
            check_sides(plan.facts.classes)
            warn_of_mirrors(plan, True, option="--trick tta")
        if chosen.views != "flips":
            for one in plan.configurations:
                check_turned(on, one, plan, settings)

    return with_check(with_score(on, change, looks), check)


def views_of(axes: int, which: str, *, mirror: bool = False) -> list[View]:
    """Views of an image with so many axes, the image itself first; with all its mirror images where asked for."""
    from hyperseg.engine.blend import mirrors, view

    every = range(-axes, 0)
    found = [view(flip) for flip in mirrors(every)] if mirror else [view()]
    if which != "turns":
        found += [view([axis]) for axis in every]
    if which != "flips":
        found += [view(turns=turns) for turns in (1, 2, 3)]
    return list(dict.fromkeys(found))


def mean_over(score: Score, x: Tensor, views: Sequence[View]) -> Tensor:
    """(B, C, *S) -> (B, K, *S) mean of what `score` gives for the views, each brought back."""
    from hyperseg.engine.blend import seen, seen_back

    total: Any = 0
    for view in views:
        total = total + seen_back(score(seen(x, view)), view)
    mean: Tensor = total / len(views)
    return mean


def check_sides(classes: Sequence[str]) -> None:
    """Refuse (SettingError) classes of which one is the other's mirror image, as "left kidney" and "right kidney"."""
    if pair := mirrored_pair(classes):
        raise SettingError(
            f"a mirror image of {pair[0]} looks like {pair[1]}: flips are no symmetry of these classes. "
            "Give tta:views=turns, or leave it out."
        )


def check_turned(on: OnCases, one: Configuration, plan: Plan, chosen: Any) -> None:
    """Refuse (SettingError) turns where a network takes windows of one shape alone, and a turned one has another."""
    if one.patch[-1] == one.patch[-2]:
        return
    try:
        try:
            _try_turned(on, one, plan, chosen, "meta")  # shapes alone: nothing is computed
        except Exception:  # a network that looks at values has to have some
            _try_turned(on, one, plan, chosen, "cpu")
    except Exception as why:  # whatever a network says to windows that it does not take
        sides = " x ".join(map(str, one.patch))
        raise SettingError(
            f"windows of {one.name} have sides {sides}, and its network takes none turned by a quarter ({why}): give "
            "tta:views=flips."
        ) from None


def _try_turned(on: OnCases, one: Configuration, plan: Plan, chosen: Any, device: str) -> None:
    import torch

    from hyperseg.backbone import seeded

    n_classes = len(plan.facts.classes)
    with seeded(0), torch.device(device), torch.inference_mode():
        net = on.build(one, n_classes, chosen).eval()
        x = torch.zeros(1, one.backbone.in_channels, *one.patch[:-2], one.patch[-1], one.patch[-2])
        on.score([net], n_classes, plan.training.inference, False, chosen)(x)


def on_scene(method: Method, chosen: Views) -> Method:
    """The mean over the eight symmetries of the square; of a volume over its eight mirror images."""
    return with_changed(method, {"flips": True})


TTA = Trick("tta", "inference", on_cases, on_scene, Views, of_cases=("views",), trains=False)

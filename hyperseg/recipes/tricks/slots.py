"""A trick put into its slot: what a method does with cases, or a method of scenes, with one thing changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import SettingError
from hyperseg.core.parts import Beginning, Change, Method, Model, OnCases
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import changed, find_leaf
from hyperseg.core.task import Task
from hyperseg.recipes.methods import WITHOUT_TRICKS

Answers = Callable[[Callable[[Any, bool], Any], Any, bool], Any]
LEAST = float(np.finfo(np.float32).tiny)  # the least probability that has a logarithm
ALREADY = f"--method {WITHOUT_TRICKS} begins without"


def with_plan(on: OnCases, change: Callable[[Any], Any], *, why: str = ALREADY) -> OnCases:
    """Another plan for new runs.

    Args:
        change: plan -> plan.
        why: ends the message where the plan has the trick already: what to do, or how that comes.

    Raises (when a run begins):
        SettingError: the plan stays as it is: the method has the trick already.
    """

    def plan(planned: Any, settings: Any) -> Any:
        before = on.plan(planned, settings)
        after = change(before)
        if after == before:
            raise SettingError(f"the plan has it already ({why}).")
        return after

    return replace(on, plan=plan)


def with_loss(on: OnCases, change: Callable[[Any], Any]) -> OnCases:
    """Another loss of class scores.

    Raises:
        SettingError: the method minimises something else.
    """
    before = on.loss
    if before is None:
        raise SettingError("the method minimises no loss of class scores.")
    return replace(on, loss=lambda settings: change(before(settings)))


def with_begin(on: OnCases, begin: Callable[[Beginning], None]) -> OnCases:
    """Something more is done to the network before the first step."""

    def both(beginning: Beginning, settings: Any) -> None:
        on.begin(beginning, settings)
        begin(beginning)

    return replace(on, begin=both)


def with_change(on: OnCases, change: Callable[[Beginning], Change | None]) -> OnCases:
    """Something more is done to every batch; what that takes is made before the first step."""

    def both(beginning: Beginning, settings: Any) -> Change | None:
        return joined(on.change(beginning, settings), change(beginning))

    return replace(on, change=both)


def with_ready(on: OnCases, ready: Callable[[Any], None]) -> OnCases:
    """Something more has to hold for a network, which has no weights yet: `ready` raises SettingError or RunError."""

    def both(net: Any, configuration: Any, settings: Any) -> None:
        if on.ready is not None:
            on.ready(net, configuration, settings)
        ready(net)

    return replace(on, ready=both)


def joined(first: Change | None, second: Change | None) -> Change | None:
    """Both changes of a batch, in order."""
    if first is None or second is None:
        return first or second
    return lambda images, classes: second(*first(images, classes))


def with_score(on: OnCases, change: Answers, looks: Callable[[Any, int, bool], int]) -> OnCases:
    """Other answers to a window.

    A change sees and gives probabilities. Where a plan averages logits they go on as logarithms, which are logits of
    the same probabilities.

    Args:
        change: (ask, networks, mirror) -> `recipes.segment.sliding.Score` of probabilities; `ask`, given networks and
            mirror, is the score of the method that gives such.
        looks: as in `OnCases`.

    Raises:
        SettingError: the method draws its answers.
    """
    if on.samples is not None:
        raise SettingError("the method draws its answers, it scores no windows.")

    def score(networks: Any, n_classes: int, how: Any, mirror: bool, settings: Any) -> Any:
        probable = replace(how, average="probabilities")

        def ask(networks: Any, mirror: bool) -> Any:
            return on.score(networks, n_classes, probable, mirror, settings)

        answer = change(ask, networks, mirror)
        return answer if how.average == "probabilities" else lambda x: answer(x).clamp(min=LEAST).log()

    return replace(on, score=score, looks=looks)


def with_finish(on: OnCases, change: Callable[[NDArray[np.int16]], NDArray[np.int16]]) -> OnCases:
    """Something more is done to the classes of whole cases."""
    return replace(on, finish=lambda classes, settings: change(on.finish(classes, settings)))


def with_check(on: OnCases, check: Callable[[Any, Any], None]) -> OnCases:
    """Something more has to hold for plan and settings: `check` raises SettingError."""

    def both(plan: Any, settings: Any) -> None:
        on.check(plan, settings)
        check(plan, settings)

    return replace(on, check=both)


def with_settings(method: Method, change: Callable[[Any], Any]) -> Method:
    """A method of scenes that is fitted with other settings than it is given.

    Raises:
        SettingError: the method has no such setting.
        SettingError (when a run begins): they stay as they are: the method has the trick already.
    """
    try:
        change(method.settings())
    except SettingError as error:
        raise SettingError(f"it has no place for it. {error} Leave the trick out, or take another method.") from None

    def check(task: Task, settings: Any) -> None:
        after = change(settings)
        if after == settings:
            raise SettingError(f"{method.name} has it already.")
        method.check(task, after)

    def fit(task: Task, settings: Any, runtime: Runtime) -> Model:
        return method.fit(task, change(settings), runtime)

    return replace(method, check=check, fit=fit)


def with_changed(method: Method, changes: Mapping[str, Any]) -> Method:
    """`with_settings` that are changed by name, the end of a name is enough: {"noise.gain": 0.1}.

    Raises:
        SettingError: the method has no such setting; when a run begins: as `with_settings`.
    """
    given = method.settings()
    for name in changes:
        if find_leaf(given, name) is None:
            raise SettingError(f"{method.name} has no setting {name}, which it would change: choose another method.")
    return with_settings(method, lambda chosen: changed(chosen, changes))

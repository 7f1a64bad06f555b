"""`OnInstances`: what a method does with a folder of pictures whose labels number objects."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class OnInstances:
    """What a method does with pictures whose labels number objects, slot by slot.

    Attributes:
        settings: their class; made without arguments they are the defaults.
        train: (folder, root, order, runtime, *, resume, overwrite) -> the run, see
            `recipes.instances.training.train_instances`.
        changeable: field of the settings that a prediction may change.
    """

    settings: type
    train: Callable[..., Any]
    changeable: str = ""

"""Mask R-CNN: folders of pictures whose labels number objects."""

from __future__ import annotations

from typing import Any, NoReturn

from hyperseg.core import SettingError
from hyperseg.core.parts import Method
from hyperseg.core.parts.on_instances import OnInstances
from hyperseg.recipes.instances.settings import InstanceSettings


def refused(*given: Any) -> NoReturn:
    """Of scenes there is nothing to fit, check or load."""
    raise SettingError(
        "the method mask-rcnn takes folders of pictures whose labels number objects, no scenes: hyperseg segment train "
        "DIR --method mask-rcnn."
    )


def train(*args: Any, **more: Any) -> Any:
    from hyperseg.recipes.instances.training import train_instances

    return train_instances(*args, **more)


MASK_RCNN = Method(
    "mask-rcnn", InstanceSettings, refused, refused, refused, takes=frozenset(), has_features=False,
    on_instances=OnInstances(InstanceSettings, train, changeable="find"),
)  # fmt: skip

"""After HybridSN: 3-D, then 2-D convolutions on principal components; its window is always 9 pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hyperseg.core.settings import from_json, option, settings
from hyperseg.core.task import Task
from hyperseg.recipes.methods.network import built, network_method, prepared
from hyperseg.recipes.training.settings import TrainSettings, flips_option

if TYPE_CHECKING:
    from hyperseg.data.preprocess import Preprocess


@settings
class HybridSettings:
    """See `hyperseg.hsi.networks.HybridNet`."""

    components: int = option(30, "Principal components that are kept.", low=1, high=10_000)
    flips: bool = flips_option()
    train: TrainSettings = option(TrainSettings(), "The training.")


def prepare(task: Task, settings: HybridSettings) -> Preprocess:
    return prepared(task, n_components=settings.components)


def describe(task: Task, preprocess: Preprocess, settings: HybridSettings) -> Any:
    from hyperseg.hsi.networks import HybridSpec

    return HybridSpec(preprocess.n_out, task.n_classes)


def read(data: dict[str, Any]) -> Any:
    from hyperseg.hsi.networks import HybridSpec

    return from_json(HybridSpec, data)


HYBRID = network_method("hybrid", HybridSettings, prepare=prepare, describe=describe, build=built, read=read)

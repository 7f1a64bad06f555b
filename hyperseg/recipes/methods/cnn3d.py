"""The default method: a spectral-spatial CNN on within-class whitened spectra."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hyperseg.core import Scene, Split
from hyperseg.core.sections import Section
from hyperseg.core.settings import option, settings
from hyperseg.core.task import Task
from hyperseg.recipes.methods.network import network_method, planned_average, prepared, spectral_spatial
from hyperseg.recipes.training.settings import TrainSettings, check_window, flips_option, window_option

if TYPE_CHECKING:
    from hyperseg.core.runtime import Runtime
    from hyperseg.data.preprocess import Preprocess
    from hyperseg.recipes.training.model import NetworkModel


@settings
class Cnn3dSettings:
    """One convolution over the whole spectrum, then residual blocks in space; see `hyperseg.hsi.networks`."""

    window: int = window_option()
    whiten: bool = option(True, "Within-class whitening; false standardises the bands.")
    averaged: int = option(
        1,
        "Neighbouring bands that are averaged first; 1 leaves them, 0 is planned: averaged only where bands are mostly "
        "noise (`hyperseg plan SCENE`).",
        low=0, high=10_000,
    )  # fmt: skip
    flips: bool = flips_option()
    train: TrainSettings = option(TrainSettings(), "The training.")

    def __post_init__(self) -> None:
        check_window(self.window)


def prepare(task: Task, chosen: Cnn3dSettings) -> Preprocess:
    return prepared(task, whiten=chosen.whiten, averaged=chosen.averaged or planned_average(task))


def tell(model: NetworkModel, scene: Scene, split: Split, runtime: Runtime) -> Section | None:
    """That bands were averaged, where they were."""
    bands, left = int(model.preprocess.keep.sum()), model.preprocess.n_out
    if left == bands:
        return None
    told = f"Neighbouring bands are averaged, {bands} to {left}, as the settings say."
    return Section("The bands", (told,), numbers={"averaged_to": left})


CNN3D = network_method("cnn3d", Cnn3dSettings, prepare=prepare, tell=tell, **spectral_spatial("none"))

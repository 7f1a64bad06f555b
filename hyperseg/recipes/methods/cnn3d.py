"""The default method: a spectral-spatial CNN on within-class whitened spectra."""

from __future__ import annotations

from hyperseg.core.settings import option, settings
from hyperseg.recipes.methods.network import network_method, spectral_spatial, whitened
from hyperseg.recipes.training.settings import TrainSettings, check_window, flips_option, window_option


@settings
class Cnn3dSettings:
    """One convolution over the whole spectrum, then residual blocks in space; see `hyperseg.hsi.networks`."""

    window: int = window_option()
    whiten: bool = option(True, "Within-class whitening; false standardises the bands.")
    flips: bool = flips_option()
    train: TrainSettings = option(TrainSettings(), "The training.")

    def __post_init__(self) -> None:
        check_window(self.window)


CNN3D = network_method("cnn3d", Cnn3dSettings, prepare=whitened, **spectral_spatial("none"))

"""The network over groups of bands, whose map and features the deep CRF refines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hyperseg.core.settings import option, settings
from hyperseg.core.task import Task
from hyperseg.data.bands.groups import Cut
from hyperseg.recipes.methods.network import network_method, spectral_spatial, training_spectra, whitened
from hyperseg.recipes.training.settings import TrainSettings, check_window, flips_option, window_option

if TYPE_CHECKING:
    from hyperseg.data.preprocess import Preprocess


def groups_option() -> Cut:
    """How bands are cut into groups."""
    found: Cut = option(
        "auto",
        "How bands are cut into groups: equal lengths, at gaps between wavelengths, or where neighbouring bands "
        "correlate least; auto: gaps, or equal without wavelengths.",
        shown="groups",
    )
    return found


@settings
class BandGroupSettings:
    """Features of groups of bands, then residual blocks in space; see `hyperseg.hsi.networks`."""

    window: int = window_option()
    whiten: bool = option(True, "Within-class whitening; false standardises the bands.")
    groups: Cut = groups_option()
    group_length: int = option(20, "Bands per group, see `hyperseg.data.bands.groups`.", low=1, high=10_000)
    flips: bool = flips_option()
    train: TrainSettings = option(TrainSettings(), "The training.")

    def __post_init__(self) -> None:
        check_window(self.window)


def band_groups(task: Task, preprocess: Preprocess, settings: Any) -> Any:
    """Groups of the bands that preprocessing keeps; correlations are those of training spectra.

    Args:
        settings: has `groups`, `group_length`.
    """
    from hyperseg.data.bands.groups import cut_bands

    keep, waves = preprocess.keep, task.scenes[0].wavelengths_nm
    spectra = training_spectra(task)[0][:, keep] if settings.groups == "correlation" else None
    return cut_bands(
        preprocess.n_out, how=settings.groups, length=settings.group_length, spectra=spectra,
        wavelengths_nm=None if waves is None else waves[keep],
    )  # fmt: skip


BAND_GROUPS = network_method(
    "unary", BandGroupSettings, prepare=whitened, **spectral_spatial("groups", groups=band_groups)
)

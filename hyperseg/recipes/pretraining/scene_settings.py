"""How a network learns from scenes without labels: settings. No torch."""

from __future__ import annotations

from typing import Literal

from hyperseg.contrast.spectra import SpectralViews
from hyperseg.core import SettingError
from hyperseg.core.settings import option, settings
from hyperseg.recipes.pretraining.settings import refuse_idle
from hyperseg.recipes.training.settings import check_window, window_option

ScenePairs = Literal["gr", "gd-", "gd"]
Partitions = Literal["strata", "superpixels", "clusters"]
BATCH = 8  # pixels, at least: fewer have nobody to be different from


@settings
class SceneContrast:
    """A scene as a volume, its pixels with what is around them as slices: ours.

    Views of a pixel differ in light, air, noise, lost bands and its neighbours' share, and are turned.
    """

    pairs: ScenePairs = option(
        "gd", "Who is alike: gr, views of one pixel, all others are different; gd-, views of one pixel, only other "
        "partitions are different; gd, two pixels of one partition too (of strata: from two scenes).",
        shown="pairs",
    )  # fmt: skip
    partitions: Partitions = option(
        "clusters", "strata: equally many pixels between two values of a spectral index (NDVI where wavelengths are "
        "known, else the first MNF component); superpixels: pieces of like neighbours; clusters: of superpixels whose "
        "mean spectra are alike, wherever they lie.",
        shown="partitions",
    )  # fmt: skip
    strata: int = option(16, "How many strata.", low=2, high=10_000, shown="strata")
    clusters: int = option(32, "How many clusters.", low=2, high=10_000, shown="clusters")
    superpixel_px: float = option(14.0, "Pixels of a superpixel, on average.", low=2, high=1e6)
    local: bool = option(
        False, "Also tell regions of one feature map apart, in larger windows.", shown="local", off="global-only"
    )
    window: int = window_option(" The network that takes up the weights has the same.")
    steps: int = option(300, "Steps of the training.", low=1, high=10_000_000, shown="steps")
    batch: int = option(64, "Pixels per step.", low=BATCH, high=65_536)
    local_batch: int = option(8, "Larger windows per step, for --local.", low=2, high=65_536)
    temperature: float = option(0.1, "Cosines are divided by it.", above=0, high=100)
    whiten: bool = option(True, "Whiten what pixels of one superpixel differ by; false standardises the bands.")
    lr: float = option(1e-3, "Peak learning rate of the one-cycle schedule (AdamW).", above=0)
    weight_decay: float = option(1e-2, "Of AdamW.", low=0)
    views: SpectralViews = option(SpectralViews(), "How strongly views differ.")

    def __post_init__(self) -> None:
        check_window(self.window)
        if self.batch % 2:
            raise SettingError(f"batch is an even number of pixels, got {self.batch}.")
        refuse_idle(self, {"local_batch": not self.local}, "without --local")
        if self.pairs == "gr":
            named = ("partitions", "strata", "clusters")
            refuse_idle(self, dict.fromkeys(named, True), "with pairs gr, which know no partitions")
        others = {name: name != self.partitions for name in ("strata", "clusters")}
        grown = self.whiten or (self.pairs != "gr" and self.partitions != "strata")
        refuse_idle(self, others | {"superpixel_px": not grown}, f"where partitions are {self.partitions}")

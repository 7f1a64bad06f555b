"""`SpectraModel`: a density of spectra, learned from some of a scene's, that scores those of any."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from hyperseg.backbone import BackboneSpec, ConvSpec
from hyperseg.core import SettingError
from hyperseg.core.parts import Saved, prefixed
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import from_json, to_json
from hyperseg.dpm.likelihood.surprise import Levels, beyond_gaussian, make_levels
from hyperseg.dpm.model import DiffusionModel, load_model
from hyperseg.dpm.network import DenoiserSpec
from hyperseg.dpm.objectives.edm import EDM
from hyperseg.dpm.training import DiffusionSettings, train_diffusion
from hyperseg.recipes.spectra.settings import SpectraSettings
from hyperseg.recipes.spectra.whitening import Whitening, fit_whitening, reed_xiaoli

COMPONENTS = 16
BLOCK_PX = 4096  # spectra that go through the network at a time
EXPECTED_AT = 1.0  # noise at which the model is asked what a spectrum should have been


@dataclass(frozen=True, eq=False)
class SpectraModel:
    """A density: of the leading whitened components by a diffusion model, of all others by a Gaussian.

    Attributes:
        whitening: of all bands.
        diffusion: of the first P components, (B, P, 1).
        settings: how it was learned, and how it scores.
        seed: of the noise of the score.
    """

    whitening: Whitening
    diffusion: DiffusionModel
    settings: SpectraSettings
    seed: int = 0

    @property
    def n_components(self) -> int:
        """P."""
        return self.diffusion.spec.backbone.in_channels

    @cached_property
    def levels(self) -> Levels:
        s = self.settings
        device = next(self.diffusion.network.parameters()).device
        return make_levels(
            (self.n_components, 1), levels=s.levels, draws=s.draws, low=s.low, high=s.high, seed=self.seed,
            device=device,
        )  # fmt: skip

    def score(self, spectra: ArrayLike) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """(n, C) raw spectra -> (n,) bits per band, and (n,) Reed-Xiaoli distance.

        Bits are of standardised bands; a Gaussian would give them as a straight line in the distance.
        """
        x = np.asarray(spectra)
        bits, distance = np.empty(len(x), np.float32), np.empty(len(x), np.float32)
        device, denoise = self.levels.sigmas.device, self.diffusion.denoise()
        for start in range(0, len(x), BLOCK_PX):
            part = slice(start, start + BLOCK_PX)
            whitened = self.whitening(x[part])
            leading = torch.from_numpy(whitened[:, : self.n_components, None].copy()).to(device)
            more = beyond_gaussian(denoise, leading, self.levels)
            distance[part] = reed_xiaoli(whitened)
            bits[part] = self.whitening.bits(distance[part] / 2 + more.cpu().numpy())
        return bits, distance

    def expected(self, spectra: ArrayLike) -> NDArray[np.float32]:
        """(n, C) what the model makes of spectra that it sees through noise: what it would have expected there."""
        whitened = torch.from_numpy(self.whitening(spectra)).to(self.levels.sigmas.device)
        out = whitened / (1 + EXPECTED_AT**2)
        leading, level = whitened[:, : self.n_components, None], whitened.new_full((len(whitened),), EXPECTED_AT)
        noise, denoise = self.levels.noise[:, 0], self.diffusion.denoise()
        made = [denoise(leading + s * EXPECTED_AT * e, level).x0 for e in noise for s in (1.0, -1.0)]
        out[:, : self.n_components] = torch.stack(made).mean(0)[..., 0]
        return self.whitening.restore(out.cpu().numpy())

    def saved(self) -> Saved:
        """JSON and arrays; `load_spectra_model` is the inverse."""
        inner = self.diffusion.saved()
        record = {
            "diffusion": inner.record, "settings": to_json(self.settings), "seed": self.seed,
        }  # fmt: skip
        return Saved(record, prefixed("diffusion", inner.arrays) | self.whitening.to_arrays())

    def to(self, device: str) -> SpectraModel:
        """The same on a device."""
        return replace(self, diffusion=self.diffusion.to(device))


def load_spectra_model(saved: Saved) -> SpectraModel:
    """What `SpectraModel.saved` gave, on the CPU."""
    record = saved.record
    return SpectraModel(
        Whitening.from_arrays(saved.arrays), load_model(Saved(record["diffusion"], saved.within("diffusion"))),
        from_json(SpectraSettings, record["settings"]), int(record["seed"]),
    )  # fmt: skip


def fit_spectra_model(
    whitening: Whitening, spectra: NDArray[np.float32], settings: SpectraSettings, runtime: Runtime
) -> SpectraModel:
    """Learn the density of (n, C) raw spectra.

    Args:
        whitening: fitted on them, see `trimmed`.

    Raises:
        SettingError: more components than bands in use.
        TrainingError: a loss that is not finite.
    """
    standard = whitening(spectra)[:, : depth_of(settings, whitening)]
    return SpectraModel(whitening, fit_standard(standard, settings, runtime), settings, runtime.seed)


def depth_of(settings: SpectraSettings, whitening: Whitening) -> int:
    """How many components the network models.

    Raises:
        SettingError: more than there are.
    """
    n = min(COMPONENTS, whitening.n_used) if settings.components is None else settings.components
    if n > whitening.n_used:
        raise SettingError(
            f"{n} components of {whitening.n_used} bands in use: ask for {whitening.n_used} --components at most."
        )
    return n


def fit_standard(
    components: NDArray[np.float64], settings: SpectraSettings, runtime: Runtime, *,
    labels: NDArray[np.integer[Any]] | None = None, n_classes: int = 0,
) -> DiffusionModel:  # fmt: skip
    """A denoiser of (n, P) components of unit variance, which may be told their (n,) classes."""
    return train_diffusion(
        torch.from_numpy(components[..., None].astype(np.float32)),
        pixel_spec(components.shape[1], settings.width, n_classes=n_classes), how(settings), runtime,
        labels=None if labels is None else torch.from_numpy(labels), name="spectra", title="denoiser of spectra",
    )  # fmt: skip


def trimmed(
    spectra: NDArray[np.float32], share: float, *, good_bands: NDArray[np.bool_] | None = None
) -> tuple[Whitening, NDArray[np.bool_]]:
    """The Gaussian of spectra without the strangest `share` of them, and (n,) which were kept."""
    whitening, kept = fit_whitening(spectra, good_bands=good_bands), np.ones(len(spectra), bool)
    if share:
        distance = reed_xiaoli(whitening(spectra))
        kept = distance <= np.quantile(distance, 1 - share)
        whitening = fit_whitening(spectra[kept], good_bands=good_bands)
    return whitening, kept


def pixel_spec(n_components: int, width: int, *, n_classes: int = 0) -> DenoiserSpec:
    """The network of one pixel: components are its channels, and the axis has one place."""
    conv = ConvSpec(1, norm="group", act="silu", residual=True, cond_dim=64)
    backbone = BackboneSpec(
        in_channels=n_components, widths=(width, width), strides=(1, 1), kernels=(1, 1), depths=(1, 1), conv=conv
    )
    return DenoiserSpec(backbone, n_classes=n_classes)


def how(settings: SpectraSettings) -> DiffusionSettings:
    """The training of the network."""
    return DiffusionSettings(
        objective=EDM.name, steps=settings.steps, batch=settings.batch, lr=settings.lr, ema=0.995, keep_raw=False
    )

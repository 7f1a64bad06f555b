"""Training a scene network on the training pixels of a split: the supervised base of every method."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from hyperseg.backbone import Groups
from hyperseg.core import LabelError, Scene, SettingError, Split
from hyperseg.data.augment import SpectralNoise, illuminated
from hyperseg.data.bands.groups import Cut, cut_bands
from hyperseg.data.patches import PatchSource, draw_pixels
from hyperseg.data.preprocess import Preprocess, fit_preprocess, gather_spectra
from hyperseg.engine import Ema, History, Phase, Precision, fit, share, training_progress
from hyperseg.hsi.networks import HybridSpec, NetworkSpec, SceneNet, SceneSpec, build_network

Kind = Literal["cnn3d", "ssrn", "groups", "hybrid"]
STAGES: dict[str, Any] = {"cnn3d": "none", "ssrn": "short", "groups": "groups"}  # all others are hybrid
HYBRID_COMPONENTS = 30
FEWEST_STEPS = 20  # a one-cycle schedule needs room to rise and fall


@dataclass(frozen=True)
class TrainSettings:
    """How a network is trained; every default is ours, chosen on parcel splits of Indian Pines.

    Attributes:
        window: side of the square of pixels a decision looks at: 1, 5, 9, 13, 17, ... ("hybrid" always has 9).
        epochs: passes over the training pixels.
        min_steps: trained at least this long, however few the labels.
        batch: patches per step.
        lr: peak learning rate of the one-cycle schedule (AdamW).
        weight_decay: of AdamW.
        label_smoothing: of the cross-entropy.
        average: decay of the weights' moving average, which is what predicts; 0 turns it off.
        whiten: preprocess by within-class whitening ("cnn3d", "groups"); False, and "ssrn", only standardise the bands.
        noise: disturbance of the standardised or whitened spectra.
        illumination: spread of a factor on raw values, drawn per patch: for scenes that will be mapped under another
            sun. 0 leaves them alone, which is best on the scene itself.
        balanced: draw classes, not pixels, with equal probability.
        groups, group_length: how the band-group network's groups are cut, see `hyperseg.data.bands.groups`.
        keep: the weights at the end of the schedule, or those that validated best; a few held-out parcels are a
            poor judge, and "best" is no better on parcel splits (docs/benchmarks.md).
    """

    window: int = 9
    epochs: int = 30
    min_steps: int = 300
    batch: int = 64
    lr: float = 1e-3
    weight_decay: float = 1e-2
    label_smoothing: float = 0.0
    average: float = 0.98
    whiten: bool = True
    noise: SpectralNoise = field(default_factory=lambda: SpectralNoise(noise=0.3))
    illumination: float = 0.0
    balanced: bool = False
    groups: Cut = "auto"
    group_length: int = 20
    keep: Literal["best", "last"] = "last"

    def __post_init__(self) -> None:
        if self.window < 1 or self.window % 4 != 1:
            raise SettingError(
                f"window must be 1, 5, 9, 13, 17, ... pixels (two 3x3 steps a block), got {self.window}."
            )
        if min(self.epochs, self.min_steps, self.batch) < 1:
            raise SettingError("epochs, min_steps and batch must be at least 1.")
        if not 0 <= self.illumination < 1:
            raise SettingError(
                f"illumination is the spread of a factor, 0 to 1 (0.1 is 10 %), got {self.illumination}."
            )


@dataclass(frozen=True)
class Trained:
    """A network ready to map scenes, with what it needs to read them."""

    network: SceneNet
    preprocess: Preprocess
    history: History


def train_network(
    scene: Scene,
    split: Split,
    *,
    kind: Kind = "cnn3d",
    settings: TrainSettings | None = None,
    network: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: torch.device | str = "cpu",
    precision: Precision = "fp32",
    checkpoint: Path | None = None,
    resume: bool = False,
    quiet: bool = False,
    label: str = "training",
) -> Trained:
    """Fit preprocessing and network on the training pixels.

    Args:
        scene: with labels; the cube is held in memory once, preprocessed, on `device`.
        split: training and validation pixels; test pixels are not touched.
        kind, settings, seed, device, precision: what to train and how.
        network: further settings of its `NetworkSpec`, e.g. {"width": 96}.
        checkpoint, resume: see `hyperseg.engine.fit`.
        quiet: no progress bar.
        label: text of the progress bar.
    """
    settings = settings or TrainSettings()
    if scene.labels is None:
        raise LabelError(f"{scene.name} has no labels to learn from.")
    preprocess = prepare(scene, split, kind=kind, whiten=settings.whiten)
    spec = network_spec(scene, split, preprocess, kind=kind, settings=settings, network=network)
    net = build_network(spec, seed=seed).to(device)
    source = PatchSource(preprocess(scene.cube[:]), radius=net.margin, device=device)
    pixels, targets = labelled_pixels(split.train, scene.labels, source.device)
    dark = torch.from_numpy(preprocess(np.zeros(scene.n_bands, np.float32)))
    batch = min(settings.batch, len(targets))
    steps = training_steps(settings.epochs, settings.min_steps, batch, len(targets))

    def batches(step: int) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + step)
        classes = targets.cpu() if settings.balanced else None
        drawn = draw_pixels(len(targets), batch=batch, step=step, seed=seed, balanced=classes)
        turns = torch.randint(0, 8, (len(drawn),), generator=generator)
        drawn, turns = drawn.to(source.device), turns.to(source.device)
        # noise of the whole batch, so that it does not depend on how many processes share it
        patches = illuminated(source.gather(pixels[drawn], turns), dark, spread=settings.illumination)
        return share(settings.noise(patches)), share(targets[drawn])

    def loss(drawn: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        logits = net(drawn[0])[:, :, 0, 0].float()
        return {"loss": F.cross_entropy(logits, drawn[1], label_smoothing=settings.label_smoothing)}

    optimizer = torch.optim.AdamW(net.parameters(), lr=settings.lr, weight_decay=settings.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, settings.lr, total_steps=steps, pct_start=0.2)
    averages = [Ema(net, decay=settings.average)] if settings.average else []
    judged: nn.Module = averages[0].module if averages else net
    validate = validator(judged, source, split.val, scene.labels) if split.val.any() else None
    with training_progress(label, steps, quiet=quiet) as report:
        history = fit(
            [Phase("classify", loss, optimizer, clip=5.0, scheduler=schedule)], batches, steps,
            modules={"network": net}, averages=averages, seed=seed, precision=precision, device=device,
            validate=validate, keep=settings.keep, validate_every=max(steps // 10, 1), checkpoint=checkpoint,
            checkpoint_every=max(steps // 5, 1), resume=resume, report=report,
        )  # fmt: skip
    if averages:
        net.load_state_dict(averages[0].module.state_dict())
    return Trained(net.eval(), preprocess, history)


def network_spec(
    scene: Scene,
    split: Split,
    preprocess: Preprocess,
    *,
    kind: Kind,
    settings: TrainSettings,
    network: Mapping[str, Any] | None = None,
) -> SceneSpec:
    """What `train_network` builds; `network` has the last word."""
    if kind == "hybrid":
        return HybridSpec(preprocess.n_out, scene.n_classes, **dict(network or {}))
    shape: dict[str, Any] = {"blocks": settings.window // 4}
    if kind == "groups":
        shape["groups"] = band_groups(
            scene, split, preprocess, how=settings.groups, length=settings.group_length
        )
    return NetworkSpec(STAGES[kind], preprocess.n_out, scene.n_classes, **shape | dict(network or {}))


def band_groups(scene: Scene, split: Split, preprocess: Preprocess, *, how: Cut, length: int) -> Groups:
    """Groups of the bands that preprocessing keeps; correlations are those of training spectra."""
    keep = preprocess.keep
    wavelengths = None if scene.wavelengths_nm is None else scene.wavelengths_nm[keep]
    spectra = gather_spectra(scene, split.train)[:, keep] if how == "correlation" else None
    return cut_bands(preprocess.n_out, how=how, length=length, wavelengths_nm=wavelengths, spectra=spectra)


def prepare(scene: Scene, split: Split, *, kind: Kind, whiten: bool = True) -> Preprocess:
    """Fit the preprocessing a network of this kind reads, on training spectra only."""
    assert scene.labels is not None
    spectra = gather_spectra(scene, split.train)
    match kind:
        case "hybrid":
            usable = fit_preprocess(spectra, good_bands=scene.good_bands).n_out
            most = min(HYBRID_COMPONENTS, len(spectra) - 1, usable)
            return fit_preprocess(spectra, good_bands=scene.good_bands, n_components=most)
        case _:
            classes = scene.labels[split.train] if whiten and kind in ("cnn3d", "groups") else None
            return fit_preprocess(spectra, good_bands=scene.good_bands, whiten_within=classes)


def training_steps(epochs: int, min_steps: int, batch: int, n: int) -> int:
    """Steps of `epochs` passes over n training pixels, and no fewer than `min_steps`."""
    return max(min_steps, epochs * max(n // batch, 1), FEWEST_STEPS)


def labelled_pixels(
    mask: NDArray[np.bool_], labels: NDArray[np.int16], device: torch.device
) -> tuple[Tensor, Tensor]:
    """(n, 2) rows and columns and (n,) classes of the pixels in `mask`, on the device."""
    rows_columns = torch.from_numpy(np.argwhere(mask))
    return rows_columns.to(device), torch.from_numpy(labels[mask].astype(np.int64)).to(device)


def validator(
    network: nn.Module,
    source: PatchSource,
    mask: NDArray[np.bool_],
    labels: NDArray[np.int16],
    *,
    batch: int = 512,
) -> Callable[[], float]:
    """A function that gives the validation OA in percent, classes weighted as in `mask`."""
    pixels, targets = labelled_pixels(mask, labels, source.device)

    def validate() -> float:
        right = 0
        with torch.inference_mode():
            for part, truth in zip(pixels.split(batch), targets.split(batch), strict=True):
                right += int((network(source.gather(part))[:, :, 0, 0].argmax(1) == truth).sum())
        return 100.0 * right / len(targets)

    return validate

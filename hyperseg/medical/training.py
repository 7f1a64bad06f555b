"""The numbers a trainer reads, one set per preset: optimiser, schedule, changes of images, prediction. Data only.

Source: of `V2` the published code of nnU-Net's second version (state of July 2026); of `MSD2018` Isensee et al., arXiv
1809.10486, and where that is silent its code of 2019. The two are different methods: no number moves between them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hyperseg.core.settings import ADDED

Preset = Literal["v2", "msd2018"]


@dataclass(frozen=True)
class Optimiser:
    """SGD with (Nesterov) momentum, or Adam (whose momentum is its first beta)."""

    kind: Literal["sgd", "adam"]
    lr: float
    weight_decay: float
    momentum: float
    nesterov: bool
    amsgrad: bool
    longest_gradient: float | None  # the norm it is cut to


@dataclass(frozen=True)
class Plateau:
    """The learning rate falls when the training loss, as a moving mean, stands still.

    Attributes:
        gain: that counts as progress.
        epochs: without it, then the rate is multiplied by `factor`.
        stop: epochs without gain in validation, with a rate below `least_lr`: training ends.
    """

    gain: float
    epochs: int
    factor: float
    stop: int
    least_lr: float


@dataclass(frozen=True)
class Schedule:
    """How long, and how the learning rate falls: (1 - epoch / epochs) ** power, or on a plateau; the other is None."""

    steps: int  # of an epoch
    validation_steps: int
    epochs: int | None
    power: float | None
    plateau: Plateau | None


@dataclass(frozen=True)
class Loss:
    """Dice without background plus cross-entropy.

    Attributes:
        smooth: added to numerator and denominator of Dice.
        supervised: whether coarser levels of the decoder are scored too.
        forced: share of a batch whose patch holds a foreground class drawn for it.
        each: every patch is such a one with probability `forced`; otherwise a fixed number of each batch is.
    """

    smooth: float
    supervised: bool
    forced: float
    each: bool = field(default=False, metadata=ADDED)


@dataclass(frozen=True)
class Change:
    """A random change: a number drawn from low to high, with probability `p`, then of each channel `channel_p`."""

    low: float
    high: float
    p: float
    channel_p: float = 1.0


@dataclass(frozen=True)
class Elastic:
    """A smooth random displacement: strength, width in voxels of its Gaussian, probability."""

    strength: tuple[float, float]
    width: tuple[float, float]
    p: float


@dataclass(frozen=True)
class Stage1Noise:
    """What is done to the first network's answer before the second one of a cascade learns from it.

    Attributes:
        radius: of a random erosion, dilation, opening or closing, in voxels; `p` its probability.
        removal_p: that components are removed, each no larger than `removal_share` of the image.
    """

    radius: tuple[int, int]
    p: float
    removal_p: float
    removal_share: float


@dataclass(frozen=True)
class Augmentation:
    """Random changes of a patch; None is a change that the preset does not know.

    Attributes:
        rotation_p: the angles are of a configuration.
        scale: factor of the size.
        noise: variance; blur: width in voxels; brightness, contrast: factors.
        low_resolution: factor of the size it is reduced to and enlarged from.
        gamma, gamma_inverted: exponent, of the image and of its negative; mean and deviation are kept.
        mirror: along every axis, each with probability 1/2.
        elastic: by number of axes, 2 and 3.
        equalisation: limit of contrast of adaptive histograms, of networks with two axes; or None.
        noise_within: so many deviations are all that noise has, or None.
        shift: share of a patch's side, drawn for each axis, by which it lies elsewhere.
        quarter_turns: none to three quarter turns within the planes of the last two axes, equally often.
    """

    rotation_p: float
    scale: Change
    gamma: Change
    mirror: bool
    stage1: Stage1Noise
    noise: Change | None = None
    blur: Change | None = None
    brightness: Change | None = None
    contrast: Change | None = None
    low_resolution: Change | None = None
    gamma_inverted: Change | None = None
    elastic: tuple[Elastic, Elastic] | None = None
    equalisation: Change | None = field(default=None, metadata=ADDED)
    noise_within: float | None = field(default=None, metadata=ADDED)
    shift: Change | None = field(default=None, metadata=ADDED)
    quarter_turns: bool = field(default=False, metadata=ADDED)

    @property
    def still(self) -> bool:
        """Nothing is ever changed; what a cascade reads of its first network aside."""
        return self == unchanged(self)


@dataclass(frozen=True)
class Resampling:
    """Orders of the splines.

    Attributes:
        image, labels, logits: labels are resampled class by class; 0 takes the nearest.
        anisotropy: ratio of spacings beyond which the coarse axis is resampled by itself, with order `across`; None
            treats all axes alike.
        keep: cases have no common spacing: that of each is changed by the same factor, which brings the median of the
            data to what is planned. Where that is the median itself, nothing is resampled.
    """

    image: int
    labels: int
    logits: int
    anisotropy: float | None
    across: int
    keep: bool = field(default=False, metadata=ADDED)


@dataclass(frozen=True)
class Inference:
    """Sliding window: step as a share of the patch, width of the Gaussian weights likewise, mirrors, what is averaged.

    Attributes:
        keep_largest: a component is kept alone where that is better in cross-validation, or where the class is one
            component in all training labels; or never.
    """

    step: float
    gaussian: float
    mirror: bool
    average: Literal["logits", "probabilities"]
    keep_largest: Literal["where better", "where always one", "never"]
    folds: int


@dataclass(frozen=True)
class Training:
    """All numbers of a preset that do not depend on the data set."""

    optimiser: Optimiser
    schedule: Schedule
    loss: Loss
    augmentation: Augmentation
    resampling: Resampling
    inference: Inference


STAGE1 = Stage1Noise((1, 8), 0.4, 0.2, 0.15)

V2 = Training(
    Optimiser("sgd", 1e-2, 3e-5, 0.99, nesterov=True, amsgrad=False, longest_gradient=12.0),
    Schedule(steps=250, validation_steps=50, epochs=1000, power=0.9, plateau=None),
    Loss(smooth=1e-5, supervised=True, forced=0.33),
    Augmentation(
        rotation_p=0.2, scale=Change(0.7, 1.4, 0.2), gamma=Change(0.7, 1.5, 0.3), mirror=True, stage1=STAGE1,
        noise=Change(0, 0.1, 0.1), blur=Change(0.5, 1, 0.2, 0.5), brightness=Change(0.75, 1.25, 0.15),
        contrast=Change(0.75, 1.25, 0.15), low_resolution=Change(0.5, 1, 0.25, 0.5),
        gamma_inverted=Change(0.7, 1.5, 0.1),
    ),
    Resampling(image=3, labels=1, logits=1, anisotropy=3.0, across=0),
    Inference(step=0.5, gaussian=1 / 8, mirror=True, average="logits", keep_largest="where better", folds=5),
)  # fmt: skip

MSD2018 = Training(
    Optimiser("adam", 3e-4, 3e-5, 0.9, nesterov=False, amsgrad=True, longest_gradient=None),
    Schedule(steps=250, validation_steps=50, epochs=None, power=None, plateau=Plateau(5e-3, 30, 0.2, 60, 1e-6)),
    Loss(smooth=1e-5, supervised=False, forced=1 / 3),
    Augmentation(
        rotation_p=0.2, scale=Change(0.85, 1.25, 0.2), gamma=Change(0.7, 1.5, 0.3), mirror=True, stage1=STAGE1,
        elastic=(Elastic((0, 200), (9, 13), 0.2), Elastic((0, 900), (9, 13), 0.2)),
    ),
    Resampling(image=3, labels=0, logits=1, anisotropy=None, across=0),
    Inference(
        step=0.5, gaussian=1 / 8, mirror=True, average="probabilities", keep_largest="where always one", folds=5
    ),
)  # fmt: skip


def unchanged(augmentation: Augmentation) -> Augmentation:
    """No change of patches at all; what a cascade reads of its first network is disturbed as before."""
    never = Change(1.0, 1.0, 0.0)
    return Augmentation(0.0, never, never, mirror=False, stage1=augmentation.stage1)


def supervision(levels: int, *, supervised: bool) -> tuple[float, ...]:
    """Weights of the losses of a decoder's levels, fine to coarse: halved at each, the coarsest 0, their sum 1.

    Without deep supervision, and with a single level, the finest has all of it.
    """
    if not supervised or levels == 1:
        return (1.0,)
    weights = [0.5**level for level in range(levels - 1)]
    return (*(weight / sum(weights) for weight in weights), 0.0)

"""What can be chosen of a diffusion model over masks, and of its feed-forward twin; no torch."""

from __future__ import annotations

from typing import Literal

from hyperseg.core.settings import option, settings
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.schedules import OF_MASKS, SCHEDULES

Says = Literal["x0", "eps", "v"]
Coded = Literal["onehot", "bits"]
Rule = Literal["majority", "mean", "staple", "staple-all", "steps"]
Skips = Literal["both", "mask"]
PURE = 0.5  # of the samples of a step, where masks themselves are learnt


@settings
class MaskNetworkSettings:
    """The network with two encoders; the twin has the same."""

    dynamic: bool = option(
        True, "Dynamic conditional encoding: image features are weighted anew at every step.", shown="dynamic",
        off="no-dynamic", also=lambda on: {} if on else {"ff_parser": False},
    )  # fmt: skip
    ff_parser: bool = option(
        True, "FF-Parser: a learnt filter of frequencies on features of the noisy mask.", shown="ff-parser",
        off="no-ff-parser",
    )  # fmt: skip
    skips: Skips = option(
        "both", "What the decoder sees beside the coarsest map: features of mask and image, or of the mask alone."
    )
    norm: Literal["channel", "all"] = option(
        "channel", "Normalisation before the product: over channels (any size), or over all of a map."
    )
    codes: Coded = option(
        "onehot", "Channels of a mask of more than two classes: one for each, or as many as its number has bits."
    )
    depth: int = option(1, "Residual blocks of a stage.", low=1, high=16)


@settings
class MaskTrainSettings:
    """How it is trained; steps and batches are not among them."""

    lr: float = option(5e-3, "Peak learning rate of the one-cycle schedule (AdamW).", above=0)
    weight_decay: float = option(1e-2, "Of AdamW.", low=0)
    rise: float = option(0.15, "Share of the steps in which the learning rate rises.", above=0, below=1)
    ema: float = option(0.998, "Decay of the moving average of the weights, which is what draws.", low=0, below=1)


@settings
class DrawSettings:
    """How masks are drawn and what they come to; may be changed for prediction."""

    samples: int = option(10, "Masks drawn of an image.", low=1, high=10_000, shown="samples")
    calls: int = option(3, "Network calls of a mask.", low=1, high=10_000, shown="calls")
    sampler: str = option(SAMPLERS.default, "How, see `hyperseg bench samplers --list`.", shown="sampler")
    fusion: Rule = option(
        "steps",
        "What the masks come to: the mean over all calls of each, weighted by their certainty (steps), majority vote, "
        "mean, or STAPLE on disputed pixels (staple) or on all of them (staple-all).",
        shown="fusion",
    )


@settings
class MedSegDiffSettings:
    """A diffusion model over masks."""

    says: Says = option(
        "x0",
        "What is learnt: the mask, by Dice and cross-entropy (few steps suffice); the noise, as in the paper; or the "
        "velocity.",
        shown="says", also=lambda says: {"pure": PURE if says == "x0" else 0.0},
    )  # fmt: skip
    schedule: str = option(OF_MASKS, f"Noise schedule: {', '.join(SCHEDULES)}.", shown="schedule")
    pure: float = option(
        PURE, "Share of the samples of a step that are noise alone: the image has to tell all there.", low=0, high=1
    )
    network: MaskNetworkSettings = option(MaskNetworkSettings(), "The network.")
    train: MaskTrainSettings = option(MaskTrainSettings(), "The training.")
    draw: DrawSettings = option(DrawSettings(), "How masks are drawn.")


@settings
class FeedForwardSettings:
    """The feed-forward twin: the same network, shown no mask, trained by Dice and cross-entropy."""

    network: MaskNetworkSettings = option(MaskNetworkSettings(), "The network.")
    train: MaskTrainSettings = option(MaskTrainSettings(), "The training.")

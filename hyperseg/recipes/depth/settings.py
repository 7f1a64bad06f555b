"""Settings of depth read out of a denoiser, its training and its guidance; and the names of guidance; no torch."""

from __future__ import annotations

from collections.abc import Iterable
from math import gcd
from typing import Literal

from hyperseg.core import SettingError
from hyperseg.core.settings import option, settings
from hyperseg.core.words import did_you_mean
from hyperseg.dpm.guidance import GUIDANCES
from hyperseg.dpm.samplers import SAMPLERS
from hyperseg.dpm.tapped.tap import STRONG, WEAK, blocks_at, check_unlike

Mode = Literal["mean", "eps"]
Says = Literal["v", "eps", "x0"]
Learns = Literal["known", "labelled", "predicted"]

NONE, ALL, CONTROL = "none", "dag", "control"
"""Sampling without guidance; with the terms of the paper at once; and with these, each picture following the gradient
of another one: what is gained so has nothing to do with the picture's own depth."""
CHOICES = (NONE, *GUIDANCES, ALL, CONTROL)
GUIDING = ("mode", "earliest", "latest", "every", "sparing")  # settings of any guidance
HEADS = 4  # of attention
FIRST_STEP = 0.001  # of a schedule of a thousand steps, as a share of it
WIDEST = 128  # channels of a stage at most


@settings
class NetworkSettings:
    """A denoising network and its training."""

    width: int = option(16, "Channels of the finest stage; each coarser one has twice as many, 128 at most.", low=2)
    stages: int = option(4, "Stages of the network; each halves the picture once more.", low=2, high=6)
    blocks: int = option(1, "Blocks of a stage.", low=1, high=8)
    attention: int = option(2, "How many of the coarsest stages have self-attention, of four heads.", low=0, high=6)
    objective: Says = option(
        "v",
        "What it learns to say: the velocity, which small networks learn best, the noise (the paper's), or the data.",
    )
    steps: int = option(8000, "Training steps.", low=1)
    batch: int = option(32, "Pictures of a step.", low=1)
    lr: float = option(4e-3, "Largest learning rate of the one-cycle schedule.", above=0, high=1)
    ema: float = option(0.998, "Decay of the moving average of the weights, which is what is kept.", low=0, below=1)

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the stages, fine to coarse."""
        return tuple(min(self.width * 2**i, max(WIDEST, self.width)) for i in range(self.stages))

    @property
    def attends(self) -> tuple[int, ...]:
        """Heads of self-attention of the stages, fine to coarse; empty for none."""
        heads = gcd(self.width, HEADS)
        return tuple(heads * (i >= self.stages - self.attention) for i in range(self.stages)) if self.attention else ()

    def __post_init__(self) -> None:
        if self.attention > self.stages:
            raise SettingError(f"attention {self.attention}: the network has {self.stages} stages only.")


@settings
class HeadsSettings:
    """The two heads that read depth, and their training."""

    strong: tuple[float, ...] = option(
        STRONG,
        "What the strong head reads, as fractions of the decoder's depth: 0 is the coarsest stage.",
        low=0,
        high=1,
    )
    weak: tuple[float, ...] = option(
        WEAK, "What the weak head reads, as fractions of the decoder's depth.", low=0, high=1
    )
    hidden: tuple[int, ...] = option((64, 32), "Widths of the layers between.", low=1)
    coarse: bool = option(
        True, "Heads work at the size of the finest stage that they read, and depth is raised to the picture's size."
    )
    steps: int = option(2000, "Training steps of both heads together.", low=1)
    batch: int = option(16, "Pictures of a step.", low=1)
    lr: float = option(1e-3, "Largest learning rate of the one-cycle schedule.", above=0, high=1)
    latest: float = option(
        1.0,
        "Times that heads learn from, as a share of the schedule: 1 also from pure noise.",
        above=FIRST_STEP,
        high=1,
    )


@settings
class PriorSettings(NetworkSettings):
    """The diffusion model of depth maps."""

    width: int = option(8, "Channels of the finest stage; each coarser one has twice as many, 128 at most.", low=2)
    stages: int = option(3, "Stages of the network; each halves the map once more.", low=2, high=6)
    attention: int = option(0, "How many of the coarsest stages have self-attention, of four heads.", low=0, high=6)
    batch: int = option(64, "Depth maps of a step.", low=1)
    steps: int = option(2000, "Training steps; 0 leaves it out, and with it the guidance that asks it.", low=0)
    shrink: int = option(
        2, "How many times smaller than pictures its depth maps are: the paper's are half as large.", low=1, high=16
    )
    learns: Learns = option(
        "predicted", "From what the strong head says of all pictures (predicted); from all depth maps that are known, "
        "also of pictures whose depth no head is told; or from those of the labelled pictures alone.",
    )  # fmt: skip


@settings
class DepthSettings:
    """Everything that `hyperseg depth train` can be told of networks and data."""

    size: int = option(32, "Pixels along each side of the pictures.", low=4, high=512, shown="size")
    pictures: int = option(8000, "Rooms that are rendered where no folder is given.", low=2, shown="pictures")
    crops: int = option(
        8, "Squares that are cut out of each picture of a folder, the largest first.", low=1, shown="crops"
    )
    labelled: int = option(100, "Pictures whose depth is told to the heads.", low=1, shown="labelled")
    held_out: int = option(
        200, "Pictures that nothing learns from: the heads are tried on them. Of a folder at most a fifth.", low=1
    )
    denoiser: NetworkSettings = option(NetworkSettings(), "The denoiser of pictures.")
    heads: HeadsSettings = option(HeadsSettings(), "The strong and the weak head.")
    prior: PriorSettings = option(PriorSettings(), "The diffusion model of depth maps.")

    def __post_init__(self) -> None:
        whole = 2 ** (self.denoiser.stages - 1), f"denoiser.stages {self.denoiser.stages}"
        small = self.prior.shrink * 2 ** (self.prior.stages - 1)
        mapped = small, f"prior.shrink {self.prior.shrink} and prior.stages {self.prior.stages}"
        for times, why in (whole, *((mapped,) if self.prior.steps else ())):
            if self.size % times:
                raise SettingError(
                    f"size {self.size}: {why} ask for a size that is divisible by {times}. Give a multiple of {times}, "
                    "or fewer stages."
                )
        n = self.denoiser.stages
        check_unlike(blocks_at(self.heads.strong, n), blocks_at(self.heads.weak, n))


@settings
class SampleSettings:
    """How pictures are sampled and guided."""

    sampler: str = option(SAMPLERS.default, "Which sampler.", shown="sampler")
    calls: int = option(50, "Network calls of a sample.", low=1, shown="calls")
    guidance: str = option(
        ALL,
        f"What guides: {', '.join(CHOICES)} ({ALL}: the two of the paper; {CONTROL}: those of another picture).",
        shown="guidance",
    )
    consistency: float = option(
        0.006,
        "Weight of the consistency of both heads (w_dc). What is right depends on the network, the size and the "
        "mode: look at the ratio that is told. The paper's 40 is of a loss on another scale.",
        low=0,
        shown="consistency",
    )
    prior: float = option(
        0.004, "Weight of the prior of depth maps (w_dp); the paper's is 40, see above.", low=0, shown="prior"
    )
    mode: Mode = option(
        "mean", "The gradient shifts the mean of a step, as in the paper, or the predicted noise (eps).", shown="mode"
    )
    earliest: float = option(
        0.2, "Times below this share of the schedule are not guided: what changes there stays in the picture.", low=0,
        high=1,
    )  # fmt: skip
    latest: float = option(
        0.6, "Times above this share of the schedule are not guided: depth cannot be read there.", above=0, high=1
    )
    every: int = option(1, "Every how many calls one is guided.", low=1)
    sparing: bool = option(False, "Less memory and more time: gradients are worked out piece by piece.")
    batch: int = option(32, "Samples at once.", low=1)

    def __post_init__(self) -> None:
        if self.sampler not in SAMPLERS:
            raise SettingError(
                f"sampler {self.sampler}: is none of {', '.join(SAMPLERS)}.{SAMPLERS.close(self.sampler)}"
            )
        if self.guidance not in CHOICES:
            raise SettingError(
                f"guidance {self.guidance}: is none of {', '.join(CHOICES)}.{did_you_mean(self.guidance, CHOICES)}"
            )
        if self.earliest >= self.latest:
            raise SettingError(
                f"times from {self.earliest:g} to {self.latest:g} are none: give an earliest below the latest."
            )


def terms_of(guidance: str) -> tuple[str, ...]:
    """The names in the table `GUIDANCES` that a choice means; none for no guidance.

    Raises:
        SettingError: no such choice.
    """
    if guidance == NONE:
        return ()
    if guidance in (ALL, CONTROL):
        return tuple(name for name, term in GUIDANCES.items() if term.weighs)
    if guidance in GUIDANCES:
        return (guidance,)
    raise SettingError(f"guidance {guidance}: is none of {', '.join(CHOICES)}.{did_you_mean(guidance, CHOICES)}")


def weights_of(settings: SampleSettings) -> dict[str, float]:
    """Terms of the table and their weights: of a setting where the term has one, else its usual one."""
    terms = ((name, GUIDANCES[name]) for name in terms_of(settings.guidance))
    return {name: getattr(settings, term.weighs) if term.weighs else term.usual for name, term in terms}


def check_read(settings: SampleSettings, guidances: Iterable[str]) -> None:
    """Refuse a setting of guidance that was changed and that none of these choices looks at.

    Raises:
        SettingError: it would change nothing.
    """
    choices = tuple(guidances)
    asked = {GUIDANCES[name].weighs for choice in choices for name in terms_of(choice)}
    read = {name: name in asked for name in ("consistency", "prior")} | dict.fromkeys(GUIDING, bool(asked))
    for name, looked_at in read.items():
        value = getattr(settings, name)
        if not looked_at and value != getattr(SampleSettings(), name):
            raise SettingError(
                f"{name} {value} would change nothing with guidance {' and '.join(choices)}: leave it out."
            )

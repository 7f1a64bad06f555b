"""Settings of the GAN: what each term of its objective weighs, and the choices of its networks. No torch."""

from __future__ import annotations

from typing import Literal

from hyperseg.core.settings import option, settings

Aim = Literal["match", "fool", "both"]
Variant = Literal["ss", "spc", "spa", "conv"]
FakeLogit = Literal["explicit", "implicit"]
Norm = Literal["batch", "none"]  # others look at all of a map at once: a scene would differ from its patches


@settings
class Weights:
    """What counts how much. All weights 1 and the aim "fool" are the paper's objective; defaults are ours."""

    unlabelled: float = option(0.3, "Weight of L2: real pixels of the pool are not generated.", low=0)
    generated: float = option(
        0.3, "Weight of L3: generated cubes are generated. 0 leaves the discriminator alone with real pixels.", low=0
    )
    aim: Aim = option(
        "both",
        "What the generator is after: features whose mean is that of real cubes (match), cubes taken for real (fool), "
        "or both.",
    )
    agreement: float = option(
        0.0,
        "Weight of the disagreement with the averaged discriminator on pool pixels seen otherwise disturbed.",
        low=0,
    )
    told: float = option(
        1.0,
        "Weight of the generator's cross-entropy between the class it was told and the class it is taken for; only "
        "where it is told classes.",
        low=0,
    )
    augment: float = option(
        0.0,
        "Weight of L1 on generated cubes with the class the generator was told; only where it is told classes.",
        low=0,
    )

    @property
    def supervised(self) -> bool:
        """Whether nothing but the labels counts for the discriminator."""
        return not (self.unlabelled or self.generated or self.agreement or self.augment)

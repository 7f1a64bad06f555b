"""What cannot be guided is refused before anything is sampled."""

from __future__ import annotations

from hyperseg.core import SettingError
from hyperseg.dpm.samplers.sampler import Sampler


def check_guided(sampler: Sampler, every: int = 1) -> None:
    """Raise SettingError where a sampler would mix guided predictions with others.

    With `every` 1 any sampler may be guided: what it keeps of earlier steps are guided predictions then. With more, one
    that asks more than once a step, or goes on from what was said in earlier steps, would take both into one step.

    A sampler that is fitted is fitted with the denoiser as it is, and samples with the guided one: its variances are
    those of the network.
    """
    if every == 1:
        return
    if sampler.calls > 1 or sampler.saved < 0 or sampler.memory:
        why = "keeps predictions of earlier steps" if sampler.memory else f"asks {sampler.calls} times a step"
        raise SettingError(
            f"{sampler.name} {why}, and guidance of one call in {every} would mix guided predictions with others in "
            "one step: guide each call (every 1), or take a sampler with one call a step and no memory, as ddim."
        )

"""How surprising each of many spectra is to a model, and which of its bands: for maps of ten thousands of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from hyperseg.core import SettingError
from hyperseg.dpm.denoise import Denoise
from hyperseg.dpm.grid import make_grid
from hyperseg.dpm.likelihood.bound import Bound, continuous_bound
from hyperseg.dpm.schedules.schedule import Schedule


def surprise(
    denoise: Denoise, x: Tensor, schedule: Schedule, *, seed: int = 0, levels: int = 6, pairs: int = 1,
    first: float = 10.0, last: float = 0.01, batch: int = 128, told: Callable[[int], None] | None = None,
) -> Bound:  # fmt: skip
    """`continuous_bound` of every sample, with the same noise for all, in opposite pairs.

    It costs 2 pairs (levels + 1) network calls. What noise does to one sample it does to all, so that their order is
    far more certain than the values. A sample's number depends on the seed, and not on the others or on the size of a
    batch.

    Rank correlation with the exact density of simulated spectra of 200 bands, with a perfect denoiser: 0.9999 for
    normal ones and 0.9998 for six classes (0.99 within a class) after 14 calls; noise of their own leaves 0.2 to 0.3,
    and the probability-flow equation, 13 calls at twice the cost, tells 0.996 and 0.998 (0.93). With a network of
    217 000 weights trained for 1000 steps on the normal ones 14 calls agree to 0.99 with 150; the flow of 17 calls
    with the exact density to 0.79 (8 probes 0.91), these to 0.91.

    Args:
        denoise: without gradients; it is told no classes, or the same for any batch.
        x: (n, C, *S) float, of values around -1 to 1.
        schedule: of the network.
        levels: where the error of the denoiser is looked at.
        pairs: of noise at each level; more of them tell finer differences.
        first, last: ends of the noise levels. The first need only be large against the data; the last is what counts as
            noise in them: finer differences say nothing.
        batch: samples at a time.
        told: called with the samples done, for a progress bar.

    Returns:
        nats (n,), a bound of -log p; `each` (n, C, *S) tells the bands' shares; `nfe` is for each sample; no error.

    Raises:
        SettingError: no samples, levels or pairs, or an empty batch.
    """
    if min(len(x), levels, pairs, batch) < 1:
        raise SettingError(
            f"samples, levels, pairs and batch are at least 1, got {len(x)}, {levels}, {pairs} and {batch}."
        )
    grid = make_grid(schedule, levels, "lu", first=first, last=last, zero=False)
    nats, each, nfe = [], [], 0
    for some in x.split(batch):
        generator = torch.Generator(x.device).manual_seed(seed)
        found = continuous_bound(
            denoise, some.double(), grid, generator=generator, repeats=2 * pairs, antithetic=True, shared=True
        )
        nats.append(found.nats)
        each.append(found.each.float())
        nfe = found.nfe
        if told is not None:
            told(len(some))
    total = torch.cat(nats)
    return Bound(total, nfe, total * torch.nan, torch.cat(each))

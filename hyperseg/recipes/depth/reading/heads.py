"""Depth read out of a trained run: of any pictures, and how right it is on held-out ones, time by time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hyperseg.data.inverse_depth import InverseDepth
from hyperseg.dpm.tapped.learning import read_heads
from hyperseg.metrics.depth import abs_rel, delta1

if TYPE_CHECKING:
    from hyperseg.dpm.model import DiffusionModel
    from hyperseg.dpm.tapped.head import PixelHead

Maps = NDArray[np.float32]
TIMES = (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shares of the schedule at which heads are tried."""
READ_AT, DRAWS = (0.1, 0.2, 0.3, 0.4), 4
"""Times whose answers are averaged for a picture, and draws of noise at each of them.

With hardly any noise a denoiser looks at details alone: it knows more of the whole where it has more to restore.
"""
TOLD_AT = 0.2
READABLE_BELOW = 0.9
"""Depth is called readable where the error is below this share of that of the median depth map."""


class Read(NamedTuple):
    """(n, h, w) inverse depth in [0, 1]: the mean of several answers, and their standard deviation."""

    y: Maps
    spread: Maps


def depth_of(
    model: DiffusionModel,
    head: PixelHead,
    images: torch.Tensor,
    *,
    times: Sequence[float] = READ_AT,
    draws: int = DRAWS,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Read:
    """Depth of clean pictures: noise is added at several times, and what the head says each time is averaged.

    The spread says how much the answers differ; it is no error, which also holds what all answers have in common.

    Args:
        images: (n, 3, h, w) float32 from -1 to 1.
        times: shares of the schedule.
        draws: of noise, at each of the times.
        seed: of the noise.

    Raises:
        SettingError: pictures that the network cannot take, or a time that its schedule does not have.
    """
    generator, said = torch.Generator(images.device).manual_seed(seed), []
    for time in times:
        for _ in range(draws):
            found = read_heads(model, head, images, time=time, generator=generator)[:, 0]
            said.append(found.clamp(0, 1).cpu().numpy())
            progress(len(said), draws * len(times))
    every = np.stack(said)
    return Read(every.mean(0), every.std(0))


class Tried(NamedTuple):
    """What heads are worth on held-out pictures.

    Attributes:
        rows: for each of `TIMES` {"t", "gap", "strong": {"l1", "delta1", "abs_rel"}, "weak": {...}}.
        constant: the same numbers of the median depth map of the labelled pictures, the best guess that does not look.
        readable: the latest time at which the strong head's error is below `READABLE_BELOW` of that, or None.
    """

    rows: list[dict[str, Any]]
    constant: dict[str, float | None]
    readable: float | None


def try_heads(
    model: DiffusionModel, heads: tuple[PixelHead, PixelHead], images: torch.Tensor, y: Maps, median: Maps,
    scale: InverseDepth | None, *, seed: int = 0, progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Tried, Maps]:  # fmt: skip
    """How right both heads are about held-out pictures at each of `TIMES`, from one draw of noise.

    Args:
        heads: strong and weak.
        images: (n, 3, h, w) float32 from -1 to 1.
        y: (n, h, w) their inverse depth, NaN where it is not known.
        median: (h, w) median inverse depth of the labelled pictures, NaN where none of them knows it.
        scale: of inverse depth; None where depth in metres is not known: then delta1 and AbsRel are None.

    Returns:
        The numbers, and (len(TIMES), n, h, w) what the strong head says.
    """
    rows, said = list[dict[str, Any]](), []
    for i, time in enumerate(TIMES):
        found = []
        for head in heads:
            generator = torch.Generator(images.device).manual_seed(seed + i)  # the same noise for both
            found.append(read_heads(model, head, images, time=time, generator=generator)[:, 0].cpu().numpy())
        strong, weak = found
        row = {name: errors_of(one, y, scale) for name, one in (("strong", strong), ("weak", weak))}
        rows.append({"t": time, **row, "gap": float(np.abs(strong - weak).mean())})
        said.append(strong.clip(0, 1))
        progress(i + 1, len(TIMES))
    constant = errors_of(
        np.broadcast_to(np.where(np.isfinite(median), median, np.nanmedian(median)), y.shape), y, scale
    )
    return Tried(rows, constant, readable_until(rows, READABLE_BELOW * (constant["l1"] or 0))), np.stack(said)


def readable_until(rows: Sequence[dict[str, Any]], below: float) -> float | None:
    """The latest time at which the strong head's error lies below a bound."""
    return max((float(row["t"]) for row in rows if row["strong"]["l1"] < below), default=None)


def errors_of(said: NDArray[Any], y: Maps, scale: InverseDepth | None) -> dict[str, float | None]:
    """Mean absolute error of inverse depth over known pixels, and delta1 and AbsRel of depth where there is a scale."""
    l1 = float(np.nanmean(np.abs(said - y)))
    if scale is None:
        return {"l1": l1, "delta1": None, "abs_rel": None}
    z, true = scale.back(said), scale.back(y)
    return {"l1": l1, "delta1": float(delta1(z, true)), "abs_rel": float(abs_rel(z, true))}


def told(tried: Tried) -> str:
    """One line: how right the heads are where there is some noise, beside the median depth map, and up to when."""
    first, last = tried.rows[TIMES.index(TOLD_AT)], tried.rows[-1]
    strong, weak, constant = first["strong"], first["weak"], tried.constant

    def words(of: dict[str, float | None]) -> str:
        more = "" if of["delta1"] is None else f", delta1 {of['delta1']:.3f}, AbsRel {of['abs_rel']:.3f}"
        return f"L1 {of['l1']:.4f}{more}"

    until = "at no time" if tried.readable is None else f"up to t = {tried.readable:g}"
    until = f"readable {until}, which means by an L1 a tenth below that of the median map"
    caution = ""
    if strong["l1"] >= constant["l1"]:
        caution = ". The strong head is no better than the median map: train longer, or a network of more stages"
    return (
        f"depth of held-out pictures at t = {first['t']:g}: strong head {words(strong)}; weak head {words(weak)}; "
        f"median depth map {words(constant)}; {until}; at t = {last['t']:g} the "
        f"strong head's L1 is {last['strong']['l1']:.4f}{caution}"
    )

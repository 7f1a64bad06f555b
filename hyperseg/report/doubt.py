"""Pictures of a map whose method answers more than once: how far its answers disagree, and where it may be silent."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.report.sheet import Colour, Key, Picture, chequer, enlarge, sheet, zoom

Mask = NDArray[np.bool_]
LEVELS = 5  # of the legend


def disagreement_figure(disagreement: ArrayLike, unknown: Mask | None, *, valid: Mask | None = None) -> bytes:
    """The (H, W) disagreement, bright where answers differ; beside it, where given, what is better left open, in white.

    The scale ends at `scale_end`, so that differences between sure pixels show.
    """
    from matplotlib import colormaps

    values = np.asarray(disagreement, np.float64)
    shown, most = _shown(values, valid), scale_end(values, valid)
    colour = colormaps["magma"]

    def painted(share: NDArray[np.float64]) -> Picture:
        return np.asarray(colour((share / most).clip(0, 1), bytes=True))[..., :3]

    step, factor = zoom(values.shape)
    thin = (slice(None, None, step),) * 2
    hidden = enlarge(~shown[thin], factor)
    panels = [("disagreement", chequer(enlarge(painted(np.where(shown, values, 0)[thin]), factor), hidden))]
    keys = [Key(_triple(painted(np.array(level))), f"{level:.2g}") for level in np.linspace(0, most, LEVELS)]
    if unknown is not None:
        grey = np.where(unknown[thin], np.uint8(255), np.uint8(60))[..., None].repeat(3, -1)
        panels.append(('"I do not know" (white)', chequer(enlarge(grey, factor), hidden)))
    keys += [] if shown.all() else [Key(None, "no data")]
    return sheet(panels, keys, title="How far the answers disagree")


def scale_end(disagreement: ArrayLike, valid: Mask | None = None) -> float:
    """The value of the brightest colour: the 98th percentile where there is data, rounded up to two digits."""
    values = np.asarray(disagreement, np.float64)
    shown = _shown(values, valid)
    most = float(np.percentile(values[shown], 98)) if shown.any() else 0.0
    digits = max(1 - math.floor(math.log10(most)), 0) if most > 0 else 1
    return max(math.ceil(most * 10**digits) / 10**digits, 10.0**-digits)


def _shown(values: NDArray[np.float64], valid: Mask | None) -> Mask:
    return np.isfinite(values) if valid is None else np.isfinite(values) & valid


def _triple(colour: Picture) -> Colour:
    return int(colour[0]), int(colour[1]), int(colour[2])

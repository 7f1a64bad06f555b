"""Whether another scene looks like what a model was trained on, before anyone trusts its map.

The scene-wide case of the area of applicability (`hyperseg.data.applicability`): the share of a sample of the scene
that lies outside it, compared with that share of the model's own scene.

Measured on Indian Pines (parcel split, 666 training pixels, the network of `classify`): the share outside and the OA on
the test pixels as it stands; with a gain of 2, 5 and 30 %; an offset of 30 and 300 (values lie near 2500); bands moved
by 2 and 5 nm; 2 % noise:

    share outside, %    30   100   100   100   100   100   100   100    98
    OA, %               57    35    18     1    27     1    44    12    42

When only the western half is trained on, 54 to 71 % of the eastern half lie outside and 28 to 43 % of the western one
(five splits): a note. A quarter of the training scene is at most 8 points from the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hyperseg.core import Scene, SceneError
from hyperseg.data.applicability import OUTSIDE, REACH_PX, Applicability
from hyperseg.data.bands.resampled_cube import ResampledCube
from hyperseg.io.look.sample import row_spans
from hyperseg.io.look.valid import valid_at

Level = Literal["none", "note", "warning"]

NOTE, WARNING = 0.3, 0.7  # share beyond that of the model's own scene
SAMPLED_PIXELS = 4000  # squares of 3 x 3, so that three times as many are read
TOLD_RATIO = 1.5


@dataclass(frozen=True)
class DriftReport:
    """How far a scene is from what a model saw.

    Attributes:
        pixels: how many were looked at.
        share: of them outside the area of applicability, from 0 to 1.
        own_share: the same share in the model's own scene.
        bands: those that deviate most, worst first: (band, median minus training mean, in the training spread).
        ratio: median over the bands in use of this scene's median value divided by the training mean.
        level: "warning" where the map is probably wrong, "note" where it may be.
    """

    pixels: int
    share: float
    own_share: float
    bands: tuple[tuple[int, float], ...]
    ratio: float
    level: Level

    def sentence(self, wavelengths_nm: ArrayLike | None = None) -> str:
        """What to tell the user, in one line."""
        centres = None if wavelengths_nm is None else np.asarray(wavelengths_nm)
        named = ", ".join(
            f"{'band ' + str(b) if centres is None else f'{centres[b]:.0f} nm'} ({z:+.1f})" for b, z in self.bands
        )
        text = (
            f"{100 * self.share:.0f} % of the sampled pixels lie outside what the model saw "
            f"({100 * self.own_share:.0f} % in its own scene)"
        )
        if self.level == "none":
            return text
        text += f"; most deviating bands, in training spreads: {named}"
        if not 1 / TOLD_RATIO < self.ratio < TOLD_RATIO:
            text += f"; values are about {self.ratio:.3g} times those trained on: check units and calibration"
        trust = "do not trust its map without checking it" if self.level == "warning" else "check its map"
        return f"{text}: {trust}"


def measure_drift(known: Applicability, scene: Scene) -> DriftReport:
    """Compare about 4 000 pixels from all over a scene that has the model's bands with what the model saw.

    Raises:
        SceneError: no sampled pixel holds data.
    """
    spectra, index = sample(known, scene)
    share, own, used = float((index > OUTSIDE).mean()), known.own_share.item(), known.preprocess
    median = np.nanmedian(spectra[:, used.keep].astype(np.float64), axis=0)
    mean, spread = used.mean.astype(np.float64), used.std.astype(np.float64)
    shift = np.nan_to_num((median - mean) / spread)
    worst, bands = np.argsort(-np.abs(shift), kind="stable")[:3], np.flatnonzero(used.keep)
    ratio = np.nanmedian(median / np.where(mean == 0, np.nan, mean)) if mean.any() else np.nan
    return DriftReport(
        len(spectra), share, own, tuple((int(bands[i]), float(shift[i])) for i in worst),
        1.0 if np.isnan(ratio) else float(ratio), judge(share, own),
    )  # fmt: skip


def sample(
    known: Applicability, scene: Scene, *, max_pixels: int = SAMPLED_PIXELS
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """(n, C) spectra and (n,) dissimilarity over its threshold of pixels that hold data.

    They come from stretches of evenly spaced rows; each is read with the rows beside it.

    Raises:
        SceneError: no sampled pixel holds data.
    """
    stored = scene.cube
    while isinstance(stored, ResampledCube):  # how the file is laid out decides where reading is cheap
        stored = stored.cube
    spectra, index = [], []
    for row, span in row_spans(stored, max_pixels):
        first = max(row - REACH_PX, 0)
        at = slice(first, min(row + REACH_PX + 1, scene.shape[0])), span
        block = np.asarray(scene.cube[at])
        valid = valid_at(scene, at, block)
        inside = valid[row - first]
        spectra.append(block[row - first][inside])
        index.append(known.over_threshold(block, valid)[row - first][inside])
    found = np.concatenate(spectra)
    if not len(found):
        raise SceneError(f"{scene.name}: none of the sampled pixels holds data. Check the file and its no-data value.")
    return found, np.concatenate(index)


def judge(share: float, own_share: float) -> Level:
    """What a share of pixels outside means, given the share of the model's own scene that lies outside.

    A warning is due 70 % of the way from the share of the own scene to 1, a note 30 % of that way.
    """
    room = 1 - own_share
    if share > own_share + WARNING * room:
        return "warning"
    return "note" if share > own_share + NOTE * room else "none"

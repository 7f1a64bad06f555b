"""What anomaly.json says of a map: how usual its pixels are, the strangest of them, and what the model is worth."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.metrics.detection import auroc, detection_rate
from hyperseg.recipes.spectra.record import SpectraRun
from hyperseg.recipes.spectra.scoring import Float32, Seen, Strange
from hyperseg.recipes.spectra.typical import surprise_of_bands

FALSE_ALARMS = 1e-3  # of the ordinary pixels, at the threshold at which strange ones are counted as found
MARGIN = 0.005  # of AUROC, below which model and control say the same
MOST_BANDS = 5  # named for each of the strangest pixels
APART_BANDS, APART_NM = 5, 30.0  # between two of them: neighbours show one feature twice
WORDS = {
    "bits_per_band": "score of the pixels, higher: less expected; only differences matter, negative values are usual",
    "usual_up_to": "99 % of the learned pixels score below it",
    "beyond_usual": "share of this scene's pixels above it",
    "share_of_score": "of the score's variance over the pixels, by part: the Gaussian (Reed-Xiaoli) and what the "
    "network adds; they sum to 1, and one is negative where it works against the other",
    "row, column, band": "counted from 0",
    "times_usual": "difference from what the model expects there, in differences that are usual",
    "auroc": "share of pairs of a strange and an ordinary pixel in the right order: 1 all, 0.5 chance",
    "auroc_rx, found_rx": "the same of Reed-Xiaoli's distance",
    "found": "share of the strange pixels above all but `false_alarms` of the ordinary ones",
}


def summary(run: SpectraRun, scene: Scene, seen: Seen) -> dict[str, Any]:
    """What anomaly.json says."""
    bits = seen.thin[..., 0]
    known = bits[np.isfinite(bits)]
    usual = usual_up_to(run)
    out: dict[str, Any] = {
        "scene": scene.name, "learned_from": run.learned, "of": run.scene_name, "pixels": seen.pixels,
        "bits_per_band": dict(zip(("median", "p99", "most"), np.percentile(known, (50, 99, 100)).tolist(), strict=True))
        if known.size else None,
        "usual_up_to": usual,
        "beyond_usual": float((known > usual).mean()) if known.size else None,
        "share_of_score": shares(run, seen.thin),
        "strangest": [_told(run, scene, pixel) for pixel in seen.top],
    }  # fmt: skip
    if seen.truth:
        scores, distance, strange = (np.concatenate(part) for part in zip(*seen.truth, strict=True))
        model, control = auroc(scores, strange == 1), auroc(distance, strange == 1)
        out["truth"] = {
            "strange": int((strange == 1).sum()), "ordinary": int((strange == 0).sum()),
            "auroc": model, "auroc_rx": control, "verdict": verdict(model, control),
            "found": detection_rate(scores, strange == 1, false_alarms=FALSE_ALARMS),
            "found_rx": detection_rate(distance, strange == 1, false_alarms=FALSE_ALARMS), "false_alarms": FALSE_ALARMS,
        }  # fmt: skip
    return out | {"words": WORDS}


def usual_up_to(run: SpectraRun) -> float:
    """Bits per band that one in a hundred learned pixels exceeds."""
    return float(run.typical.bits[99])


def verdict(model: float, control: float) -> str:
    """Whether a model's AUROC says more than its control's; two that differ by less than MARGIN say the same."""
    if not np.isfinite([model, control]).all():
        return "cannot be compared with"
    if abs(model - control) < MARGIN:
        return "no more than"
    return "more than" if model > control else "less than"


def shares(run: SpectraRun, thin: Float32) -> dict[str, float] | None:
    """Of the score's variance over pixels, what the Gaussian and what the network contributes; None where it is 0.

    Of a sum s = a + b the share of a is cov(a, s) / var(s): the two shares sum to 1.

    Args:
        thin: (h, w, 2) bits and distance.
    """
    known = thin[np.isfinite(thin).all(-1)].astype(np.float64)
    if len(known) < 2 or not known[:, 0].var() > 0:
        return None
    score = known[:, 0] - known[:, 0].mean()
    gaussian = run.model.whitening.bits(known[:, 1] / 2)
    share = float(((gaussian - gaussian.mean()) * score).mean() / np.square(score).mean())
    return {"gaussian": share, "network": 1 - share}


def separate_peaks(
    surprise: NDArray[np.floating[Any]], nm: NDArray[np.float64] | None = None, *, most: int = MOST_BANDS
) -> list[int]:
    """Bands of the largest |surprise|, largest first, no two close in the file or in wavelength; NaN is never one.

    Close are 5 bands (fewer in scenes of less than 50) and 30 nm: where two spectrometers overlap, bands that lie far
    apart in the file measure the same light.
    """
    size = np.abs(surprise)
    apart = min(APART_BANDS, len(size) // 10)
    found: list[int] = []
    for band in np.argsort(-np.nan_to_num(size), kind="stable").tolist():
        close = any(
            abs(band - other) <= apart or (nm is not None and abs(nm[band] - nm[other]) <= APART_NM) for other in found
        )
        if np.isfinite(size[band]) and not close:
            found.append(band)
        if len(found) == most:
            break
    return found


def _told(run: SpectraRun, scene: Scene, pixel: Strange) -> dict[str, Any]:
    surprise = surprise_of_bands(run.model, run.typical, pixel.spectrum[None])[0]
    nm = scene.wavelengths_nm
    bands = [
        {"band": b, "times_usual": float(surprise[b])} | ({} if nm is None else {"nm": float(nm[b])})
        for b in separate_peaks(surprise, nm)
    ]
    return {"row": pixel.row, "column": pixel.column, "bits_per_band": pixel.bits, "bands": bands}

"""The bands of another scene, resampled to those a model reads: the same band centres and reflectance scale."""

from __future__ import annotations

import logging

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene, SceneError
from hyperseg.data.bands.resampled_cube import BandMatch, ResampledCube

log = logging.getLogger(__name__)

SAME_NM = 0.5  # band centres closer than this, or than SAME_SHARE of the spacing, are the same
SAME_SHARE = 0.1
# a good band within this share of the model's spacing covers a band, whatever lies on its other side
NEAR_SHARE = 0.5
WIDEST_GAP = 3.0  # between the two neighbours, in spacings of the model's bands
FINEST_NM = 5.0  # a spacing below this counts as this: surfaces have no narrower features that a map rests on
LISTED = 6

Bands = NDArray[np.float64]
Flags = NDArray[np.bool_]


def match_bands(
    scene: Scene, *, wavelengths_nm: Bands | None, keep: Flags, scale: float | None = None, model: str = "the model"
) -> Scene:
    """`scene` with the bands that a model reads, in the model's order and on its reflectance scale.

    Nothing is done where the bands are the same already. Otherwise each band is interpolated linearly between the two
    nearest good bands of the scene, which is logged. Bands that the model does not read are filled with the nearest
    good band and marked bad. Without wavelengths on either side only the number of bands is compared; it is logged too.

    Args:
        scene: to be mapped; read window by window later on.
        wavelengths_nm: (C,) band centres of the scene the model was trained on, or None.
        keep: (C,) bool, the bands the model reads.
        scale: that scene's `Scene.scale`. Where both are known and differ, values are multiplied.
        model: what to call the model in messages.

    Raises:
        SceneError: another number of bands, without wavelengths to match them by; or bands that the model reads
            and this scene does not cover.

    Differs: the widths of bands are not known here. Where the scene's bands are much finer than the model's,
    averaging them over the model's response (a Gaussian of its FWHM) would keep more of the signal.
    """
    factor = 1.0 if scale is None or scene.scale is None else scale / scene.scale
    factor = 1.0 if np.isclose(factor, 1.0, rtol=1e-6) else factor
    if wavelengths_nm is None or scene.wavelengths_nm is None:
        if scene.n_bands != len(keep):
            raise SceneError(
                f"{scene.name} has {scene.n_bands} bands, {model} was trained on {len(keep)} bands. Without "
                "wavelengths on both sides a model can only map scenes with the same bands in the same order."
            )
        log.info(
            "%s: %s names no wavelengths; that its %d bands are those of %s cannot be checked",
            scene.name, "it" if scene.wavelengths_nm is None else "the model's scene", scene.n_bands, model,
        )  # fmt: skip
        return _rescaled(scene, factor, scale)
    good = np.ones(scene.n_bands, bool) if scene.good_bands is None else np.asarray(scene.good_bands, bool)
    wanted, given = np.asarray(wavelengths_nm, np.float64), np.asarray(scene.wavelengths_nm, np.float64)
    if same_bands(wanted, given, keep=keep, good=good):
        return _rescaled(scene, factor, scale)
    match = plan_bands(wanted, given, keep=keep, good=good, name=scene.name, model=model)
    log.info(
        "%s: resampled to the %d bands that %s reads; the largest shift is %.1f nm, %d of %d bands are not used",
        scene.name, np.count_nonzero(keep), model, match.largest_shift_nm, match.unused, scene.n_bands,
    )  # fmt: skip
    cube = ResampledCube(scene.cube, match, nodata=scene.nodata)
    resampled = scene.with_(cube=cube, wavelengths_nm=wanted, good_bands=keep.copy(), rgb_bands=None)
    return _rescaled(resampled, factor, scale)


def same_bands(wanted: Bands, given: Bands, *, keep: Flags, good: Flags) -> bool:
    """Whether a scene's bands are a model's, index by index, and good where the model reads them."""
    if len(wanted) != len(given) or not good[keep].all():
        return False
    allowed = np.maximum(SAME_NM, SAME_SHARE * local_spacing(wanted))
    return bool((np.abs(wanted - given) <= allowed)[keep].all())


def plan_bands(
    wanted: Bands, given: Bands, *, keep: Flags, good: Flags, name: str = "the scene", model: str = "the model"
) -> BandMatch:
    """Interpolation weights from the good bands of a scene to those a model reads.

    Args:
        wanted, keep: (C,) band centres of the model in nm, in any order, and whether it reads them.
        given, good: (C2,) band centres of the scene in nm, in any order, and whether to use them.
        name, model: in messages.

    Raises:
        SceneError: bands in use lie outside the scene's good bands, or in a gap between them.
    """
    usable = np.flatnonzero(good & np.isfinite(given))
    if not usable.size:
        raise SceneError(f"{name}: none of its {len(given)} bands is good: nothing to resample from.")
    order = usable[np.argsort(given[usable], kind="stable")]
    centres = given[order]
    above = np.clip(np.searchsorted(centres, wanted), 0, len(order) - 1)
    below = np.where(centres[above] > wanted, np.maximum(above - 1, 0), above)
    gap = centres[above] - centres[below]
    nearest = np.where(np.abs(centres[above] - wanted) <= np.abs(wanted - centres[below]), above, below)
    shift = np.abs(centres[nearest] - wanted)
    spacing = np.maximum(local_spacing(wanted), FINEST_NM)
    inside = (wanted >= centres[0]) & (wanted <= centres[-1])
    covered = (shift <= NEAR_SHARE * spacing) | (inside & (gap <= WIDEST_GAP * spacing))
    lacking = keep & ~covered
    if n := np.count_nonzero(lacking):
        raise SceneError(
            f"{name}: {n} of the {np.count_nonzero(keep)} bands that {model} reads {'is' if n == 1 else 'are'} not "
            f"covered by good bands of this scene: {_spans(wanted[lacking], spacing[lacking])} nm (its good bands "
            f"lie between {centres[0]:.0f} and {centres[-1]:.0f} nm). Train on bands that both scenes have: mark "
            "the others bad in the header (bbl) of the training scene."
        )
    between = keep & inside & (gap > 0)
    weight = np.where(between, (wanted - centres[below]) / np.where(gap > 0, gap, 1.0), 0.0)
    left = order[np.where(between, below, nearest)]
    right = np.where(between & (weight > 0), order[above], left)
    used = np.union1d(left[keep], right[keep])
    return BandMatch(
        left.astype(np.intp), right.astype(np.intp), weight.astype(np.float32),
        float(shift[keep].max(initial=0.0)), len(given) - len(used),
    )  # fmt: skip


def local_spacing(wavelengths_nm: Bands) -> Bands:
    """(C,) distance of each band to the nearer of its two neighbours, in nm.

    Neighbours are those in the file, not those in wavelength: where two spectrometers of an instrument overlap, a
    band of one may nearly coincide with a band of the other.
    """
    if len(wavelengths_nm) < 2:
        return np.full(len(wavelengths_nm), np.inf)
    steps = np.abs(np.diff(wavelengths_nm))
    steps = np.where(steps > 0, steps, np.inf)
    found = np.minimum(np.append(steps, np.inf), np.insert(steps, 0, np.inf))
    finite = found[np.isfinite(found)]
    return np.where(np.isfinite(found), found, np.median(finite) if finite.size else FINEST_NM)


def _rescaled(scene: Scene, factor: float, scale: float | None) -> Scene:
    if factor == 1.0:
        return scene
    log.info(
        "%s: values multiplied by %.4g: reflectance 1 is %g here and %g in the model's scene",
        scene.name, factor, scene.scale, scale,
    )  # fmt: skip
    inner = scene.cube
    if isinstance(inner, ResampledCube):
        cube = ResampledCube(inner.cube, inner.match, factor * inner.factor, scene.nodata)
    else:
        bands = np.arange(scene.n_bands)
        match = BandMatch(bands, bands, np.zeros(len(bands), np.float32), 0.0, 0)
        cube = ResampledCube(inner, match, factor, scene.nodata)
    return scene.with_(cube=cube, scale=scale)


def _spans(centres: Bands, spacing: Bands) -> str:
    """Band centres as "1412-1452, 2450": runs of neighbours, a few of them."""
    order = np.argsort(centres)
    centres, spacing = centres[order], spacing[order]
    runs = np.split(centres, np.flatnonzero(np.diff(centres) > 1.5 * spacing[:-1]) + 1)
    words = [f"{run[0]:.0f}" if len(run) == 1 else f"{run[0]:.0f}-{run[-1]:.0f}" for run in runs]
    return ", ".join(words[:LISTED]) + (f" and {len(words) - LISTED} more spans" if len(words) > LISTED else "")

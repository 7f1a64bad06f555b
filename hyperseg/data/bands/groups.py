"""How the bands of a spectrum are cut into contiguous groups that a network reads one by one."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import SettingError

Cut = Literal["auto", "equal", "gaps", "correlation"]
Places = list[int]

# A step between band centres that is wider than this many usual ones is a gap. Half-way between whole steps, so
# that rounding of the centres decides nothing: two bands missing are no gap, three are.
GAP_STEPS = 3.5


def cut_bands(
    n_bands: int,
    *,
    how: Cut = "auto",
    length: int = 20,
    wavelengths_nm: NDArray[Any] | None = None,
    spectra: NDArray[Any] | None = None,
) -> tuple[tuple[int, int], ...]:
    """Cut bands into contiguous groups: every band is in one group, their order stays.

    Args:
        n_bands: N, of the bands that preprocessing keeps; so are the wavelengths and spectra.
        how: "equal": groups of `length`, the last one shorter where N is no multiple. "gaps": first a cut wherever
            neighbouring bands lie far apart (water vapour bands were dropped there), then each piece in parts of
            equal size, give or take a band. "correlation": cuts where neighbouring bands correlate least, groups
            of at least half of `length`. "auto": "gaps" with wavelengths, "equal" without.
        length: the most bands in a group.
        wavelengths_nm: (N,) band centres, in any order and unit.
        spectra: (n, N) training spectra; those with a value that is not finite are left out.

    Returns:
        Half-open (start, stop) per group. One group where N < length, if there is no gap.

    Raises:
        SettingError: nothing to cut, a `length` below 1, or missing or unusable wavelengths or spectra.

    Source: Alam et al., "Conditional Random Field and Deep Feature Learning for Hyperspectral Image Classification",
        TGRS 2019: the spectrum in groups of bands. The rules and the length of 20 are a reconstruction.
    """
    if n_bands < 1 or length < 1:
        raise SettingError(f"band groups need at least 1 band and length 1, got {n_bands} bands, {length=}.")
    match how:
        case "equal":
            stops = [*range(length, n_bands, length), n_bands]
        case "gaps":
            stops = _between_gaps(_checked(wavelengths_nm, n_bands), length)
        case "auto":
            known = wavelengths_nm is not None
            return cut_bands(n_bands, how="gaps" if known else "equal", length=length, wavelengths_nm=wavelengths_nm)
        case "correlation":
            stops = _least_correlated(neighbour_correlation(_usable(spectra, n_bands)), length)
        case _:
            raise SettingError(f"unknown cut {how!r}: choose auto, equal, gaps or correlation.")
    return tuple((int(start), int(stop)) for start, stop in pairwise([0, *stops]))


def neighbour_correlation(spectra: NDArray[Any]) -> NDArray[np.float64]:
    """(N - 1,) absolute correlation of each band of (n, N) spectra with the next, NaN where one is constant."""
    centred = np.asarray(spectra, np.float64) - np.mean(spectra, axis=0, dtype=np.float64)
    # columns of length 1 before the product: bands of 1e-4 reflectance and of 1e4 counts alike keep their digits
    size = np.linalg.norm(centred, axis=0)
    level = np.abs(spectra).max(0, initial=0).astype(np.float64) * np.sqrt(len(centred))
    unit = np.divide(centred, size, out=np.full_like(centred, np.nan), where=size > 1e-6 * level)
    return np.abs((unit[:, :-1] * unit[:, 1:]).sum(0))


def _between_gaps(wavelengths_nm: NDArray[np.float64], length: int) -> Places:
    """Stops of the groups, cut at gaps and, between them, into parts whose sizes differ by 1 at most."""
    # Detectors overlap: a step back to where the last one ended, or none, is a step like others
    steps = np.abs(np.diff(wavelengths_nm))
    usual = np.median(steps[steps > 0]) if (steps > 0).any() else np.inf
    gaps = (np.flatnonzero(steps > GAP_STEPS * usual) + 1).tolist()
    stops: Places = []
    for start, stop in pairwise([0, *gaps, len(wavelengths_nm)]):
        parts = -(-(stop - start) // length)
        stops += [start + (stop - start) * part // parts for part in range(1, parts + 1)]
    return stops


def _least_correlated(correlation: NDArray[np.float64], length: int) -> Places:
    """Stops of the groups of ceil(length / 2) to `length` bands with the least correlation across their borders.

    A cut costs the correlation across it minus the median of all correlations: it pays where neighbours have less
    in common than is usual, so the number of groups follows from the spectra. (The correlations alone, all near 1,
    would lead to the fewest cuts, and 1 - correlation to the most.) Dynamic programming finds the least sum over all
    ways to cut; cutting at the lowest places one after the other can leave pieces that no groups of these lengths
    fill. Of equal sums the one with the fewest groups is taken, then the one with the most equal groups.
    """
    n, least = len(correlation) + 1, -(-length // 2)
    if n < least:
        return [n]
    known = correlation[np.isfinite(correlation)]
    usual = np.median(known) if len(known) else 0.0
    # a constant band says nothing about its neighbours; whole millionths make equal sums equal
    costs = np.rint(1e6 * np.nan_to_num(correlation - usual, nan=0.0)).astype(int).tolist()
    best: list[tuple[tuple[int, int, int], Places] | None] = [((0, 0, 0), []), *[None] * n]
    for stop in range(least, n + 1):
        ways = []
        for start in range(max(stop - length, 0), stop - least + 1):
            if (before := best[start]) is not None:
                cost, groups, squares = before[0]
                border = costs[stop - 1] if stop < n else 0
                ways.append(((cost + border, groups + 1, squares + (stop - start) ** 2), [*before[1], stop]))
        best[stop] = min(ways, default=None)
    found = best[n]
    assert found is not None  # groups of these lengths fill every n from `least` on
    return found[1]


def _checked(wavelengths_nm: NDArray[Any] | None, n_bands: int) -> NDArray[np.float64]:
    """The band centres, if there is a finite one for each band."""
    if wavelengths_nm is None:
        raise SettingError('cutting bands at "gaps" needs the wavelengths of the bands: give them or cut "equal".')
    centres = np.asarray(wavelengths_nm, np.float64)
    if centres.shape != (n_bands,) or not np.isfinite(centres).all():
        raise SettingError(
            f'cutting {n_bands} bands at "gaps" needs as many finite wavelengths, got {centres.shape} with '
            f'{np.count_nonzero(~np.isfinite(centres))} not finite: give those of the bands in use or cut "equal".'
        )
    return centres


def _usable(spectra: NDArray[Any] | None, n_bands: int) -> NDArray[Any]:
    """The spectra whose values are all finite, if they are two or more of `n_bands` bands."""
    if spectra is None:
        raise SettingError('cutting bands by "correlation" needs training spectra: give them or cut "equal".')
    values = np.asarray(spectra)
    if values.ndim != 2 or values.shape[1] != n_bands:
        raise SettingError(f"spectra must have shape (n, {n_bands}), one column per band, got {values.shape}.")
    values = values[np.isfinite(values).all(1)]
    if len(values) < 2:
        raise SettingError(
            f'cutting bands by "correlation" needs at least 2 spectra without broken values, got {len(values)}.'
        )
    return values

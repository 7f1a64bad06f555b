"""Wavelengths as files give them: numbers, a unit or none, and whether the two can be true together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import SettingError

LEAST_NM, MOST_NM = 200.0, 20_000.0  # ultraviolet to thermal infrared: no imaging spectrometer sees beyond
# how a unit's name begins, in small letters without blanks, and nanometres in one of it
LENGTHS = {
    "nano": 1.0, "nm": 1.0, "micro": 1e3, "um": 1e3, "milli": 1e6, "mm": 1e6, "angstr": 0.1, "ångstr": 0.1,
    "meter": 1e9, "metre": 1e9,
}  # fmt: skip
WAVENUMBERS = ("wavenumber", "cm-1", "cm^-1", "1/cm")
UNSTATED = ("", "unknown", "none", "na", "n/a")
UNIT_WORD = r"(?:nm|nano\w*|[uµμ]m|micro\w*|angstr\w*|å)"
RANGE = re.compile(rf"(\d+\.?\d*)\s*(?:-|–|to)\s*(\d+\.?\d*)\s*\(?({UNIT_WORD})\b", re.IGNORECASE)
WITH_UNIT = re.compile(rf"(\d+\.?\d*(?:e[+-]?\d+)?)\s*\(?({UNIT_WORD})(?![a-z])", re.IGNORECASE)
BARE = re.compile(r"(?:wl|wavelength|lambda)?[\s_=:]*(\d+\.?\d*)", re.IGNORECASE)
WIDTHS = re.compile(rf"(?:fwhm|width)\W*\d+\.?\d*\s*{UNIT_WORD}?", re.IGNORECASE)


@dataclass(frozen=True)
class Centres:
    """(C,) band centres as the file has them, and their unit as it is spelt there; None where nothing is said."""

    values: NDArray[np.float64]
    unit: str | None = None

    def in_nm(self) -> NDArray[np.float64] | None:
        """Nanometres, or None where the numbers are no wavelengths, or cannot be so in their unit."""
        return self._understood()[0]

    def doubt(self) -> str | None:
        """Why `in_nm` gives None, for messages; None where it does not."""
        return self._understood()[1]

    def confirmed(self, unit: Literal["nm", "um"], file: object) -> NDArray[np.float64]:
        """Nanometres in the unit that the user states.

        Raises:
            SettingError: that makes no wavelengths.
        """
        found = Centres(self.values, unit).in_nm()
        if found is None:
            raise SettingError(
                f"wavelength_unit {unit}: {file} lists {self._span()}, which would lie outside {LEAST_NM:g} to "
                f"{MOST_NM:g} nm. State the other unit, or correct the list in the file."
            )
        return found

    def _span(self) -> str:
        known = self.values[np.isfinite(self.values)]
        return f"{known.min():g} to {known.max():g}" if known.size else "no number"

    def _understood(self) -> tuple[NDArray[np.float64] | None, str | None]:
        values = self.values
        if values.size == 0 or not np.isfinite(values).all() or values.min() <= 0:
            return None, f"wavelengths ({self._span()}) are not all positive numbers"
        unit = "".join((self.unit or "").lower().split()).replace("µ", "u").replace("μ", "u").strip("().")
        if unit in UNSTATED:
            return self._guessed()
        if unit.startswith("index"):
            return None, "wavelengths are numbers of bands"
        if unit.startswith(WAVENUMBERS):
            nanometres = 1e7 / values
        else:
            factor = next((nm for start, nm in LENGTHS.items() if unit.startswith(start)), None)
            factor = {"m": 1e9, "a": 0.1, "å": 0.1}.get(unit, factor)
            if factor is None:
                return None, f"wavelengths are given in {self.unit}, expected nanometres, micrometres or cm-1"
            nanometres = values if factor == 1 else values * factor
        if _plausible(nanometres):
            return nanometres, None
        return None, f"wavelengths of {self._span()} {self.unit} cannot be: the unit or the numbers are wrong"

    def _guessed(self) -> tuple[NDArray[np.float64] | None, str | None]:
        """Without a unit: micrometres or nanometres, whichever can be; counting bands is not listing wavelengths."""
        values = self.values
        if len(values) > 1 and values[0] in (0, 1) and (np.diff(values) == 1).all():
            return None, "wavelengths are numbers of bands"
        fits = [values * factor for factor in (1.0, 1e3) if _plausible(values * factor)]
        if len(fits) == 1:
            return fits[0], None
        return None, f"wavelengths of {self._span()} without a unit are neither nanometres nor micrometres"


def centres_in(names: Sequence[str | None]) -> Centres | None:
    """Band centres among the names of bands ("450.0 nm", "band 1 (0.45 Micrometers)", "450"), or None.

    Every name has to hold one, all in the same unit; of a range ("443 - 453 nm") the middle counts, widths do not.
    """
    texts = [WIDTHS.sub(" ", name or "") for name in names]
    found = [_with_unit(text) for text in texts]
    units = {unit for _, unit in filter(None, found)}
    if texts and all(found) and len(units) == 1:
        return Centres(np.array([pair[0] for pair in found if pair]), units.pop())
    bare = [BARE.fullmatch(text.strip()) for text in texts]
    if texts and all(bare):
        centres = Centres(np.array([float(match[1]) for match in bare if match]))
        return centres if centres.in_nm() is not None else None  # numbers alone count bands as a rule
    return None


def _with_unit(text: str) -> tuple[float, str] | None:
    if both := RANGE.search(text):
        return (float(both[1]) + float(both[2])) / 2, both[3].lower()
    match = WITH_UNIT.search(text)
    return (float(match[1]), match[2].lower()) if match else None


def _plausible(nanometres: NDArray[np.float64]) -> bool:
    return bool(nanometres.min() >= LEAST_NM and nanometres.max() <= MOST_NM)

"""What a user may say about the file of a scene where the file does not say it itself, or says it wrong."""

from __future__ import annotations

from dataclasses import fields
from typing import Literal

from hyperseg.core import SettingError
from hyperseg.core.settings import option, settings

NONE = "none"
Axes = Literal["rows,columns,bands", "bands,rows,columns", "rows,bands,columns"]


@settings
class CubeOptions:
    """How the file of a scene is understood; the command line shows these options wherever scenes are read.

    Raises:
        SettingError: a no-data value that is neither a number nor "none".
    """

    nodata: str | None = option(
        None,
        "Value that stands for no data in the scene; none: every finite value is data.  [default: what the file says, "
        "or what looks like fill]",
        shown="nodata",
    )
    axes: Axes | None = option(
        None, "Order of the axes of the cube in its file.  [default: what the file says, or what fits]", shown="axes"
    )
    wavelength_unit: Literal["nm", "um"] | None = option(
        None, "Unit of the wavelengths in the file.  [default: what the file says]", shown="wavelength-unit"
    )

    def __post_init__(self) -> None:
        if self.nodata is not None:
            self.nodata_value()

    def nodata_value(self) -> float | None:
        """The number that stands for no data, or None where none does; only where `nodata` was given."""
        text = str(self.nodata).strip().lower()
        if text == NONE:
            return None
        try:
            return float(text)
        except ValueError:
            raise SettingError(f"nodata is a number or {NONE}, got {self.nodata!r}.") from None

    def refuse(self, scene: object) -> None:
        """Raise if any option is given although `scene` is a public data set, about which all is known."""
        if named := [f.name for f in fields(self) if getattr(self, f.name) is not None]:
            raise SettingError(f"{', '.join(named)}: about {scene} that is known already. Leave the option out.")


AS_STATED = CubeOptions()

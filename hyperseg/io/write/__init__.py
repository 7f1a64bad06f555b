"""Writing class maps, rasters, pictures, JSON and text; a name never stands for half a file."""

from hyperseg.io.write.files import as_json, replacing, write_json, write_png, write_raster, write_text
from hyperseg.io.write.map import (
    APPLICABLE,
    CALIBRATED,
    CONFIDENCE,
    DISAGREEMENT,
    ENTROPY,
    MEANINGS,
    ClassMap,
    MapWriter,
    read_map,
    share_of_largest,
    write_map,
)

__all__ = [
    "APPLICABLE",
    "CALIBRATED",
    "CONFIDENCE",
    "DISAGREEMENT",
    "ENTROPY",
    "MEANINGS",
    "ClassMap",
    "MapWriter",
    "as_json",
    "read_map",
    "replacing",
    "share_of_largest",
    "write_json",
    "write_map",
    "write_png",
    "write_raster",
    "write_text",
]

"""QGIS styles (.qml): names and colours of classes, of vector layers and of rasters.

The layout assumed is QGIS 3's. A vector style has one `renderer-v2` of type "categorizedSymbol" with `category`
elements (value, symbol, label) and a `symbols` element with a symbol of every name, whose layers carry "color" as an
`Option` or, in older files, as a `prop`: "r,g,b,a" with decimals, perhaps with more behind. A raster style has a
`rasterrenderer` of type "paletted" with `paletteEntry` elements (value, label, color="#rrggbb").
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

log = logging.getLogger(__name__)
Triple = tuple[int, int, int]
HEX = re.compile(r"#([0-9a-fA-F]{6})(?:[0-9a-fA-F]{2})?")
DECIMAL = re.compile(r"\(?\s*(\d{1,3})\s*[,; ]\s*(\d{1,3})\s*[,; ]\s*(\d{1,3})\s*\)?(?:\s*[,;].*)?")


@dataclass(frozen=True)
class Style:
    """What a style says about classes: names and sRGB triples by value as text, as far as there are any."""

    column: str | None = None  # the column a vector style tells classes by
    names: Mapping[str, str] = field(default_factory=dict)
    colours: Mapping[str, Triple] = field(default_factory=dict)

    def by_code(self) -> tuple[dict[int, str], dict[int, Triple]]:
        """Names and colours by whole number; other values are left out."""
        return (
            {int(v): name for v, name in self.names.items() if v.lstrip("-").isdigit()},
            {int(v): rgb for v, rgb in self.colours.items() if v.lstrip("-").isdigit()},
        )


def read_qml(path: Path) -> Style:
    """The style of the file `path`; an empty one where there is no such file or it is no style of classes."""
    if not path.is_file():
        return Style()
    try:
        return parse_qml(path.read_text(encoding="utf-8", errors="replace"))
    except (ElementTree.ParseError, LookupError, ValueError) as error:
        log.warning("%s: is not XML (%s); colours and names of classes are left out", path, error)
        return Style()


def parse_qml(text: str) -> Style:
    """The style that `text` spells; raises `xml.etree.ElementTree.ParseError` where it is no XML."""
    root = ElementTree.fromstring(text.lstrip("\ufeff \r\n\t"))
    for renderer in root.iter("renderer-v2"):
        if renderer.get("type") == "categorizedSymbol":
            return _categorised(renderer)
    for renderer in root.iter("rasterrenderer"):
        if renderer.get("type") == "paletted":
            return _paletted(renderer)
    return Style()


def parse_colour(text: object) -> Triple | None:
    """ "#rrggbb" or "r,g,b" (0..255, alpha and more behind are ignored) as a triple; None for anything else."""
    word = str(text).strip()
    if match := HEX.fullmatch(word):
        r, g, b = bytes.fromhex(match[1])
        return r, g, b
    if match := DECIMAL.fullmatch(word):
        r, g, b = (int(v) for v in match.groups())
        return (r, g, b) if max(r, g, b) <= 255 else None
    return None


def _categorised(renderer: ElementTree.Element) -> Style:
    colour_of = {s.get("name"): _symbol_colour(s) for s in renderer.findall("./symbols/symbol")}
    names, colours = {}, {}
    for category in renderer.findall("./categories/category"):
        # a category of several values holds them as children; an empty value is "all other values"
        values = [category.get("value", ""), *(v.get("value", "") for v in category.findall("val"))]
        for value in filter(None, (v.strip() for v in values)):
            if label := category.get("label", "").strip():
                names[value] = label
            if (colour := colour_of.get(category.get("symbol"))) is not None:
                colours[value] = colour
    attribute = renderer.get("attr", "").strip()
    if len(attribute) > 2 and attribute[0] == attribute[-1] == '"':
        attribute = attribute[1:-1]
    return Style(attribute or None, names, colours)


def _symbol_colour(symbol: ElementTree.Element) -> Triple | None:
    """The colour of a symbol's first layer that has one; of a line it is called "line_color"."""
    for layer in symbol.findall("./layer"):
        found = {o.get("name"): o.get("value") for o in layer.findall("./Option/Option")}
        found |= {p.get("k"): p.get("v") for p in layer.findall("./prop")}
        for key in ("color", "line_color"):
            if (colour := parse_colour(found.get(key))) is not None:
                return colour
    return None


def _paletted(renderer: ElementTree.Element) -> Style:
    names, colours = {}, {}
    for entry in renderer.findall("./colorPalette/paletteEntry"):
        value = entry.get("value", "").strip().removesuffix(".0")
        if label := entry.get("label", "").strip():
            names[value] = label
        if (colour := parse_colour(entry.get("color"))) is not None:
            colours[value] = colour
    return Style(None, names, colours)

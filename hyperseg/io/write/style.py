"""What stands beside a map so that other programs show its classes: names, colours, counts.

`.aux.xml` is GDAL's: category names, and a raster attribute table, which ArcGIS reads too. `.qml` is QGIS's style;
it is loaded by itself for a layer whose file has the same stem.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal
from xml.etree import ElementTree

from hyperseg.core.codes import codes_of, empty_code

Colours = Sequence[tuple[int, int, int]]
UNLABELLED_NAME = "unlabelled"
UNUSED_NAME = "unused"  # of codes between those of classes, where a list of names must not have gaps
Measure = Literal["confidence", "entropy", "disagreement", "applicability"]
RAMPS = {  # from 0 to 1; dark is doubt
    "confidence": ("#440154", "#3b528b", "#21918c", "#5ec962", "#fde725"),
    "entropy": ("#fcfdbf", "#fc8961", "#b73779", "#51127c", "#000004"),
    "disagreement": ("#fcfdbf", "#fc8961", "#b73779", "#51127c", "#000004"),
}

OUTSIDE_COLOUR = "#d7191c"

# column of the attribute table: name, GDAL's type (0 whole number, 2 text) and usage (GDALRATFieldUsage)
COLUMNS = (
    ("Value", 0, 5), ("Class", 2, 2), ("Count", 0, 1), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8),
)  # fmt: skip


def names_by_code(classes: Sequence[str], codes: Sequence[int] | None = None, unused: str = "") -> list[str]:
    """Names of all codes from 0 on: of classes, of no class ("unlabelled"), and `unused` between them."""
    known = codes_of(len(classes), codes)
    named = dict(zip(known, classes, strict=True)) | {empty_code(known): UNLABELLED_NAME}
    return [named.get(code, unused) for code in range(max(named) + 1)]


def categories_xml(
    classes: Sequence[str], colours: Colours, counts: Sequence[int], codes: Sequence[int] | None = None
) -> str:
    """The .aux.xml of a map: class names by code, and a table with name, pixels and colour of every code.

    Args:
        classes, colours: K names and sRGB triples.
        counts: pixels of every code, from 0 on.
        codes: K codes, or None for 1..K.
    """
    root = ElementTree.Element("PAMDataset")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    names = ElementTree.SubElement(band, "CategoryNames")
    for name in names_by_code(classes, codes):
        ElementTree.SubElement(names, "Category").text = name
    table = ElementTree.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, (name, kind, usage) in enumerate(COLUMNS):
        column = ElementTree.SubElement(table, "FieldDefn", index=str(index))
        for tag, value in (("Name", name), ("Type", kind), ("Usage", usage)):
            ElementTree.SubElement(column, tag).text = str(value)
    known = codes_of(len(classes), codes)
    for index, (code, name, colour) in enumerate(zip(known, classes, colours, strict=True)):
        row = ElementTree.SubElement(table, "Row", index=str(index))
        for value in (code, name, int(counts[code]), *colour):
            ElementTree.SubElement(row, "F").text = str(value)
    return _document(root)


def raster_qml(classes: Sequence[str], colours: Colours, codes: Sequence[int] | None = None) -> str:
    """A QGIS style for a raster of codes (None: 1..K): a palette with the class names."""
    root = ElementTree.Element("qgis", version="3.0")
    renderer = ElementTree.SubElement(
        ElementTree.SubElement(root, "pipe"), "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1"
    )
    entries = ElementTree.SubElement(renderer, "colorPalette")
    for code, name, colour in zip(codes_of(len(classes), codes), classes, colours, strict=True):
        ElementTree.SubElement(
            entries, "paletteEntry", value=str(code), label=name, color=f"#{bytes(colour).hex()}", alpha="255"
        )
    return "<!DOCTYPE qgis>\n" + _document(root)


def measure_qml(measure: Measure) -> str:
    """A QGIS style for a raster beside a map: a ramp from 0 to 1, or what is beyond 1 in one colour over the map."""
    if measure == "applicability":
        return _shaded([("1", "inside", "#ffffff", "0"), ("inf", "outside", OUTSIDE_COLOUR, "190")], kind="DISCRETE")
    colours = RAMPS[measure]
    values = [f"{k / (len(colours) - 1):g}" for k in range(len(colours))]
    return _shaded([(v, v, colour, "255") for v, colour in zip(values, colours, strict=True)], kind="INTERPOLATED")


def _shaded(items: Sequence[tuple[str, str, str, str]], *, kind: str) -> str:
    """A style that shades values by (value, label, colour, alpha)."""
    root = ElementTree.Element("qgis", version="3.0")
    renderer = ElementTree.SubElement(
        ElementTree.SubElement(root, "pipe"), "rasterrenderer", type="singlebandpseudocolor", band="1", opacity="1",
        alphaBand="-1", classificationMin="0", classificationMax="1",
    )  # fmt: skip
    shader = ElementTree.SubElement(
        ElementTree.SubElement(renderer, "rastershader"), "colorrampshader", colorRampType=kind,
        classificationMode="1", clip="0", minimumValue="0", maximumValue="1",
    )  # fmt: skip
    for value, label, colour, alpha in items:
        ElementTree.SubElement(shader, "item", value=value, label=label, color=colour, alpha=alpha)
    return "<!DOCTYPE qgis>\n" + _document(root)


def polygons_qml(classes: Sequence[str], colours: Colours, *, column: str) -> str:
    """A QGIS style for polygons: filled in the colour of the class that `column` names."""
    root = ElementTree.Element("qgis", version="3.0", styleCategories="Symbology")
    renderer = ElementTree.SubElement(
        root, "renderer-v2", type="categorizedSymbol", attr=column, symbollevels="0", enableorderby="0", forceraster="0"
    )
    categories = ElementTree.SubElement(renderer, "categories")
    symbols = ElementTree.SubElement(renderer, "symbols")
    for k, (name, (red, green, blue)) in enumerate(zip(classes, colours, strict=True)):
        ElementTree.SubElement(
            categories, "category", value=name, label=name, symbol=str(k), render="true", type="string"
        )
        symbol = ElementTree.SubElement(symbols, "symbol", name=str(k), type="fill", alpha="1", clip_to_extent="1")
        layer = ElementTree.SubElement(symbol, "layer", {"class": "SimpleFill", "enabled": "1", "pass": "0"})
        for key, value in (
            ("color", f"{red},{green},{blue},255"),
            ("style", "solid"),
            ("outline_color", "60,60,60,255"),
            ("outline_style", "solid"),
            ("outline_width", "0.1"),
            ("outline_width_unit", "MM"),
        ):
            ElementTree.SubElement(layer, "prop", k=key, v=value)
    return "<!DOCTYPE qgis>\n" + _document(root)


def _document(root: ElementTree.Element) -> str:
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"

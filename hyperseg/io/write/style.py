"""What stands beside a map so that other programs show its classes: names, colours, counts.

`.aux.xml` is GDAL's: category names, and a raster attribute table, which ArcGIS reads too. `.qml` is QGIS's style;
it is loaded by itself for a layer whose file has the same stem.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree import ElementTree

Colours = Sequence[tuple[int, int, int]]
UNLABELLED_NAME = "unlabelled"

# column of the attribute table: name, GDAL's type (0 whole number, 2 text) and usage (GDALRATFieldUsage)
COLUMNS = (
    ("Value", 0, 5), ("Class", 2, 2), ("Count", 0, 1), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8),
)  # fmt: skip


def categories_xml(classes: Sequence[str], colours: Colours, counts: Sequence[int]) -> str:
    """The .aux.xml of a map: class names by code, and a table with name, pixels and colour of every code.

    Class k of K has code k + 1, code 0 is "unlabelled"; `counts` are pixels of the codes 0..K.
    """
    root = ElementTree.Element("PAMDataset")
    band = ElementTree.SubElement(root, "PAMRasterBand", band="1")
    names = ElementTree.SubElement(band, "CategoryNames")
    for name in (UNLABELLED_NAME, *classes):
        ElementTree.SubElement(names, "Category").text = name
    table = ElementTree.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, (name, kind, usage) in enumerate(COLUMNS):
        column = ElementTree.SubElement(table, "FieldDefn", index=str(index))
        for tag, value in (("Name", name), ("Type", kind), ("Usage", usage)):
            ElementTree.SubElement(column, tag).text = str(value)
    for code, (name, colour) in enumerate(zip(classes, colours, strict=True), start=1):
        row = ElementTree.SubElement(table, "Row", index=str(code - 1))
        for value in (code, name, int(counts[code]), *colour):
            ElementTree.SubElement(row, "F").text = str(value)
    return _document(root)


def raster_qml(classes: Sequence[str], colours: Colours) -> str:
    """A QGIS style for a raster of codes: a palette with the class names."""
    root = ElementTree.Element("qgis", version="3.0")
    renderer = ElementTree.SubElement(
        ElementTree.SubElement(root, "pipe"), "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1"
    )
    entries = ElementTree.SubElement(renderer, "colorPalette")
    for code, (name, colour) in enumerate(zip(classes, colours, strict=True), start=1):
        ElementTree.SubElement(
            entries, "paletteEntry", value=str(code), label=name, color=f"#{bytes(colour).hex()}", alpha="255"
        )
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

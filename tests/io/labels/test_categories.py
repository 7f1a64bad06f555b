"""Names and colours of codes: from categories and attribute tables, in the file or beside it."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from rasterio.shutil import copy
from written import write_tiff

from hyperseg.io.read import open_array, read_labels

CODES = np.array([[1, 2, 5], [5, 0, 1]], np.uint8)
NAMES = {1: "Mais", 2: "Roggen", 5: "Wald & Busch"}
RGB = {1: (250, 200, 0), 2: (10, 20, 30), 5: (0, 100, 0)}


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    return write_tiff(tmp_path / "gt.tif", CODES[..., None])


def table_xml(columns: dict[str, tuple[int, int, list[object]]], **attributes: str) -> str:
    """A raster attribute table: (type, usage, cells) by column."""
    table = ElementTree.Element("GDALRasterAttributeTable", attributes)
    for k, (name, (kind, usage, _)) in enumerate(columns.items()):
        field = ElementTree.SubElement(table, "FieldDefn", index=str(k))
        for tag, value in (("Name", name), ("Type", kind), ("Usage", usage)):
            ElementTree.SubElement(field, tag).text = str(value)
    for k, cells in enumerate(zip(*(column[2] for column in columns.values()), strict=True)):
        row = ElementTree.SubElement(table, "Row", index=str(k))
        for cell in cells:
            ElementTree.SubElement(row, "F").text = str(cell)
    return ElementTree.tostring(table, encoding="unicode")


def beside(raster: Path, inner: str) -> None:
    text = f'<PAMDataset><PAMRasterBand band="1">{inner}</PAMRasterBand></PAMDataset>'
    raster.with_name(raster.name + ".aux.xml").write_text(text)


STATED = {
    "Value": (0, 5, [1, 2, 5]), "Nutzung": (2, 2, list(NAMES.values())), "Red": (0, 6, [c[0] for c in RGB.values()]),
    "Green": (0, 7, [c[1] for c in RGB.values()]), "Blue": (0, 8, [c[2] for c in RGB.values()]),
}  # fmt: skip
BY_NAME = {
    "OID": (0, 0, [0, 1, 2]), "Notes": (2, 0, ["a", "b", "c"]), "VALUE": (0, 0, [1, 2, 5]), "Count": (0, 0, [2, 1, 2]),
    "CLASS_NAME": (2, 0, list(NAMES.values())),
    **{colour: (1, 0, [f"{c[k] / 255:.9f}" for c in RGB.values()]) for k, colour in enumerate(("R", "G", "B"))},
}  # fmt: skip


@pytest.mark.parametrize("columns", [STATED, BY_NAME])
def test_an_attribute_table_beside_a_raster(raster: Path, columns: dict[str, tuple[int, int, list[object]]]) -> None:
    beside(raster, table_xml(columns))
    labels = read_labels(raster, CODES.shape)
    assert labels.classes == tuple(NAMES.values())
    assert labels.colours == tuple(RGB.values())
    assert labels.file_codes == (1, 2, 5)


def test_a_table_without_codes_has_a_row_for_each(raster: Path) -> None:
    names = ["", "Mais", "Roggen", "", "", "Wald & Busch"]
    beside(raster, table_xml({"Land Cover": (2, 0, list(names))}))
    assert open_array(raster, ndim=2).names == NAMES
    beside(raster, table_xml({"Land Cover": (2, 0, list(names[1:]))}, Row0Min="1", BinSize="1"))
    assert open_array(raster, ndim=2).names == NAMES


def test_categories_win_over_the_table(raster: Path) -> None:
    listed = "".join(f"<Category>{name}</Category>" for name in ("", "Corn", "Rye"))
    beside(raster, f"<CategoryNames>{listed}</CategoryNames>{table_xml(STATED)}")
    assert open_array(raster, ndim=2).names == {1: "Corn", 2: "Rye", 5: "Wald & Busch"}


def test_a_virtual_raster_and_an_erdas_image_name_their_own(raster: Path, tmp_path: Path) -> None:
    copy(raster, tmp_path / "gt.vrt", driver="VRT")
    text = (tmp_path / "gt.vrt").read_text()
    listed = "".join(f"<Category>{name}</Category>" for name in ("", "Corn", "Rye", "", "", "Wood"))
    entries = "".join(f'<Entry c1="{c}" c2="{c}" c3="9" c4="255"/>' for c in (0, 40, 80, 0, 0, 120))
    more = f"<CategoryNames>{listed}</CategoryNames><ColorTable>{entries}</ColorTable>"
    (tmp_path / "gt.vrt").write_text(text.replace("<SimpleSource>", f"{more}<SimpleSource>", 1))
    labels = read_labels(tmp_path / "gt.vrt", CODES.shape)
    assert labels.classes == ("Corn", "Rye", "Wood")
    assert labels.colours == ((40, 40, 9), (80, 80, 9), (120, 120, 9))
    beside(raster, table_xml(STATED))
    copy(raster, tmp_path / "gt.img", driver="HFA")
    assert not (tmp_path / "gt.img.aux.xml").exists() or "Mais" not in (tmp_path / "gt.img.aux.xml").read_text()
    assert open_array(tmp_path / "gt.img", ndim=2).names == NAMES


def test_the_table_that_arcgis_writes(raster: Path) -> None:
    from pyogrio.raw import write

    columns = {
        "Value": np.array([1, 2, 5]),
        "Count": np.array([2, 1, 2]),
        "Klasse": np.array([*NAMES.values()], object),
    }
    write(raster.with_name("gt.tif.vat.dbf"), None, list(columns.values()), list(columns), geometry_type=None,
          driver="ESRI Shapefile")  # fmt: skip
    assert open_array(raster, ndim=2).names == NAMES


def test_a_broken_table_is_left_out(raster: Path, caplog: pytest.LogCaptureFixture) -> None:
    beside(raster, table_xml({"Value": (0, 5, [1, "x", 5]), "Class": (2, 2, ["a", "b", "c"])}))
    assert {1: "a", 5: "c"}.items() <= open_array(raster, ndim=2).names.items()
    raster.with_name("gt.tif.vat.dbf").write_bytes(b"no table")
    raster.with_name("gt.tif.aux.xml").write_text("<PAMDataset>")
    assert open_array(raster, ndim=2).names == {}
    assert "is not XML" in caplog.text
    assert "no attribute table" in caplog.text


def test_one_name_for_two_codes_is_numbered(raster: Path, caplog: pytest.LogCaptureFixture) -> None:
    listed = "".join(f"<Category>{name}</Category>" for name in ("", "crop", "crop\n", "", "", "\x9b31mred \u202e?"))
    beside(raster, f"<CategoryNames>{listed}</CategoryNames>")
    assert read_labels(raster, CODES.shape).classes == ("crop", "crop (2)", "red ?")
    assert "several codes have one name" in caplog.text


def test_a_label_that_repeats_the_number_is_no_name(raster: Path) -> None:
    with rasterio.open(raster) as file:
        assert file.count == 1
    raster.with_suffix(".qml").write_text(
        '<qgis><pipe><rasterrenderer type="paletted"><colorPalette>'
        + "".join(f'<paletteEntry value="{c}" label="{c}" color="#0{c}0203"/>' for c in (1, 2, 5))
        + "</colorPalette></rasterrenderer></pipe></qgis>"
    )
    assert read_labels(raster, CODES.shape).classes == ("class 1", "class 2", "class 5")

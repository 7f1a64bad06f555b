"""EnMAP: level 2A products of the German hyperspectral satellite, a GeoTIFF and its METADATA.XML.

Assumed layout: `NAME-SPECTRAL_IMAGE.TIF` (also .tif, or a COG with either ending) with all bands of both
detectors, and `NAME-METADATA.XML` with, under `bandCharacterisation`, a `bandID number="n"` per band with
`wavelengthCenterOfBand` (nm), `GainOfBand` and `OffsetOfBand` (reflectance = value x gain + offset);
`backgroundValue`; and the usable channels of each detector as `vnirProductQuality/expectedChannelsList` and the same
for SWIR.

Source: EnMAP HSI Level 1B, 1C and 2A Product Specification, EN-PCV-ICD-2009-2, DLR.
No product was at hand to check this against: tested on small files of this layout.
"""

from __future__ import annotations

import logging
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError
from hyperseg.io.formats.array import Choice, FileArray, Format
from hyperseg.io.formats.raster import open_raster
from hyperseg.io.formats.windows import LazyCube, OrderedBands
from hyperseg.io.wavelengths import Centres

log = logging.getLogger(__name__)

LARGEST_XML_BYTES = 64 * 2**20
IMAGE = re.compile(r"(.*)SPECTRAL_IMAGE(_COG)?\.(TIFF?|COG)", re.IGNORECASE)
ABOUT = re.compile(r"(.*)METADATA\.XML", re.IGNORECASE)


def enmap_pair(path: Path) -> tuple[Path, Path | None] | None:
    """METADATA.XML and image of a product given either, the image None where it is missing; None for other files."""
    given = IMAGE.fullmatch(path.name) or ABOUT.fullmatch(path.name)
    if given is None or path.is_dir():
        return None
    stem, beside = given[1].casefold(), sorted(path.parent.iterdir())
    images, abouts = (
        [p for p in beside if (match := pattern.fullmatch(p.name)) and match[1].casefold() == stem]
        for pattern in (IMAGE, ABOUT)
    )
    if IMAGE.fullmatch(path.name):
        return (abouts[0], path) if abouts and _is_enmap(abouts[0]) else None
    return (path, next(iter(images), None)) if _is_enmap(path) else None


def open_enmap(path: Path, choice: Choice) -> FileArray:
    """The image of a product as a lazy cube sorted by wavelength, with what its METADATA.XML says.

    Where VNIR and SWIR overlap both stay in the cube, VNIR marked bad: one spectrum does not jump between detectors.

    Raises:
        DataFileError: image or XML is missing, the XML is broken, or names other bands than the image has.
    """
    about, image = enmap_pair(path) or (path, None)
    if image is None:
        stem = about.name[: -len("METADATA.XML")]
        raise DataFileError(f"{about}: the image {stem}SPECTRAL_IMAGE.TIF is not beside it; put both in one folder.")
    try:
        root = ElementTree.parse(about).getroot()
    except (ElementTree.ParseError, LookupError, ValueError, OSError) as error:
        raise DataFileError(f"{about}: is no whole XML file ({error}); download it again.") from error
    file = open_raster(image, choice)
    bands = int(file.array.shape[-1])
    found = root.findall(".//{*}bandCharacterisation/{*}bandID")
    numbers = [int(node.get("number", i)) for i, node in enumerate(found, start=1)]
    centres, gains, offsets = (
        _column(about, found, name, default)
        for name, default in (("wavelengthCenterOfBand", None), ("GainOfBand", 0.0), ("OffsetOfBand", 0.0))
    )
    if len(found) != bands:
        raise DataFileError(
            f"{about}: names {len(found)} bands, {image.name} has {bands}; the two belong to different products "
            "or the image was cut: rename it to open it without its metadata."
        )
    good = _expected(root, numbers)
    turn = np.flatnonzero(np.diff(centres) < 0)  # VNIR comes first; where the wavelength falls back SWIR starts
    if len(turn) == 1:
        start = turn[0] + 1
        twice = (np.arange(bands) < start) & (centres >= centres[start:][good[start:]].min(initial=np.inf)) & good
        if twice.any():
            log.info(
                "%s: VNIR and SWIR overlap from %.0f to %.0f nm; there %d VNIR bands are marked bad",
                image, centres[twice].min(), centres[twice].max(), twice.sum(),
            )  # fmt: skip
        good &= ~twice
    order = np.argsort(centres, kind="stable")
    cube = file.array
    if (np.diff(order) != 1).any():
        assert isinstance(cube, LazyCube)
        cube = LazyCube(OrderedBands(cube.reader, tuple(int(i) for i in order)), (0, 1, 2))
    background = root.findtext(".//{*}backgroundValue")
    return replace(
        file,
        array=cube,
        centres=Centres(centres[order], "nm"),
        bbl=good[order],
        nodata=file.nodata if file.nodata is not None or not background else float(background),
        scale=_scale(about, gains, offsets),
        about="EnMAP L2A: " + file.about + " with its METADATA.XML",
    )


def _is_enmap(about: Path) -> bool:
    try:
        if not about.is_file() or about.stat().st_size > LARGEST_XML_BYTES:
            return False
        return b"bandCharacterisation" in about.read_bytes()
    except OSError:
        return False


def _column(about: Path, found: list[ElementTree.Element], name: str, default: float | None) -> NDArray[np.float64]:
    values = []
    for node in found:
        text = node.findtext("{*}" + name)
        try:
            values.append(float(text) if text else default)
        except ValueError:
            values.append(None)
        if values[-1] is None:
            raise DataFileError(
                f"{about}: {name} of band {node.get('number')} is {text!r}, expected a number; download it again."
            )
    return np.asarray(values, np.float64)


def _expected(root: ElementTree.Element, numbers: list[int]) -> NDArray[np.bool_]:
    """Channels that the product says hold data; all where it does not say."""
    listed: set[int] = set()
    for detector in ("vnir", "swir"):
        text = root.findtext(f".//{{*}}{detector}ProductQuality/{{*}}expectedChannelsList")
        if not text:
            return np.ones(len(numbers), bool)
        listed |= {int(n) for n in re.findall(r"\d+", text)}
    return np.isin(numbers, list(listed))


def _scale(about: Path, gains: NDArray[np.float64], offsets: NDArray[np.float64]) -> float | None:
    if len(gains) and gains[0] > 0 and (gains == gains[0]).all() and not offsets.any():
        return round(1 / float(gains[0]), 6)
    log.warning("%s: gains differ or there are offsets; values are taken as they are", about)
    return None


ENMAP = Format("EnMAP", (".xml", ".tif"), lambda path: enmap_pair(path) is not None, open_enmap, kind="product")

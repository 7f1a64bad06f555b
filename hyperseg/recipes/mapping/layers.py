"""What may lie beside a map, and the files of an earlier map that such a layer is known by."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from hyperseg.io.formats.windows import import_rasterio
from hyperseg.io.write import APPLICABLE, DISAGREEMENT, ENTROPY
from hyperseg.io.write.groups import SURE_TAG
from hyperseg.recipes.mapping.applicability import APPLICABILITY

GROUPS = "groups"
DISAGREES = "disagreement"


class Layer(NamedTuple):
    """A raster that not every map has: how its values are kept, and whether an open raster is one."""

    dtype: str
    ours: Callable[[Any], bool]


LAYERS: Mapping[str, Layer] = {
    "entropy": Layer("float32", lambda raster: raster.descriptions == (ENTROPY,)),
    DISAGREES: Layer("float32", lambda raster: raster.descriptions == (DISAGREEMENT,)),
    APPLICABILITY: Layer("float32", lambda raster: raster.descriptions == (APPLICABLE,)),
    GROUPS: Layer("uint16", lambda raster: SURE_TAG in raster.tags()),
}


def files_of(out: Path, beside: Sequence[str]) -> dict[str, Path]:
    """The files of a map with these layers beside it and its confidence; a style has the stem of its file."""
    files = {"map": out, "classes": out.with_name(out.name + ".aux.xml"), "style": out.with_suffix(".qml")}
    for name in ("confidence", *beside):
        files[name] = out.with_name(f"{out.stem}-{name}.tif")
        files[f"style of {name}"] = files[name].with_suffix(".qml")
    if GROUPS in beside:
        files[f"classes of {GROUPS}"] = out.with_name(f"{out.stem}-{GROUPS}.tif.aux.xml")
    return files


def stale_files(every: Mapping[str, Path], written: Mapping[str, Path]) -> list[Path]:
    """Layers of an earlier map of this name, known by what they say, where this one writes none."""
    found: list[Path] = []
    for name, layer in LAYERS.items():
        if name in written or not every[name].is_file():
            continue
        with suppress(Exception), import_rasterio().open(every[name]) as raster:  # no raster: somebody else's
            its = [file for which, file in every.items() if which.endswith(name) and file.exists()]
            found += its if layer.ours(raster) else []
    return found

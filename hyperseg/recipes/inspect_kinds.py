"""What a file or folder is that is no scene: a run, polygons, a map, a label raster."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import DataFileError, Grid, HypersegError, LabelError
from hyperseg.core.codes import codes_of
from hyperseg.core.groups import in_words
from hyperseg.core.words import counted, one_line, some, thousands
from hyperseg.io.formats import list_arrays
from hyperseg.io.formats.array import FileArray
from hyperseg.io.labels.raster import labels_of
from hyperseg.io.labels.vectors import Layer, is_vector, open_layer
from hyperseg.io.open import named_card
from hyperseg.io.pixel_area import pixel_areas
from hyperseg.io.read import open_array, split_key
from hyperseg.io.write import read_map
from hyperseg.io.write.groups import groups_in
from hyperseg.io.write.targets import RECORD
from hyperseg.recipes.inspect import said_while_reading
from hyperseg.recipes.run.folder import METRICS, UNFINISHED

MOST_CODES = 100  # a raster of more codes without names is a measurement
SHOWN, VALUES_SHOWN = 12, 6


@dataclass(frozen=True)
class Kind:
    """What was found.

    Attributes:
        source: what the user named.
        about: what it is, in a few words.
        facts: what a table shows of it.
        data: the same and more, as JSON.
        next: a command to go on with, or "".
    """

    source: str
    about: str
    facts: Mapping[str, str]
    data: Mapping[str, Any] = field(default_factory=dict)
    next: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"source": self.source, "about": self.about, **self.data}


def inspect_kind(text: str) -> Kind | None:
    """What FILE (or FILE:KEY) is, where it is no scene; None for a scene and whatever only its reader can tell."""
    if (folder := Path(text)).is_dir() and any((folder / name).exists() for name in (RECORD, METRICS, UNFINISHED)):
        return run_folder(text)
    if is_vector(text):
        return polygons(text)
    if named_card(text) is not None:
        return None
    path, key = split_key(text)
    with said_while_reading():  # the reader of scenes says it again, and what is wrong
        try:
            if key is None and len(list_arrays(path)) > 1:
                return None
            file = open_array(text, ndim=2)
        except (HypersegError, OSError):
            return None
    if len(file.array.shape) != 2 or np.dtype(file.array.dtype).kind not in "iub":
        return None
    return raster(text, file)


def run_folder(text: str) -> Kind:
    """A run: what made it, how accurate it is, what lies in it."""
    folder = Path(text)
    held = sorted(p.name for p in folder.iterdir() if not p.name.startswith("."))
    if not (folder / METRICS).exists():
        state = "unfinished run" if (folder / UNFINISHED).exists() else "damaged run: it has no metrics.json"
        more = f"hyperseg classify ... --out {quote(text)} --resume" if (folder / UNFINISHED).exists() else ""
        return Kind(text, state, {"holds": some(held, SHOWN)}, {"kind": "run", "finished": False, "files": held}, more)
    try:
        metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))
        split, repeats = metrics["split"], int(metrics["repeats"])
        own = metrics.get("map") or {key: metrics[key]["values"][0] for key in ("OA", "AA", "kappa")}
        accuracy = {key: {"map": own[key], **metrics[key]} for key in ("OA", "AA", "kappa")}
        scene, chain = metrics["scene"], [str(link) for link in metrics["chain"]]
        classes, leak = list(split["per_class"]), split["leak"]
        share = leak["a"]["mean"] if isinstance(leak["a"], dict) else leak["a"]
        said = [f"{key} {a['map']:.2f}" + _over(a, repeats) for key, a in accuracy.items()]
        facts = {
            "scene": f"{scene['name']}, {' x '.join(map(str, scene['shape']))} pixels",
            "map by": " + ".join(chain),
            "split": f"{split['how']}, seed {split['seed']}: {counted(split['train'], 'training pixel')}, "
            f"{split['val']} validation, {split['test']} test",
            "accuracy": ", ".join(said) + " (percent, on test pixels)",
            "leak": f"{share:.1f} % at a window of {leak['window']} px",
            "classes": f"{len(classes)}: {some(classes, SHOWN)}",
            **({"groups": in_words(metrics["groups"]["classes"])} if metrics.get("groups") else {}),
            "made with": f"hyperseg {metrics['versions']['hyperseg']} on {metrics['device']}",
            "holds": some(held, SHOWN),
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataFileError(
            f"{folder / METRICS}: damaged, or not of a run ({type(error).__name__}: {one_line(str(error), 80)})."
        ) from error
    data = {
        "kind": "run", "finished": True, "scene": scene, "chain": chain, "method": metrics["method"], "split": split,
        "repeats": repeats, "accuracy": accuracy, "classes": classes, "files": held,
        "groups": (metrics.get("groups") or {}).get("classes"),
    }  # fmt: skip
    return Kind(text, "run of hyperseg", facts, data, f"hyperseg map {quote(text)} OTHER_SCENE.hdr")


def _over(accuracy: Mapping[str, Any], repeats: int) -> str:
    mean, std = accuracy["mean"], accuracy["std"]
    return f" (over {repeats} repeats {mean:.2f} +- {std:.2f})" if repeats > 1 and mean is not None else ""


def polygons(text: str) -> Kind:
    """A vector file: its layers, and of the one that is read geometries, extent, columns, and the classes."""
    from hyperseg.io.labels.classes import choose_column, classes_of

    layers = _layers(text)
    try:
        layer = open_layer(text)
    except DataFileError:
        if len(layers) < 2:
            raise
        facts = {"layers": some((f"{name} ({kind})" for name, kind in layers.items()), SHOWN)}
        first = next(iter(layers))
        return Kind(text, "vector file of several layers", facts, {"kind": "vectors", "layers": layers},
                    f"hyperseg info {quote(f'{text}:{first}')}")  # fmt: skip
    kinds, bounds = _geometries(layer)
    columns = {name: _values(values) for name, values in layer.columns.items()}
    facts = {
        "layers": some(layers, SHOWN),
        "geometries": ", ".join(counted(n, kind) for kind, n in kinds.items()),
        "CRS": "unknown" if layer.crs is None else one_line(layer.crs, 61),
        "extent": "unknown" if bounds is None else "({:.8g}, {:.8g}) to ({:.8g}, {:.8g})".format(*bounds),
    }
    for name, values in columns.items():
        facts[f"column {name}"] = f"{counted(len(values), 'value')}: {some(values, VALUES_SHOWN)}"
    data: dict[str, Any] = {
        "kind": "vectors", "layers": layers, "geometries": kinds, "crs": layer.crs, "extent": bounds,
        "columns": {name: values[:1000] for name, values in columns.items()}, "class_column": None, "classes": None,
    }  # fmt: skip
    option = " --class-column NAME"
    try:
        column, _ = choose_column(layer, None)
        found = classes_of(layer, None)
    except LabelError as unclear:
        facts["classes"] = one_line(str(unclear).removeprefix(f"{layer.path}: "))
    else:
        count = np.bincount(found.of[found.of >= 0], minlength=len(found.names))
        named = [f"{name} ({n})" for name, n in zip(found.names, count, strict=True)]
        facts["classes"] = f"{len(named)} by the column {column}, with geometries: {some(named, SHOWN)}"
        data |= {"class_column": column, "classes": dict(zip(found.names, count.tolist(), strict=True))}
        option = f" --class-column {quote(column)}"
    return Kind(
        text, "polygons or other vectors", facts, data, f"hyperseg classify SCENE --labels {quote(text)}{option}"
    )


def _layers(text: str) -> dict[str, str]:
    """Layers with geometries and their kind; empty where the file is read in another way."""
    import pyogrio

    if not (Path(text).is_file() or Path(text).is_dir()):  # a pipe would be waited for
        return {}
    with suppress(Exception):  # what is wrong with the file is said on reading it
        return {str(name): str(kind) for name, kind in pyogrio.list_layers(Path(text)) if kind is not None}
    return {}


def _geometries(layer: Layer) -> tuple[dict[str, int], list[float] | None]:
    """How many geometries of each kind, and the extent of all."""
    import shapely

    there = np.array([shape for shape in layer.shapes if shape is not None], object)
    kinds: dict[str, int] = {}
    for shape in layer.shapes:
        kind = "empty" if shape is None else shape.geom_type
        kinds[kind] = kinds.get(kind, 0) + 1
    bounds = shapely.total_bounds(there) if len(there) else np.array([np.nan])
    return kinds, [float(v) for v in bounds] if np.isfinite(bounds).all() else None


def _values(values: Any) -> list[str]:
    """The distinct values of a column as text."""
    found = {v for v in values.tolist() if v is not None and v == v}
    alike = len({type(v) for v in found}) < 2
    return list(dict.fromkeys(one_line(str(v), 40) for v in sorted(found, key=None if alike else str)))


def _counted(classes: Sequence[str], codes: Sequence[int], labels: NDArray[Any]) -> dict[str, tuple[int, int]]:
    """Code and number of pixels of every class, by name."""
    pixels = np.bincount(labels[labels >= 0], minlength=len(classes)).tolist()
    return {name: (code, n) for name, code, n in zip(classes, codes, pixels, strict=True)}


def raster(text: str, file: FileArray) -> Kind | None:
    """A raster of whole numbers: a map of hyperseg, or labels; None where it holds too many codes for classes."""
    with suppress(HypersegError):
        found = read_map(text)
        labels, classes, grid = found.labels, found.classes, found.grid
        made_by = _tag(file.path)
        if made_by or (file.path.parent / METRICS).exists():
            named = _counted(classes, codes_of(len(classes), found.codes), labels)
            facts = {"map by": made_by or "not said"} | _pixels(labels.shape, grid, named)
            inside = groups_in(text, classes)
            table = None if inside is None else inside.table(classes)
            facts |= {"groups": in_words(table)} if table else {}
            data = _data("map", labels.shape, grid, named) | {"made_by": made_by or None, "groups": table}
            return Kind(text, "map of hyperseg", facts, data, f"hyperseg score {quote(text)} CHECKED_LABELS")
    shape, grid = tuple(file.array.shape), file.grid or Grid()
    try:
        drawn = labels_of(file, shape)
    except HypersegError:
        return None
    if not file.names and len(drawn.classes) > MOST_CODES:
        return None
    named = _counted(drawn.classes, drawn.file_codes, drawn.codes)
    facts = _pixels(shape, grid, named) | {"names": "from the file" if file.names else "none; codes stand for them"}
    data = _data("labels", shape, grid, named) | {"names": {str(c): n for c, n in file.names.items()}}
    return Kind(text, "label raster", facts, data, f"hyperseg classify SCENE --labels {quote(text)}")


Named = Mapping[str, tuple[int, int]]  # class -> code, pixels


def _pixels(shape: tuple[int, ...], grid: Grid, named: Named) -> dict[str, str]:
    area = _hectares(shape, grid)
    size: Callable[[int], str] = lambda n: thousands(n) + (f" px, {n * area:.4g} ha" if area else " px")  # noqa: E731
    held = [f"{code} {name} ({size(n)})" for name, (code, n) in named.items()]
    return {
        "size": f"{shape[0]} rows x {shape[1]} columns",
        "CRS": "unknown" if grid.crs is None else one_line(grid.crs, 61),
        "classes": f"{len(named)}: {some(held, SHOWN)}",
        "labelled": f"{thousands(sum(n for _, n in named.values()))} of {thousands(shape[0] * shape[1])} pixels",
    }


def _data(kind: str, shape: tuple[int, ...], grid: Grid, named: Named) -> dict[str, Any]:
    area = _hectares(shape, grid)
    classes = {
        name: {"code": c, "pixels": n, "ha": None if area is None else n * area} for name, (c, n) in named.items()
    }
    return {"kind": kind, "rows": shape[0], "columns": shape[1], "crs": grid.crs, "classes": classes}


def _hectares(shape: tuple[int, ...], grid: Grid) -> float | None:
    """Of a pixel, on average; None where its size is not known."""
    rows = pixel_areas(grid, shape)
    return None if rows is None else float(rows.mean()) / 10_000


def _tag(path: Path) -> str:
    """What a map says it was made by, or ""."""
    from hyperseg.io.formats.windows import import_rasterio

    with suppress(Exception), import_rasterio().open(path) as opened:
        return str(opened.tags().get("made_by", ""))
    return ""

"""What a run reads: a scene with labels, and masks; named by the user, or by the record of an earlier run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from hyperseg.core import LabelError, Scene, SettingError
from hyperseg.core.settings import from_json
from hyperseg.data.splits import parse_split
from hyperseg.io.cube_options import CubeOptions
from hyperseg.io.formats import is_data
from hyperseg.io.labels.vectors import VectorOptions
from hyperseg.io.open import named_card, open_scene, read_mask
from hyperseg.io.read import split_key
from hyperseg.io.write.targets import RUN_INPUTS
from hyperseg.recipes.run.record import load_record
from hyperseg.recipes.run.settings import RunSettings


@dataclass(frozen=True)
class Masks:
    """Rasters beside the labels, bool masks or file codes, (H, W).

    Attributes:
        train, test: for a split made from given masks.
        pool: pixels that a semi-supervised method may look at without their labels; None is the whole scene.
    """

    train: NDArray[Any] | None = None
    test: NDArray[Any] | None = None
    pool: NDArray[Any] | None = None


@dataclass(frozen=True)
class Inputs:
    """The scene, the masks, and what both were opened from, for run.json."""

    scene: Scene
    masks: Masks
    named: dict[str, Any]


def open_inputs(
    settings: RunSettings, given: Mapping[str, Any], *, record: Path | None = None, folder: Path | None = None
) -> Inputs:
    """Open what the user named; what is not named is that of an earlier run.

    Args:
        settings: of the run: its split decides whether masks are needed, its method whether there is a pool.
        given: names of files (`RUN_INPUTS`) and options of `VectorOptions` and `CubeOptions`; None where
            not given.
        record: run.json of the earlier run, or None.
        folder: where a data set's own files are.

    Raises:
        HypersegError: whatever is missing or does not fit, with the remedy.
    """
    splitter, _ = parse_split(settings.split)
    known = {} if record is None else load_record(record).get("inputs", {})
    where = known.get("folder")
    named = {
        name: given[name] if given.get(name) is not None else _found(known.get(name), where) for name in RUN_INPUTS
    }
    if wrong := [name for name, value in named.items() if not isinstance(value, str | None)]:
        raise SettingError(f"{wrong[0]} is the name of a file, got {named[wrong[0]]!r}.")
    if named["scene"] is None:
        raise SettingError("which scene? Name a data set or a file, e.g. `hyperseg classify indian-pines`.")
    if given.get("labels") is not None or given.get("group_column") is not None:
        named["class_groups"] = given.get("class_groups")  # groups of the earlier run go with its labels
    if not splitter.needs_masks:  # masks of the earlier run go with its split
        named |= {name: given.get(name) for name in ("train_mask", "test_mask")}
    elif named["train_mask"] is None:
        raise SettingError(f"--split {splitter.name} needs --train-mask FILE, a raster of the training pixels.")
    if not settings.chosen.unlabelled:
        named["pool"] = None
    drawn, stated = options_of("labels", VectorOptions, given, known), options_of("scene", CubeOptions, given, known)
    if given.get("class_groups") is not None and given.get("group_column") is None:
        drawn.pop("group_column", None)
    if named["labels"] is None and named_card(named["scene"]) is None:
        raise LabelError(
            f"{named['scene']}: a scene of your own needs labels: give --labels FILE, polygons with a class (.gpkg, "
            ".geojson, .shp) or a raster of the same size with 0 = unlabelled."
        )
    scene = open_scene(
        named["scene"], labels=named["labels"], folder=folder, vectors=from_json(VectorOptions, drawn, "drawn labels"),
        cube=from_json(CubeOptions, stated, "the scene"), groups=named["class_groups"],
    )  # fmt: skip
    masks = Masks(*(read_mask(named[name], scene) for name in ("train_mask", "test_mask", "pool")))
    return Inputs(scene, masks, named | drawn | stated | {"folder": os.getcwd()})


def _found(name: Any, folder: Any) -> Any:
    """A file as an earlier run named it, found from the folder where that run was started."""
    if not isinstance(name, str) or not isinstance(folder, str) or Path(folder) == Path.cwd():
        return name
    there = os.path.join(folder, name)
    return there if is_data(split_key(there)[0]) else name


def options_of(file: str, cls: type, given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `cls` that have a value: those given, and those of an earlier run where the file is its too."""
    before = known if given.get(file) is None else {}
    values = {f.name: before.get(f.name) if given.get(f.name) is None else given[f.name] for f in fields(cls)}
    return {name: value for name, value in values.items() if value is not None}

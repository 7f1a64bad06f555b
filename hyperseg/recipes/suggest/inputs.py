"""What a suggestion reads: the scene of the run, or another one, with the labels that are known."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hyperseg.core import Scene, SettingError
from hyperseg.core.settings import from_json
from hyperseg.io.cube_options import CubeOptions
from hyperseg.io.labels.vectors import VectorOptions
from hyperseg.io.open import named_card, open_scene
from hyperseg.io.read import split_key
from hyperseg.recipes.run.inputs import open_inputs, options_of
from hyperseg.recipes.run.record import load_record
from hyperseg.recipes.run.settings import RunSettings


def open_for(
    run: Path, scene: str | None, given: Mapping[str, Any], *, folder: Path | None = None
) -> tuple[Scene, tuple[str, ...]]:
    """The scene that a run is to suggest on, with the labels that are known, and what was read.

    Args:
        run: folder of the run.
        scene: as the user names it; None is the run's own.
        given: `labels`, and options of `VectorOptions` and `CubeOptions`; None where not given. The run's own
            scene has the run's labels where none are given, another scene has none.
        folder: where a data set's own files are.
    """
    record = load_record(run)
    known = record.get("inputs", {})
    own = known.get("scene")
    if scene is None and own is None:
        raise SettingError(f"{run}: says not which scene it was trained on: name it, hyperseg suggest {run} SCENE.")
    if scene is None or _same(scene, own, known.get("folder")):
        chosen = RunSettings.from_json(record["settings"])
        opened = open_inputs(chosen, {**given, "scene": None}, record=run, folder=folder)
        return opened.scene, tuple(n for n in (opened.named["scene"], opened.named["labels"]) if n is not None)
    drawn, stated = options_of("labels", VectorOptions, given, {}), options_of("scene", CubeOptions, given, {})
    found = open_scene(
        scene, labels=given.get("labels"), folder=folder, vectors=from_json(VectorOptions, drawn, "drawn labels"),
        cube=from_json(CubeOptions, stated, "the scene"),
    )  # fmt: skip
    return found, tuple(n for n in (scene, given.get("labels")) if n is not None)


def _same(scene: str, own: object, folder: object) -> bool:
    """Whether a user means the scene that a run names, which was started in `folder`."""
    if not isinstance(own, str):
        return False
    card = named_card(scene)
    if card is not None:
        return scene == own or named_card(own) == card
    there = os.path.join(folder, own) if isinstance(folder, str) else own
    (mine, key), (its, its_key) = split_key(scene), split_key(there)
    return key == its_key and os.path.realpath(mine) == os.path.realpath(its)

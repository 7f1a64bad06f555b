"""How a pre-training on scenes begins: the file that is written, the device, and what is unfinished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hyperseg.core import Scene
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import to_json
from hyperseg.data.identity import identity_of
from hyperseg.engine.device import choose_device, choose_precision
from hyperseg.recipes.pretraining.unfinished import STATE, Unfinished
from hyperseg.recipes.run.folder import Interrupted

if TYPE_CHECKING:
    from hyperseg.recipes.pretraining.scene_settings import SceneContrast

MADE = "made"  # what is done, until it has its place


def pretrain_scenes(
    names: Sequence[str], open_one: Callable[[str], Scene], out: Path, chosen: SceneContrast, *, seed: int, device: str,
    pictures: bool, resume: bool, overwrite: bool, quiet: bool,
) -> Path:  # fmt: skip
    """Learn weights from the spectra of scenes of one sensor, without labels.

    Args:
        names: of data sets, or files.
        open_one: name -> scene.
        out: the file of weights.
        chosen: how.
        seed, device, pictures, resume, overwrite, quiet: as of `start.pretrain`.
    """
    from hyperseg.recipes.pretraining.alike.ground import looked_at
    from hyperseg.recipes.pretraining.scene import check_scenes, pretrain_scene

    there = Unfinished(out)
    there.check(list(map(Path, names)), resume=resume, overwrite=overwrite)
    where = choose_device(device)
    runtime = Runtime(seed, str(where), choose_precision(where), quiet=quiet)
    scenes = [open_one(name) for name in names]
    check_scenes(scenes)
    scenes = looked_at(scenes)
    what = {"settings": to_json(chosen), "seed": seed, "scenes": [identity_of(scene) for scene in scenes]}
    try:
        with there.begin(what, resume=resume):
            made = pretrain_scene(
                scenes, chosen, replace(runtime, checkpoints=there.root / STATE), there.root / MADE, pictures=pictures
            )  # fmt: skip
            for picture in made.parent.glob("*.png"):
                picture.replace(there.picture)
            made.replace(out)
    except KeyboardInterrupt as stop:
        raise Interrupted(out) from stop
    there.end()
    return out

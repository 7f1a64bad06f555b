"""How a pre-training on scenes begins: the file that is written, the device, and what is unfinished."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hyperseg.core import Scene
from hyperseg.core.lock import take
from hyperseg.core.runtime import Runtime
from hyperseg.core.settings import to_json
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
    from hyperseg.recipes.pretraining.scene import pretrain_scene

    there = Unfinished(out)
    there.check(list(map(Path, names)), resume=resume, overwrite=overwrite)
    where = choose_device(device)
    runtime = Runtime(seed, str(where), choose_precision(where), quiet=quiet)
    scenes = [open_one(name) for name in names]
    there.begin({"settings": to_json(chosen), "seed": seed, "scenes": list(names)}, resume=resume)
    lock = take(there.root)
    try:
        made = pretrain_scene(
            scenes, chosen, replace(runtime, checkpoints=there.root / STATE), there.root / MADE, pictures=pictures
        )  # fmt: skip
    except KeyboardInterrupt as stop:
        raise Interrupted(out) from stop
    finally:
        lock.release()
    for picture in made.parent.glob("*.png"):
        picture.replace(there.picture)
    made.replace(out)
    there.end()
    return out

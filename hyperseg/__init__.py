"""hyperseg: from a hyperspectral cube and a few labels to a map you can trust.

    from hyperseg import RunSettings, classify, open_scene

    scene = open_scene("indian-pines")                      # or open_scene("cube.hdr", labels="labels.tif")
    folder, metrics = classify(scene, RunSettings(repeats=1))

Folders of images and volumes: `from hyperseg import segment`, see `hyperseg.segment`; boxes: `hyperseg.detect`.

Names are imported when they are first used, so `import hyperseg` is instant.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_PUBLIC = {  # module -> what is public of it
    "hyperseg.backbone": "BackboneSpec ConvSpec Decoder Encoder",
    "hyperseg.core": "Grid HypersegError Scene SegmentationMap Split",
    "hyperseg.core.runtime": "Runtime",
    "hyperseg.core.task": "Task",
    "hyperseg.data.leak": "leak",
    "hyperseg.data.splits": "SPLITS make_split",
    "hyperseg.engine": "fit predict_scene",
    "hyperseg.io.open": "open_scene",
    "hyperseg.io.write": "write_map",
    "hyperseg.recipes.mapping.apply": "apply_run",
    "hyperseg.recipes.methods": "METHODS",
    "hyperseg.recipes.methods.network": "network_method",
    "hyperseg.recipes.refiners": "REFINERS",
    "hyperseg.recipes.run.classify": "classify",
    "hyperseg.recipes.run.settings": "RunSettings",
    "hyperseg.simulated.scenes": "simulate toy_scene",
    "hyperseg.simulated.volumes": "write_toy_volumes",
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names.split()}
_HOME |= {name: f"hyperseg.{name}" for name in ("detect", "segment")}  # modules, with a function for each command

__all__ = sorted(_HOME)


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hyperseg' has no attribute {name!r}")
    value = importlib.import_module(_HOME[name])
    if value.__name__ != f"{__name__}.{name}":
        value = getattr(value, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])

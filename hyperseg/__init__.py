"""hyperseg: from a hyperspectral cube and a few labels to a map you can trust.

    from hyperseg import ClassifySettings, classify, open_scene

    scene = open_scene("indian-pines")                      # or open_scene("cube.hdr", labels="labels.tif")
    folder, metrics = classify(scene, ClassifySettings(repeats=1))

Names are imported when they are first used, so `import hyperseg` is instant.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from hyperseg.backbone import BackboneSpec, ConvSpec, Decoder, Encoder
    from hyperseg.core import Grid, HypersegError, Scene, SegmentationMap, Split
    from hyperseg.crf.dense import refine
    from hyperseg.crf.settings import DenseCRF
    from hyperseg.data.leak import leak
    from hyperseg.data.splits import make_split
    from hyperseg.engine import fit, predict_scene
    from hyperseg.io.open import open_named as open_scene
    from hyperseg.io.write import write_map
    from hyperseg.recipes.mapping.apply import apply_run
    from hyperseg.recipes.refiners.deconv import DeconvSettings
    from hyperseg.recipes.refiners.deep_crf import DeepCrfSettings
    from hyperseg.recipes.run.classify import ClassifySettings, classify
    from hyperseg.recipes.training.gan import GanSettings, train_gan
    from hyperseg.recipes.training.network import TrainSettings, train_network
    from hyperseg.simulated.scenes import simulate, toy_scene

_HOME = {
    "BackboneSpec": "hyperseg.backbone",
    "ClassifySettings": "hyperseg.recipes.run.classify",
    "ConvSpec": "hyperseg.backbone",
    "Decoder": "hyperseg.backbone",
    "DeconvSettings": "hyperseg.recipes.refiners.deconv",
    "DeepCrfSettings": "hyperseg.recipes.refiners.deep_crf",
    "DenseCRF": "hyperseg.crf.settings",
    "Encoder": "hyperseg.backbone",
    "GanSettings": "hyperseg.recipes.training.gan",
    "Grid": "hyperseg.core",
    "HypersegError": "hyperseg.core",
    "Scene": "hyperseg.core",
    "SegmentationMap": "hyperseg.core",
    "Split": "hyperseg.core",
    "TrainSettings": "hyperseg.recipes.training.network",
    "apply_run": "hyperseg.recipes.mapping.apply",
    "classify": "hyperseg.recipes.run.classify",
    "fit": "hyperseg.engine",
    "leak": "hyperseg.data.leak",
    "make_split": "hyperseg.data.splits",
    "open_scene": "hyperseg.io.open:open_named",
    "predict_scene": "hyperseg.engine",
    "refine": "hyperseg.crf.dense",
    "simulate": "hyperseg.simulated.scenes",
    "toy_scene": "hyperseg.simulated.scenes",
    "train_gan": "hyperseg.recipes.training.gan",
    "train_network": "hyperseg.recipes.training.network",
    "write_map": "hyperseg.io.write",
}

__all__ = [
    "BackboneSpec",
    "ClassifySettings",
    "ConvSpec",
    "Decoder",
    "DeconvSettings",
    "DeepCrfSettings",
    "DenseCRF",
    "Encoder",
    "GanSettings",
    "Grid",
    "HypersegError",
    "Scene",
    "SegmentationMap",
    "Split",
    "TrainSettings",
    "apply_run",
    "classify",
    "fit",
    "leak",
    "make_split",
    "open_scene",
    "predict_scene",
    "refine",
    "simulate",
    "toy_scene",
    "train_gan",
    "train_network",
    "write_map",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hyperseg' has no attribute {name!r}")
    module, _, attribute = _HOME[name].partition(":")
    value = getattr(importlib.import_module(module), attribute or name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])

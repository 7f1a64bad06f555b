"""The nouns of the package: scenes, splits, maps, tiles and errors. NumPy only, no torch."""

from hyperseg.core.errors import (
    DataFileError,
    HypersegError,
    LabelError,
    RunError,
    SceneError,
    SettingError,
    SplitError,
    TrainingError,
)  # fmt: skip
from hyperseg.core.files import replaced
from hyperseg.core.maps import Decisions, SegmentationMap
from hyperseg.core.scene import UNLABELLED, Cube, Grid, Scene
from hyperseg.core.split import Split
from hyperseg.core.tiles import Tile, around, tiles

__all__ = [
    "UNLABELLED", "Cube", "DataFileError", "Decisions", "Grid", "HypersegError", "LabelError", "RunError", "Scene",
    "SceneError", "SegmentationMap", "SettingError", "Split", "SplitError", "Tile", "TrainingError", "around",
    "replaced", "tiles",
]  # fmt: skip

"""The map of answers of a run: the class, the group where the class is a guess, or nothing."""

from __future__ import annotations

from typing import Any

from hyperseg.core import Scene, SegmentationMap, Split
from hyperseg.core.groups import Fallback
from hyperseg.io.write import write_map
from hyperseg.io.write.groups import answer_legend
from hyperseg.recipes.run.folder import RunFolder
from hyperseg.recipes.run.map_file import GROUPS_FILE
from hyperseg.recipes.scoring.groups import describe_groups
from hyperseg.report.pictures import map_figure


def write_answers(
    folder: RunFolder, final: SegmentationMap, fallback: Fallback, scene: Scene, split: Split
) -> dict[str, Any]:
    """Write map-groups.tif; returns what metrics.json says of it."""
    assert scene.labels is not None
    legend = answer_legend(fallback, final.classes, final.colours, final.codes)
    write_map(folder / GROUPS_FILE, fallback.answers(final), grid=final.grid, made_by=final.made_by, **legend._asdict())
    return describe_groups(final, fallback, scene.labels, split)


def draw_answers(final: SegmentationMap, fallback: Fallback, scene: Scene, *, title: str) -> bytes:
    """The map of answers as a picture (PNG)."""
    legend = answer_legend(fallback, final.classes, final.colours, final.codes)
    return map_figure(fallback.answers(final), legend.classes, legend.colours, title=title, scene=scene)

"""Whether images fit a run, from their headers; which networks it needs, and which images it has learnt from."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

from hyperseg.core import SceneError
from hyperseg.core.words import counted, listed
from hyperseg.io.cases import Case
from hyperseg.io.cases.beside.spacing import says_itself
from hyperseg.io.cases.decode import decode_image, in_colours, shape_of
from hyperseg.io.cases.images import told_numbers
from hyperseg.io.cases.names import PICTURES, VOLUMES, ending_of
from hyperseg.io.cases.open import COLOURS
from hyperseg.io.paths import split_key
from hyperseg.io.write.targets import RECORD
from hyperseg.medical.plan import Plan
from hyperseg.recipes.segment.folder import SegmentRun

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Planned:
    """An image to predict, looked at.

    Attributes:
        case: its files.
        target: the file that its classes go to.
        voxels: from headers.
    """

    case: Case
    target: Path
    voxels: int


def needed(plan: Plan, chosen: Sequence[str]) -> tuple[str, ...]:
    """Configurations whose networks are needed: those chosen, and the first ones of cascades."""
    every = [name for one in chosen for name in (plan.configuration(one).after, one) if name]
    return tuple(dict.fromkeys(every))


def planned_image(run: SegmentRun, case: Case, out: Path) -> Planned:
    """Where the classes of an image go.

    Raises:
        SceneError: it does not fit the plan, from its header. DataFileError: it cannot be read.
    """
    shapes = [shape_of(path) or (*(found := decode_image(path)).shape, found.channels) for path in case.images]
    file, facts = split_key(case.images[0])[0], run.plan.facts
    axes, channels, names = len(shapes[0]) - 1, sum(shape[-1] for shape in shapes), run.record.channels
    planned_axes, volume = len(run.plan.axes), ending_of(file) in VOLUMES
    if axes != planned_axes:
        kinds = {2: "a picture", 3: "a volume"}
        raise SceneError(
            f"{file}: is {kinds.get(axes, f'of {axes} axes')}, the run was trained on "
            f"{'volumes' if planned_axes == 3 else 'pictures'}. Give images of that kind."
        )
    grey_as_colours = (channels, names) == (1, COLOURS)  # not as t1, t2 and flair
    colours_as_grey = (channels, len(names)) == (3, 1)
    converted = len(case.images) == 1 and in_colours(file, axes) and (grey_as_colours or colours_as_grey)  # when read
    if channels != len(names) and not converted:
        raise SceneError(
            f"{file}: {case.name} has {counted(channels, 'channel')}, the run was trained on {len(names)}: "
            f"{', '.join(names)}. Channels in files of their own are called {case.name}_0000, {case.name}_0001 ..., in "
            f"the order of the run: {told_numbers(names)}."
        )
    known = bool(case.spacing) or says_itself(case)
    if known != (facts.unit == "mm"):
        remedy = "Give files of the same kind" + ("." if known else ", or a spacing.csv beside them: lines name,Z,Y,X.")
        raise SceneError(
            f"{file}: {'has' if known else 'does not have'} a spacing in millimetres, images the run was trained on "
            f"{'did not' if known else 'did'}. {remedy}"
        )
    flat = axes == 2 and (ending_of(file) in PICTURES or not volume)
    ending = VOLUMES[0] if volume else ".png" if flat else ".npy"
    return Planned(case, out / f"{case.name}{ending}", prod(shapes[0][:-1]))


def warn_of_learnt(run: SegmentRun, cases: Sequence[Case]) -> None:
    """Say how many of the images the run has learnt from: their scores tell nothing of others."""
    data, names = Path(run.record.folder).resolve(), {name for fold in run.record.folds for name in fold}
    learnt = [
        case.name for case in cases
        if case.name in names and split_key(case.images[0])[0].resolve().is_relative_to(data)
    ]  # fmt: skip
    if learnt:
        log.warning(
            "%s of %s were learnt from (%s): scores of their predictions say nothing of new images; those of "
            "cross-validation, in %s, do.", len(learnt), counted(len(cases), "image"), listed(learnt, most=3),
            run.root / RECORD,
        )  # fmt: skip

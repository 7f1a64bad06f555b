"""From a case to what a network of a plan reads; `restore` has the way back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from hyperseg.core import LabelError, Scene, SceneError
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.export.restore import Back
from hyperseg.medical.fingerprint import Spacing, nonzero_box
from hyperseg.medical.plan import Normalisation, Plan
from hyperseg.medical.resample import LABELS, orders_of, resample, resample_labels, resampled_size

Float32 = NDArray[np.float32]
LEAST_SPREAD = 1e-8
PART = 2**22  # values at once


@dataclass(frozen=True)
class Prepared:
    """A case as a network reads it.

    Attributes:
        image: (C, *S) float32, normalised, axes in the plan's order; of a volume for a network of planes too.
        labels: (*S) int16 classes, -1 for none, or None.
        back: what `restore` needs.
    """

    image: Float32
    labels: NDArray[np.int16] | None
    back: Back


def prepare(scene: Scene, plan: Plan, configuration: Configuration, *, labels: bool) -> Prepared:
    """Crop a case to what is not zero, bring its axes to the plan's order, normalise it, and resample it.

    A network of planes ("2d") has volumes resampled within their planes alone; they are cut slice by slice later.

    Args:
        scene: (*S, C) with the channels of the plan.
        plan, configuration: what the network was planned with.
        labels: the scene's are prepared too.

    Raises:
        SceneError: other axes or channels than planned, spacings in another unit, or values that are no numbers.
        LabelError: `labels`, but the scene has none.

    Source: Isensee et al., Nature Methods 18 (2021), "preprocessing".
    Differs: labels are resampled to the largest of their classes, not to the last one above one half.
    """
    _check(scene, plan, labels=labels)
    cube = np.asarray(scene.cube[:])
    box, axes = nonzero_box(cube), plan.axes
    order = (*axes, len(axes))
    inside = cube[box].transpose(order)
    spacing = spacing_of(scene, plan)
    target = target_of(plan, configuration, spacing)
    splines = plan.training.resampling
    size = resampled_size(inside.shape[:-1], spacing, target)
    image = np.empty((scene.n_bands, *size), np.float32)
    there = (inside != 0).any(-1) if any(n.kind == "masked z-score" for n in plan.normalisations) else None
    orders = orders_of(spacing, target, splines.image, splines)
    for c, how in enumerate(plan.normalisations):
        values = normalise(inside[..., c], how, there)
        if not np.isfinite(values).all():
            raise SceneError(f"{scene.name}: NaN or infinite values in {plan.facts.channels[c]}: mend the file.")
        image[c] = resample(torch.from_numpy(values)[None], size, orders)[0].numpy()
    found = None
    if labels:
        known = np.asarray(scene.labels)[box].transpose(axes)
        orders = orders_of(spacing, target, splines.labels, splines)
        found = np.ascontiguousarray(resample_labels(known, size, orders), LABELS)
    back = Back(
        scene.shape, tuple((s.start, s.stop) for s in box), axes, spacing, size,
        orders_of(target, spacing, splines.logits, splines),
    )  # fmt: skip
    return Prepared(image, found, back)


def normalise(values: NDArray[np.generic], how: Normalisation, there: NDArray[np.bool_] | None = None) -> Float32:
    """(*S) values of one channel of a cropped case, scaled.

    Args:
        values: of the file.
        how: the channel's rule.
        there: (*S) voxels that are not zero in every channel; needed for "masked z-score".
    """
    found = np.array(values, np.float32, order="C")  # a copy, changed in place
    match how.kind:
        case "ct":
            low, high, mean, spread = (
                float(n if n is not None else "nan") for n in (how.low, how.high, how.mean, how.spread)
            )
            np.clip(found, low, high, out=found)
        case "z-score":
            mean, spread = _mean_and_spread(found.ravel())
        case "masked z-score":
            assert there is not None
            mean, spread = _mean_and_spread(found[there])
        case "min-max":
            mean, spread = (float(found.min()), float(np.ptp(found))) if found.size else (0.0, 1.0)
        case _:
            raise AssertionError(how.kind)
    found -= np.float32(mean)
    found /= np.float32(max(spread, LEAST_SPREAD))
    if how.kind == "masked z-score" and there is not None:
        found[~there] = 0
    return found


def _mean_and_spread(values: Float32) -> tuple[float, float]:
    """Mean and standard deviation in double precision, part by part: NumPy would copy all values."""
    if not values.size:
        return 0.0, 1.0
    parts = np.array_split(values, 1 + values.size // PART)
    mean = sum(float(part.sum(dtype=np.float64)) for part in parts) / values.size
    square = sum(float(np.square(part - mean, dtype=np.float64).sum()) for part in parts)
    return mean, float(np.sqrt(square / values.size))


def spacing_of(scene: Scene, plan: Plan) -> Spacing:
    """Of a case, in the plan's order of axes; 1 where nobody says."""
    given = scene.grid.spacing if scene.grid.unit != "px" else (1.0,) * len(scene.shape)
    return tuple(float(given[axis]) for axis in plan.axes)


def target_of(plan: Plan, configuration: Configuration, spacing: Spacing) -> Spacing:
    """To which spacing a case goes: a network of planes leaves the first axis of a volume alone.

    Where a plan keeps spacings, all cases are made coarser or finer by one factor an axis: the configuration's spacing
    over the median of the data. Of a case of median spacing that is the configuration's spacing, to the last bit.
    """
    lead = len(spacing) - configuration.n_axes
    if not plan.training.resampling.keep:
        return (*spacing[:lead], *configuration.spacing)
    median = (plan.facts.spacing[axis] for axis in plan.axes[lead:])
    kept = (
        mm if old == new else mm / old * new
        for mm, old, new in zip(spacing[lead:], median, configuration.spacing, strict=True)
    )
    return (*spacing[:lead], *kept)


def _check(scene: Scene, plan: Plan, *, labels: bool) -> None:
    axes, channels = len(scene.shape), len(plan.normalisations)
    if axes != len(plan.axes):
        raise SceneError(f"{scene.name} has {axes} axes, the plan is for {len(plan.axes)}: give cases as planned.")
    if scene.n_bands != channels:
        names = ", ".join(plan.facts.channels)
        raise SceneError(f"{scene.name}: {scene.n_bands} channels, the plan is for {channels} ({names}).")
    if scene.grid.unit != plan.facts.unit:
        raise SceneError(
            f"{scene.name}: its spacing is in {scene.grid.unit}, that of the plan in {plan.facts.unit}: give files of "
            "the kind that was planned for."
        )
    if labels and scene.labels is None:
        raise LabelError(f"{scene.name} has no labels: only labelled cases are learnt from.")

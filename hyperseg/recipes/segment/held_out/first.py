"""What a cascade's second network is trained on: of every case the answer of a first network that never saw it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hyperseg.core import Scene
from hyperseg.core.runtime import Runtime
from hyperseg.engine.progress import counted_progress
from hyperseg.io.cases import CaseFolder, read_case
from hyperseg.io.write import replacing
from hyperseg.medical.configuration import Configuration
from hyperseg.medical.fingerprint import nonzero_box
from hyperseg.medical.patches import FIRST, StoredCase
from hyperseg.medical.plan import Plan
from hyperseg.medical.prepare import spacing_of, target_of
from hyperseg.medical.resample import orders_of, resample_labels, resampled_size
from hyperseg.recipes.segment.folder import SegmentRun
from hyperseg.recipes.segment.held_out.networks import networks_of
from hyperseg.recipes.segment.predicting import predict_case


def answer_first(
    run: SegmentRun, folder: CaseFolder, configuration: Configuration, stored: Mapping[str, StoredCase], *,
    mirror: bool, runtime: Runtime,
) -> dict[str, StoredCase]:  # fmt: skip
    """Store the first network's answer beside every prepared case of a cascade; what is there already stays.

    Each case is predicted by the fold that held it out. On cases that it has learnt from, a network is better than it
    will ever be again, and the second one would learn to trust it.

    Args:
        run: whose first network (`configuration.after`) is trained on all folds.
        folder: of the run.
        configuration: the second network.
        stored: its prepared cases.
        mirror: the first network sees mirror images too.
        runtime: device and progress.

    Raises:
        RunError: a first network is not there, or is damaged.
    """
    found: dict[str, StoredCase] = {}
    what = f"Cases seen by {configuration.after}"
    with counted_progress(what, unit="cases", quiet=runtime.quiet) as progress:
        for fold, names in enumerate(run.record.folds):
            missing = [name for name in names if not (stored[name].folder / FIRST).exists()]
            networks = networks_of(run, [configuration.after], fold, runtime) if missing else {}
            for name in names:
                if name in missing:
                    scene = read_case(folder, folder.case(name), labels=False)
                    classes = predict_case(
                        scene, run.plan, networks, [configuration.after], mirror=mirror, device=runtime.device,
                        method=run.method, seed=run.record.seed,
                    )  # fmt: skip
                    with replacing(stored[name].folder / FIRST) as temporary, temporary.open("wb") as file:
                        np.save(file, on_grid(classes, scene, run.plan, configuration))
                found[name] = replace(stored[name], answered=True)
                progress(len(found), len(stored))
    return {name: found[name] for name in stored}


def on_grid(
    classes: NDArray[np.int16], scene: Scene, plan: Plan, configuration: Configuration
) -> NDArray[np.int16]:  # fmt: skip
    """(*shape) classes of a case on the grid of a configuration: what `prepare` makes of labels, without the image."""
    splines, spacing = plan.training.resampling, spacing_of(scene, plan)
    known = classes[nonzero_box(np.asarray(scene.cube[:]))].transpose(plan.axes)
    target = target_of(plan, configuration, spacing)
    size = resampled_size(known.shape, spacing, target)
    orders = orders_of(spacing, target, splines.labels, splines)
    return np.ascontiguousarray(resample_labels(known, size, orders), np.int16)
